"""The rows of a ledger at every moment of training, built as they were at the time, and dealt to folds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chains.errors import LedgerError
from datasets.splits import training_targets
from datasets.store import open_ledger
from features.build import STEPS, Progress, build_frame
from features.frame import FeatureFrame
from features.view import WHOLE, View
from models.folds import Folds, Moments, plan_moments, split_rows

LATE_DAYS = 90
"""Days that a view shows which began late: as of a node that was synced from last quarter on."""


@dataclass(frozen=True)
class Prepared:
    """What training and evaluation read of a ledger.

    `train` holds the frames of the training moments and, of the last one, those of narrower views; `heads`
    say how far each chain goes, `simulated` whether all are invented.
    """

    moments: Moments
    train: tuple[FeatureFrame, ...]
    valid: FeatureFrame
    test: FeatureFrame
    targets: pa.Table
    folds: Folds
    heads: Mapping[str, Mapping[str, Any]]
    simulated: bool


def prepare(
    ledger: Path,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    check: Callable[[pa.Table, Moments], None] | None = None,
) -> Prepared:
    """Build the frames of all moments from `ledger` and deal their rows to folds.

    `check` looks at targets and moments before the work, and may refuse them. Raises LedgerError
    where the ledger holds no span of time or mixes simulated and real chains, and what `build_frame` raises.
    """
    with open_ledger(ledger, threads=threads) as held:
        first, last = held.connection.execute("SELECT min(time), max(time) FROM transfer").fetchall()[0]
        chains = held.connection.execute(
            """
            SELECT c.caip2, c.simulated, max(t.height), max(t.time), count(*)
            FROM transfer AS t JOIN chain AS c ON c.chain = t.chain
            GROUP BY c.caip2, c.simulated ORDER BY c.caip2
            """
        ).fetchall()
        targets = training_targets(held, known_before=None)
    if first is None or first >= last:
        raise LedgerError(f"{ledger} holds no span of time to train on: import transfers first")
    kinds = {bool(row[1]) for row in chains}
    if len(kinds) > 1:
        raise LedgerError(
            f"{ledger} mixes simulated and real chains: a model is trained on one kind; use another --dir"
        )
    moments = plan_moments(first, last)
    if check is not None:
        check(targets, moments)
    planned = list(_plan(moments, targets))
    frames = []
    for number, (as_of, view) in enumerate(planned):
        shown = f"{as_of:%Y-%m-%d}" + ("" if view.name == WHOLE.name else f" ({view.name})")

        def tell(step: str, done: int, _of: int, number: int = number, shown: str = shown) -> None:
            if progress is not None:
                progress(f"{shown}: {step}", number * len(STEPS) + done, len(STEPS) * len(planned))

        frames.append(build_frame(ledger, as_of, threads=threads, progress=tell, view=view))
    train, valid, test = tuple(frames[:-2]), frames[-2], frames[-1]
    return Prepared(
        moments=moments,
        train=train,
        valid=valid,
        test=test,
        targets=targets,
        folds=split_rows(train, valid, test, targets),
        heads={
            row[0]: {"height": row[2], "time": f"{row[3]:%Y-%m-%dT%H:%M:%SZ}", "transfers": row[4]}
            for row in chains
        },
        simulated=kinds.pop(),
    )


def narrow_views(pulled: Iterable[str]) -> tuple[View, ...]:
    """Return the views of less than the whole ledger, as users have them: late, and of `pulled` histories."""
    return (
        View(f"last {LATE_DAYS} days", days=LATE_DAYS),
        View("pulled histories", around=tuple(sorted(set(pulled)))),
    )


def training_views(moments: Moments, targets: pa.Table) -> tuple[View, ...]:
    """Return the narrower views of the last training moment.

    The histories pulled are those of the accounts that may train. They are chosen by labels that came later
    than the moment: whoever pulls histories pulls those of suspects.
    """
    return narrow_views(known_accounts(targets, moments.valid))


def known_accounts(targets: pa.Table, before: datetime) -> list[str]:
    """Return the accounts whose target was public before a moment."""
    public = targets.filter(pc.less(targets.column("published_at"), before))
    accounts: list[str] = public.column("account").to_pylist()
    return accounts


def _plan(moments: Moments, targets: pa.Table) -> Iterator[tuple[datetime, View]]:
    """Yield what is built, in order: the training moments, the last one in narrower views, the others."""
    for as_of in moments.train:
        yield as_of, WHOLE
    for view in training_views(moments, targets):
        yield moments.train[-1], view
    yield moments.valid, WHOLE
    yield moments.test, WHOLE
