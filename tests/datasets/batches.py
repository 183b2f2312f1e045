"""Small batches of legs, written by hand, for tests of the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from chains.address import Chain, find_chain
from chains.ledger import LEG_SCHEMA, REJECT_SCHEMA, TRANSFER_SCHEMA, Asset, LegBatch
from datasets.ingest import ImportResult, ingest_batches
from datasets.store import CONFIG, Ledger, migrate
from datasets.writing import Source

BANK = find_chain("payments:bank")
BITCOIN = find_chain("bitcoin")
EURO = Asset("iso4217:EUR", "EUR", 2, listed=True)
SPAM = Asset("erc20:0x00000000000000000000000000000000000000ff", "FREE\x1b[31m", 18, listed=False)
COIN = Asset("slip44:0", "BTC", 8, listed=True)
ASSETS = (EURO, SPAM, COIN)
START = datetime(2023, 1, 1)  # noqa: DTZ001  (times in the ledger are UTC without a zone)


@dataclass(frozen=True)
class Row:
    """One source row: a transfer with its payers and payees as (account, amount)."""

    payers: tuple[tuple[str, int], ...] = (("a", 5),)
    payees: tuple[tuple[str, int], ...] = (("b", 5),)
    minute: int = 0
    hash: bytes | None = None
    asset: str = EURO.reference
    kind: str = "native"
    part: int = 0
    height: int | None = None
    position: int | None = None
    block_hash: bytes | None = None
    lossy: bool = False


@dataclass(frozen=True)
class Bad:
    """A source row that could not become a transfer."""

    reason: str = "bad_amount"


def memory_ledger() -> Ledger:
    """Return an empty ledger that lives in memory only: the same code, without waiting for a disk."""
    connection = duckdb.connect(config=CONFIG)
    migrate(connection)
    return Ledger(Path(":memory:"), connection, writable=True)


def make_batches(rows: Sequence[Row | Bad], rows_per_batch: int = 1000) -> list[LegBatch]:
    """Cut rows into batches as an adapter would."""
    starts = range(0, len(rows), rows_per_batch)
    return [_make_batch(rows[start : start + rows_per_batch], start) for start in starts]


def _make_batch(rows: Sequence[Row | Bad], start: int) -> LegBatch:
    transfers: list[dict[str, Any]] = []
    legs: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start):
        if isinstance(row, Bad):
            rejected.append({"row": number, "reason": row.reason, "detail": "found '\x1b'"})
            continue
        transfer = len(transfers)
        fields = {
            name: getattr(row, name) for name in ("hash", "asset", "kind", "part", "height", "position")
        }
        fields |= {"block_hash": row.block_hash, "lossy": row.lossy}
        time = START + timedelta(minutes=row.minute)
        transfers.append({"transfer": transfer, "row": number, "time": time, **fields})
        for side, parties in (("payer", row.payers), ("payee", row.payees)):
            for index, (account, amount) in enumerate(parties):
                party = {"side": side, "index": index, "account": account, "amount": amount}
                legs.append({"transfer": transfer, **party, "spent_hash": None, "spent_index": None})
    return LegBatch(
        pa.Table.from_pylist(transfers, TRANSFER_SCHEMA),
        pa.Table.from_pylist(legs, LEG_SCHEMA),
        pa.Table.from_pylist(rejected, REJECT_SCHEMA),
        ASSETS,
    )


def ingest(
    ledger: Ledger,
    rows: Sequence[Row | Bad],
    *,
    name: str = "file",
    chain: Chain = BANK,
    rows_per_batch: int = 1000,
    legs_at_once: int = 1,
) -> ImportResult:
    """Import rows as one file, whose name stands for its content."""
    return ingest_batches(
        ledger,
        make_batches(rows, rows_per_batch),
        source=Source(chain, "payments", name, name),
        code_version="test",
        legs_at_once=legs_at_once,
    )


def dump(ledger: Ledger, leave_out: Iterable[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, for comparing a ledger with itself before and after."""
    tables = ledger.connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    content = {}
    for (table,) in tables:
        if table not in leave_out:
            content[table] = ledger.connection.execute(f"FROM {table} ORDER BY ALL").fetchall()
    return content


def digest(ledger: Ledger) -> dict[str, tuple[Any, ...]]:
    """Return count and a hash over all rows of every table: `dump` for ledgers too large to hold."""
    tables = ledger.connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    query = "SELECT count(*), bit_xor(hash(t)) FROM {} t"
    return {table: ledger.connection.execute(query.format(table)).fetchall()[0] for (table,) in tables}
