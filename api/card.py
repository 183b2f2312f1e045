"""A screening as a card of 80 columns: what a person takes in at one glance, in the order of their questions.

What is the level, who decided, why; where value came from and went; what is not known, what may not be
concluded. It reads the same without colour, and text of third parties cannot control the terminal.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

from api.answers import UNATTRIBUTED, is_unattributed, reason_of
from api.commands.common import clean
from api.screening import NOTICE, SHOWN_SHARE, Screening
from chains.address import parse_account
from datasets.taxonomy import load_taxonomy
from models.rules import Level, category_name

if TYPE_CHECKING:
    from datasets.snapshot import ExposureLine, LabelLine

WIDTH = 80
MARGIN = 13
LINES = 6
"""How many of one kind are shown; the rest is counted, and stands in --json."""

COLOURS = {
    Level.SEVERE: "bold white on red",
    Level.HIGH: "bold red",
    Level.MEDIUM: "bold yellow",
    Level.LOW: "bold green",
    Level.UNKNOWN: "bold",
}
DECIDERS = {
    "sanction": "a sanctions list",
    "label": "a label",
    "rule": "an exposure rule",
    "model": "the model",
    "none": "nobody: nothing known sets a level",
}


def write_card(screening: Screening, file: TextIO | None = None) -> None:
    """Print the card on `file`, by default standard output; colours only where that is a terminal."""
    console = Console(file=file or sys.stdout, width=WIDTH, highlight=False, markup=False, emoji=False)
    for line in card_lines(screening):
        console.print(line, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)


def card_lines(screening: Screening) -> Iterator[Text]:
    """Give the lines of the card, none wider than 80 columns."""
    yield Text("─" * WIDTH)
    level = Text(f" {screening.risk_level} ", style=COLOURS[screening.risk_level])
    yield Text.assemble(level, f"  decided by {DECIDERS[screening.decided_by]}", *_score_words(screening))
    yield Text("─" * WIDTH)
    yield from _row("address", f"{screening.account.shown}")
    yield from _row("chain", f"{screening.account.chain.name} ({screening.account.chain.caip2})")
    if screening.entity is not None and (screening.entity_size or 0) > 1:
        earliest = parse_account(screening.entity).shown
        yield from _row("cluster", f"{screening.entity_size:,} addresses, the earliest {earliest};")
        yield from _row("", "what it came from and went to is of the whole cluster")
    yield from _rows("why", _why(screening))
    yield from _rows("sanctions", [_describe_sanction(match) for match in screening.sanctions])
    yield from _rows("labels", [_describe_label(label) for label in screening.labels])
    yield from _rows("in cluster", [_describe_label(label) for label in screening.entity_labels])
    yield from _exposure_rows("came from", "source", screening)
    yield from _exposure_rows("went to", "destination", screening)
    yield from _rows("activity", _describe_activity(screening))
    yield from _rows("score from", _describe_reasons(screening))
    yield from _rows("not known", [remark.text for remark in screening.unknown_reasons])
    yield from _rows("caution", [remark.text for remark in screening.cautions])
    yield from _row("as of", _describe_view(screening))
    yield from _row("", NOTICE)


def _score_words(screening: Screening) -> list[str]:
    if screening.risk_score is None:
        return []
    return [f"   score {screening.risk_score} of 100"]


def _why(screening: Screening) -> list[str]:
    if not screening.findings:
        return ["no sanction, no drug label, no exposure rule, and no model that may speak"]
    decided = (screening.risk_level, screening.decided_by)
    decisive = [f for f in screening.findings if (f.level, f.decided_by) == decided]
    others = [f for f in screening.findings if f not in decisive]
    return [f.text for f in decisive] + [f"also {f.level}, by {f.decided_by}: {f.text}" for f in others]


def _describe_sanction(match: "LabelLine") -> str:
    listed = f", listed {match.listed_at}" if match.listed_at else ""
    programmes = ", ".join(match.programmes) or "no programme named"
    return f"{match.entity or match.name}: {programmes}{listed} ({match.source} {match.reference})"


def _describe_label(label: "LabelLine") -> str:
    name = category_name(label.category, load_taxonomy())
    who = " — ".join(part for part in (label.entity, label.name) if part)
    return f"{name}: {who or 'owner not named'} ({label.source}, confidence {label.confidence:.0%})"


def _exposure_rows(title: str, direction: str, screening: Screening) -> Iterator[Text]:
    lines = [line for line in screening.exposures if line.direction == direction]
    lines.sort(key=lambda line: (is_unattributed(line), -line.share, line.category, not line.direct))
    yield from _rows(title, [_describe_exposure(line) for line in lines if line.share >= SHOWN_SHARE])


def _describe_exposure(line: "ExposureLine") -> str:
    value = f"{_amount(line.value)} {line.symbol}"
    share = f"{line.share:.1%}" if line.share >= 0.001 else "<0.1%"
    usd = "" if line.value_usd is None else f", {line.value_usd:,.0f} USD"
    if is_unattributed(line):
        return f"{share:>6}  {UNATTRIBUTED.get(reason_of(line), reason_of(line))} ({value}{usd})"
    hops = "direct" if line.direct else f"at least {line.min_hops} hops away"
    return f"{share:>6}  {category_name(line.category, load_taxonomy())}, {hops} ({value}{usd})"


def _amount(value: float) -> str:
    return f"{value:,.8f}".rstrip("0").rstrip(".")


def _describe_activity(screening: Screening) -> list[str]:
    found = screening.summary
    if found is None:
        return []
    usd = "" if found.received_usd is None else f" ({found.received_usd:,.0f} USD)"
    moves = f"{found.transfers_in:,} transfers in, {found.transfers_out:,} out"
    received = f"received {_amount(found.received)} {found.symbol}{usd}"
    seen = f"from {found.first_seen:%Y-%m-%d} to {found.last_seen:%Y-%m-%d}"
    return [f"{moves}, {found.counterparties:,} counterparties; {received}; {seen}"]


def _describe_reasons(screening: Screening) -> list[str]:
    return [f"{'+' if reason.contribution > 0 else '-'} {reason.text}" for reason in screening.reasons]


def _describe_view(screening: Screening) -> str:
    height = "" if screening.height is None else f", block {screening.height:,}"
    known = screening.history_share
    share = "" if known is None else f", {known:.0%} of its history in the ledger"
    model = f", model {screening.model}" if screening.model else ""
    return f"{screening.as_of:%Y-%m-%d %H:%M} UTC{height}{share}; snapshot {screening.snapshot}{model}"


def _rows(title: str, texts: Sequence[str]) -> Iterator[Text]:
    for number, text in enumerate(texts[:LINES]):
        yield from _row(title if number == 0 else "", text)
    if len(texts) > LINES:
        yield from _row("", f"… and {len(texts) - LINES:,} more; --json shows all")


def _row(title: str, text: str) -> Iterator[Text]:
    """Give `text` wrapped beside its title; whatever a terminal would obey is shown as its code."""
    console = Console(width=WIDTH, highlight=False)
    wrapped = Text(clean(text, 400)).wrap(console, WIDTH - MARGIN, overflow="fold")
    for number, line in enumerate(wrapped):
        line.rstrip()
        yield Text.assemble((f"{title if number == 0 else '':<{MARGIN}}", "dim"), line)
