"""A screening as a card of 80 columns: what a person takes in at one glance, in the order of their questions.

What is the level, who decided, why; where value came from and went; what is not known, what may not be
concluded. Sanctions and what is not known are never left out; of the rest the first are shown and the others
counted, since `--json` has all. It reads the same without colour, and text of third parties cannot control
the terminal: each such text is cut by itself, so that none can push out what stands beside it.
"""

import math
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from api.answers import UNATTRIBUTED, is_unattributed, reason_of
from api.commands.common import clean
from api.screening import Remark, Screening
from chains.assets import listed_assets
from datasets.taxonomy import load_taxonomy
from features.indicators.catalogue import find_indicator
from models.rules import Level, category_name, group_of

if TYPE_CHECKING:
    from datasets.snapshot import ExposureLine, IndicatorLine, LabelLine
    from features.indicators.catalogue import Indicator

WIDTH = 80
MARGIN = 13
LINES = 3
"""How many of one kind are shown; the rest is counted, and stands in --json."""

_PLAIN_SPACES = dict.fromkeys((0xA0, 0x202F), " ")
"""Spaces at which no line breaks, as Russian writes them in numbers: not every terminal shows them."""

_CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uff60]")
_PIECES = re.compile(rf"\s+|(?:{_CHINESE.pattern}|(?:(?!{_CHINESE.pattern})\S)+)[，。：；、）”]*")
"""What no line breaks apart: a word or a Chinese character, with the marks that close it."""

NAME_LIMIT = 60
"""Characters of one text of a third party: a name, a source, a reference."""

FOOTER = "A score never decides alone: docs/screening.md says what this is not."

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
    "none": "nobody",
}
SHORT_CAUTIONS = {
    "simulated": "a simulated chain, no real person",
    "score_sets_no_level": "the score only ranks, it is no probability",
    "history_share_not_known": "the share of its history that is seen is not known",
}
"""What holds of many addresses is said in few words; --json has the whole sentence."""


def write_card(screening: Screening, file: TextIO | None = None) -> None:
    """Print the card on `file`, by default standard output; colours only where that is a terminal."""
    console = Console(file=file or sys.stdout, width=WIDTH, highlight=False, markup=False, emoji=False)
    for line in card_lines(screening):
        console.print(line, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)


def card_lines(screening: Screening) -> Iterator[Text]:
    """Give the lines of the card, none wider than 80 columns."""
    level = Text(f" {screening.risk_level} ", style=COLOURS[screening.risk_level])
    score = "no score" if screening.risk_score is None else f"score {screening.risk_score} of 100"
    yield Text.assemble(level, f" decided by {DECIDERS[screening.decided_by]}, {score}")
    yield Text("─" * WIDTH)
    chain = screening.account.chain
    yield from _row("address", screening.account.shown)
    yield from _row("chain", chain.name if chain.name == chain.caip2 else f"{chain.name} ({chain.caip2})")
    if (screening.entity_size or 0) > 1:
        size = f"{screening.entity_size:,} addresses"
        yield from _row("cluster", f"{size}; what came and went is of all of them together")
    if screening.deposit_of is not None:
        mark = screening.deposit_of
        name = category_name(mark.category, load_taxonomy())
        service = clean(mark.service.rpartition(":")[2], NAME_LIMIT)
        yield from _row("deposit", f"most likely a customer's address at {name} {service}")
    yield from _rows("why", _why(screening))
    yield from _rows("sanctions", [_describe_sanction(match) for match in screening.sanctions], limit=None)
    yield from _rows("labels", _describe_labels(screening.labels))
    yield from _rows("in cluster", _describe_labels(screening.entity_labels))
    yield from _exposure_rows("came from", "source", screening)
    yield from _exposure_rows("went to", "destination", screening)
    yield from _rows("indicators", _describe_indicators(screening.indicators))
    yield from _rows("activity", _describe_activity(screening))
    yield from _rows("score from", _describe_reasons(screening))
    if screening.laundering_behaviour is not None:
        acts = f"{screening.laundering_behaviour.score} of 100"
        yield from _row("behaviour", f"{acts} for any crime, by what it does alone; sets no level")
    yield from _rows("not known", _join(screening.unknown_reasons))
    yield from _rows("caution", _join(screening.cautions))
    yield from _rows("as of", _describe_view(screening))
    yield Text(FOOTER, style="dim")


