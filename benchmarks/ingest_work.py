"""One piece of measured work in a process of its own: python -m benchmarks.ingest_work TASK ARGUMENT...

Prints JSON: what was done, seconds and CPU seconds of all threads since the task began, and the highest
memory use in MB. A task that is about reading begins when everything is loaded and connected.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import ROOT

os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "cache" / "numba"))
os.environ.setdefault("BCL_DATA_DIR", str(ROOT / "var" / "cache" / "bitcoinlib"))

_begun = [time.perf_counter(), time.process_time()]


def begin() -> None:
    """Count from here."""
    _begun[:] = time.perf_counter(), time.process_time()


READ_AT_ONCE = 50
"""Blocks of an EVM chain that are asked for at once, as `silkscreen sync` does."""


def highest_memory_mb() -> float:
    """Most memory that this program had; getrusage would count that of the one that started it."""
    status = Path("/proc/self/status").read_text("utf-8")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def import_bitcoin(ledger: str, *files: str) -> int:
    """Import files of bitcoin-etl into a ledger; returns legs."""
    from chains.registry import find_chain
    from datasets.ingest import import_file
    from datasets.store import open_ledger

    legs = 0
    with open_ledger(Path(ledger), write=True) as opened:
        for file in files:
            done = import_file(
                opened, "bitcoin-etl", Path(file), chain=find_chain("bitcoin"), code_version="bench"
            )
            if done.quarantined:
                raise SystemExit(f"{done.quarantined} rows were set aside")
            legs += done.legs
    return legs


def create_bare(database: str, file: str) -> int:
    """Bare DuckDB: the same Parquet, unnested into one table of legs with what a ledger keeps of each."""
    import duckdb

    leg = (
        "hash, block_number, index, block_timestamp, '{}' AS side, "
        "leg.index AS place, leg.addresses[1] AS address, leg.value AS value"
    )
    spent = ("leg.spent_transaction_hash", "leg.spent_output_index")
    unnested = "FROM (SELECT *, unnest({}) AS leg FROM read_parquet($file))"
    with duckdb.connect(database) as connection:
        connection.execute(
            "CREATE TABLE leg AS "
            f"SELECT {leg.format('payer')}, {spent[0]}, {spent[1]} {unnested.format('inputs')} "
            f"UNION ALL SELECT {leg.format('payee')}, NULL, NULL {unnested.format('outputs')}",
            {"file": file},
        )
        return int(connection.execute("SELECT count(*) FROM leg").fetchall()[0][0])


def read_evm(url: str, first: str, last: str, internal: str) -> int:
    """Read blocks of an EVM node as legs; returns how many."""
    from chains.evm.node import EvmNode
    from chains.registry import find_chain

    with EvmNode(url, find_chain("eip155:31337"), internal=internal) as node:
        node.read_blocks(int(last), int(last))
        begin()
        for start in range(int(first), int(last) + 1, READ_AT_ONCE):
            node.read_blocks(start, min(start + READ_AT_ONCE - 1, int(last)))
    return int(last) - int(first) + 1


def read_with_web3(url: str, first: str, last: str) -> int:
    """Read the same blocks and receipts through web3.py's own calls, as they come; returns how many."""
    from web3 import HTTPProvider, Web3

    node = Web3(HTTPProvider(url))
    node.eth.get_block(int(last), full_transactions=True)
    node.eth.get_block_receipts(int(last))
    begin()
    for height in range(int(first), int(last) + 1):
        node.eth.get_block(height, full_transactions=True)
        node.eth.get_block_receipts(height)
    return int(last) - int(first) + 1


def decode_core(file: str) -> int:
    """Decode blocks as Bitcoin Core answers them (getblock 3) to legs; returns transactions."""
    from chains.assets import native_asset
    from chains.bitcoin.blocks import decode_block, read_exact
    from chains.registry import find_chain

    chain, count = find_chain("bitcoin-regtest"), 0
    asset = native_asset(chain)
    lines = Path(file).read_bytes().splitlines()
    for number, line in enumerate([lines[0], *lines]):
        if number == 1:
            begin()
        height, digest, block = line.split(b" ", 2)
        wanted = {"height": int(height), "block_hash": bytes.fromhex(digest.decode())}
        batch = decode_block(read_exact(block), chain, asset, **wanted)
        count += batch.transfers.num_rows if number else 0
    return count


def load_json(file: str) -> int:
    """Decode the same answers with the standard library's json alone; returns transactions."""
    lines = Path(file).read_bytes().splitlines()
    begin()
    return sum(len(json.loads(line.split(b" ", 2)[2])["tx"]) for line in lines)


def parse_with_bitcoinlib(file: str) -> int:
    """Parse the same blocks, as bytes, with bitcoinlib; returns transactions."""
    from bitcoinlib.blocks import Block

    lines, count = Path(file).read_text("utf-8").splitlines(), 0
    begin()
    for line in lines:
        block = Block.parse_bytes(bytes.fromhex(line), parse_transactions=True, network="regtest")
        count += len(block.transactions)
    return count


TASKS: dict[str, Callable[..., int]] = {
    task.__name__: task
    for task in (
        *(import_bitcoin, create_bare, read_evm, read_with_web3),
        *(decode_core, load_json, parse_with_bitcoinlib),
    )
}

if __name__ == "__main__":
    count = TASKS[sys.argv[1]](*sys.argv[2:])
    done = {
        "count": count,
        "seconds": time.perf_counter() - _begun[0],
        "cpu": time.process_time() - _begun[1],
        "memory_mb": highest_memory_mb(),
    }
    print(json.dumps(done))
