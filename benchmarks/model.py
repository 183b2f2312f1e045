"""Everything that is measured of the model: python -m benchmarks.model (about three quarters of an hour)."""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks import model_payments, model_phishing, model_speed, model_worlds
from benchmarks.report import Figure, report
from models.pipeline import train_prepared
from models.prepare import prepare

DEMO_TRANSFERS = 120_000


def run(scratch: Path) -> list[Figure]:
    """Return the figures of all parts; those on public data that is not there are left out."""
    figures = []
    for part, data in ((model_payments, model_payments.DATA), (model_phishing, model_phishing.DATA)):
        if data.is_dir():
            figures += part.run(scratch / part.__name__)
        else:
            print(f"{data.name} is not beside the project: left out", file=sys.stderr)
    ledger = scratch / "demo" / "ledger.duckdb"
    ledger.parent.mkdir()
    model_worlds.make_ledger(ledger, "none", 1, transfers=DEMO_TRANSFERS)
    started = time.perf_counter()
    prepared = prepare(ledger)
    rows = time.perf_counter()
    model = train_prepared(prepared, scratch / "demo" / "models")
    trained = time.perf_counter()
    figures += [
        Figure(f"prepare the rows of {DEMO_TRANSFERS:,} transfers: seven builds", rows - started, "s"),
        Figure(f"train on {len(prepared.folds.train.accounts):,} rows, with baselines", trained - rows, "s"),
    ]
    figures += model_speed.run(scratch / "speed", model, prepared.test)
    return [*figures, *model_worlds.run(scratch)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        report("model", run(Path(folder)))
