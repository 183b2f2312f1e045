"""An invented population of owners whose features and labels the tests of models/ share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.catalogue import CATALOGUE
from features.frame import FeatureFrame
from models.registry import Model, Population
from models.train import train_model

CHAIN = "eip155:78284"
START = datetime(2023, 1, 1)  # noqa: DTZ001  (naive UTC)
MOMENTS = tuple(START + timedelta(days=day) for day in (110, 150, 200, 240, 300))
NAMES = tuple(
    name
    for group in ("activity", "amounts", "exposure")
    for name in [f.name for f in CATALOGUE if f.group == group][:5]
)
POPULATION = Population(simulated=True, chains=(CHAIN,))
CATEGORIES = ("person", "merchant", "exchange", "scam")
SILENT = "age_days"
"""A feature that is alike for all, and so says nothing."""


@dataclass(frozen=True)
class World:
    """Frames at five moments, and a target for every account of every owner."""

    frames: tuple[FeatureFrame, ...]
    targets: pa.Table


def make_world(*, seed: int = 5, owners: int = 900, drug_share: float = 0.2) -> World:
    """Make owners of one to four accounts; a drug owner differs a little in two groups of features."""
    random = np.random.default_rng(seed)
    accounts = [
        (f"{CHAIN}:0x{random.integers(1 << 60):040x}", owner)
        for owner in range(owners)
        for _ in range(random.integers(1, 5))
    ]
    accounts.sort()
    drug = random.random(owners) < drug_share
    known_after = random.uniform(60, 365, owners)
    category = random.choice(CATEGORIES, owners)
    style = random.normal(size=(owners, len(NAMES)))
    exposure = NAMES.index("exposure_source_drug_share")
    activity = NAMES.index("transfers_in")
    style[:, exposure] += 1.2 * drug
    style[:, activity] += 1.2 * drug
    published = [START + timedelta(days=float(day)) for day in known_after]
    whose = np.asarray([owner for _, owner in accounts])
    frames = []
    for moment in MOMENTS:
        values = style[whose] + 0.3 * random.normal(size=(len(accounts), len(NAMES)))
        values[random.random(values.shape) < 0.1] = np.nan
        values[:, NAMES.index(SILENT)] = 7.0
        seeded = np.asarray([published[owner] < moment for owner in whose])
        frames.append(make_frame(moment, [account for account, _ in accounts], values, seeded=seeded))
    targets = make_targets(
        [
            (
                account,
                f"owner-{owner}",
                bool(drug[owner]),
                _category(drug[owner], category[owner]),
                published[owner],
            )
            for account, owner in accounts
        ]
    )
    return World(frames=tuple(frames), targets=targets)


def _category(drug: bool, otherwise: str) -> str:
    return "drug_vendor" if drug else str(otherwise)


def make_targets(
    rows: Sequence[tuple[str, str, bool, str, datetime]], acted_at: Sequence[datetime] | None = None
) -> pa.Table:
    """Return targets of (account, owner, drug, category, published_at); acted upon when published."""
    columns = [[row[place] for row in rows] for place in range(5)]
    return pa.table(
        {
            "account": pa.array(columns[0], pa.string()),
            "owner": pa.array(columns[1], pa.string()),
            "drug": pa.array(columns[2], pa.bool_()),
            "category": pa.array(columns[3], pa.string()),
            "published_at": pa.array(columns[4], pa.timestamp("us")),
            "acted_at": pa.array(columns[4] if acted_at is None else acted_at, pa.timestamp("us")),
        }
    )


def make_frame(
    as_of: datetime,
    accounts: Sequence[str],
    values: np.ndarray | None = None,
    *,
    seeded: np.ndarray | None = None,
    entities: Sequence[int] | None = None,
    names: Sequence[str] = NAMES,
) -> FeatureFrame:
    """Return a frame; by default every account is an unseeded entity of one with features of 0."""
    rows = len(accounts)
    return FeatureFrame(
        as_of=as_of,
        accounts=tuple(accounts),
        entities=np.asarray(range(rows) if entities is None else entities, dtype=np.int64),
        seeded=np.zeros(rows, dtype=np.bool_) if seeded is None else seeded.astype(np.bool_),
        names=tuple(names),
        values=np.zeros((rows, len(names))) if values is None else np.ascontiguousarray(values),
    )


def train_on(
    world: World, out: Path, *, seed: int = 1, progress: Callable[[int, int], None] | None = None
) -> Model:
    """Train on the first three frames of the world, validate on the fourth, test on the fifth."""
    return train_model(
        world.frames[:3],
        world.frames[3],
        world.frames[4],
        world.targets,
        population=POPULATION,
        catalogue_hash="c" * 64,
        label_hash="d" * 64,
        ledger_heads={CHAIN: {"height": 12, "time": MOMENTS[-1]}},
        out=out,
        seed=seed,
        progress=progress,
    )
