"""The ledger in one DuckDB file: open it, bring it to the newest schema, number chains and addresses.

One process may hold the ledger for writing, and then no other can open it, not even to read. Several
may read it while nobody writes. Numbers (`chain`, `address`, `transfer`) are for joins inside one
ledger; they depend on the order of imports and never leave it.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chains.address import Chain
from chains.errors import FileError, LedgerBusy, LedgerError, LedgerMissing, LedgerTooNew
from chains.held import HeldOpen

SCHEMA_FOLDER = Path(__file__).with_name("schema")
"""Numbered migrations `NNNN_name.sql`, applied in order, each in one transaction."""

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""Nothing is ever fetched: what is not bundled with DuckDB is not used."""

_HOLDER = re.compile(r"held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")


@dataclass
class Ledger(HeldOpen):
    """A ledger that is held open; close it, or use it in a `with`, so that others can open it."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    writable: bool

    def close(self) -> None:
        """Let go of the file; closing twice is harmless."""
        self.connection.close()


def open_ledger(
    path: Path, *, write: bool = False, wait_seconds: float = 30.0, threads: int | None = None
) -> Ledger:
    """Open the ledger at `path`; for writing it is created if absent and brought to the newest schema.

    While another process holds it, try again for `wait_seconds`. `threads` limits DuckDB's own threads.
    Raises LedgerMissing (reading what is not there), LedgerBusy, LedgerTooNew, FileError (not a ledger).
    """
    deadline = time.monotonic() + wait_seconds
    if not path.exists():
        if not write:
            raise LedgerMissing(path)
        _create(path)
    connection = _connect(path, write=write, deadline=deadline, wait_seconds=wait_seconds)
    try:
        found, known = _schema_version(path, connection), newest_schema()
        if found > known:
            raise LedgerTooNew(path, found=found, known=known)
        if found < known:
            if not write:
                connection.close()
                connection = _connect(path, write=True, deadline=deadline, wait_seconds=wait_seconds)
            migrate(connection)
            if not write:
                connection.close()
                connection = _connect(path, write=False, deadline=deadline, wait_seconds=wait_seconds)
        connection.execute("SET TimeZone = 'UTC'")
        if threads is not None:
            connection.execute(f"SET threads = {int(threads)}")
    except BaseException:
        connection.close()
        raise
    return Ledger(path, connection, write)


@contextmanager
def transaction(ledger: Ledger) -> Iterator[duckdb.DuckDBPyConnection]:
    """Commit what is done inside as one piece, or leave the ledger as it was if anything is raised.

    Raises LedgerError where disk or memory do not suffice, KeyboardInterrupt for Ctrl-C in whatever form
    DuckDB gives it.
    """
    connection = ledger.connection
    connection.begin()
    try:
        yield connection
        connection.commit()
    except BaseException as error:
        with suppress(duckdb.Error):  # after a failed write the transaction is gone already
            connection.rollback()
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException | duckdb.TransactionException):
            message = f"the ledger {ledger.path} could not be written ({first_line(error)}): it is as it was"
            raise LedgerError(message) from error
        raise


def was_interrupted(error: BaseException) -> bool:
    """Tell whether an error is Ctrl-C, or came of it while what was open was being closed.

    DuckDB ends an interrupted query with an error of its own, and refuses what is asked in its transaction
    afterwards, which would hide the reason.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, KeyboardInterrupt | duckdb.InterruptException):
            return True
        if type(found) is RuntimeError and str(found) == "Query interrupted":
            return True
        found = found.__cause__ or found.__context__
    return False


def chain_number(ledger: Ledger, chain: Chain) -> int:
    """Return the number of `chain` in this ledger; a chain that is new to it is written down."""
    found = ledger.connection.execute("SELECT chain FROM chain WHERE caip2 = $1", [chain.caip2]).fetchall()
    if found:
        return int(found[0][0])
    added = ledger.connection.execute(
        """
        INSERT INTO chain (chain, caip2, name, utxo, simulated)
        SELECT coalesce(max(chain), 0) + 1, $1, $2, $3, $4 FROM chain
        RETURNING chain
        """,
        [chain.caip2, chain.name, chain.utxo, chain.simulated],
    ).fetchall()
    return int(added[0][0])