def _why(screening: Screening) -> list[str]:
    if not screening.findings:
        return ["no sanction, no drug label, no rule, and no model that may speak"]
    decided = (screening.risk_level, screening.decided_by)
    decisive = [f for f in screening.findings if (f.level, f.decided_by) == decided]
    others = [f for f in screening.findings if f not in decisive]
    texts = [f.text for f in decisive] + [f"also {f.level}, by {f.decided_by}: {f.text}" for f in others]
    return [_cut_names(text, screening) for text in texts]


def _cut_names(text: str, screening: Screening) -> str:
    """Return the text of a finding with the names of third parties in it cut, and nothing else."""
    labels = (*screening.sanctions, *screening.labels, *screening.entity_labels)
    given = {name for label in labels for name in (label.entity, label.name, label.source)}
    for name in sorted(given, key=lambda name: (-len(name), name)):
        if len(name) > NAME_LIMIT:
            text = text.replace(name, _cut(name))
    return text


def _cut(text: str) -> str:
    return text if len(text) <= NAME_LIMIT else text[: NAME_LIMIT - 1] + "…"


def _describe_sanction(match: "LabelLine") -> str:
    listed = f", listed {match.listed_at}" if match.listed_at else ""
    programmes = ", ".join(match.programmes) or "no programme named"
    who = _cut(match.entity or match.name)
    return f"{who}: {programmes}{listed} ({_cut(match.source)} {_cut(match.reference)})"


def _describe_labels(labels: "Sequence[LabelLine]") -> list[str]:
    """Return each claim once: many addresses of a cluster may bear the same."""
    return list(dict.fromkeys(_describe_label(label) for label in labels))


def _describe_label(label: "LabelLine") -> str:
    name = category_name(label.category, load_taxonomy())
    who = _cut(label.entity or label.name) or "owner not named"
    return f"{name}: {who} ({_cut(label.source)}, confidence {label.confidence:.0%})"


def _exposure_rows(title: str, direction: str, screening: Screening) -> Iterator[Text]:
    """Give the lines of one side, and how much of the value is in those that are not shown."""
    lines = [line for line in screening.exposures if line.direction == direction]
    shown = _choose_exposures(lines)
    dollars = {"USD", *(asset.symbol for asset in listed_assets(screening.account.chain) if asset.usd_pegged)}
    yield from _rows(title, [_describe_exposure(line, dollars) for line in shown])
    if rest := [line for line in lines if line not in shown]:
        share = math.fsum(line.share for line in rest)
        yield from _row("", f"{_share(share)}  in {_count(len(rest), 'other line')} of --json")


def _choose_exposures(lines: Sequence["ExposureLine"]) -> list["ExposureLine"]:
    """Return what a glance needs: the most of drugs, of unseen origin and of all, then the next largest."""
    taxonomy = load_taxonomy()
    ranked = sorted(lines, key=lambda line: (-line.share, line.category, not line.direct))
    drug = [line for line in ranked if group_of(line.category, taxonomy) == "drug"]
    unseen = [line for line in ranked if reason_of(line) == "history_not_in_ledger"]
    wanted = [*drug[:1], *unseen[:1], *ranked]
    kept = list(dict.fromkeys(wanted))[:LINES]
    chosen = [line for line in ranked if line in kept]
    return sorted(chosen, key=is_unattributed)


def _describe_exposure(line: "ExposureLine", dollars: set[str]) -> str:
    worth = _worth(line.value, line.symbol, line.value_usd, dollars)
    if is_unattributed(line):
        return f"{_share(line.share)}  {UNATTRIBUTED.get(reason_of(line), reason_of(line))} ({worth})"
    hops = "direct" if line.direct else f"{line.min_hops}+ hops away"
    return f"{_share(line.share)}  {category_name(line.category, load_taxonomy())}, {hops} ({worth})"


def _share(share: float) -> str:
    return f"{f'{share:.1%}' if share >= 0.001 else '<0.1%':>6}"


