"""The levels that rules set: sanctions, labels and exposure, in this order; literal data, no learning.

A sanction or a label is a claim about the address itself. Exposure rules read the tracing of value.
The strongest finding decides; of two equal ones the earlier in the order above. Rules never say LOW:
that nothing was found is no reason to call an address clean.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from datasets.taxonomy import Taxonomy


class Level(StrEnum):
    """The answer of a screening, from the weakest to the strongest; UNKNOWN stands outside the order."""

    UNKNOWN = "UNKNOWN"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    SEVERE = "SEVERE"


STRENGTH: dict[Level, int] = {level: place for place, level in enumerate(Level)}

DecidedBy = Literal["sanction", "label", "rule", "model", "none"]


@dataclass(frozen=True)
class Finding:
    """One reason for a level: `id` is stable and for code, `text` is for a person."""

    id: str
    level: Level
    decided_by: DecidedBy
    text: str


class Claim(Protocol):
    """What a rule reads of a label."""

    @property
    def account(self) -> str: ...  # noqa: D102
    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def entity(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def confidence(self) -> float: ...  # noqa: D102
    @property
    def programmes(self) -> tuple[str, ...]: ...  # noqa: D102


class Exposure(Protocol):
    """What a rule reads of one line of exposure."""

    @property
    def direction(self) -> str: ...  # noqa: D102
    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def direct(self) -> bool: ...  # noqa: D102
    @property
    def value_usd(self) -> float | None: ...  # noqa: D102
    @property
    def share(self) -> float: ...  # noqa: D102


LABEL_CONFIDENCE = 0.5
"""A label below this is evidence that is shown, and decides nothing."""


@dataclass(frozen=True)
class ExposureRule:
    """Reaches `level` when the share of value from (or to) a kind of category is at least `min_share`.

    `group` and `categories` say which categories count (`categories` empty: the whole group), `direct`
    whether only direct exposure does. `min_usd` is the least value; where no price is known the share
    alone decides.
    """

    id: str
    level: Level
    group: str
    categories: frozenset[str]
    direct: bool
    min_share: float
    min_usd: float
    text: str


EXPOSURE_RULES: tuple[ExposureRule, ...] = (
    ExposureRule(
        id="drug_direct_10",
        level=Level.HIGH,
        group="drug",
        categories=frozenset(),
        direct=True,
        min_share=0.10,
        min_usd=10.0,
        text="{share} of what it {verb} {moved} directly {preposition} the drug trade (10% or more is HIGH)",
    ),
    ExposureRule(
        id="drug_any_1",
        level=Level.MEDIUM,
        group="drug",
        categories=frozenset(),
        direct=False,
        min_share=0.01,
        min_usd=10.0,
        text="{share} of what it {verb} {moved} {preposition} the drug trade, at any distance (1% is MEDIUM)",
    ),
    ExposureRule(
        id="sanctioned_direct_10",
        level=Level.MEDIUM,
        group="crime",
        categories=frozenset({"sanctioned"}),
        direct=True,
        min_share=0.10,
        min_usd=10.0,
        text="{share} of what it {verb} {moved} directly {preposition} sanctioned owners (10% is MEDIUM)",
    ),
)

MIN_TRANSFERS = 2
"""An address with fewer transfers is not called LOW by the model."""

MIN_HISTORY_SHARE = 0.5
"""An address of whose history less is in the ledger is not called LOW by the model."""


def judge_sanctions(matches: Iterable[Claim], taxonomy: Taxonomy, *, asked: str = "") -> list[Finding]:
    """Return what sanctions say: SEVERE under a drug programme or for a drug category, else MEDIUM.

    A match on another chain than that of `asked` (CAIP-10) says so: one key, but perhaps not one contract.
    """
    found = []
    for match in matches:
        programmes = ", ".join(match.programmes) or "no programme named"
        who = match.entity or match.name
        where = f"; the list names it as {match.account}" if asked and match.account != asked else ""
        drug = (
            bool(taxonomy.drug_programmes.intersection(match.programmes))
            or group_of(match.category, taxonomy) == "drug"
        )
        if drug:
            text = f"sanctioned: {who} ({programmes}), tied to the drug trade{where}"
            found.append(Finding("sanctioned_drug", Level.SEVERE, "sanction", text))
        else:
            text = f"sanctioned: {who} ({programmes}), under no drug programme{where}"
            found.append(Finding("sanctioned_other", Level.MEDIUM, "sanction", text))
    return _distinct(found)


def judge_labels(own: Iterable[Claim], of_entity: Iterable[Claim], taxonomy: Taxonomy) -> list[Finding]:
    """Return what labels say: of drugs SEVERE on the address itself and HIGH through its cluster.

    A label of another crime on the address itself is MEDIUM: it says nothing of drugs, but forbids LOW.
    """
    found = []
    for label in own:
        group = group_of(label.category, taxonomy)
        if group not in ("drug", "crime") or label.confidence < LABEL_CONFIDENCE:
            continue
        text = f"labelled {category_name(label.category, taxonomy)} ({_who(label)}) by {label.source}"
        if group == "drug":
            found.append(Finding("drug_label", Level.SEVERE, "label", text))
        else:
            found.append(Finding("crime_label", Level.MEDIUM, "label", f"{text}: another crime than drugs"))
    for label in of_entity:
        if group_of(label.category, taxonomy) == "drug" and label.confidence >= LABEL_CONFIDENCE:
            named = f"{category_name(label.category, taxonomy)} ({_who(label)}) by {label.source}"
            text = f"another address of its cluster is labelled {named}; this address itself is not"
            found.append(Finding("drug_label_of_cluster", Level.HIGH, "label", text))
    return _distinct(found)


def judge_exposures(lines: Sequence[Exposure], taxonomy: Taxonomy) -> list[Finding]:
    """Return what the exposure rules say, source and destination each on its own.

    Of the rules of one kind the first that holds speaks: they stand from the strongest to the weakest.
    """
    found = []
    spoken = set()
    for rule in EXPOSURE_RULES:
        for direction in ("source", "destination"):
            kind = (rule.group, rule.categories, direction)
            share, usd = _sum_lines(lines, rule, direction, taxonomy)
            too_small = share < rule.min_share or (usd is not None and usd < rule.min_usd)
            if too_small or kind in spoken:
                continue
            spoken.add(kind)
            words = {
                "share": f"{share:.1%}",
                "verb": "received" if direction == "source" else "sent",
                "moved": "came" if direction == "source" else "went",
                "preposition": "from" if direction == "source" else "to",
            }
            found.append(Finding(f"{rule.id}_{direction}", rule.level, "rule", rule.text.format_map(words)))
    return found


def group_of(category: str, taxonomy: Taxonomy) -> str | None:
    """Return the group of a category; None for what is none, such as value of unknown origin."""
    found = taxonomy.by_id.get(category)
    return found.group if found else None


def category_name(category: str, taxonomy: Taxonomy) -> str:
    """Return what a person calls the category."""
    found = taxonomy.by_id.get(category)
    return found.name.lower() if found else category


def drug_share(
    lines: Sequence[Exposure], direction: str, taxonomy: Taxonomy, *, direct: bool = False
) -> float:
    """Return the share (0 to 1) of value from or to drug categories, of all lines or the direct ones."""
    return math.fsum(
        line.share
        for line in lines
        if line.direction == direction
        and (line.direct or not direct)
        and group_of(line.category, taxonomy) == "drug"
    )


def strongest(findings: Sequence[Finding]) -> Finding | None:
    """Return the finding that decides: the highest level, and of equals the first."""
    return max(findings, key=lambda finding: STRENGTH[finding.level], default=None)


def _sum_lines(
    lines: Sequence[Exposure], rule: ExposureRule, direction: str, taxonomy: Taxonomy
) -> tuple[float, float | None]:
    counted = [
        line
        for line in lines
        if line.direction == direction
        and (line.direct or not rule.direct)
        and group_of(line.category, taxonomy) == rule.group
        and (not rule.categories or line.category in rule.categories)
    ]
    values = [line.value_usd for line in counted if line.value_usd is not None]
    known = len(values) == len(counted)
    return math.fsum(line.share for line in counted), math.fsum(values) if known else None


def _who(label: Claim) -> str:
    return label.entity or label.name or "owner not named"


def _distinct(findings: list[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))
