"""The vocabulary of substances: its data agree with themselves, with known facts and with the docs."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from datasets.substances import build_vocabulary, load_substances, render_table

ROOT = Path(__file__).resolve().parents[2]


def data() -> dict[str, Any]:
    return tomllib.loads((ROOT / "datasets" / "substances.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("substance", "control", "since"),
    [
        ("heroin", "1961 Schedule I and IV", None),
        ("codeine", "1961 Schedule II", None),
        ("carfentanil", "1961 Schedule I and IV", 2018),
        ("methamphetamine", "1971 Schedule II", None),
        ("mephedrone", "1971 Schedule II", 2015),
        ("alpha_pvp", "1971 Schedule II", 2016),
        ("phenazepam", "1971 Schedule IV", 2016),
        ("acetic_anhydride", "1988 Table I", 2001),
        ("mapa", "1988 Table I", 2020),
        ("toluene", "1988 Table II", 1992),
        ("ketamine", "not under international control", None),
        ("tramadol", "not under international control", None),
        ("pregabalin", "not under international control", None),
    ],
)
def test_known_facts(substance: str, control: str, since: int | None) -> None:
    found = load_substances().by_id[substance]
    assert (found.controlled, found.since) == (control, since)


def test_every_substance_has_a_group_a_source_and_names_in_three_languages() -> None:
    vocabulary = load_substances()
    groups = [one.id for one in vocabulary.substances if not one.group]
    assert len(groups) > 15
    for one in vocabulary.substances:
        assert set(one.names) == {"en", "ru", "zh"}
        assert one.id == one.id.lower().replace("-", "_").replace(";", "")
        if one.group:
            assert one.group in groups
            assert one.basis
            assert one.since is None or 1961 <= one.since <= 2026
            if one.control and one.control[0][0] == "1988":
                assert one.since is not None
    used = {basis for one in vocabulary.substances for basis in one.basis}
    assert used == set(vocabulary.sources)


def test_a_group_stands_right_before_its_substances() -> None:
    group = ""
    for one in load_substances().substances:
        group = group if one.group else one.id
        assert (one.group or one.id) == group


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["substance"].append(dict(d["substance"][0])), "heroin stands there twice"),
        (lambda d: d["substance"][0].update(group="opiate"), "unknown group opiate"),
        (lambda d: d["substance"][0].update(group="opium"), "unknown group opium"),
        (lambda d: d["substance"][0].update(control=[["1988", "III"]]), "no 1988 III"),
        (lambda d: d["substance"][0].update(control=[["1931", "I"]]), "no 1931 I"),
        (lambda d: d["substance"][0].update(basis=["hearsay"]), "unknown source hearsay"),
        (lambda d: d["substance"][0].pop("basis"), "names no source"),
        (lambda d: d["substance"][0].update(ru=""), "lacks a name"),
    ],
)
def test_data_that_contradict_themselves_are_refused(change: Any, message: str) -> None:
    changed = copy.deepcopy(data())
    build_vocabulary(changed)
    change(changed)
    with pytest.raises(ValueError, match=message):
        build_vocabulary(changed)


def test_the_table_in_the_docs_is_the_vocabulary() -> None:
    assert render_table() in (ROOT / "docs" / "labels.md").read_text("utf-8")
