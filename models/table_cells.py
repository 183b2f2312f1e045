"""What the tables of an evaluation are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Section:
    """One table of an evaluation."""

    id: str
    title: str
    words: tuple[str, ...]
    """What the figures mean, and what they do not: a sentence each."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words_first: int = 1
    """Columns from the left that hold words; the others hold numbers."""


def interval(found: Mapping[str, float] | None, *, share: bool = False, signed: bool = False) -> str:
    """Write a figure with its interval: `0.618 [0.540, 0.690]`."""
    if found is None:
        return "n/a"
    if share:
        return f"{found['value']:.1%} [{found['low']:.1%}, {found['high']:.1%}]"
    sign = "+" if signed else ""
    return f"{found['value']:{sign}.3f} [{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"


def flags(count: int | None, share: Sequence[float] | None) -> str:
    """Return a count with its share and interval, where there is one."""
    if count is None:
        return "not attainable"
    if share is None:
        return f"{count:,}"
    return f"{count:,}: {share[0]:.1%} [{share[1]:.1%}, {share[2]:.1%}]"


def say_audit(audit: Mapping[str, Any]) -> str:
    """Return the outcome of the leak audit in one sentence."""
    leaks = sum(len(check["findings"]) for check in audit["checks"])
    skipped = sum(bool(check["skipped"]) for check in audit["checks"])
    left = f"; {skipped} of its questions could not be asked" if skipped else ""
    if audit["passed"]:
        return f"The leak audit found nothing{left}."
    return f"THE LEAK AUDIT FOUND {leaks} LEAK{'S' if leaks > 1 else ''}{left}: these figures mean nothing."
