"""From a ledger to a trained model: build the training moments, gather the targets, train, keep."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa

from features.build import Progress
from features.catalogue import catalogue_hash
from features.frame import FeatureFrame
from models.prepare import Prepared, prepare
from models.registry import Model, Population
from models.train import check_labels, train_model

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
    """Train on the ledger's labels and save the model: a challenger, or the champion where there is none.

    Five moments are built as they were at the time (three for training, one for calibration, one for the
    test), each with the labels published before it, and the last training moment in narrower views too.
    Raises TooFewRows where the labels do not suffice, and what `prepare` raises.
    """
    prepared = prepare(ledger, threads=threads, progress=progress, check=check_labels)
    return train_prepared(prepared, models_folder, seed=seed)


def train_prepared(prepared: Prepared, models_folder: Path, *, seed: int = 1) -> Model:
    """Train on rows that are prepared already, as `train_from_ledger` does."""
    learnt = chains_with_owners(prepared.valid, prepared.targets)
    return train_model(
        prepared.train,
        prepared.valid,
        prepared.test,
        prepared.targets,
        population=Population(
            simulated=prepared.simulated, chains=tuple(chain for chain in prepared.heads if chain in learnt)
        ),
        catalogue_hash=catalogue_hash(),
        label_hash=_target_hash(prepared.targets.to_pylist()),
        ledger_heads=prepared.heads,
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
