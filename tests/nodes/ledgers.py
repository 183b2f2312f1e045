"""Ledgers that were filled from the test nodes: the real command line in a process, and what it left behind.

`command` runs `silkscreen …` to its end; `start_sync` starts a sync that a test may kill. `held` gives all
that a ledger says, in natural keys, for two ledgers to be compared.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from chains.nodes import BlockSource
from chains.registry import find_chain
from datasets.export import export_rows
from datasets.store import open_ledger
from datasets.sync import SyncOptions, SyncResult, sync_chain

_PLAIN = "from api.cli import main; main()"
_SMALL = """
import functools
import chains.bitcoin.node, chains.evm.node, chains.rpc, datasets.sync
datasets.sync.SyncOptions = functools.partial(datasets.sync.SyncOptions, legs_per_commit={legs})
datasets.sync.MOST_BLOCKS_A_READ = {blocks}
datasets.sync.OTHERS_TURN_SECONDS = 0.0
chains.rpc.RpcLimits = functools.partial(
    chains.rpc.RpcLimits, first_pause_seconds=0.01, longest_pause_seconds=0.2, attempts=12
)
from api.cli import main
main()
"""


@dataclass(frozen=True)
class Portions:
    """How little a sync reads and commits at once, so that a short chain takes many commits."""

    legs: int = 40
    blocks: int = 4


def command(*words: str, folder: Path, code: int = 0, portions: Portions | None = None) -> str:
    """Run the program as a user would, and return what it prints on standard output."""
    done = subprocess.run(
        _words(words, folder, portions), capture_output=True, text=True, env=_environment(), check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def start_sync(
    chain: str, url: str, folder: Path, *words: str, portions: Portions
) -> "subprocess.Popen[bytes]":
    """Start a sync in a process of its own; whoever starts it ends or awaits it.

    What it says goes into `sync.log` in the data folder.
    """
    called = _words(["sync", chain, "--rpc", url, *words], folder, portions)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "sync.log").open("wb") as log:
        return subprocess.Popen(called, stdout=log, stderr=log, env=_environment())


def _words(words: Sequence[str], folder: Path, portions: Portions | None) -> list[str]:
    program = _SMALL.format(legs=portions.legs, blocks=portions.blocks) if portions else _PLAIN
    return [sys.executable, "-c", program, *words, "--dir", str(folder)]


def _environment() -> dict[str, str]:
    return {**os.environ, "SILKSCREEN_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def ledger_path(folder: Path) -> Path:
    """Where the ledger of a data folder is."""
    return folder / "ledger.duckdb"


def sync_here(source: BlockSource, folder: Path, *, legs: int = 500_000) -> SyncResult:
    """Sync in this process, in commits of at least `legs` legs."""
    return sync_chain(
        source,
        ledger_path(folder),
        options=SyncOptions(legs_per_commit=legs, threads=1, poll_seconds=0.01),
        tell=lambda event: None,
        code_version="test",
    )


def held(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return what a folder's ledger holds beside its transfers, and its export as an Arrow stream.

    Its own numbers and times are left out. The exported table is built anew from its values: what stands in
    memory where a value is null is not defined.
    """
    with open_ledger(ledger_path(folder)) as ledger:
        exported = export_rows(ledger)
        rows = {name: ledger.connection.execute(query).fetchall() for name, query in _HELD.items()}
    table = pa.Table.from_pylist(exported.to_pylist(), schema=exported.schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return rows, bytes(sink.getvalue())


def first_difference(folder: Path, control: Path) -> str:
    """Say which transfer is the first that two ledgers tell differently, and how many they have."""
    tables = []
    for each in (folder, control):
        with open_ledger(ledger_path(each)) as ledger:
            tables.append(export_rows(ledger))
    ours, its = tables
    counts = f"{ours.num_rows} transfers here, {its.num_rows} in the control"
    for place in range(min(ours.num_rows, its.num_rows)):
        here, there = ours.slice(place, 1).to_pylist()[0], its.slice(place, 1).to_pylist()[0]
        if here != there:
            names = [name for name in here if here[name] != there[name]]
            told = "; ".join(f"{name}: {here[name]!r} here, {there[name]!r} in the control" for name in names)
            return f"{counts}; number {place} at height {here['height']}: {told}"
    return f"{counts}; what both have is the same"


_HELD = {
    "blocks": """
        SELECT caip2, height, hash, parent_hash, time FROM block JOIN chain USING (chain) ORDER BY ALL
    """,
    "stretches": "SELECT caip2, first_height, last_height FROM synced JOIN chain USING (chain) ORDER BY ALL",
    "heads": "SELECT caip2, height, final_height FROM node_head JOIN chain USING (chain) ORDER BY ALL",
    "quarantine": "SELECT height, row, reason, detail FROM quarantine ORDER BY ALL",
    "assets": """
        SELECT caip2, reference, symbol, decimals, listed FROM asset JOIN chain USING (chain) ORDER BY ALL
    """,
    "freezes": """
        SELECT height, position, part, f.time, hash, reference, account, frozen
        FROM freeze_event AS f JOIN asset USING (asset) JOIN address USING (address) ORDER BY ALL
    """,
    "labels": """
        SELECT account, category, source, name, reference, published_at, withdrawn_at
        FROM label JOIN address USING (address) ORDER BY ALL
    """,
    "loose ends": """
        SELECT count(*) FROM leg AS l LEFT JOIN transfer AS t USING (transfer)
        LEFT JOIN address AS a ON a.address = l.address WHERE t.transfer IS NULL OR a.address IS NULL
    """,
}


def balances(folder: Path, reference: str) -> dict[str, int]:
    """Return each account's payee legs minus its payer legs in one asset, where that is not zero."""
    query = """
        SELECT account, sum(CASE side WHEN 'payee' THEN amount ELSE -amount END)::VARCHAR
        FROM leg JOIN transfer USING (transfer) JOIN asset USING (asset) JOIN address USING (address)
        WHERE reference = $1 AND NOT duplicate GROUP BY account
    """
    with open_ledger(ledger_path(folder)) as ledger:
        rows = ledger.connection.execute(query, [reference]).fetchall()
    return {account: int(amount) for account, amount in sorted(rows) if int(amount)}


def last_hash(folder: Path) -> bytes:
    """Return the hash of the highest block of a folder's ledger."""
    with open_ledger(ledger_path(folder)) as ledger:
        found = ledger.connection.execute("SELECT hash FROM block ORDER BY height DESC LIMIT 1").fetchall()
    return bytes(found[0][0]) if found else b""


def synced_to(folder: Path, chain: str) -> int:
    """Return the highest height that a folder's ledger holds of a chain; -1 for none."""
    if not ledger_path(folder).exists():
        return -1
    query = "SELECT max(last_height) FROM synced JOIN chain USING (chain) WHERE caip2 = $1"
    with open_ledger(ledger_path(folder)) as ledger:
        found = ledger.connection.execute(query, [find_chain(chain).caip2]).fetchall()[0][0]
    return -1 if found is None else int(found)


def json_of(text: str) -> Any:
    """Parse what a command printed with --json."""
    return json.loads(text)
