"""Every way to a level, on a real snapshot."""

from pathlib import Path

import pytest

from api.screening import Screening, screen
from api.serving import Served, open_served
from api.settings import Settings
from chains.address import parse_account
from chains.errors import AddressError, AmbiguousAddress, UnknownChain
from models.registry import Population
from models.rules import Level
from tests.api.world import (
    BANK,
    BITCOIN,
    COINS,
    LABELLED_ON_BASE,
    LISTED,
    LISTED_OTHER,
    ON_BOTH,
    ON_POLYGON,
    make_world,
)


def ask(served: Served, text: str, chain: str | None = None) -> Screening:
    return screen(text, served.snapshot, served.model, chain=chain)


def outcome(screening: Screening) -> tuple[str, str]:
    return screening.risk_level.value, screening.decided_by


def ids(remarks: object) -> set[str]:
    return {remark.id for remark in remarks}  # type: ignore[attr-defined]


def test_a_drug_sanction_is_severe_without_any_transfer(served: Served) -> None:
    found = ask(served, LISTED)
    assert outcome(found) == ("SEVERE", "sanction")
    assert found.sanctions[0].entity == "Cartel One"
    assert found.sanctions[0].programmes == ("SDNTK",)
    assert "Cartel One (SDNTK)" in found.findings[0].text
    assert found.drug_evidence.found
    assert not found.in_ledger
    assert "not_in_ledger" in ids(found.unknown_reasons)


def test_another_sanction_forbids_low(served: Served) -> None:
    found = ask(served, f"eip155:1:{LISTED_OTHER}")
    assert outcome(found) == ("MEDIUM", "sanction")
    assert not found.drug_evidence.found


@pytest.mark.parametrize("chain", ["polygon", "eip155:56", "eip155:424242"])
def test_a_sanction_holds_for_the_key_on_every_chain(served: Served, chain: str) -> None:
    found = ask(served, LISTED, chain)
    assert found.account.caip10 == f"{parse_account(LISTED, found.account.chain).chain.caip2}:{LISTED}"
    assert outcome(found) == ("SEVERE", "sanction")
    assert f"the list names it as eip155:1:{LISTED}" in found.findings[0].text


def test_a_near_miss_of_a_sanction_is_none(served: Served) -> None:
    found = ask(served, LISTED[:-1] + "f")
    assert outcome(found) == ("UNKNOWN", "none")
    assert found.sanctions == ()
    assert "no_sanctions_match" in ids(found.cautions)
    assert {"not_in_ledger", "model_not_valid_for_chain"} <= ids(found.unknown_reasons)


def test_a_drug_label_on_the_address_is_severe(served: Served) -> None:
    found = ask(served, f"{BANK}:market")
    assert outcome(found) == ("SEVERE", "label")
    assert "darknet market (Market One) by casework" in found.findings[0].text


def test_a_doubtful_label_decides_nothing_but_is_shown(served: Served) -> None:
    found = ask(served, f"{BANK}:dave")
    assert found.decided_by == "model"
    assert [label.confidence for label in found.drug_evidence.labels] == [0.2]


def test_a_drug_label_through_the_cluster_is_high(served: Served) -> None:
    found = ask(served, COINS[1])
    assert found.account.caip10 == f"{BITCOIN}:{COINS[1]}"
    assert outcome(found) == ("HIGH", "label")
    assert "this address itself is not" in found.findings[0].text
    assert found.entity_size == 2
    assert ask(served, COINS[0]).risk_level is Level.SEVERE


def test_direct_exposure_is_high_and_distant_exposure_medium(served: Served) -> None:
    alice = ask(served, f"{BANK}:alice")
    assert outcome(alice) == ("HIGH", "rule")
    assert alice.findings[0].id == "drug_source_direct_high"
    assert (
        "100.0% of what it received, 2,000 USD, came directly from the drug trade" in alice.findings[0].text
    )
    assert alice.drug_evidence.source_direct_share == 1.0
    bob = ask(served, f"{BANK}:bob")
    assert outcome(bob) == ("MEDIUM", "rule")
    assert bob.drug_evidence.source_share == pytest.approx(1200 / 19200)
    assert bob.drug_evidence.source_direct_share == 0
    assert "origin_not_known" in ids(bob.cautions)


def test_dust_from_a_market_sets_no_level_by_rule(served: Served) -> None:
    found = ask(served, f"{BANK}:dusted")
    assert found.drug_evidence.source_direct_share == 1.0
    assert "rule" not in {finding.decided_by for finding in found.findings}


def test_small_buyers_are_on_no_list(served: Served) -> None:
    buyer = ask(served, f"{BANK}:buyer")
    assert buyer.drug_evidence.destination_direct_share == 1.0
    assert "rule" not in {finding.decided_by for finding in buyer.findings}
    assert outcome(ask(served, f"{BANK}:regular")) == ("MEDIUM", "rule")
    assert outcome(ask(served, f"{BANK}:backer")) == ("HIGH", "rule")


def test_without_prices_no_rule_reads_what_was_sent(served: Served) -> None:
    payer = ask(served, COINS[3])
    assert payer.drug_evidence.destination_direct_share == 1.0
    assert outcome(payer) == ("UNKNOWN", "none")
    assert "value_not_known" in ids(payer.unknown_reasons)
    receiver = ask(served, COINS[2])
    assert outcome(receiver) == ("HIGH", "rule")
    assert "USD," not in receiver.findings[0].text


