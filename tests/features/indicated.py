"""What the indicators find in a small ledger that came through the real doors."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets.prices import import_prices
from datasets.store import open_ledger
from features.indicators.find import find_indicators
from features.seeds import mark_seeds
from features.seen import see
from tests.features.ledgers import BANK, Payment, import_claims, import_payments

START = datetime.fromisoformat("2023-01-02T00:00:00")  # a Monday
AS_OF = datetime.fromisoformat("2024-01-01T00:00:00")
KNOWN = "2022-01-01T00:00:00Z"

Move = tuple[float, str, str, float]
"""Hours after START, payer, payee, US dollars."""


@dataclass(frozen=True)
class Found:
    """One finding; `evidence` are numbers of transfers, the first in time is 1."""

    strength: float
    evidence: list[int]
    count: int
    values: dict[str, Any]


def at(hours: float) -> str:
    """The moment, in ISO 8601."""
    return (START + timedelta(hours=hours)).isoformat()


def write_moves(moves: Iterable[Move]) -> list[Payment]:
    """Write moves as payments of a bank's file, in order of time."""
    return [(at(h), payer, payee, f"{usd:.2f}") for h, payer, payee, usd in sorted(moves, key=lambda m: m[0])]


def make_ledger(folder: Path, moves: Iterable[Move], labels: Sequence[tuple[str, str]] = ()) -> Path:
    """Import moves between accounts of one bank, and labels (account, category)."""
    folder.mkdir(exist_ok=True)
    ledger = folder / "ledger.duckdb"
    import_payments(ledger, write_moves(moves))
    if labels:
        import_claims(ledger, [(f"{BANK}:{who}", what, "1", KNOWN) for who, what in labels])
    return ledger


def write_prices(ledger: Path, lines: Sequence[str]) -> None:
    """Import prices: asset, day, usd, per_usd, until."""
    path = ledger.parent / "prices.csv"
    path.write_text("\n".join(["asset,day,usd,per_usd,until", *lines, ""]), encoding="utf-8")
    with open_ledger(ledger, write=True) as held:
        import_prices(held, path)


def find_table(ledger: Path, as_of: datetime = AS_OF, *, threads: int = 2) -> tuple[pa.Table, dict[int, str]]:
    """Return the findings, and the account of each entity's earliest member."""
    with see(ledger, as_of, threads=threads) as connection:
        mark_seeds(connection, as_of)
        table = find_indicators(connection, as_of)
        names = dict(
            connection.execute(
                "SELECT m.entity, a.account FROM member AS m JOIN ledger.address AS a USING (address) "
                "WHERE m.node = m.entity"
            ).fetchall()
        )
    return table, names


def find_all(ledger: Path, as_of: datetime = AS_OF, *, threads: int = 2) -> dict[str, dict[str, Found]]:
    """Return the findings by indicator and account."""
    table, names = find_table(ledger, as_of, threads=threads)
    found: dict[str, dict[str, Found]] = {}
    for row in table.to_pylist():
        line = Found(row["strength"], row["evidence"], row["evidence_count"], json.loads(row["values"]))
        found.setdefault(row["indicator"], {})[names[row["entity"]]] = line
    return found
