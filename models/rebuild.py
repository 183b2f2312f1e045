"""Frames built once more: from a ledger that ends at their moment, and in narrower views."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from datasets.cutting import cut_ledger
from features.build import STEPS, Progress, build_frame
from features.frame import FeatureFrame
from features.view import WHOLE, View
from models.folds import Rows
from models.leak_evidence import Rebuild
from models.prepare import Prepared, known_accounts, narrow_views, training_views

COPY = ".audit-"
"""How the folder of a cut copy begins; the process that made it follows."""


def build_views(
    ledger: Path, prepared: Prepared, *, threads: int | None = None, progress: Progress | None = None
) -> Mapping[str, FeatureFrame]:
    """Build the test moment as users see it who have less than the whole ledger, by name of the view.

    The histories pulled are those of the accounts tested, as of whoever asks about them, and of the accounts
    that labels had named by then. Raises what `build_frame` raises.
    """
    as_of = prepared.test.as_of
    views = narrow_views([*prepared.folds.test.accounts, *known_accounts(prepared.targets, as_of)])
    found = {}
    for number, view in enumerate(views):

        def tell(step: str, done: int, _of: int, number: int = number, name: str = view.name) -> None:
            if progress is not None:
                total = len(STEPS) * len(views)
                progress(f"{as_of:%Y-%m-%d} ({name}): {step}", number * len(STEPS) + done, total)

        found[view.name] = build_frame(ledger, as_of, threads=threads, progress=tell, view=view)
    return found


def rows_in_view(rows: Rows, frame: FeatureFrame) -> Rows:
    """Return the rows of one moment as `frame` shows them; an owner counts once, whatever is left of it.

    What a view does not show at all, or what a label had named in it, has no row.
    """
    from models.compare import pick_rows

    place = {account: row for row, account in enumerate(frame.accounts) if not frame.seeded[row]}
    found = pick_rows(rows, np.asarray([account in place for account in rows.accounts], dtype=np.bool_))
    counts = np.bincount(found.owner, minlength=len(found.owners))
    return Rows(
        accounts=found.accounts,
        as_of=found.as_of,
        view=(frame.view,) * len(found.accounts),
        values=np.ascontiguousarray(frame.values[[place[account] for account in found.accounts]]),
        owner=found.owner,
        owners=found.owners,
        drug=found.drug,
        illicit=found.illicit,
        weight=1.0 / counts[found.owner],
    )


def rebuild_from(ledger: Path, prepared: Prepared, *, threads: int | None = None) -> Rebuild:
    """Return what builds a frame from a copy of `ledger` that is cut at its moment; each is built once."""
    sweep_copies(ledger.parent)
    views = {view.name: view for view in _views(prepared)}
    kept: dict[tuple[datetime, str, frozenset[str]], FeatureFrame] = {}

    def rebuild(frame: FeatureFrame, unlabelled: frozenset[str]) -> FeatureFrame:
        key = frame.as_of, frame.view, unlabelled
        if key not in kept:
            # A folder of its own: nothing that an earlier build set aside may help this one.
            with tempfile.TemporaryDirectory(prefix=f"{COPY}{os.getpid()}-", dir=ledger.parent) as folder:
                cut = Path(folder) / "ledger.duckdb"
                cut_ledger(ledger, cut, frame.as_of, unlabelled=unlabelled, threads=threads)
                kept[key] = build_frame(cut, frame.as_of, threads=threads, view=views[frame.view])
        return kept[key]

    return rebuild


def sweep_copies(folder: Path) -> None:
    """Remove the copies of audits that were killed; one that still runs keeps its own."""
    for left in folder.glob(f"{COPY}*-*"):
        if not Path("/proc", left.name.removeprefix(COPY).split("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)


def _views(prepared: Prepared) -> Iterator[View]:
    yield WHOLE
    yield from training_views(prepared.moments, prepared.targets)
