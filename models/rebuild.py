"""The rows of a ledger as they were at each moment of training, and again from a ledger that ends there."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from chains.errors import LedgerError
from datasets.cutting import cut_ledger
from datasets.splits import training_targets
from datasets.store import open_ledger
from features.build import STEPS, build_frame
from features.frame import FeatureFrame
from models.folds import Folds, plan_moments, split_rows
from models.leak_evidence import Rebuild

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prepared:
    """What an evaluation needs of a ledger: the frames of all moments, ascending, targets and folds."""

    frames: tuple[FeatureFrame, ...]
    targets: pa.Table
    folds: Folds


def prepare_rows(ledger: Path, *, threads: int | None = None, progress: Progress | None = None) -> Prepared:
    """Build the rows of every moment from `ledger`, and deal them to folds, as training does.

    Raises LedgerError where the ledger holds no span of time, and what `build_frame` raises.
    """
    with open_ledger(ledger, threads=threads) as held:
        first, last = held.connection.execute("SELECT min(time), max(time) FROM transfer").fetchall()[0]
        targets = training_targets(held, known_before=None)
    if first is None or first >= last:
        raise LedgerError(f"{ledger} holds no span of time to evaluate on: import transfers first")
    moments = plan_moments(first, last)
    times = (*moments.train, moments.valid, moments.test)
    frames = []
    for number, as_of in enumerate(times):

        def tell(step: str, done: int, _of: int, number: int = number, as_of: datetime = as_of) -> None:
            if progress is not None:
                total = len(STEPS) * len(times)
                progress(f"{as_of:%Y-%m-%d}: {step}", number * len(STEPS) + done, total)

        frames.append(build_frame(ledger, as_of, threads=threads, progress=tell))
    return Prepared(tuple(frames), targets, split_rows(frames[:-2], frames[-2], frames[-1], targets))


def rebuild_from(ledger: Path, *, threads: int | None = None) -> Rebuild:
    """Return what builds a frame from a copy of `ledger` that is cut at its moment; each is built once."""
    kept: dict[tuple[datetime, frozenset[str]], FeatureFrame] = {}

    def rebuild(as_of: datetime, unlabelled: frozenset[str]) -> FeatureFrame:
        if (as_of, unlabelled) not in kept:
            # A folder of its own: nothing that an earlier build set aside may help this one.
            with tempfile.TemporaryDirectory(prefix=".audit-", dir=ledger.parent) as folder:
                cut = cut_ledger(
                    ledger, Path(folder) / "ledger.duckdb", as_of, unlabelled=unlabelled, threads=threads
                )
                kept[as_of, unlabelled] = build_frame(cut, as_of, threads=threads)
        return kept[as_of, unlabelled]

    return rebuild
