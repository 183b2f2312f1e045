"""The catalogue: complete, documented, and readable as reasons."""

import math
from pathlib import Path

import pytest

from features import catalogue
from features.catalogue import CATALOGUE, GROUPS, LEVELS, UNITS, describe_reason, describe_value, find_feature

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"


def test_names_are_unique_and_plain() -> None:
    names = [feature.name for feature in CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)


def test_there_are_enough_of_behaviour_and_all_of_exposure() -> None:
    assert sum(feature.group != "exposure" for feature in CATALOGUE) >= 40
    kinds = ["drug_share", "drug_direct_share", "mixer_share", "service_share", "crime_share"]
    kinds += ["unattributed_share", "drug_min_hops"]
    assert [feature.name for feature in CATALOGUE if feature.group == "exposure"] == [
        f"exposure_{side}_{kind}" for side in ("source", "destination") for kind in kinds
    ]


@pytest.mark.parametrize("feature", CATALOGUE, ids=lambda feature: feature.name)
def test_entry_is_complete(feature: catalogue.Feature) -> None:
    assert feature.group in GROUPS
    assert feature.unit in UNITS
    assert feature.level in LEVELS
    assert len(feature.meaning) > 20
    assert not feature.meaning.endswith(".")
    assert feature.text.count("{value}") == 1
    assert feature.name.endswith(("_share", "_usd", "_seconds", "_days", "_min_hops")) <= (
        feature.unit in ("share", "usd", "seconds", "days", "hops", "count")
    )
    assert (feature.sql is None) == (feature.group == "exposure")


def test_groups_stand_together_in_order() -> None:
    order = [GROUPS.index(feature.group) for feature in CATALOGUE]
    assert order == sorted(order)


def test_page_is_in_step_with_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == catalogue.write_page()


def test_page_names_every_feature_once() -> None:
    page = catalogue.write_page()
    assert all(page.count(f"| `{feature.name}` |") == 1 for feature in CATALOGUE)


def test_hash_changes_with_a_word_and_with_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = catalogue.catalogue_hash.__wrapped__
    assert len(fresh()) == 64
    assert fresh() == catalogue.catalogue_hash()
    read_sql = catalogue.read_sql
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "read_sql", lambda name: read_sql(name) + "\n-- another")
        assert fresh() != catalogue.catalogue_hash()
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "CATALOGUE", CATALOGUE[1:])
        assert fresh() != catalogue.catalogue_hash()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("payers", 1234.0, "was paid by 1,234 different counterparties"),
        ("payers", 1.0, "was paid by 1 counterparty"),
        ("payers", 11.0, "was paid by 11 different counterparties"),
        ("transfers_in", 1.0, "received 1 transfer"),
        ("active_days", 1.0, "made transfers on 1 day"),
        ("payers", math.nan, "not known: different entities that paid it"),
        ("weekend_share", 0.5, "50 % of its transfers are on Saturday or Sunday"),
        ("weekend_share", 0.004, "under 1 % of its transfers are on Saturday or Sunday"),
        ("weekend_share", 0.999, "over 99 % of its transfers are on Saturday or Sunday"),
        ("weekend_share", 0.0, "0 % of its transfers are on Saturday or Sunday"),
        ("received_usd", 12_345.6, "received 12,346 USD"),
        ("received_usd", 12.3, "received 12.30 USD"),
        ("age_days", 1.0, "first seen 1 day ago"),
        ("age_days", 0.25, "first seen 6 hours ago"),
        ("dwell_median_seconds", 90.0, "the next payment usually comes 1.5 minutes after a receipt"),
        ("dwell_median_seconds", 1.0, "the next payment usually comes 1 second after a receipt"),
        ("hour_spread", 3.0, "its transfers spread over 3 hours of the day"),
        ("exposure_source_drug_min_hops", 1.0, "the nearest drug source is 1 hop away"),
        ("burstiness", -0.25, "the burstiness of its transfers is -0.25 (-1 regular, 1 in bursts)"),
    ],
)
def test_reason_reads_well(name: str, value: float, words: str) -> None:
    assert describe_reason(find_feature(name), value) == words


@pytest.mark.parametrize("unit", UNITS)
def test_unknown_value_is_said_to_be_unknown(unit: str) -> None:
    feature = next(feature for feature in CATALOGUE if feature.unit == unit)
    assert describe_value(feature, math.nan) == "unknown"


def test_no_feature_of_that_name() -> None:
    with pytest.raises(KeyError, match="first_seen"):
        find_feature("first_seen")
