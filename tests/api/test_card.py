"""The card: 80 columns, the answer at a glance, and no text of a third party in control."""

import io
import unicodedata
from dataclasses import replace

import pytest
from rich.cells import cell_len

from api.card import card_lines, write_card
from api.commands.common import clean
from api.screening import Remark, Screening, screen
from api.serving import Served
from tests.api.world import BANK, COINS, HOSTILE, LISTED, LISTED_OTHER

ASKED = [f"{BANK}:{name}" for name in ("alice", "bob", "market", "mallory", "fan", "busy", "carol")]


def ask(served: Served, text: str) -> Screening:
    return screen(text, served.snapshot, served.model)


def show(screening: Screening) -> str:
    out = io.StringIO()
    write_card(screening, out)
    return out.getvalue()


@pytest.mark.parametrize("account", [*ASKED, COINS[1], LISTED, f"{BANK}:{'x' * 90}", f"{BANK}:{'漢' * 14}"])
def test_no_line_is_wider_than_80_columns(served: Served, account: str) -> None:
    card = show(ask(served, account))
    assert all(cell_len(line) <= 80 for line in card.splitlines())
    assert [line.plain.rstrip() for line in card_lines(ask(served, account))] == [
        line.rstrip() for line in card.splitlines()
    ]


def test_the_first_line_says_level_decider_and_score(served: Served) -> None:
    heads = {
        text: show(ask(served, text)).splitlines()[0] for text in (f"{BANK}:alice", f"{BANK}:fan", LISTED)
    }
    assert heads == {
        f"{BANK}:alice": " HIGH  decided by an exposure rule, score 99 of 100",
        f"{BANK}:fan": " HIGH  decided by the model, score 100 of 100",
        LISTED: " SEVERE  decided by a sanctions list, no score",
    }


SANCTIONED = """\
 SEVERE  decided by a sanctions list, no score
────────────────────────────────────────────────────────────────────────────────
address      0x00000000000000000000000000000000000A11cE
chain        ethereum (eip155:1)
why          sanctioned: Cartel One (SDNTK), tied to the drug trade
             also SEVERE, by label: labelled drug trafficking, role not stated
             (Cartel One) by casework
sanctions    Cartel One: SDNTK, listed 2022-04-05 (casework case 1)
labels       drug trafficking, role not stated: Cartel One (casework, confidence
             100%)
not known    no transfer of this address is in the ledger: nothing is known of
             what it did; the model was trained on payments:mybank: on ethereum
             it ranks, but sets no level
as of        2023-02-01 00:00 UTC
             snapshot 20230201T000000Z-000000000000, model m-000000000000
A score never decides alone: docs/screening.md says what this is not.
"""
MODEL_HIGH = """\
 HIGH  decided by the model, score 100 of 100
────────────────────────────────────────────────────────────────────────────────
address      fan
chain        payments:mybank
why          the model's score of 100 of 100 is where at most 1% of licit owners
             are expected
came from      1.6%  darknet market, 2+ hops away (5 USD)
              98.4%  spent before the ledger saw it received (300 USD)
activity     13 transfers in, 0 out, 2 counterparties; received 305 USD;
             2023-01-12 to 2023-01-18
score from   + received 13 transfers
behaviour    100 of 100 for any crime, by what it does alone; sets no level
caution      no match on the sanctions lists imported here (casework as of
             2022-12-01) is no clearance; where 98.4% of what it received came
             from is not known; the share of its history that is seen is not
             known; the newest transfer of this chain in the ledger is 7 days
             old
as of        2023-02-01 00:00 UTC
             snapshot 20230201T000000Z-000000000000, model m-000000000000
A score never decides alone: docs/screening.md says what this is not.
"""
RULE_HIGH = """\
 HIGH  decided by an exposure rule, score 99 of 100
────────────────────────────────────────────────────────────────────────────────
address      alice
chain        payments:mybank
why          100.0% of what it received, 2,000 USD, came directly from the drug
             trade (HIGH from 10% and 1,000 USD)
             also LOW, by model: the model's score of 99 of 100 is below every
             threshold
came from    100.0%  darknet market, direct (2,000 USD)
went to      100.0%  still held by those it reached (1,205 USD)
indicators   Direct dealings with a darknet market (strength 67%): received
             2,000 USD directly in dealings with a darknet market
activity     1 transfer in, 2 out, 3 counterparties; received 2,000 USD;
             2023-01-02 to 2023-01-18
score from   - received 1 transfer
behaviour    99 of 100 for any crime, by what it does alone; sets no level
caution      no match on the sanctions lists imported here (casework as of
             2022-12-01) is no clearance; the newest transfer of this chain in
             the ledger is 7 days old
as of        2023-02-01 00:00 UTC, 100% of its history known
             snapshot 20230201T000000Z-000000000000, model m-000000000000
A score never decides alone: docs/screening.md says what this is not.
"""
CLUSTER = """\
 HIGH  decided by a label, score 100 of 100
────────────────────────────────────────────────────────────────────────────────
address      bc1qqgpqyqszqgpqyqszqgpqyqszqgpqyqsz4desz8
chain        bitcoin (bip122:000000000019d6689c085ae165831e93)
cluster      2 addresses; what came and went is of all of them together
why          another address of its cluster is labelled drug vendor (Vendor One)
             by casework; this address itself is not
in cluster   drug vendor: Vendor One (casework, confidence 90%)
came from    100.0%  newly made by the chain or the issuer (0.00149 BTC)
went to      100.0%  still held by those it reached (0.00099 BTC)
activity     1 transfer in, 1 out, 2 counterparties; received 0.0005 BTC;
             2023-01-06 to 2023-01-06
score from   - received 3 transfers
behaviour    100 of 100 for any crime, by what it does alone; sets no level
not known    the model was trained on payments:mybank: on bitcoin it ranks, but
             sets no level
caution      the score only ranks, it is no probability; no match on the
             sanctions lists imported here (casework as of 2022-12-01) is no
             clearance; the newest transfer of this chain in the ledger is 25
             days old
as of        2023-02-01 00:00 UTC, block 4, 100% of its history known
             snapshot 20230201T000000Z-000000000000, model m-000000000000
A score never decides alone: docs/screening.md says what this is not.
"""
UNKNOWN = """\
 UNKNOWN  decided by nobody, no score
────────────────────────────────────────────────────────────────────────────────
address      0x1111111111111111111111111111111111111111
chain        ethereum (eip155:1)
why          no sanction, no drug label, no rule, and no model that may speak
not known    no transfer of this address is in the ledger: nothing is known of
             what it did; the model was trained on payments:mybank: on ethereum
             it ranks, but sets no level
caution      no match on the sanctions lists imported here (casework as of
             2022-12-01) is no clearance
as of        2023-02-01 00:00 UTC
             snapshot 20230201T000000Z-000000000000, model m-000000000000
A score never decides alone: docs/screening.md says what this is not.
"""


