"""The model beside its baselines in simulated worlds of three evasion settings.

The seeds are fresh: no feature, parameter or dial was chosen on them. Each world is imported, trained on and
evaluated as a user would do it; the figures stand on owners that the model never saw, with 95 % intervals by
owner bootstrap.
"""

import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, Figure

os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "cache" / "numba"))

from chains.address import find_chain
from datasets.ingest import import_file
from datasets.labels import import_labels
from datasets.prices import import_prices
from datasets.simulate.dials import Evasion, dials_for
from datasets.simulate.world import simulate_world
from datasets.store import open_ledger
from models.assess import Question, assess
from models.pipeline import train_prepared
from models.prepare import prepare

SETTINGS: tuple[Evasion, ...] = ("none", "medium", "strong")
SEEDS = (101, 102, 103)
TRANSFERS = 360_000
"""Three times the demo's world, whose test moment has about 80 drug owners: too few to tell scores apart."""


def run(scratch: Path) -> list[Figure]:
    """Return the figures of every world: PR-AUC with its interval, of the model and of the best baseline."""
    return [
        figure
        for evasion in SETTINGS
        for seed in SEEDS
        for figure in _describe(f"world {seed}, evasion {evasion}", _evaluate(scratch, evasion, seed))
    ]


def _evaluate(scratch: Path, evasion: Evasion, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        ledger, models = Path(folder) / "ledger.duckdb", Path(folder) / "models"
        make_ledger(ledger, evasion, seed)
        prepared = prepare(ledger)
        model = train_prepared(prepared, models)
        return assess(model, prepared, Question(capacity=10), models_folder=models, ledger=None)


def make_ledger(ledger: Path, evasion: Evasion, seed: int, transfers: int = TRANSFERS) -> None:
    """Simulate a world and import it."""
    world = simulate_world(
        ledger.parent / "world", seed=seed, transfers=transfers, dials=dials_for(evasion=evasion)
    )
    files = (
        ("bitcoin-etl", world.utxo, world.utxo_chain),
        (world.token_layout, world.tokens, world.token_chain),
    )
    with open_ledger(ledger, write=True) as held:
        for layout, path, chain in files:
            import_file(held, layout, path, chain=find_chain(chain), code_version="bench")
        import_prices(held, world.prices)
        last = held.connection.execute("SELECT max(time) FROM transfer").fetchall()[0][0]
        heard = last.replace(microsecond=0) + timedelta(seconds=1)
        import_labels(held, "csv", world.labels, recorded_at=heard)


def _describe(world: str, found: dict[str, Any]) -> Iterator[Figure]:
    scores = {score["name"]: score["pr_auc"] for score in found["scores"]}
    model = scores.pop("model")
    best = max(scores, key=lambda name: scores[name]["value"])
    apart = sum(model["low"] > other["high"] for other in scores.values())
    ahead = sum(gap["pr_auc"]["low"] > 0 for gap in found["ahead"])
    yield Figure(f"{world}: drug owners tested", found["rows"]["drug_owners"], "")
    yield Figure(f"{world}: PR-AUC of the model", model["value"], "")
    yield Figure(f"{world}: its interval begins at", model["low"], "")
    yield Figure(f"{world}: PR-AUC of the best baseline ({best})", scores[best]["value"], "")
    yield Figure(f"{world}: its interval ends at", scores[best]["high"], "")
    whole = len(scores)
    yield Figure(f"{world}: baselines that it beats, intervals apart", apart, "", whole, at_least=True)
    yield Figure(
        f"{world}: baselines that it beats, paired difference above 0", ahead, "", whole, at_least=True
    )


if __name__ == "__main__":
    from benchmarks.report import report

    with tempfile.TemporaryDirectory() as scratch:
        report("model-worlds", run(Path(scratch)))
