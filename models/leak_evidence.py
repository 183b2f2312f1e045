"""What the leak audit looks at, what it answers, and the small tools of its questions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.frame import FeatureFrame
from models.folds import Folds, Rows

Rebuild = Callable[[FeatureFrame, frozenset[str]], FeatureFrame]
"""Called with a frame and accounts (CAIP-10): build the frame of that moment and view from a ledger that ends
there, without any label of those accounts."""

SHOWN = 5
"""Names that a finding lists; the others are counted."""


@dataclass(frozen=True)
class Check:
    """One question of the audit, and its answer."""

    id: str
    question: str
    said: str
    """What was measured, in words."""
    findings: tuple[str, ...] = ()
    """Each leak that was found, in words; none where the rows are clean."""
    skipped: str = ""
    """Why the question could not be asked; empty where it was."""


@dataclass(frozen=True)
class Evidence:
    """What the audit looks at: how the rows were made, and the rows."""

    frames: tuple[FeatureFrame, ...]
    """The frames that the folds were made from, by moment; at one moment there may be several views."""
    targets: pa.Table
    """One row an account, as `datasets.splits` makes it."""
    folds: Folds
    names: tuple[str, ...]
    rebuild: Rebuild | None
    """None where there is no ledger to build from."""
    seed: int = 1


def by_name(folds: Folds) -> dict[str, Rows]:
    """Return the folds by name, in order of time."""
    return {"train": folds.train, "valid": folds.valid, "test": folds.test}


def columns_of(table: pa.Table, *names: str) -> Iterator[list[Any]]:
    """Return columns of a table as lists, for an assignment or a `zip`."""
    return (table.column(name).to_pylist() for name in names)


def places_of(frame: FeatureFrame) -> dict[str, int]:
    """Return the row of each account."""
    return {account: row for row, account in enumerate(frame.accounts)}


def count_words(found: Sequence[str], thing: str) -> str:
    """Return how many there are, in words: `1 account`, `2,000 accounts`."""
    return f"{len(found):,} {thing}" if len(found) == 1 else f"{len(found):,} {thing}s"


def list_some(found: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def count_kinds(rows: Rows) -> tuple[int, int]:
    """Return the number of drug owners, and of others."""
    drug = sum(owner.drug for owner in rows.owners)
    return drug, len(rows.owners) - drug
