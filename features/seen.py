"""What the ledger knew at a moment: the tables that every feature reads, made by the files in `steps/`.

Tables: `seen_transfer`, `seen_leg` (what counts at `as_of`, in causal order), `member` (address to
entity), `flow` (what an entity received or sent in one transfer, change left out), `edge` (between
two entities) and `address_flow`.
"""

from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from datasets.store import CONFIG, open_ledger
from features.entities import cluster_entities


def see(ledger: Path, as_of: datetime, *, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Return a connection with the tables of everything before `as_of`; the ledger is attached as `ledger`.

    The connection keeps the ledger open for reading until it is closed.
    Raises LedgerMissing, LedgerBusy, LedgerTooNew, FileError as `open_ledger` does.
    """
    connection = duckdb.connect(":memory:", config=CONFIG)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        spill = str(ledger.absolute().parent / "cache" / "spill").replace("'", "''")
        connection.execute(f"SET temp_directory = '{spill}'")
        if threads is not None:
            connection.execute(f"SET threads = {int(threads)}")
        _attach(connection, ledger)
        connection.execute(_step("1_seen_transfer"), {"as_of": as_of})
        connection.execute(_step("2_seen_leg"))
        _order_spends(connection)
        connection.execute(_step("3_coinjoin"))
        cluster_entities(connection)
        connection.execute(_step("4_flow"))
    except BaseException:
        connection.close()
        raise
    return connection


def _step(name: str) -> str:
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


def _order_spends(connection: duckdb.DuckDBPyConnection) -> None:
    """Renumber transfers of one moment so that an output comes before the transfer that spends it.

    Inside a block the position does that; a file without positions may list them in any order. Only
    moments in which some spend comes too early are touched.
    """
    spends: dict[str, Any] = connection.execute(
        """
        SELECT DISTINCT spender.seq - 1 AS spender, creator.seq - 1 AS creator
        FROM seen_leg AS spender
        JOIN seen_leg AS creator
            ON creator.side = 'payee'
            AND creator.hash = spender.spent_hash AND creator.index = spender.spent_index
        JOIN seen_transfer AS a ON a.seq = spender.seq
        JOIN seen_transfer AS b ON b.seq = creator.seq AND b.chain = a.chain AND b.time = a.time
        WHERE spender.side = 'payer'
        """
    ).fetchnumpy()
    spender, creator = spends["spender"].astype(np.int64), spends["creator"].astype(np.int64)
    too_early = creator >= spender
    if not too_early.any():
        return
    times: dict[str, Any] = connection.execute(
        "SELECT epoch_us(time) AS time FROM seen_transfer ORDER BY seq"
    ).fetchnumpy()
    seq_time = times["time"].astype(np.int64)
    ours = np.isin(seq_time[spender], np.unique(seq_time[spender[too_early]]))
    spender, creator = spender[ours], creator[ours]
    level = np.zeros(seq_time.size, np.int64)
    for _ in range(
        spender.size
    ):  # a chain of spends is at most this long; a cycle (a forged file) ends here too
        before = level.copy()
        np.maximum.at(level, spender, level[creator] + 1)
        if (before == level).all():
            break
    order = np.lexsort((np.arange(seq_time.size), level, seq_time))
    renumbered = np.empty(seq_time.size, np.int64)
    renumbered[order] = np.arange(1, seq_time.size + 1)
    new_seq = pa.table({"old": np.arange(1, seq_time.size + 1), "new": renumbered})
    connection.register("new_seq", new_seq)
    for table in ("seen_transfer", "seen_leg"):
        connection.execute(
            f"CREATE OR REPLACE TABLE {table} AS "  # noqa: S608  (both names stand right here)
            f"SELECT s.* REPLACE (n.new AS seq) FROM {table} AS s JOIN new_seq AS n ON n.old = s.seq "
            "ORDER BY seq"
        )
    connection.unregister("new_seq")
