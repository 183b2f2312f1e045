"""The taxonomy: its order is part of every snapshot, its data agree with themselves and with the docs."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from chains.errors import InputError
from datasets.taxonomy import build_taxonomy, category, entity_key, load_taxonomy, render_table

ROOT = Path(__file__).resolve().parents[2]

# Published snapshots hold these numbers: a new category goes to the end, and none ever leaves.
ORDER = [
    "darknet_market",
    "drug_vendor",
    "vendor_shop",
    "social_network_shop",
    "courier_payout",
    "precursor_supplier",
    "drug_treasury",
    "cash_out_exchanger",
    "drop_account",
    "drug_trafficking",
    "exchange",
    "p2p_exchange",
    "crypto_atm",
    "payment_processor",
    "gambling",
    "mining_pool",
    "hosted_wallet",
    "lending",
    "bank",
    "money_transfer",
    "marketplace",
    "state_custody",
    "service_other",
    "mixer",
    "coinjoin",
    "dex",
    "defi",
    "bridge",
    "token_contract",
    "scam",
    "ponzi_scheme",
    "phishing",
    "ransomware",
    "theft",
    "blackmail",
    "malware",
    "fraud_shop",
    "terrorism_financing",
    "extremism",
    "child_abuse_material",
    "money_laundering",
    "sanctioned",
    "frozen",
    "crime_other",
    "person",
    "merchant",
    "charity",
    "employer",
    "miner",
    "organisation",
    "victim",
    "unspecified",
    "unknown_service",
]


def taxonomy_data() -> dict[str, Any]:
    return tomllib.loads((ROOT / "datasets" / "taxonomy.toml").read_text("utf-8"))


def test_the_number_of_a_category_never_changes() -> None:
    found = load_taxonomy().categories
    assert [entry.id for entry in found] == ORDER
    assert [entry.index for entry in found] == list(range(len(ORDER)))


def test_every_drug_category_is_traced_and_learnt_from() -> None:
    drug = [entry for entry in load_taxonomy().categories if entry.group == "drug"]
    assert len(drug) == 10
    assert all(entry.seeds and entry.target for entry in drug)


def test_ordinary_people_seed_nothing() -> None:
    assert not any(entry.seeds for entry in load_taxonomy().categories if entry.group == "ordinary")


def test_what_leaves_the_ground_open_is_no_target() -> None:
    for undecided in ("sanctioned", "frozen", "money_laundering", "crime_other", "unspecified", "mixer"):
        assert not category(undecided).target


def test_services_of_every_kind_are_there() -> None:
    assert category("exchange").service == "custodial"
    assert category("darknet_market").service == "custodial"
    assert category("coinjoin").service == "mixer"
    assert category("dex").service == "convert"
    assert category("bridge").service == "bridge"
    assert category("person").service == "none"


def test_an_unknown_category_is_named_in_the_error() -> None:
    with pytest.raises(InputError, match="'drugs_vendor'"):
        category("drugs_vendor")


def test_confidence_levels_lie_between_nothing_and_certainty() -> None:
    levels = load_taxonomy().graphsense_confidence
    assert levels["ownership"] == 1.0
    assert levels["web_crawl"] == 0.2
    assert all(0 < level <= 1 for level in levels.values())


def test_a_market_without_a_name_is_not_a_drug_market() -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.by_graphsense["market"] == "marketplace"
    assert taxonomy.known_entities[entity_key("ALPHABAY market")] == "darknet_market"
    assert entity_key("Aeternalism (AES)") not in taxonomy.known_entities


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: data["category"].append(dict(data["category"][0])),
            "darknet_market stands there twice",
        ),
        (
            lambda data: data["category"][3]["graphsense"].append("exchange"),
            "exchange stands at two categories",
        ),
        (lambda data: data["category"][0].update(group="drugs"), "unknown group"),
        (lambda data: data["category"][0].update(service="custody"), "unknown group or kind of service"),
        (lambda data: data["known_entity"][0].update(category="market"), "unknown category market"),
        (lambda data: data["known_entity"][3]["names"].append("hydra MARKET"), "has two categories"),
        (lambda data: data.pop("known_entity"), "no \\[\\[known_entity\\]\\]"),
    ],
)
def test_data_that_contradict_themselves_are_refused(change: Any, message: str) -> None:
    data = copy.deepcopy(taxonomy_data())
    build_taxonomy(data)
    change(data)
    with pytest.raises(ValueError, match=message):
        build_taxonomy(data)


def test_the_table_in_the_docs_is_the_taxonomy() -> None:
    assert render_table() in (ROOT / "docs" / "labels.md").read_text("utf-8")


def test_every_category_is_defined_in_words() -> None:
    for entry in load_taxonomy().categories:
        assert entry.definition.endswith(".")
        assert entry.interpol
        assert entry.nearest
