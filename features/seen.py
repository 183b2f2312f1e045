"""What the ledger knew at a moment: the tables that every feature reads, made by the files in `steps/`.

Tables: `seen_transfer`, `seen_leg` (what counts at `as_of`, in causal order), `fee_leg` (what the chain
took for it), `member` (address to entity), `whole_history` (entities of which all is there), `flow` (what an
entity received or sent in one transfer, change left out), `edge` (between two entities) and `address_flow`.
"""

from contextlib import suppress
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import duckdb

from datasets.store import CONFIG, open_ledger
from features.entities import cluster_entities
from features.order import order_moments
from features.view import WHOLE, View, limit_view

DUCKDB_MEMORY = "30%"
"""Of the machine's. What does not fit is set aside on disk; the rest is for the arrays of tracing."""


def see(
    ledger: Path, as_of: datetime, *, threads: int | None = None, view: View = WHOLE
) -> duckdb.DuckDBPyConnection:
    """Return a connection with the tables of what `view` shows before `as_of`; the ledger is `ledger` there.

    The connection keeps the ledger open for reading until it is closed. What does not fit into its part of
    the memory is set aside under `cache/spill` beside the ledger.
    Raises LedgerMissing, LedgerBusy, LedgerTooNew, FileError as `open_ledger` does.
    """
    connection = duckdb.connect(":memory:", config=CONFIG)
    try:
        connection.execute("ATTACH ':memory:' AS work (COMPRESS)")
        connection.execute("USE work")
        connection.execute("SET TimeZone = 'UTC'")
        spill = spill_folder(ledger)
        with suppress(OSError):  # without it a small ledger still builds
            spill.mkdir(parents=True, exist_ok=True)
        quoted = str(spill).replace("'", "''")
        connection.execute(f"SET temp_directory = '{quoted}'")
        connection.execute(f"SET memory_limit = '{DUCKDB_MEMORY}'")
        if threads is not None:
            connection.execute(f"SET threads = {int(threads)}")
        _attach(connection, ledger)
        connection.execute(read_step("0_worth"))
        connection.execute(read_step("1_counted"), {"as_of": as_of})
        limit_view(connection, as_of, view)
        connection.execute(read_step("2_spend"))
        connection.execute(read_step("3_unsolicited"))
        order_moments(connection)
        connection.execute(read_step("4_seen"))
        connection.execute(read_step("5_coinjoin"))
        connection.execute(read_step("5_payjoin"))
        cluster_entities(connection, as_of)
        connection.execute(read_step("6_whole"))
        connection.execute(read_step("6_flow"))
        connection.execute("CHECKPOINT work")  # compresses the tables: a third of the memory
    except BaseException:
        connection.close()
        raise
    return connection


def spill_folder(ledger: Path) -> Path:
    """Return where a build sets aside what does not fit into memory."""
    return ledger.absolute().parent / "cache" / "spill"


def checkpoint_folder(ledger: Path) -> Path:
    """Return where builds set aside what they traced."""
    return ledger.absolute().parent / "cache" / "tracing"


def read_step(name: str) -> str:
    """Return the text of the file `name` under `features/steps`."""
    return (files("features") / "steps" / f"{name}.sql").read_text(encoding="utf-8")


def _attach(connection: duckdb.DuckDBPyConnection, ledger: Path) -> None:
    """Attach the ledger for reading; a writer that slips in after the check is waited for again."""
    quoted = str(ledger).replace("'", "''")
    while True:
        open_ledger(ledger).close()  # its checks, its waiting and its messages
        try:
            connection.execute(f"ATTACH '{quoted}' AS ledger (READ_ONLY)")
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
        else:
            return