def test_the_model_calls_an_address_low_only_with_enough_history(served: Served) -> None:
    assert outcome(ask(served, f"{BANK}:shop")) == ("MEDIUM", "model")
    carol = ask(served, f"{BANK}:carol")
    assert outcome(carol) == ("UNKNOWN", "none")
    assert "too_little_history" in ids(carol.unknown_reasons)
    quiet = ask(served, f"{BANK}:quiet")
    assert outcome(quiet) == ("LOW", "model")
    assert quiet.probability is not None
    assert 0 < quiet.probability.value < 1


def test_a_label_of_another_crime_forbids_low(served: Served) -> None:
    mallory = ask(served, f"{BANK}:mallory")
    assert outcome(mallory) == ("MEDIUM", "label")
    assert "another crime than drugs" in mallory.findings[0].text
    assert not mallory.drug_evidence.found


def test_the_model_alone_never_says_high_without_drug_evidence(served: Served) -> None:
    busy = ask(served, f"{BANK}:busy")
    assert outcome(busy) == ("MEDIUM", "model")
    assert "no_drug_evidence" in ids(busy.cautions)
    fan = ask(served, f"{BANK}:fan")
    assert 0.01 < fan.drug_evidence.source_share < 0.05
    assert outcome(fan) == ("HIGH", "model")
    assert fan.risk_score == busy.risk_score or abs((fan.risk_score or 0) - (busy.risk_score or 0)) <= 1
    assert fan.reasons[0].feature == "transfers_in"


def test_an_address_without_history_of_what_it_spent_is_not_low(served: Served) -> None:
    sender = ask(served, f"{BANK}:sender")
    assert sender.history_share == 0.0
    assert outcome(sender) == ("UNKNOWN", "none")
    thin = next(remark for remark in sender.unknown_reasons if remark.id == "too_little_history")
    assert "1 transfer" in thin.text
    assert "0% of what it spent" in thin.text


def test_a_model_of_another_world_ranks_but_sets_no_level(tmp_path: Path) -> None:
    settings = make_world(tmp_path / "w", model=Population(simulated=True, chains=("eip155:78284",)))
    served = open_served(settings)
    busy = ask(served, f"{BANK}:busy")
    assert outcome(busy) == ("UNKNOWN", "none")
    assert busy.risk_score is not None
    assert busy.reasons
    assert busy.probability is None
    assert "model_not_valid_for_chain" in ids(busy.unknown_reasons)
    assert "score_sets_no_level" in ids(busy.cautions)
    assert outcome(ask(served, f"{BANK}:alice")) == ("HIGH", "rule")


def test_thresholds_that_are_not_attainable_set_no_level(tmp_path: Path) -> None:
    population = Population(simulated=False, chains=(BANK,))
    served = open_served(make_world(tmp_path / "w", model=population, attainable=False))
    busy = ask(served, f"{BANK}:busy")
    assert outcome(busy) == ("UNKNOWN", "none")
    reason = next(r for r in busy.unknown_reasons if r.id == "thresholds_not_attainable")
    assert "needs 19 licit owners" in reason.text


def test_without_a_model_rules_still_decide(unscored: Settings) -> None:
    served = open_served(unscored)
    assert outcome(ask(served, f"{BANK}:alice")) == ("HIGH", "rule")
    busy = ask(served, f"{BANK}:busy")
    assert outcome(busy) == ("UNKNOWN", "none")
    assert (busy.risk_score, busy.probability, busy.reasons, busy.trained_on) == (None, None, (), None)
    assert "no_model" in ids(busy.unknown_reasons)


def test_a_bare_address_is_read_on_the_chain_that_knows_it(served: Served) -> None:
    assert ask(served, ON_POLYGON).account.caip10 == f"eip155:137:{ON_POLYGON}"
    both = ask(served, ON_BOTH)
    assert both.account.caip10 == f"eip155:1:{ON_BOTH}"
    assert both.also_on == (f"eip155:137:{ON_BOTH}",)
    assert "same_key_elsewhere" in ids(both.cautions)
    assert ask(served, LABELLED_ON_BASE).account.caip10 == f"eip155:8453:{LABELLED_ON_BASE}"
    assert ask(served, f"0x{'1' * 40}").account.caip10 == f"eip155:1:0x{'1' * 40}"
    assert ask(served, ON_POLYGON, "ethereum").in_ledger is False


def test_the_strongest_decides_and_the_rest_is_told(served: Served) -> None:
    alice = ask(served, f"{BANK}:alice")
    by_market = ask(served, f"{BANK}:market")
    assert len({finding.id for finding in alice.findings}) == len(alice.findings)
    assert by_market.findings[0].level is Level.SEVERE


def test_the_same_question_has_the_same_id_and_another_caller_another(served: Served) -> None:
    snapshot, model = served.snapshot, served.model
    first = screen(f"{BANK}:alice", snapshot, model, caller="k1")
    assert screen("alice", snapshot, model, chain=BANK, caller="k1") == first
    assert screen("alice", snapshot, model, chain=BANK, caller="k2").screening_id != first.screening_id


@pytest.mark.parametrize("text", ["", " ", "\x00", "0x12", "1BoatSLRHtKNngkdXEeobR76b53LETtpyU", "x" * 300])
def test_what_is_no_address_is_refused(served: Served, text: str) -> None:
    with pytest.raises(AddressError):
        ask(served, text)


def test_a_wrong_chain_is_refused(served: Served) -> None:
    with pytest.raises(UnknownChain):
        ask(served, LISTED, "no such chain")
    with pytest.raises((AddressError, AmbiguousAddress)):
        ask(served, COINS[0], "ethereum")
