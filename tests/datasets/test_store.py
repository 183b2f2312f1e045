import os
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from chains.errors import FileError, LedgerBusy, LedgerError, LedgerMissing, LedgerTooNew
from datasets.store import (
    SCHEMA_FOLDER,
    Ledger,
    chain_number,
    intern_accounts,
    migrate,
    newest_schema,
    open_ledger,
    transaction,
)

BANK: Any = SimpleNamespace(caip2="payments:bank", name="bank", utxo=False, simulated=False)
CARD: Any = SimpleNamespace(caip2="payments:card", name="card", utxo=False, simulated=True)


def hold(path: Path, *, write: bool, seconds: float) -> "subprocess.Popen[str]":
    """Start a real process that opens the ledger, says so, and keeps it for `seconds`."""
    code = f"""
        import time
        from pathlib import Path
        from datasets.store import open_ledger
        with open_ledger(Path({str(path)!r}), write={write}):
            print("held", flush=True)
            time.sleep({seconds})
    """
    environment = {**os.environ, "PYTHONPATH": str(SCHEMA_FOLDER.parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_opening_for_writing_creates_the_ledger_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "var" / "ledger.duckdb"
    with open_ledger(path, write=True) as ledger:
        assert chain_number(ledger, BANK) == 1
    with open_ledger(path) as ledger:
        assert ledger.connection.execute("SELECT caip2, utxo, simulated FROM chain").fetchall() == [
            ("payments:bank", False, False)
        ]
    assert [file.name for file in path.parent.iterdir()] == ["ledger.duckdb"]


def test_reading_an_absent_ledger_says_so_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="import something first"):
        open_ledger(tmp_path / "ledger.duckdb")
    assert not list(tmp_path.iterdir())


def test_a_reading_ledger_cannot_be_written(tmp_path: Path) -> None:
    open_ledger(tmp_path / "l", write=True).close()
    with open_ledger(tmp_path / "l") as ledger, pytest.raises(duckdb.Error, match="read-only"):
        chain_number(ledger, BANK)


@pytest.mark.parametrize("content", [b"", b"time,payer\n" * 2000])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_bytes(content)
    for write in (False, True):
        with pytest.raises(FileError, match=r"ledger\.duckdb: cannot be opened as a ledger"):
            open_ledger(path, write=write)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE customer (name VARCHAR)")
    for write in (False, True):
        with pytest.raises(FileError, match="not a ledger of Silkscreen"):
            open_ledger(path, write=write)
    with duckdb.connect(str(path)) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert tables == [("customer",)]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot make a ledger there"):
        open_ledger(tmp_path / "file" / "ledger.duckdb", write=True)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with open_ledger(path, write=True) as ledger:
        ledger.connection.execute("INSERT INTO schema_version VALUES (9999, TIMESTAMP '2030-01-01')")
    for write in (False, True):
        with pytest.raises(
            LedgerTooNew, match=f"has schema 9999, this version knows up to {newest_schema()}"
        ):
            open_ledger(path, write=write)


def test_migrations_run_once_in_order_and_a_broken_one_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (a INTEGER); INSERT INTO first VALUES (1);")
    (tmp_path / "0002_second.sql").write_text("INSERT INTO first SELECT a + 1 FROM first;")
    connection = duckdb.connect()
    migrate(connection, tmp_path)
    migrate(connection, tmp_path)
    assert connection.execute("SELECT a FROM first ORDER BY a").fetchall() == [(1,), (2,)]
    (tmp_path / "0003_third.sql").write_text("INSERT INTO first VALUES (3); INSERT INTO absent VALUES (1);")
    with pytest.raises(duckdb.Error):
        migrate(connection, tmp_path)
    assert connection.execute("SELECT count(*) FROM first").fetchall() == [(2,)]
    assert connection.execute("SELECT max(version) FROM schema_version").fetchall() == [(2,)]


def test_a_ledger_of_an_older_schema_is_brought_up_when_it_is_only_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with duckdb.connect(str(path)) as connection:
        migrate(connection, tmp_path)  # no migrations there: a ledger of schema 0
    with open_ledger(path) as ledger:
        assert not ledger.writable
        assert ledger.connection.execute("SELECT max(version) FROM schema_version").fetchall() == [
            (newest_schema(),)
        ]


def test_a_held_ledger_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    holder = hold(path, write=True, seconds=60)
    try:
        for write in (True, False):
            with pytest.raises(LedgerBusy) as caught:
                open_ledger(path, write=write, wait_seconds=0.3)
            assert caught.value.pid == holder.pid
            name = Path(f"/proc/{holder.pid}/comm").read_text().strip()
            assert caught.value.process == name
            assert f"{name} (process {holder.pid})" in str(caught.value)
    finally:
        end(holder)
    open_ledger(path, write=True, wait_seconds=0).close()


def test_a_held_ledger_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    holder = hold(path, write=True, seconds=0.7)
    try:
        with open_ledger(path, write=True, wait_seconds=20) as ledger:
            assert chain_number(ledger, BANK) == 1
    finally:
        end(holder)


def test_two_processes_read_while_nobody_writes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with open_ledger(path, write=True) as ledger:
        chain_number(ledger, BANK)
    reader = hold(path, write=False, seconds=60)
    try:
        with open_ledger(path, wait_seconds=0) as ledger:
            assert ledger.connection.execute("SELECT count(*) FROM chain").fetchall() == [(1,)]
        with pytest.raises(LedgerBusy):
            open_ledger(path, write=True, wait_seconds=0.2)
    finally:
        end(reader)


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "l", write=True) as ledger:
        with suppress(KeyboardInterrupt), transaction(ledger):
            chain_number(ledger, BANK)
            raise KeyboardInterrupt
        with transaction(ledger):
            assert chain_number(ledger, CARD) == 1
        assert ledger.connection.execute("SELECT caip2 FROM chain").fetchall() == [("payments:card",)]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (duckdb.InterruptException("INTERRUPT Error: Interrupted!"), KeyboardInterrupt),
        (RuntimeError("Query interrupted"), KeyboardInterrupt),  # as DuckDB ends a query at Ctrl-C
        (RuntimeError("another"), LedgerError),
    ],
)
def test_ctrl_c_is_not_hidden_by_what_fails_after_it(
    tmp_path: Path, raised: BaseException, seen: type[BaseException]
) -> None:
    with open_ledger(tmp_path / "l", write=True) as ledger:
        with pytest.raises(seen):
            end_with(ledger, raised)
        assert ledger.connection.execute("SELECT count(*) FROM chain").fetchall() == [(0,)]


