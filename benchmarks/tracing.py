"""Tracing beside what else does it: python -m benchmarks.tracing

Clustering beside kernels alone, exposure of 16 categories both ways beside six steps of scipy's sparse
product and of DuckDB's joins, and growth up to 20 million legs. Peers neither know the order of time nor give
hops, dollars and origins; they get the payments summed by pair as they like them best, already in memory.
"""

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.report import ROOT, Figure, report

os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "cache" / "numba"))

import duckdb
import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from benchmarks.tracing_clustering import measure_clustering
from features.exposure import LegColumns, trace_exposure

CATEGORIES = 16
TRANSFERS = 5_000_000
REPETITIONS = 5
STEPS = 6
SIZES = (1_000_000, 5_000_000, 20_000_000)  # legs


def make_world(transfers: int, *, services: bool) -> tuple[LegColumns, LegColumns, NDArray[np.int16]]:
    """Make payments in order of time between busy and less busy addresses, one in a thousand labelled.

    With `services` the busiest are labelled, as in life; without, any, so that almost everybody comes to hold
    money of almost every category: the worst for a sparse state.
    """
    rng = np.random.default_rng(1)
    addresses = transfers * 3 // 5  # 6 million for 20 million legs
    order = rng.permutation(addresses)
    payer, payee = (
        order[(rng.random(transfers) ** 3 * addresses).astype(np.int64)].astype(np.int32) for _ in range(2)
    )
    amount = np.exp(rng.normal(5, 2, transfers)).round(2)
    labelled = order[: addresses // 1000] if services else rng.choice(addresses, addresses // 1000, False)
    category = np.full(addresses, -1, np.int16)
    category[labelled] = rng.integers(0, CATEGORIES, labelled.size)
    start = np.arange(transfers + 1)
    sides = [LegColumns(start, who, who, category[who], amount, amount, amount) for who in (payer, payee)]
    return sides[0], sides[1], category


def trace(payers: LegColumns, payees: LegColumns, addresses: int, threads: int) -> None:
    trace_exposure(
        payers,
        payees,
        holders=addresses,
        owners=addresses,
        categories=CATEGORIES,
        threads=threads,
        held=False,
    )


def warm_up() -> None:
    payers, payees, category = make_world(10_000, services=True)
    trace(payers, payees, category.size, 2)


def shares(payers: LegColumns, payees: LegColumns, addresses: int) -> list[sp.csr_matrix]:
    """Return what share of what each received came from whom, and of what each sent went to whom."""
    paid = sp.csr_matrix((payers.amount, (payees.holder, payers.holder)), shape=(addresses, addresses))
    received, sent = (np.maximum(np.asarray(paid.sum(axis)).ravel(), 1e-9) for axis in (1, 0))
    return [(sp.diags(1 / received) @ paid).tocsr(), (sp.diags(1 / sent) @ paid.T).tocsr()]


def multiply(matrices: list[sp.csr_matrix], category: NDArray[np.int16]) -> None:
    """Six steps both ways; what reaches a label stays there."""
    labelled = np.flatnonzero(category >= 0)
    for matrix in matrices:
        columns = np.zeros((category.size, CATEGORIES))
        columns[labelled, category[labelled]] = 1
        total = np.zeros_like(columns)
        for _ in range(STEPS):
            columns = matrix @ columns
            total += columns
            columns[labelled] = 0


def join(matrices: list[sp.csr_matrix], category: NDArray[np.int16]) -> None:
    """Do the same six steps both ways by joins."""
    connection = duckdb.connect()
    names = [f"c{k}" for k in range(CATEGORIES)]
    sums = ", ".join(f"sum(e.share * x.{name}) AS {name}" for name in names)
    for matrix in matrices:
        entries = matrix.tocoo()
        edges = pa.table({"at": entries.row, "far": entries.col, "share": entries.data})
        connection.register("edges", edges)
        connection.execute("CREATE OR REPLACE TABLE edge AS FROM edges")
        labelled = np.flatnonzero(category >= 0)
        ones = {name: (category[labelled] == k).astype(float) for k, name in enumerate(names)}
        connection.register("first", pa.table({"node": labelled, **ones}))
        connection.execute("CREATE OR REPLACE TABLE x AS FROM first")
        connection.execute("CREATE OR REPLACE TABLE label AS SELECT node FROM first")
        for step in range(STEPS):
            kept = "" if step == 0 else "ANTI JOIN label AS l ON l.node = x.node"
            connection.execute(
                f"CREATE OR REPLACE TABLE x AS SELECT e.at AS node, {sums} "  # noqa: S608  (names of this program)
                f"FROM edge AS e JOIN (SELECT x.* FROM x {kept}) AS x ON x.node = e.far GROUP BY e.at"
            )


def seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure_exposure(name: str, *, services: bool, joins: bool) -> list[Figure]:
    payers, payees, category = make_world(TRANSFERS, services=services)
    matrices = shares(payers, payees, category.size)
    ours, alone, product = [], [], []
    for _ in range(REPETITIONS):
        product.append(seconds(lambda: multiply(matrices, category)))
        ours.append(seconds(lambda: trace(payers, payees, category.size, 2)))
        alone.append(seconds(lambda: trace(payers, payees, category.size, 1)))
    middle, middle_alone, scipy = (statistics.median(times) for times in (ours, alone, product))
    figures = [
        Figure(f"exposure, {name}: 5M payments, 16 categories, both ways", middle, "s"),
        Figure(f"exposure, {name}: scipy, {STEPS} steps both ways", scipy, "s"),
        Figure(f"exposure, {name}: times scipy", middle / scipy, "x", 1.5),
        Figure(f"exposure, {name}: times scipy, on one thread", middle_alone / scipy, "x"),
    ]
    if joins:
        joined = seconds(lambda: join(matrices, category))
        figures.append(Figure(f"exposure, {name}: times DuckDB's joins", middle / joined, "x", 1.0))
    return figures


def measure_growth() -> list[Figure]:
    """Trace worlds of growing size, each in a process of its own."""
    found: dict[int, dict[str, float]] = {}
    for legs in SIZES:
        command = [sys.executable, "-m", "benchmarks.tracing", str(legs)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        found[legs] = json.loads(answer.splitlines()[-1])
    least, most = found[SIZES[0]], found[SIZES[-1]]
    power = math.log(most["seconds"] / least["seconds"]) / math.log(SIZES[-1] / SIZES[0])
    return [
        *(
            Figure(f"growth: {legs / 1e6:g}M legs, {legs * 0.3 / 1e6:g}M holders", of["seconds"], "s")
            for legs, of in found.items()
        ),
        Figure("growth: time goes with legs to the power of", power, "", 1.1),
        Figure("growth: memory at 20M legs and 6M holders", most["gb"], "GB", 4.0),
    ]


def measure_size(legs: int) -> None:
    """Trace once, and print the time and the most memory that the process had."""
    warm_up()
    payers, payees, category = make_world(legs // 2, services=False)
    spent = statistics.median(seconds(lambda: trace(payers, payees, category.size, 1)) for _ in range(3))
    most: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": spent, "gb": most * 1024 / 1e9}))


def main() -> None:
    if len(sys.argv) > 1:
        measure_size(int(sys.argv[1]))
        return
    warm_up()
    report(
        "tracing",
        [
            *measure_clustering(),
            *measure_exposure("services labelled", services=True, joins=True),
            *measure_exposure("anybody labelled", services=False, joins=False),
            *measure_growth(),
        ],
    )


if __name__ == "__main__":
    main()
