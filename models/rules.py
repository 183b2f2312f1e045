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
    """Reaches `level` where enough value came from (source) or went to (destination) one kind of category.

    Enough is both a share of all that the entity received (or sent) and a value in US dollars. Where a price
    is missing, the share alone decides over what was received; over what was sent nothing is decided, since
    no share can tell a small buyer from a business.
    """

    id: str
    level: Level
    direction: Literal["source", "destination"]
    group: str
    category: str | None
    """One category of the group; None for all of them."""
    direct: bool
    """Count only what came or went in one payment."""
    min_share: float
    min_usd: float


EXPOSURE_RULES: tuple[ExposureRule, ...] = (
    ExposureRule("drug_source_direct_high", Level.HIGH, "source", "drug", None, True, 0.10, 1_000),
    ExposureRule("drug_source_direct", Level.MEDIUM, "source", "drug", None, True, 0.10, 100),
    ExposureRule("drug_source", Level.MEDIUM, "source", "drug", None, False, 0.05, 1_000),
    ExposureRule("drug_destination_direct_high", Level.HIGH, "destination", "drug", None, True, 0.10, 10_000),
    ExposureRule("drug_destination_direct", Level.MEDIUM, "destination", "drug", None, True, 0.10, 1_000),
    ExposureRule("sanctioned_source", Level.MEDIUM, "source", "crime", "sanctioned", True, 0.10, 100),
    ExposureRule(
        "sanctioned_destination", Level.MEDIUM, "destination", "crime", "sanctioned", True, 0.10, 1_000
    ),
)
"""From the strongest to the weakest of each kind.

People who buy drugs for themselves send small sums to the drug trade, and many others hold a share of money
that once passed through it. Neither may put them on a list: so every rule has a floor in dollars, and the
floors are higher for what was sent.
"""

MODEL_DRUG_SHARE = 0.01
"""The model's HIGH needs at least this share of value from or to the drug trade: traces are everywhere."""

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
    """Return what the exposure rules say: of the rules of one kind only the first that holds."""
    found = []
    spoken = set()
    for rule in EXPOSURE_RULES:
        kind = (rule.direction, rule.group, rule.category)
        share, usd = _sum_lines(lines, rule, taxonomy)
        enough = usd >= rule.min_usd if usd is not None else rule.direction == "source"
        if share >= rule.min_share and enough and kind not in spoken:
            spoken.add(kind)
            found.append(Finding(rule.id, rule.level, "rule", _say(rule, share, usd)))
    return found


def lacks_prices(lines: Sequence[Exposure], taxonomy: Taxonomy) -> bool:
    """Return whether a rule over what was sent had no say, for want of a price alone."""
    for rule in EXPOSURE_RULES:
        share, usd = _sum_lines(lines, rule, taxonomy)
        if rule.direction == "destination" and share >= rule.min_share and usd is None:
            return True
    return False


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


def describe_rules() -> str:
    """Return the rules as the table of docs/rules.md."""
    lines = ["| Rule | Level | Value | Share from | US dollars from |", "|---|---|---|---:|---:|"]
    for rule in EXPOSURE_RULES:
        cells = (
            f"`{rule.id}`",
            rule.level,
            _describe_kind(rule),
            f"{rule.min_share:.0%}",
            f"{rule.min_usd:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _sum_lines(
    lines: Sequence[Exposure], rule: ExposureRule, taxonomy: Taxonomy
) -> tuple[float, float | None]:
    """Return the share and the dollars that a rule looks at; None dollars where any price is missing."""
    counted = [
        line
        for line in lines
        if line.direction == rule.direction
        and (line.direct or not rule.direct)
        and group_of(line.category, taxonomy) == rule.group
        and rule.category in (None, line.category)
    ]
    values = [line.value_usd for line in counted if line.value_usd is not None]
    share = math.fsum(line.share for line in counted)
    return share, math.fsum(values) if len(values) == len(counted) else None


def _describe_kind(rule: ExposureRule) -> str:
    moved = "received" if rule.direction == "source" else "sent"
    word = "from" if rule.direction == "source" else "to"
    who = "the drug trade" if rule.group == "drug" else "sanctioned owners"
    if rule.direct:
        return f"{moved} directly {word} {who}"
    return f"{moved} {word} {who}, at any distance"


def _say(rule: ExposureRule, share: float, usd: float | None) -> str:
    value = "" if usd is None else f", {usd:,.0f} USD,"
    moved, came, word = ("received", "came", "from") if rule.direction == "source" else ("sent", "went", "to")
    who = "the drug trade" if rule.group == "drug" else "sanctioned owners"
    distance = " directly" if rule.direct else ""
    floor = f"{rule.level} from {rule.min_share:.0%} and {rule.min_usd:,.0f} USD"
    return f"{share:.1%} of what it {moved}{value} {came}{distance} {word} {who} ({floor})"


def _who(label: Claim) -> str:
    return label.entity or label.name or "owner not named"


def _distinct(findings: list[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


if __name__ == "__main__":
    import sys

    sys.stdout.write(describe_rules() + "\n")
