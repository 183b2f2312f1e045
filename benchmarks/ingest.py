"""How fast histories come in, beside what others need for the same: python -m benchmarks.ingest

Each piece of work runs in a process of its own. CPU figures of reading leave start-up out, everybody's. What
other work on the machine can disturb is done several times, and the best counts.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.ingest_data import write_transactions
from benchmarks.peer import make_peer
from benchmarks.report import ROOT, Figure, report

TRANSACTIONS = 1_000_000
MANY_TRANSACTIONS = 5_000_000  # for memory: a tenth of them is already many batches
EVM_BLOCKS = 150
BITCOIN_BLOCKS = 10
ADDRESSES = 30_000_000
RUNS = 3


@dataclass(frozen=True)
class Work:
    """What one process did: how much, in how many seconds of the clock and of CPU, and its peak memory."""

    count: int
    seconds: float
    cpu: float
    memory_mb: float


def work(task: str, *arguments: object) -> Work:
    """Do a task of `benchmarks.ingest_work` in a new process."""
    command = [sys.executable, "-m", "benchmarks.ingest_work", task, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
    return Work(**json.loads(done.stdout.splitlines()[-1]))


def best(task: Callable[[], Work], runs: int = RUNS) -> Work:
    """Return the fastest of several runs."""
    return min((task() for _ in range(runs)), key=lambda done: done.seconds)


def cpu_each(done: Work) -> float:
    """CPU milliseconds of each unit of work."""
    return 1000 * done.cpu / done.count


def measure_files(folder: Path) -> list[Figure]:
    """Parquet of bitcoin-etl into a ledger, beside a bare CREATE TABLE AS SELECT in DuckDB."""
    large = folder / "large.parquet"
    write_transactions(large, TRANSACTIONS)
    ledger, bare = folder / "ledger.duckdb", folder / "bare.duckdb"
    fresh(ledger, "import_bitcoin", large)  # compiles what is compiled once
    plain = best(lambda: fresh(bare, "create_bare", large))
    ours = best(lambda: fresh(ledger, "import_bitcoin", large))
    if plain.count != ours.count:
        raise SystemExit(f"{ours.count} legs came in of {plain.count}")
    return [
        Figure(
            f"bare DuckDB {duckdb.__version__}: Parquet unnested into a table",
            plain.count / plain.seconds,
            "legs/s",
        ),
        Figure("the same file into a ledger", ours.count / ours.seconds, "legs/s"),
        Figure("ledger beside bare DuckDB, speed", plain.seconds / ours.seconds, "x", aim=0.5, at_least=True),
        Figure("ledger beside bare DuckDB, CPU", ours.cpu / plain.cpu, "x"),
    ]


def measure_memory(folder: Path) -> list[Figure]:
    """The highest memory use of an import, and of one of ten times as much."""
    file, ledger = folder / "file.parquet", folder / "ledger.duckdb"
    found = []
    for count in (MANY_TRANSACTIONS // 10, MANY_TRANSACTIONS):
        write_transactions(file, count)
        found.append(fresh(ledger, "import_bitcoin", file).memory_mb)
    file.unlink()
    return [
        Figure(f"peak memory, {MANY_TRANSACTIONS // 10:,} transactions", found[0], "MB"),
        Figure(f"peak memory, {MANY_TRANSACTIONS:,} transactions", found[1], "MB"),
        Figure("peak memory, ten times the input", found[1] / found[0], "x", aim=1.25),
    ]


def fresh(database: Path, task: str, file: Path) -> Work:
    """Do a task that makes a database, where none is."""
    for old in (database, database.with_name(database.name + ".wal")):
        old.unlink(missing_ok=True)
    return work(task, database, file)


def measure_large_ledger(folder: Path) -> list[Figure]:
    """The same file into a ledger that holds 30 million addresses, most of the file's among them."""
    earlier, large = folder / "earlier.parquet", folder / "large.parquet"
    write_transactions(earlier, TRANSACTIONS, seed=2, first_height=700_000)
    ledger = folder / "full.duckdb"
    work("import_bitcoin", ledger, earlier)
    grow_addresses(ledger, ADDRESSES)
    done = work("import_bitcoin", ledger, large)
    return [
        Figure(
            f"into a ledger of {ADDRESSES:,} addresses",
            done.count / done.seconds,
            "legs/s",
            aim=200_000,
            at_least=True,
        ),
        Figure("its peak memory", done.memory_mb, "MB"),
    ]


def grow_addresses(ledger: Path, wanted: int) -> None:
    """Give a ledger addresses that no transfer names, until it has so many."""
    with duckdb.connect(str(ledger)) as connection:
        held = int(connection.execute("SELECT max(address) FROM address").fetchall()[0][0])
        for first in range(held, wanted, 1_000_000):
            last = min(first + 1_000_000, wanted)
            connection.execute(
                """
                INSERT INTO address SELECT number + 1, 1, md5_number_lower(account), account
                FROM (
                    SELECT number, 'bc1q' || substr(sha256(number::VARCHAR), 1, 38) AS account
                    FROM range($1, $2) AS numbers (number)
                )
                """,
                [first, last],
            )


