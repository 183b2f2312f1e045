"""How long each part of the main job takes on a simulated world: python -m benchmarks.main_job"""

import os
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from benchmarks.report import ROOT, Figure, report

os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "cache" / "numba"))

from chains.address import find_chain
from datasets.ingest import import_file
from datasets.labels import import_labels
from datasets.prices import import_prices
from datasets.simulate.world import simulate_world
from datasets.store import open_ledger
from models.pipeline import train_from_ledger
from models.publish import publish

TRANSFERS = 120_000
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that `work` took, and what it returned."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def run(folder: Path) -> list[Figure]:
    """Run the main job under `folder`; return the figures."""
    ledger = folder / "ledger.duckdb"
    simulate, world = timed(lambda: simulate_world(folder / "world", seed=1, transfers=TRANSFERS))
    chain, token = find_chain(world.utxo_chain), find_chain(world.token_chain)
    with open_ledger(ledger, write=True) as held:
        utxo, coins = timed(
            lambda: import_file(held, "bitcoin-etl", world.utxo, chain=chain, code_version="bench")
        )
        tokens, paid = timed(
            lambda: import_file(held, world.token_layout, world.tokens, chain=token, code_version="bench")
        )
        import_prices(held, world.prices)
        last = held.connection.execute("SELECT max(time) FROM transfer").fetchall()[0][0]
        as_of = last.replace(microsecond=0) + timedelta(seconds=1)
        import_labels(held, "csv", world.labels, recorded_at=as_of)
    train, _ = timed(lambda: train_from_ledger(ledger, folder / "models"))
    build, _ = timed(lambda: publish(ledger, folder, as_of=as_of, code_version="bench"))
    total = simulate + utxo + tokens + train + build
    return [
        Figure("simulate", simulate, "s"),
        Figure("import UTXO chain", coins.legs / utxo, "legs/s"),
        Figure("import token chain", paid.legs / tokens, "legs/s"),
        Figure("seven builds and training", train, "s"),
        Figure("build, score, publish", build, "s"),
        Figure("all of it", total, "s", aim=90),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        report("main-job", run(Path(scratch)))
