"""The catalogue: complete, and its hash is of what counts for a model. Its words: `test_words.py`."""

import dataclasses

import pytest

from features import catalogue
from features.catalogue import CATALOGUE, GROUPS, LEVELS, UNITS, find_feature


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


def test_hash_changes_with_a_feature_and_with_sql_and_not_with_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    first = CATALOGUE[0]
    others = (
        dataclasses.replace(first, name="other"),
        dataclasses.replace(first, unit="share"),
        dataclasses.replace(first, level="address"),
        dataclasses.replace(first, group="amounts"),
    )
    for other in others:
        with monkeypatch.context() as patch:
            patch.setattr(catalogue, "CATALOGUE", (other, *CATALOGUE[1:]))
            assert fresh() != catalogue.catalogue_hash()
    with monkeypatch.context() as patch:
        reworded = dataclasses.replace(first, meaning="another meaning", text="{value}", unknown="who knows")
        patch.setattr(catalogue, "CATALOGUE", (reworded, *CATALOGUE[1:]))
        assert fresh() == catalogue.catalogue_hash()


def test_no_feature_of_that_name() -> None:
    with pytest.raises(KeyError, match="first_seen"):
        find_feature("first_seen")
