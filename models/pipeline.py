"""From a ledger to a trained model: build the training moments, gather the targets, train, keep."""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from chains.errors import LedgerError
from datasets.splits import training_targets
from datasets.store import open_ledger
from features.build import STEPS, Progress, build_frame
from features.catalogue import catalogue_hash
from features.frame import FeatureFrame
from models.folds import plan_moments
from models.registry import Model, Population
from models.train import train_model

OWNERS_OF_A_CHAIN = 20
"""So many owners outside the drug trade a chain must show before a model may set a level there."""


def train_from_ledger(
    ledger: Path,
    models_folder: Path,
    *,
    threads: int | None = None,
    seed: int = 1,
    progress: Progress | None = None,
) -> Model:
    """Train on the ledger's labels and save the model, which becomes the current one.

    Five moments are built as they were at the time (three for training, one for calibration, one for the
    test), each with the labels published before it. Raises TooFewRows where the labels do not suffice,
    LedgerError where the ledger holds too little time, and what `build_frame` raises.
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
    moments = plan_moments(first, last)
    times = [*moments.train, moments.valid, moments.test]
    frames = []
    total = len(STEPS) * len(times)
    for number, as_of in enumerate(times):

        def tell(step: str, done: int, _total: int, number: int = number, as_of: datetime = as_of) -> None:
            if progress is not None:
                progress(f"{as_of:%Y-%m-%d}: {step}", number * len(STEPS) + done, total)

        frames.append(build_frame(ledger, as_of, threads=threads, progress=tell))
    simulated = {bool(row[1]) for row in chains}
    if len(simulated) > 1:
        raise LedgerError(
            f"{ledger} mixes simulated and real chains: a model is trained on one kind; use another --dir"
        )
    learnt = chains_with_owners(frames[3], targets)
    return train_model(
        frames[:3],
        frames[3],
        frames[4],
        targets,
        population=Population(
            simulated=simulated.pop(), chains=tuple(row[0] for row in chains if row[0] in learnt)
        ),
        catalogue_hash=catalogue_hash(),
        label_hash=_target_hash(targets.to_pylist()),
        ledger_heads={
            row[0]: {"height": row[2], "time": f"{row[3]:%Y-%m-%dT%H:%M:%SZ}", "transfers": row[4]}
            for row in chains
        },
        out=models_folder,
        seed=seed,
    )


def chains_with_owners(frame: FeatureFrame, targets: pa.Table) -> set[str]:
    """Return the chains (CAIP-2) of which `frame` shows enough owners who are not in the drug trade.

    The bound on false alarms rests on them: of a chain without any, a model says nothing.
    """
    seen = set(frame.accounts)
    owners: dict[str, set[str]] = {}
    for row in targets.to_pylist():
        if not row["drug"] and row["account"] in seen:
            owners.setdefault(":".join(row["account"].split(":")[:2]), set()).add(row["owner"])
    return {chain for chain, names in owners.items() if len(names) >= OWNERS_OF_A_CHAIN}


def _target_hash(targets: list[dict[str, object]]) -> str:
    """Return the SHA-256 (hex) of the targets that the model learnt from."""
    return hashlib.sha256(json.dumps(targets, default=str, ensure_ascii=False).encode()).hexdigest()