def _worth(value: float, symbol: str, usd: float | None, dollars: set[str]) -> str:
    """Return an amount and its dollars; once, where the unit is a dollar and both are the same."""
    if usd is None:
        return f"{_amount(value)} {symbol}"
    shown = f"{usd:,.0f}" if usd >= 100 else "<0.01" if 0 < usd < 0.01 else f"{usd:,.2f}".removesuffix(".00")
    if symbol in dollars and math.isclose(value, usd, rel_tol=0.01, abs_tol=0.01):
        return f"{shown} {symbol}"
    return f"{_amount(value)} {symbol}, {shown} USD"


def _amount(value: float) -> str:
    """Return a number with four significant digits, and no fewer than all before the point."""
    digits = 0 if value == 0 else min(max(3 - math.floor(math.log10(abs(value))), 0), 18)
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _describe_activity(screening: Screening) -> list[str]:
    found = screening.summary
    if found is None:
        return []
    dollars = {"USD", *(asset.symbol for asset in listed_assets(screening.account.chain) if asset.usd_pegged)}
    moves = f"{_count(found.transfers_in, 'transfer')} in, {found.transfers_out:,} out"
    received = f"received {_worth(found.received, found.symbol, found.received_usd, dollars)}"
    others = f"{found.counterparties:,} counterpart{'y' if found.counterparties == 1 else 'ies'}"
    return [f"{moves}, {others}; {received}; {found.first_seen:%Y-%m-%d} to {found.last_seen:%Y-%m-%d}"]


def _describe_indicators(lines: Sequence["IndicatorLine"]) -> list[str]:
    """Return a sentence for each, hypotheses last."""
    known = [(find_indicator(line.id), line) for line in lines]
    return [
        f"{found.name()} ({_kind(found)}strength {line.strength:.0%}): {found.describe(line.values)}"
        for found, line in sorted(known, key=lambda pair: pair[0].hypothesis)
    ]


def _kind(indicator: "Indicator") -> str:
    return "hypothesis, " * indicator.hypothesis + "weak alone, " * indicator.weak


def _describe_reasons(screening: Screening) -> list[str]:
    return [
        f"{'+' if reason.contribution > 0 else '-'} {reason.text.translate(_PLAIN_SPACES)}"
        for reason in screening.reasons
    ]


def _join(remarks: Sequence[Remark]) -> list[str]:
    """Return all remarks in one paragraph, or nothing."""
    text = "; ".join(SHORT_CAUTIONS.get(remark.id, remark.text) for remark in remarks)
    return [text] if text else []


def _describe_view(screening: Screening) -> list[str]:
    height = "" if screening.height is None else f", block {screening.height:,}"
    known = screening.history_share
    share = "" if known is None else f", {known:.0%} of its history known"
    model = f", model {screening.model}" if screening.model else ""
    view = f"{screening.as_of:%Y-%m-%d %H:%M} UTC{height}{share}"
    return [view, f"snapshot {screening.snapshot}{model}"]


def _rows(title: str, texts: Sequence[str], limit: int | None = LINES) -> Iterator[Text]:
    shown = list(texts[:limit])
    if rest := len(texts) - len(shown):
        shown[-1] += f" (+{rest:,} more)"
    for number, text in enumerate(shown):
        yield from _row(title if number == 0 else "", text)


def _row(title: str, text: str) -> Iterator[Text]:
    """Give `text` wrapped beside its title; whatever a terminal would obey is shown as its code."""
    for number, line in enumerate(_wrap(clean(text, len(text)))):
        yield Text.assemble((f"{title if number == 0 else '':<{MARGIN}}", "dim"), line)


def _wrap(text: str) -> Iterator[str]:
    """Give the lines of a text beside its title; a Chinese one breaks between any two characters."""
    width = WIDTH - MARGIN
    if not _CHINESE.search(text):
        wrapped = Text(text).wrap(Console(width=WIDTH, highlight=False), width, overflow="fold")
        yield from (line.plain.rstrip() for line in wrapped)
        return
    line = ""
    for piece in (part for found in _PIECES.findall(text) for part in chop_cells(found, width)):
        if cell_len(line + piece.rstrip()) > width:
            yield line.rstrip()
            line = piece.lstrip()
        else:
            line += piece
    yield line.rstrip()
