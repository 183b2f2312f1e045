"""How fast features are made and rows scored, beside snapml's graph features and networkx.

The same made-up transfers for all: a million, payers and payees drawn with a heavy tail over 100,000
accounts, in the order of time. snapml's GFP (fan and vertex statistics, batches of 128) gives a row for each
transfer, Silkscreen a row for each account, from the tables of a build; networkx gives degrees and mean
degrees of neighbours. What is compared is the time for all transfers. Peers get their input in memory.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.peer import make_peer
from benchmarks.report import ROOT, Figure

os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "cache" / "numba"))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chains.address import find_chain
from chains.files.mapping import PaymentMapping
from datasets.ingest import import_file
from datasets.store import open_ledger
from features.behaviour import behaviour_parts
from features.catalogue import CATALOGUE
from features.frame import FeatureFrame
from features.seeds import mark_seeds
from features.seen import see
from models.registry import Model
from models.score import score_frame

TRANSFERS = 1_000_000
ACCOUNTS = 100_000
REPETITIONS = 3
BEGIN = datetime(2024, 1, 1)  # noqa: DTZ001  (times inside are naive UTC)
SECONDS = 120 * 86_400


def run(scratch: Path, model: Model, rows: FeatureFrame) -> list[Figure]:
    """Return the figures; `rows` are real ones for scoring."""
    return [*_compare_features(scratch), *_time_scores(model, rows)]


def _compare_features(scratch: Path) -> list[Figure]:
    scratch.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    ends = [(rng.pareto(1.2, TRANSFERS) * ACCOUNTS / 60).astype(np.int64) % ACCOUNTS for _ in range(2)]
    ends[1] = np.where(ends[0] == ends[1], (ends[1] + 1) % ACCOUNTS, ends[1])
    stamp = np.sort(rng.integers(0, SECONDS, TRANSFERS))
    amount = np.round(np.exp(rng.normal(5, 1, TRANSFERS)), 2)
    np.save(
        scratch / "edges.npy", np.column_stack([np.arange(TRANSFERS), *ends, stamp, amount]).astype(float)
    )
    ledger = _make_ledger(scratch, ends, stamp, amount)
    as_of = BEGIN + timedelta(seconds=SECONDS)
    python = make_peer("graph-features") / "python"
    seconds: dict[str, list[float]] = {}
    for _ in range(REPETITIONS):  # in turn, so that a noisy moment meets all
        for name, took in _time_ours(ledger, as_of).items():
            seconds.setdefault(name, []).append(took)
        for peer in ("gfp", "networkx"):
            command = [
                str(python),
                str(Path(__file__).with_name("graph_features_peer.py")),
                peer,
                str(scratch),
            ]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(ran.stdout.splitlines()[-1])
            seconds.setdefault(peer, []).append(found["seconds"])
            seconds.setdefault(f"{peer} columns", []).append(found["columns"])
    took = {name: statistics.median(values) for name, values in seconds.items()}
    behaviour = sum(feature.sql is not None for feature in CATALOGUE)
    return [
        Figure(
            f"features: {behaviour} of behaviour, 1 thread, from the build's tables", took["behaviour"], "s"
        ),
        Figure("features: with reading and ordering the ledger", took["behaviour"] + took["see"], "s"),
        Figure(f"features: snapml GFP, {took['gfp columns']:.0f} columns, 1 thread", took["gfp"], "s"),
        Figure("features: networkx, 4 columns", took["networkx"], "s"),
        Figure(
            "features: GFP's time / ours, same transfers",
            took["gfp"] / took["behaviour"],
            "x",
            5,
            at_least=True,
        ),
        Figure("features: networkx's time / ours", took["networkx"] / took["behaviour"], "x"),
    ]


def _make_ledger(scratch: Path, ends: list[np.ndarray], stamp: np.ndarray, amount: np.ndarray) -> Path:
    plain, ledger = scratch / "payments.parquet", scratch / "ledger.duckdb"
    times = np.datetime64(BEGIN, "us") + stamp.astype("timedelta64[s]")
    names = [np.char.add("a", end.astype(str)) for end in ends]
    pq.write_table(pa.table({"time": times, "payer": names[0], "payee": names[1], "amount": amount}), plain)
    mapping = PaymentMapping.parse(
        ["time=time", "payer=payer", "payee=payee", "amount=amount", "currency=@USD"]
    )
    with open_ledger(ledger, write=True) as held:
        chain = find_chain("payments:speed")
        import_file(held, "payments", plain, chain=chain, mapping=mapping, code_version="bench")
    return ledger


def _time_ours(ledger: Path, as_of: datetime) -> dict[str, float]:
    started = time.perf_counter()
    connection = see(ledger, as_of, threads=1)
    seen = time.perf_counter()
    mark_seeds(connection, as_of)
    marked = time.perf_counter()
    for _ in behaviour_parts(connection, as_of):
        pass
    done = time.perf_counter()
    connection.close()
    return {"see": seen - started, "behaviour": done - marked}


def _time_scores(model: Model, rows: FeatureFrame) -> list[Figure]:
    many = 1_000_000
    values = np.ascontiguousarray(np.resize(rows.values, (many, rows.values.shape[1])))
    frame = FeatureFrame(
        as_of=rows.as_of,
        accounts=tuple(f"bench:{number:07}" for number in range(many)),
        entities=np.arange(many),
        seeded=np.zeros(many, np.bool_),
        names=rows.names,
        values=values,
    )
    one = values[:1]
    whole = min(_seconds(lambda: score_frame(model, frame)) for _ in range(3))
    return [
        Figure("score 1M rows", many / whole, "rows/s", 60_000, at_least=True),
        Figure("score 1 row", 1e6 * _median(lambda: model.log_odds(one), 2_000), "us", 100),
        Figure("explain 1 row exactly", 1e3 * _median(lambda: model.contributions(one), 300), "ms", 10),
    ]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _median(work: Callable[[], object], times: int) -> float:
    return statistics.median(_seconds(work) for _ in range(times))


if __name__ == "__main__":
    from benchmarks.report import report

    with tempfile.TemporaryDirectory() as scratch:
        report("model-features", _compare_features(Path(scratch)))
