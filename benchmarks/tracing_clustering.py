"""Clustering from DuckDB and back, beside kernels alone: python -m benchmarks.tracing_clustering

The spends are made up: wallets of 1 to about 20 addresses, a few of them far busier than the others, and 3
inputs in a spend on average. Peers get the inputs of each spend as they like them best, already in memory.
"""

import os
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peer import make_peer
from benchmarks.report import ROOT, Figure, report

os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "cache" / "numba"))

import duckdb
import numpy as np
import pyarrow as pa

from datasets.store import CONFIG
from features.entities import cluster_spends, number_addresses, write_clusters

SPENDS = 3_000_000
REPETITIONS = 7
SLOW_REPETITIONS = 3  # of igraph
AS_OF = datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def make_legs(spends: int, *, seed: int = 1) -> pa.Table:
    """Make the legs of spends of 2 inputs and more, with two outputs each, in the order of the ledger."""
    rng = np.random.default_rng(seed)
    wallets = spends // 4
    size = 1 + rng.geometric(0.25, wallets)
    first = np.concatenate([[0], np.cumsum(size)])
    busy = (rng.pareto(1.1, spends) * wallets / 50).astype(np.int64) % wallets
    wallet = np.where(rng.random(spends) < 0.3, busy, rng.integers(0, wallets, spends))
    inputs = np.minimum(1 + rng.geometric(0.5, spends), 20)
    payer = np.repeat(wallet, inputs)
    count = inputs.sum() + 2 * spends
    seq = np.concatenate([np.repeat(np.arange(1, spends + 1), n) for n in (inputs, 2)])
    address = np.concatenate(
        [
            first[payer] + (rng.random(payer.size) * size[payer]).astype(np.int64),
            rng.integers(0, first[-1], 2 * spends),
        ]
    )
    pays = np.arange(count) < payer.size
    # A ledger numbers addresses as it meets them, a batch after the other.
    met = np.full(int(first[-1]), spends + 1)
    np.minimum.at(met, address, seq)
    numbers = np.empty(met.size, np.int64)
    numbers[np.lexsort((rng.random(met.size), met // 250_000))] = np.arange(1, met.size + 1)
    order = np.lexsort((~pays, seq))
    return pa.table({"seq": seq[order], "pays": pays[order], "address": numbers[address[order]]})


def load_legs(connection: duckdb.DuckDBPyConnection, legs: pa.Table) -> None:
    """Make the tables that a build has when it comes to clustering."""
    connection.register("made", legs)
    connection.execute("ATTACH ':memory:' AS ledger")
    connection.execute("ATTACH ':memory:' AS work (COMPRESS)")
    connection.execute("USE work")
    connection.execute("CREATE TYPE leg_side AS ENUM ('payer', 'payee')")
    connection.execute(
        """
        CREATE TABLE seen_leg AS
        SELECT seq, CAST(CASE WHEN pays THEN 'payer' ELSE 'payee' END AS leg_side) AS side,
            CAST(row_number() OVER (PARTITION BY seq, pays) - 1 AS INTEGER) AS index, address,
            CAST(address * 1000 AS HUGEINT) AS amount, address AS usd,
            CASE WHEN pays THEN greatest(seq - 5, 0) END AS spent_seq,
            CASE WHEN pays THEN 1 END AS spent_index
        FROM made ORDER BY seq, side, index
        """
    )
    connection.execute(
        "CREATE TABLE seen_transfer AS "
        "SELECT DISTINCT seq, seq % 20000 = 0 AS coinjoin FROM made ORDER BY seq"
    )
    connection.execute("CREATE TABLE payjoin_suspect AS SELECT seq FROM seen_transfer WHERE false")
    connection.execute("CREATE TABLE ledger.chain AS SELECT 1 AS chain, 'bip122:0' AS caip2, true AS utxo")
    connection.execute(
        """
        CREATE TABLE ledger.attributed_label (
            chain SMALLINT, address BIGINT, category VARCHAR, entity VARCHAR, confidence DOUBLE,
            published_at TIMESTAMP, withdrawn_at TIMESTAMP
        )
        """
    )
    connection.unregister("made")


def cluster(connection: duckdb.DuckDBPyConnection, addresses: np.ndarray) -> float:
    """Cluster, write the tables, and drop them again; returns the seconds until they were written."""
    started = time.perf_counter()
    write_clusters(connection, addresses, cluster_spends(connection, addresses, AS_OF))
    seconds = time.perf_counter() - started
    connection.execute("CREATE OR REPLACE TABLE entity AS SELECT DISTINCT entity FROM member")
    connection.execute(
        "DROP TABLE member; DROP TABLE merge; DROP TABLE payjoin_like; DROP TABLE refused_merge"
    )
    return seconds


def write_input(connection: duckdb.DuckDBPyConnection, addresses: np.ndarray, folder: Path) -> None:
    """Write what the peers get: the inputs of each spend as a list of nodes, and as pairs of nodes."""
    connection.register("node", pa.table({"address": addresses, "node": np.arange(addresses.size)}))
    spends = connection.sql(
        """
        SELECT list(CAST(n.node + 1 AS UINTEGER) ORDER BY l.index) AS nodes
        FROM seen_leg AS l
        JOIN seen_transfer AS t ON t.seq = l.seq AND NOT t.coinjoin
        JOIN node AS n ON n.address = l.address
        WHERE l.spent_seq IS NOT NULL
        GROUP BY l.seq ORDER BY l.seq
        """
    ).to_arrow_table()
    connection.unregister("node")
    with pa.ipc.new_file(str(folder / "spends.arrow"), spends.schema) as file:
        file.write_table(spends)
    lists = spends.column("nodes").combine_chunks()
    starts, nodes = lists.offsets.to_numpy(), lists.values.to_numpy().astype(np.int32) - 1
    heads = np.repeat(nodes[starts[:-1]], np.diff(starts))
    others = np.ones(nodes.size, np.bool_)
    others[starts[:-1]] = False
    np.save(folder / "pairs.npy", np.column_stack([heads[others], nodes[others]]))


def measure_clustering() -> list[Figure]:
    """Measure ours and the peers in turn; the median of each counts."""
    programs = make_peer("clustering")
    (ROOT / "var").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "var") as folder, duckdb.connect(config=CONFIG) as connection:
        load_legs(connection, make_legs(SPENDS))
        started = time.perf_counter()
        addresses = number_addresses(connection)
        numbering = time.perf_counter() - started
        write_input(connection, addresses, Path(folder))
        cluster(connection, addresses)  # compiles what is compiled once
        ours = connection.execute("SELECT count(*) FROM entity").fetchall()[0][0]
        command = [str(programs / "python"), str(Path(__file__).with_name("clustering_peer.py"))]
        seconds: dict[str, list[float]] = {}
        with subprocess.Popen(
            [*command, folder, str(addresses.size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as peer:
            if peer.stdin is None or peer.stdout is None or peer.stdout.readline() != "ready\n":
                raise SystemExit("the peers did not start")
            for turn in range(REPETITIONS):
                seconds.setdefault("ours", []).append(cluster(connection, addresses))
                for name in ("graphsense", "scipy", *(["igraph"] if turn < SLOW_REPETITIONS else [])):
                    peer.stdin.write(name + "\n")
                    peer.stdin.flush()
                    spent, found = peer.stdout.readline().split()
                    if int(found) != ours:
                        raise SystemExit(f"{name} finds {found} clusters, we find {ours}")
                    seconds.setdefault(name, []).append(float(spent))
            peer.stdin.close()
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        Figure("graphsense-clustering 0.2.0: its kernel alone, 3M spends", median["graphsense"], "s"),
        Figure("Silkscreen: the same from DuckDB and back, with the forest", median["ours"], "s"),
        Figure(
            "Silkscreen beside graphsense-clustering", median["ours"] / median["graphsense"], "x", aim=1.5
        ),
        Figure("scipy 1.17.1: connected_components, with its matrix", median["scipy"], "s"),
        Figure("Silkscreen beside scipy", median["ours"] / median["scipy"], "x"),
        Figure("igraph 1.0.0: connected_components, with its graph", median["igraph"], "s"),
        Figure("Silkscreen beside igraph", median["ours"] / median["igraph"], "x"),
        Figure(f"numbering {addresses.size:,} addresses before that", numbering, "s"),
    ]


if __name__ == "__main__":
    report("tracing-clustering", measure_clustering())