def end_with(ledger: Ledger, raised: BaseException) -> None:
    with transaction(ledger) as connection:
        chain_number(ledger, BANK)
        with suppress(duckdb.Error):
            connection.execute("SELECT error('an interrupted query leaves its transaction like this')")
        try:
            raise raised
        finally:
            connection.execute("SELECT 1")  # refused, as for whatever is closed on the way


def test_accounts_get_dense_numbers_by_first_appearance_and_keep_them(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "l", write=True) as ledger:
        bank, card = chain_number(ledger, BANK), chain_number(ledger, CARD)
        assert chain_number(ledger, BANK) == bank
        first = intern_accounts(ledger, bank, pa.array(["b", "a", "b", "ä\x00'--", ""]))
        assert first.to_pylist() == [1, 2, 1, 3, 4]
        again = intern_accounts(ledger, bank, pa.chunked_array([["c", "a"], ["ä\x00'--"]]))
        assert again.to_pylist() == [5, 2, 3]
        assert intern_accounts(ledger, card, pa.array(["a"])).to_pylist() == [6]
        assert intern_accounts(ledger, card, pa.array([], pa.string())).to_pylist() == []
        kept = ledger.connection.execute(
            "SELECT address, chain, account, key = md5_number_lower(account) FROM address ORDER BY address"
        ).fetchall()
    assert kept == [
        (1, bank, "b", True),
        (2, bank, "a", True),
        (3, bank, "ä\x00'--", True),
        (4, bank, "", True),
        (5, bank, "c", True),
        (6, card, "a", True),
    ]


def test_an_account_without_a_text_is_an_error(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "l", write=True) as ledger:
        bank = chain_number(ledger, BANK)
        with pytest.raises(ValueError, match="without a text"):
            intern_accounts(ledger, bank, pa.array(["a", None]))
        assert ledger.connection.execute("SELECT count(*) FROM address").fetchall() == [(0,)]