def intern_accounts(ledger: Ledger, chain_number: int, accounts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the address number of every account text of one chain; new ones are written down.

    `accounts` holds canonical texts without the chain and no nulls; the answer is int64 of the same
    length. New numbers follow the order of first appearance. One set-based pass whatever the length:
    the ledger's addresses are read once for each call, so hand over as many accounts as there are.
    """
    if accounts.null_count:
        raise ValueError("an account without a text")
    distinct, indices = _encoded(accounts)
    keyed = _with_keys(ledger.connection, distinct)
    numbers = _find_numbers(ledger.connection, chain_number, keyed)
    absent = np.flatnonzero(numbers < 0)
    if absent.size:
        numbers[absent] = next_number(ledger.connection, "address") + np.arange(absent.size)
        added = keyed.append_column("address", pa.array(numbers))
        if absent.size < added.num_rows:
            added = added.take(pa.array(absent))
        _write_accounts(ledger.connection, chain_number, added)
    return pa.array(numbers).take(indices)


def next_number(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Return the number that the next row of `table` gets: one more than the highest in its own column."""
    highest = connection.execute(f"SELECT coalesce(max({table}), 0) FROM {table}").fetchall()  # noqa: S608
    return int(highest[0][0]) + 1


def newest_schema(folder: Path = SCHEMA_FOLDER) -> int:
    """Return the number of the last migration."""
    return max(number for number, _ in _migrations(folder))


def migrate(connection: duckdb.DuckDBPyConnection, folder: Path = SCHEMA_FOLDER) -> None:
    """Apply the migrations that the database has not seen, in order, each in one transaction."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version "
        "(version INTEGER PRIMARY KEY, applied_at TIMESTAMP NOT NULL)"
    )
    seen = {row[0] for row in connection.execute("SELECT version FROM schema_version").fetchall()}
    for number, file in _migrations(folder):
        if number in seen:
            continue
        connection.begin()
        try:
            connection.execute(file.read_text("utf-8"))
            connection.execute(
                "INSERT INTO schema_version VALUES ($1, now()::TIMESTAMPTZ AT TIME ZONE 'UTC')", [number]
            )
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _migrations(folder: Path) -> list[tuple[int, Path]]:
    return sorted((int(file.name[:4]), file) for file in folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def _create(path: Path) -> None:
    """Make an empty ledger beside `path` and put it there in one step, unless someone else was faster."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{path.name}.new.{os.getpid()}")
        made.unlink(missing_ok=True)
        try:
            with duckdb.connect(str(made), config=CONFIG) as connection:
                migrate(connection)
            try:
                os.link(made, path)
            except FileExistsError:
                return
            except OSError:  # a file system without links
                made.rename(path)
        finally:
            made.unlink(missing_ok=True)
            made.with_name(made.name + ".wal").unlink(missing_ok=True)
    except (OSError, duckdb.IOException) as error:
        raise FileError(path, why=f"cannot make a ledger there ({first_line(error)})") from error


def _connect(path: Path, *, write: bool, deadline: float, wait_seconds: float) -> duckdb.DuckDBPyConnection:
    pause = 0.02
    while True:
        try:
            return duckdb.connect(str(path), read_only=not write, config=CONFIG)
        except duckdb.Error as error:
            holder = _holder(error)
            if holder is None:
                raise FileError(path, why=f"cannot be opened as a ledger ({first_line(error)})") from error
            if time.monotonic() + pause > deadline:
                pid, process = holder
                raise LedgerBusy(path, pid=pid, process=process, waited=wait_seconds) from error
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def _holder(error: duckdb.Error) -> tuple[int | None, str | None] | None:
    """Return process id and name of who holds the file; None when the error is of another kind."""
    message = str(error)
    if "same database file with a different configuration" in message:
        return os.getpid(), _process_name(os.getpid())
    if "Could not set lock" not in message:
        return None
    found = _HOLDER.search(message)
    if found is None:
        return None, None
    pid = int(found["pid"])
    return pid, _process_name(pid) or Path(found["program"]).name


