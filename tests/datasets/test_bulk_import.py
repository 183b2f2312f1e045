"""Whole exports into the ledger: every row is accounted for, in any cut, order and repetition."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chains import bulk
from chains.errors import LedgerConflict
from chains.files import evm as evm_files
from chains.files.beside import find_beside
from chains.registry import find_chain
from datasets.export import export_rows
from datasets.ingest import ImportResult, import_file
from datasets.store import Ledger, intern_accounts
from tests.chains.evm_tables import (
    BLOCK,
    ETHEREUM,
    A,
    B,
    C,
    receipt,
    save_csv,
    save_parquet,
    trace,
    transfer,
    tx,
)
from tests.chains.legs import key_address, txid, witness_address
from tests.datasets.batches import dump, memory_ledger

BITCOIN = find_chain("bitcoin")


@pytest.fixture
def export(tmp_path: Path) -> dict[str, Path]:
    """A small export of four tables: of six transactions one failed, one is empty, one is impossible."""
    rows = [tx("pay", 0), tx("failed", 1), tx("empty", 2, value=0), tx("debt", 3, value=-1), tx("call", 4)]
    ends = [receipt(name, i, status=int(name != "failed")) for i, name in enumerate(("pay", "failed"))]
    inner = {"transaction_hash": "0x" + txid("call"), "transaction_index": 4}
    return {
        "transactions": save_csv(rows, tmp_path / "transactions.csv"),
        "receipts": save_csv(ends, tmp_path / "receipts.csv"),
        "blocks": save_csv([BLOCK], tmp_path / "blocks.csv"),
        "token_transfers": save_csv([transfer(0, 0)], tmp_path / "token_transfers.csv"),
        "traces": save_csv([trace("", **inner), trace("0", to_address=C, **inner)], tmp_path / "traces.csv"),
    }


def load(ledger: Ledger, paths: list[Path], chain: Any = ETHEREUM) -> dict[str, ImportResult]:
    with find_beside("ethereum-etl", paths, chain) as beside:
        return {
            path.stem: import_file(
                ledger, "ethereum-etl", path, chain=chain, beside=beside, code_version="test"
            )
            for path in paths
        }


def exported(ledger: Ledger) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = export_rows(ledger).to_pylist()
    return rows


def test_every_row_ends_in_transfers_in_quarantine_or_in_a_reason(export: dict[str, Path]) -> None:
    with memory_ledger() as ledger:
        results = load(ledger, list(export.values()))
        done = results["transactions"]
        assert (done.source_rows, done.transfers, done.quarantined) == (5, 4, 1)
        assert dict(done.unmoved) == {"zero_value": 1}
        assert done.assumed == 1  # the call, of which no receipt tells
        assert (results["traces"].transfers, dict(results["traces"].unmoved)) == (1, {"root_call": 1})
        assert dict(results["receipts"].unmoved) == {"receipts": 2}
        assert results["blocks"].source_rows == 1
        for name, result in results.items():
            rows = ledger.connection.execute(
                "SELECT count(DISTINCT row) FROM transfer JOIN batch USING (batch) WHERE source = $1",
                [export[name].name],
            ).fetchall()[0][0]
            assert rows + result.quarantined + sum(result.unmoved.values()) == result.source_rows


def test_the_order_of_the_tables_and_a_second_time_change_nothing(export: dict[str, Path]) -> None:
    paths = list(export.values())
    with memory_ledger() as one, memory_ledger() as other:
        first = load(one, paths)
        load(other, paths[::-1])
        assert exported(one) == exported(other)
        before = dump(one)
        again = load(one, paths)
        assert all(result.already_imported for result in again.values())
        assert {name: result.unmoved for name, result in again.items()} == {
            name: result.unmoved for name, result in first.items()
        }
        assert dump(one) == before


def test_a_file_that_is_in_is_not_decoded_again(
    export: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with memory_ledger() as ledger:
        load(ledger, [export["transactions"]])

        def refuse(*_: object) -> None:
            raise AssertionError("it was decoded")

        monkeypatch.setattr(evm_files, "read_transactions", refuse)
        assert load(ledger, [export["transactions"]])["transactions"].already_imported


def test_another_branch_is_refused_whole(export: dict[str, Path], tmp_path: Path) -> None:
    rows = [tx("pay", 9), tx("fork", 0)]
    other = save_csv(rows, tmp_path / "fork.csv")
    with memory_ledger() as ledger:
        load(ledger, [export["transactions"]])
        before = dump(ledger)
        with pytest.raises(LedgerConflict):
            load(ledger, [other])
        assert dump(ledger) == before


def test_files_of_lossy_amounts_are_counted(tmp_path: Path) -> None:
    rows = [tx("pay", 0, value=1.2345678901234568e18), tx("small", 1, value=7.0)]
    path = save_parquet(rows, tmp_path / "transactions.parquet")
    with memory_ledger() as ledger:
        result = load(ledger, [path])["transactions"]
        assert (result.lossy, dict(result.sums)) == (1, {"slip44:60": 1_234_567_890_123_456_807})


def bitcoin_file(folder: Path, broken: bool) -> Path:
    names = [key_address(f"k{i}") for i in range(40)] + [witness_address(f"w{i}") for i in range(40)]
    rows = []
    for number in range(200):
        pay = [{"index": 0, "addresses": [names[(3 * number) % 80]], "value": 9, "script_hex": "51"}]
        spent = {"spent_transaction_hash": txid(f"p{number}"), "spent_output_index": 0, "value": 9}
        address = names[number % 80]
        if broken and number % 50 == 7:
            address = address[:-1] + ("q" if address[-1] != "q" else "p")
        rows.append(
            {
                "hash": txid(f"t{number}"),
                "block_number": number // 7,
                "block_timestamp": 1_700_000_000 + number // 7,
                "index": number % 7,
                "inputs": [{"index": 0, "addresses": [address], **spent}],
                "outputs": pay,
            }
        )
    path = folder / f"bitcoin_{broken}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("broken", [False, True])
def test_the_compiled_check_of_addresses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    path = bitcoin_file(tmp_path, broken)
    said = []
    for at_once in (10**9, 1):
        monkeypatch.setattr(bulk, "COMPILED_FROM", at_once)
        with memory_ledger() as ledger:
            result = import_file(ledger, "bitcoin-etl", path, chain=BITCOIN, code_version="test")
            reasons = ledger.connection.execute("SELECT row, reason FROM quarantine ORDER BY row").fetchall()
            said.append((exported(ledger), result.quarantined, reasons))
    assert said[0] == said[1]
    assert said[0][1] == (4 if broken else 0)


def test_accounts_with_one_key_are_told_apart() -> None:
    with memory_ledger() as ledger:
        first = intern_accounts(ledger, 1, pa.array([A, B])).to_pylist()
        # As if the keys of these two and of a third were the same.
        ledger.connection.execute("UPDATE address SET key = md5_number_lower($1)", [C])
        again = intern_accounts(ledger, 1, pa.chunked_array([[C, B], [], [B, C]])).to_pylist()
        assert first == [1, 2]
        assert again[0] == again[3] == 3
        assert len({again[1], *first}) == 3, "another text was taken for this one"