@pytest.mark.parametrize(
    ("text", "golden"),
    [
        (LISTED, SANCTIONED),
        (f"{BANK}:fan", MODEL_HIGH),
        (f"{BANK}:alice", RULE_HIGH),
        (COINS[1], CLUSTER),
        (f"0x{'1' * 40}", UNKNOWN),
    ],
)
def test_a_card_as_a_whole(served: Served, text: str, golden: str) -> None:
    found = replace(ask(served, text), snapshot="20230201T000000Z-000000000000", model="m-000000000000")
    assert [line.rstrip() for line in show(found).splitlines()] == golden.splitlines()
    assert len(golden.splitlines()) <= 24


def test_hostile_label_text_cannot_control_the_terminal(served: Served) -> None:
    found = ask(served, f"{BANK}:mallory")
    hostile = "a\x1b[31mb\x07\u202ec\r\nrisk_level: LOW"
    label = replace(found.labels[0], name=hostile, entity=hostile, source=hostile, reference=hostile)
    finding = replace(found.findings[0], text=f"labelled scam ({hostile})")
    attacked = replace(
        found, labels=(label,), entity_labels=(label,), sanctions=(label,), findings=(finding,)
    )
    card = show(attacked)
    for character in card.replace("\n", ""):
        assert unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp"), repr(character)
    flat = "".join(card.split())
    assert flat.count("a\\x1b[31mb\\x07\\u202ec\\x0d\\x0arisk_level:LOW") == 8
    assert not any(line.lstrip().startswith("risk_level") for line in card.splitlines())


def test_markup_of_a_label_stays_text(served: Served) -> None:
    assert "scam: </td>[bold red]paid" in show(ask(served, f"{BANK}:mallory"))
    assert HOSTILE not in show(ask(served, f"{BANK}:mallory"))