def _process_name(pid: int) -> str | None:
    try:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", errors="replace").strip()
    except OSError:
        return None
    return "".join(character if character.isprintable() else "?" for character in name) or None


def _schema_version(path: Path, connection: duckdb.DuckDBPyConnection) -> int:
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if "schema_version" not in tables:
        raise FileError(path, why="a DuckDB file, but not a ledger of Silkscreen: name another path")
    rows = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()
    return int(rows[0][0])


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its name where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _encoded(accounts: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Return the distinct texts in the order of their first appearance, and the place in them of each."""
    column = accounts if isinstance(accounts, pa.ChunkedArray) else pa.chunked_array([accounts])
    chunks = column.cast(pa.string()).dictionary_encode().chunks
    if not chunks:
        return pa.array([], pa.string()), pa.array([], pa.int32())
    # The last chunk's dictionary is that of all: it grew from one to the next.
    return chunks[-1].dictionary, pa.concat_arrays([chunk.indices for chunk in chunks])


def _with_keys(connection: duckdb.DuckDBPyConnection, distinct: pa.Array) -> pa.Table:
    """Return n (the place in `distinct`), account and key; the hash is taken once, since it costs most."""
    plain = pa.table({"n": pa.array(np.arange(len(distinct))), "account": distinct})
    with registered(connection, plain_account=plain):
        return connection.sql(
            "SELECT n, account, md5_number_lower(account) AS key FROM plain_account"
        ).to_arrow_table()


def _find_numbers(
    connection: duckdb.DuckDBPyConnection, chain_number: int, keyed: pa.Table
) -> NDArray[np.int64]:
    """Return the address numbers of distinct accounts, -1 where the ledger does not have one.

    Keys first, texts of the matches only: reading all texts of a large ledger takes four times as long.
    """
    numbers = np.full(keyed.num_rows, -1, dtype=np.int64)
    with registered(connection, wanted=keyed.select(["n", "key"])):
        found = connection.sql(
            """
            WITH hit AS MATERIALIZED (
                SELECT wanted.n, address.rowid AS place
                FROM address JOIN wanted ON address.key = wanted.key
                WHERE address.chain = $chain
            )
            SELECT hit.n, address.address, address.account
            FROM hit JOIN address ON address.rowid = hit.place
            """,
            params={"chain": chain_number},
        ).to_arrow_table()
    same = pc.equal(found["account"], keyed["account"].take(found["n"]))
    found = found.filter(same)
    numbers[found["n"].to_numpy()] = found["address"].to_numpy()
    return numbers


def _write_accounts(connection: duckdb.DuckDBPyConnection, chain_number: int, added: pa.Table) -> None:
    with registered(connection, added=added):
        connection.execute(
            """
            INSERT INTO address (address, chain, key, account)
            SELECT address, $chain, key, account FROM added
            """,
            {"chain": chain_number},
        )


class _Lent:
    """An Arrow table that DuckDB may read until it is taken back.

    Until a transaction ends, DuckDB holds on to what was registered in it: to this, and not to the table.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table: pa.Table | None = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return a stream of the table's batches (Arrow's PyCapsule interface)."""
        assert self.table is not None, "read after it was taken back"  # noqa: S101
        return self.table.__arrow_c_stream__(requested_schema)


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Let SQL read Arrow tables by name for the length of the block."""
    lent = {name: _Lent(table) for name, table in tables.items()}
    for name, table in lent.items():
        connection.register(name, table)
    try:
        yield
    finally:
        for name, table in lent.items():
            connection.unregister(name)
            table.table = None
