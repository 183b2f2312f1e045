"""Real files through the whole import, against counts and sums taken from the files in another way."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chains.address import find_chain
from chains.files.layouts import PaymentMapping
from datasets.ingest import ImportResult, import_file
from datasets.store import Ledger, open_ledger
from tests.datasets.batches import digest
from tests.shared_data import shared_data

pytestmark = pytest.mark.shared

THEFT = [
    "time=Timestamp",
    "payer=From",
    "payee=To",
    "amount=Value_in_USD",
    "currency=@USD",
    "reference=Tx_hash",
]
TRON = [
    *("time=timestamp:ms", "payer=from_address", "payee=to_address", "amount=quant:units"),
    *("currency=token_id", "reference=tx_id", "decimals=token_decimal", "symbol=token_abbr"),
]
GENERATED = ["time=time", "payer=from_account", "payee=to_account", "amount=amount", "currency=currency"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as opened:
        yield opened


def load(ledger: Ledger, layout: str, path: Path, chain: str, items: list[str] | None = None) -> ImportResult:
    """Import a file twice, and see that the second time changes nothing."""
    mapping = PaymentMapping.parse(items) if items else None
    named = find_chain(chain)
    first = import_file(ledger, layout, path, chain=named, mapping=mapping, code_version="test")
    before = digest(ledger)
    again = import_file(ledger, layout, path, chain=named, mapping=mapping, code_version="test")
    assert again.already_imported
    assert digest(ledger) == before
    assert first.source_rows == first.transfers + first.quarantined
    return first


def ask(query: str, path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query.replace("FILE", f"'{path}'")).fetchall()


def test_bitcoin_coinjoins_arrive_whole(ledger: Ledger) -> None:
    path = shared_data() / "ledgers" / "bitcoin_coinjoin" / "transactions.parquet"
    result = load(ledger, "aws-btc", path, "bitcoin")
    assert (result.transfers, result.legs, result.quarantined) == (6003, 54_875 + 61_030, 0)
    assert (result.lossy, result.repeated, result.duplicate) == (0, 0, 0)
    ((outputs,),) = ask(
        "SELECT sum(round(output.value * 1e8)::HUGEINT) FROM (SELECT unnest(outputs) AS output FROM FILE)",
        path,
    )
    assert result.sums == {"slip44:0": outputs}


@pytest.mark.parametrize(("name", "rows"), [("harmony", 3887), ("atomic", 1080), ("xscam", 1307)])
def test_thefts_arrive_whole(ledger: Ledger, name: str, rows: int) -> None:
    path = shared_data() / "ledgers" / "ethereum_laundering" / name / "transfers.csv"
    result = load(ledger, "payments", path, "ethereum", THEFT)
    assert (result.source_rows, result.quarantined) == (rows, 0)
    values = ask("SELECT Value_in_USD FROM read_csv(FILE, all_varchar = TRUE)", path)
    cents = [int((Decimal(str(value)) * 100).quantize(Decimal(1))) for (value,) in values]
    assert result.sums == {"iso4217:USD": sum(cents)}
    ((repeats,),) = ask(
        """
        SELECT coalesce(sum(found - 1), 0)::BIGINT FROM (
            SELECT count(*) AS found FROM read_csv(FILE, all_varchar = TRUE)
            GROUP BY "Timestamp", Tx_hash, lower("From"), lower("To"),
                     round_even(Value_in_USD::DECIMAL(38, 20) * 100, 0)
        )
        """,
        path,
    )
    assert result.repeated == repeats


def test_tron_transfers_arrive_token_by_token(ledger: Ledger) -> None:
    path = shared_data() / "ledgers" / "tron_usdt" / "transfers.csv"
    result = load(ledger, "payments", path, "tron", TRON)
    assert (result.source_rows, result.quarantined, result.lossy) == (5764, 0, 0)
    expected = ask(
        """
        SELECT 'trc20:' || token_id, sum(quant::HUGEINT)::HUGEINT
        FROM read_csv(FILE, all_varchar = TRUE) GROUP BY token_id
        """,
        path,
    )
    assert result.sums == dict(expected)
    listed = ledger.connection.execute("SELECT reference FROM asset WHERE listed").fetchall()
    assert listed == [("trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",)]


@pytest.mark.parametrize(("name", "rows"), [("amlgentex", 233_082), ("amlsim", 231_134)])
def test_generated_payments_arrive_whole(ledger: Ledger, name: str, rows: int) -> None:
    path = shared_data() / "ledgers" / "generated_payments" / name / "transfers.parquet"
    result = load(ledger, "payments", path, f"payments:{name}", GENERATED)
    assert (result.source_rows, result.quarantined) == (rows, 0)
    expected = ask(
        "SELECT 'iso4217:' || currency, sum(round(amount * 100)::HUGEINT) FROM FILE GROUP BY 1", path
    )
    assert result.sums == dict(expected)