def test_a_long_name_pushes_out_neither_programmes_nor_what_follows(served: Served) -> None:
    found = ask(served, LISTED)
    name = "Cartel " + "n" * 5000
    programmes = tuple(f"PROGRAMME-{number}" for number in range(60))
    match = replace(found.sanctions[0], entity=name, programmes=programmes)
    finding = replace(found.findings[0], text=f"sanctioned: {name} (SDNTK), tied to the drug trade")
    card = show(replace(found, sanctions=(match,) * 7, findings=(finding,)))
    flat = " ".join(card.split())
    assert flat.count(", ".join(programmes) + ", listed 2022-04-05 (casework case 1)") == 7
    assert f"sanctioned: Cartel {'n' * 52}… (SDNTK), tied to the drug trade" in flat
    assert "n" * 53 not in "".join(card.split())


def test_the_asked_address_is_shown_whole(served: Served) -> None:
    found = ask(served, f"{BANK}:alice")
    asked = "".join(f"{number:03}" for number in range(300))
    card = show(replace(found, account=replace(found.account, address=asked)))
    assert asked in "".join(card.split())


def test_what_is_many_is_counted_but_sanctions_and_what_is_unknown_stay(served: Served) -> None:
    found = ask(served, f"{BANK}:fan")
    drug, unseen = sorted(found.exposures, key=lambda line: line.share)
    others = [
        replace(drug, category=name, share=share, value=share * 1000, value_usd=None, symbol="EUR")
        for name, share in (("exchange", 0.5), ("gambling", 0.2), ("mining", 0.125), ("bridge", 0.125))
    ]
    lines = (*others, replace(drug, share=0.0005), replace(unseen, share=0.25))
    market = ask(served, f"{BANK}:market").labels[0]
    remarks = tuple(Remark(f"r{number}", f"remark {number}") for number in range(9))
    card = show(
        replace(
            found,
            exposures=lines,
            reasons=tuple(replace(found.reasons[0], text=f"reason {number}") for number in range(8)),
            unknown_reasons=remarks,
            labels=tuple(replace(market, entity=f"Market {number}") for number in range(5)),
        )
    )
    rows = [line.rstrip() for line in card.splitlines()]
    start = rows.index("came from     50.0%  exchange, 2+ hops away (500 EUR)")
    assert rows[start + 1 : start + 4] == [
        "              <0.1%  darknet market, 2+ hops away (5 USD)",
        "              25.0%  spent before the ledger saw it received (300 USD)",
        "              45.0%  in 3 other lines of --json",
    ]
    assert [f"darknet market: Market {number}" in card for number in range(5)] == [True] * 3 + [False] * 2
    assert "darknet market: Market 2 (casework, confidence 90%) (+2 more)" in card
    assert [f"reason {number}" in card for number in range(8)] == [True] * 3 + [False] * 5
    assert "reason 2 (+5 more)" in card
    assert "; ".join(remark.text for remark in remarks) in " ".join(card.split())


@pytest.mark.parametrize(
    ("value", "symbol", "usd", "shown"),
    [
        (2000.0, "USD", 2000.0, "(2,000 USD)"),
        (0.3125, "USDT", 0.3125, "(0.31 USDT)"),
        (2000.0, "USDT", 2400.0, "(2,000 USDT, 2,400 USD)"),
        (2000.0, "EUR", 2000.0, "(2,000 EUR, 2,000 USD)"),
        (1.5, "ETH", 2400.4, "(1.5 ETH, 2,400 USD)"),
        (1.5, "ETH", None, "(1.5 ETH)"),
        (0.0000123456, "ETH", 0.004, "(0.00001235 ETH, <0.01 USD)"),
        (12345678.0, "ETH", None, "(12,345,678 ETH)"),
    ],
)
def test_dollars_are_shown_once(
    served: Served, value: float, symbol: str, usd: float | None, shown: str
) -> None:
    found = ask(served, LISTED_OTHER)
    line = replace(found.exposures[0], value=value, symbol=symbol, value_usd=usd)
    assert f"spent before the ledger saw it received {shown}" in " ".join(
        show(replace(found, exposures=(line,))).split()
    )


def test_the_card_reads_the_same_without_colour(served: Served) -> None:
    assert "\x1b" not in show(ask(served, f"{BANK}:alice"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢字", "plain ünïcode 漢字"),
        ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\u202eabc\u2066\u200b", "\\u202eabc\\u2066\\u200b"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_its_code(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_long_text_is_cut() -> None:
    assert clean("x" * 1000, 10) == "x" * 9 + "…"