def measure_evm(folder: Path) -> list[Figure]:
    """Blocks of 100 transactions on anvil: beside ethereum-etl and beside web3.py's own calls."""
    from benchmarks.ingest_nodes import fill_blocks
    from tests.nodes.anvil import run_anvil

    programs = make_peer("ethereum-etl")
    with run_anvil(history=False) as node:
        fill_blocks(node, EVM_BLOCKS)
        last = node.height
        first = last - EVM_BLOCKS + 1
        one = export_with_etl(programs, node.url, folder, first, first)
        all_of_them = export_with_etl(programs, node.url, folder, first, last)
        web3 = cpu_each(work("read_with_web3", node.url, first, last))
        receipts = cpu_each(work("read_evm", node.url, first, last, "none"))
        ours = cpu_each(work("read_evm", node.url, first, last, "trace_block"))
    etl = 1000 * (all_of_them - one) / (EVM_BLOCKS - 1)
    return [
        Figure("ethereum-etl 2.4.2: blocks, receipts, logs, traces, token transfers", etl, "ms CPU a block"),
        Figure("Silkscreen: the same as checked legs", ours, "ms CPU a block"),
        Figure("Silkscreen beside ethereum-etl, CPU", ours / etl, "x", aim=0.1),
        Figure("web3.py 8: get_block with transactions, get_block_receipts", web3, "ms CPU a block"),
        Figure("Silkscreen: the same as checked legs, without traces", receipts, "ms CPU a block"),
        Figure("Silkscreen beside web3.py, CPU", receipts / web3, "x"),
    ]


def export_with_etl(programs: Path, url: str, folder: Path, first: int, last: int) -> float:
    """Export blocks with ethereum-etl; returns the CPU seconds of its processes."""
    etl, out = str(programs / "ethereumetl"), folder / "etl"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    span = ["-s", str(first), "-e", str(last), "-p", url, "-w", "1"]
    blocks = ["--blocks-output", str(out / "blocks.csv"), "--transactions-output", str(out / "txs.csv")]
    spent = run_counted([etl, "export_blocks_and_transactions", *span, *blocks])
    lines = (out / "txs.csv").read_text("utf-8").splitlines()[1:]
    (out / "hashes.txt").write_text("\n".join(line.partition(",")[0] for line in lines), "utf-8")
    receipts = ["--receipts-output", str(out / "receipts.csv"), "--logs-output", str(out / "logs.csv")]
    spent += run_counted(
        [etl, "export_receipts_and_logs", "-t", str(out / "hashes.txt"), *span[4:], *receipts]
    )
    spent += run_counted([etl, "export_traces", *span, "-o", str(out / "traces.csv")])
    logs = ["--logs", str(out / "logs.csv"), "--output", str(out / "tokens.csv")]
    return spent + run_counted([etl, "extract_token_transfers", *logs, "-w", "1"])


def run_counted(command: list[str]) -> float:
    """Run a program to its end; returns its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_bitcoin(folder: Path) -> list[Figure]:
    """Blocks that Bitcoin Core's engine accepted: beside bitcoinlib, and beside reading the JSON alone."""
    from benchmarks.ingest_nodes import save_blocks
    from tests.nodes.regtest import run_regtest

    with run_regtest() as node:
        paths = save_blocks(node, folder, BITCOIN_BLOCKS)
    rates = {}
    for task, name in (("decode_core", "core"), ("load_json", "core"), ("parse_with_bitcoinlib", "bytes")):
        rates[task] = 1000 / cpu_each(work(task, paths[name]))
    ours, peer = rates["decode_core"], rates["parse_with_bitcoinlib"]
    return [
        Figure("bitcoinlib 0.7.10: Block.parse_bytes", peer, "tx/s CPU"),
        Figure("json.loads of getblock 3 alone", rates["load_json"], "tx/s CPU"),
        Figure("Silkscreen: getblock 3 to legs, hashes recomputed", ours, "tx/s CPU"),
        Figure("Silkscreen beside bitcoinlib, speed", ours / peer, "x"),
    ]


def run() -> list[Figure]:
    """Measure everything; return the figures."""
    parts = (measure_evm, measure_bitcoin, measure_files, measure_memory, measure_large_ledger)
    figures = []
    with tempfile.TemporaryDirectory(dir=ROOT / "var") as folder:
        for part in parts:
            started = time.perf_counter()
            figures += part(Path(folder))
            print(f"{part.__name__}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return figures


if __name__ == "__main__":
    (ROOT / "var").mkdir(exist_ok=True)
    report("ingest", run())
