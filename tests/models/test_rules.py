"""The rules at their edges."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from datasets.taxonomy import load_taxonomy
from models.rules import (
    EXPOSURE_RULES,
    Finding,
    Level,
    describe_rules,
    drug_share,
    judge_exposures,
    judge_labels,
    judge_sanctions,
    lacks_prices,
    strongest,
)

TAXONOMY = load_taxonomy()


@dataclass(frozen=True)
class Line:
    direction: str = "source"
    category: str = "drug_vendor"
    direct: bool = True
    value_usd: float | None = 5_000.0
    share: float = 0.5


@dataclass(frozen=True)
class Said:
    category: str = "drug_vendor"
    confidence: float = 0.9
    programmes: tuple[str, ...] = ()
    account: str = "eip155:1:0x00"
    entity: str = "Somebody"
    name: str = "wallet"
    source: str = "list"


def levels(*lines: Line) -> list[tuple[str, str]]:
    return [(finding.id, finding.level.value) for finding in judge_exposures(lines, TAXONOMY)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (Line(share=0.10, value_usd=1_000), [("drug_source_direct_high", "HIGH")]),
        (Line(share=0.0999, value_usd=1_000), [("drug_source", "MEDIUM")]),
        (Line(share=0.10, value_usd=999), [("drug_source_direct", "MEDIUM")]),
        (Line(share=0.10, value_usd=99), []),
        (Line(share=0.05, value_usd=1_000, direct=False), [("drug_source", "MEDIUM")]),
        (Line(share=0.049, value_usd=1e9, direct=False), []),
        (Line("destination", share=1.0, value_usd=999), []),
        (Line("destination", share=0.1, value_usd=1_000), [("drug_destination_direct", "MEDIUM")]),
        (Line("destination", share=0.1, value_usd=10_000), [("drug_destination_direct_high", "HIGH")]),
        (Line("destination", share=1.0, value_usd=1e6, direct=False), []),
        (Line(category="sanctioned", share=0.10, value_usd=100), [("sanctioned_source", "MEDIUM")]),
        (Line(category="scam", share=1.0), []),
        (Line(category="exchange", share=1.0), []),
        (Line(category="unattributed:minted", share=1.0), []),
    ],
)
def test_a_rule_needs_its_share_and_its_value(line: Line, found: list[tuple[str, str]]) -> None:
    assert levels(line) == found


def test_categories_of_one_group_add_up() -> None:
    parts = [
        Line(category="drug_vendor", share=0.06, value_usd=600),
        Line(category="vendor_shop", share=0.04, value_usd=400),
    ]
    assert levels(parts[0]) == []
    assert levels(*parts) == [("drug_source_direct_high", "HIGH")]
    assert drug_share(parts, "source", TAXONOMY) == pytest.approx(0.1)
    assert drug_share(parts, "destination", TAXONOMY) == 0


def test_without_a_price_only_what_was_received_counts() -> None:
    assert levels(Line(value_usd=None)) == [("drug_source_direct_high", "HIGH")]
    sent = Line("destination", value_usd=None)
    assert levels(sent) == []
    assert lacks_prices([sent], TAXONOMY)
    assert not lacks_prices([Line("destination")], TAXONOMY)
    assert not lacks_prices([Line("destination", value_usd=None, share=0.01)], TAXONOMY)
    assert not lacks_prices([Line(value_usd=None)], TAXONOMY)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        (Said(programmes=("SDNTK",), category="sanctioned"), "SEVERE"),
        (Said(programmes=("RUSSIA-EO14024", "ILLICIT-DRUGS-EO14059"), category="exchange"), "SEVERE"),
        (Said(programmes=("CYBER2",), category="darknet_market"), "SEVERE"),
        (Said(programmes=("CYBER2",), category="mixer"), "MEDIUM"),
        (Said(programmes=("DPRK4",), category="sanctioned"), "MEDIUM"),
    ],
)
def test_a_sanction_is_severe_for_drugs_alone(said: Said, level: str) -> None:
    (finding,) = judge_sanctions([said], TAXONOMY)
    assert (finding.level.value, finding.decided_by) == (level, "sanction")
    assert all(word in finding.text for word in ("Somebody", *said.programmes))


def test_a_sanction_on_another_chain_is_told_as_such() -> None:
    said = Said(programmes=("SDNTK",))
    (other,) = judge_sanctions([said], TAXONOMY, asked="eip155:137:0x00")
    assert "the list names it as eip155:1:0x00" in other.text
    (same,) = judge_sanctions([said], TAXONOMY, asked=said.account)
    assert "names it as" not in same.text


def test_labels_need_confidence_and_the_right_group() -> None:
    assert [f.level for f in judge_labels([Said(confidence=0.5)], [], TAXONOMY)] == [Level.SEVERE]
    assert judge_labels([Said(confidence=0.49)], [], TAXONOMY) == []
    assert [f.level for f in judge_labels([], [Said()], TAXONOMY)] == [Level.HIGH]
    assert [f.id for f in judge_labels([Said(category="scam")], [], TAXONOMY)] == ["crime_label"]
    assert judge_labels([], [Said(category="scam")], TAXONOMY) == []
    assert judge_labels([Said(category="exchange"), Said(category="charity")], [], TAXONOMY) == []
    assert judge_labels([Said(category="no such category")], [], TAXONOMY) == []


def test_the_strongest_finding_decides_and_of_equals_the_first() -> None:
    first = Finding("a", Level.MEDIUM, "sanction", "")
    second = Finding("b", Level.MEDIUM, "rule", "")
    third = Finding("c", Level.HIGH, "model", "")
    assert strongest([first, second]) is first
    assert strongest([first, third, second]) is third
    assert strongest([]) is None


def test_rules_stand_from_strong_to_weak_and_are_documented() -> None:
    by_kind: dict[tuple[str, str, str | None], list[int]] = {}
    order = list(Level)
    for rule in EXPOSURE_RULES:
        by_kind.setdefault((rule.direction, rule.group, rule.category), []).append(order.index(rule.level))
    assert all(places == sorted(places, reverse=True) for places in by_kind.values())
    assert len({rule.id for rule in EXPOSURE_RULES}) == len(EXPOSURE_RULES)
    page = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
    assert describe_rules() in page.read_text(encoding="utf-8")
