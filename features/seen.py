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
from numpy.typing import NDArray

from datasets.store import CONFIG, open_ledger
from features.entities import cluster_entities

LONGEST_CHAIN = 64
"""Payments in a row that are put in order inside one moment; a circle of payments has no order."""


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
        _order_moments(connection)
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


def _order_moments(connection: duckdb.DuckDBPyConnection) -> None:
    """Renumber transfers of one moment so that what is spent in it is received first.

    On a UTXO chain an output comes before the transfer that spends it: inside a block the position does
    that, a file without positions may list them in any order. On an account chain without blocks (a bank's
    file may have days only) receipts come before payments, as far as payments do not run in a circle.
    """
    columns: dict[str, Any] = connection.execute(
        "SELECT epoch_us(time) AS time, chain FROM seen_transfer ORDER BY seq"
    ).fetchnumpy()
    moment = np.unique(
        np.stack([columns["chain"].astype(np.int64), columns["time"].astype(np.int64)]),
        axis=1,
        return_inverse=True,
    )[1].reshape(-1)
    level = _levels_of_spends(connection, moment) + _levels_of_receipts(connection, moment.size)
    if not level.any():
        return
    time = columns["time"].astype(np.int64)
    order = np.lexsort((np.arange(level.size), level, time))
    renumbered = np.empty(level.size, np.int64)
    renumbered[order] = np.arange(1, level.size + 1)
    connection.register("new_seq", pa.table({"old": np.arange(1, level.size + 1), "new": renumbered}))
    for table in ("seen_transfer", "seen_leg"):
        connection.execute(
            f"CREATE OR REPLACE TABLE {table} AS "  # noqa: S608  (both names stand right here)
            f"SELECT s.* REPLACE (n.new AS seq) FROM {table} AS s JOIN new_seq AS n ON n.old = s.seq "
            "ORDER BY seq"
        )
    connection.unregister("new_seq")


def _levels_of_spends(connection: duckdb.DuckDBPyConnection, moment: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many spends lead to each transfer inside its moment; 0 where the order is right already."""
    spends: dict[str, Any] = connection.execute(
        """
        SELECT DISTINCT spender.seq - 1 AS spender, creator.seq - 1 AS creator
        FROM seen_leg AS spender
        JOIN seen_leg AS creator
            ON creator.side = 'payee'
            AND creator.hash = spender.spent_hash AND creator.index = spender.spent_index
        WHERE spender.side = 'payer'
        """
    ).fetchnumpy()
    spender, creator = spends["spender"].astype(np.int64), spends["creator"].astype(np.int64)
    level = np.zeros(moment.size, np.int64)
    together = moment[spender] == moment[creator]
    too_early = together & (creator >= spender)
    if not too_early.any():
        return level
    ours = together & np.isin(moment[spender], moment[spender[too_early]])
    spender, creator = spender[ours], creator[ours]
    for _ in range(
        spender.size
    ):  # a chain of spends is at most this long; a cycle (a forged file) ends here too
        before = level.copy()
        np.maximum.at(level, spender, level[creator] + 1)
        if (before == level).all():
            break
    return level


def _levels_of_receipts(connection: duckdb.DuckDBPyConnection, transfers: int) -> NDArray[np.int64]:
    """Return how many payments lead to each transfer inside its moment, on account chains without blocks."""
    legs: dict[str, Any] = connection.execute(
        """
        WITH tied AS (
            SELECT seq, dense_rank() OVER (ORDER BY chain, asset, time) AS moment
            FROM seen_transfer WHERE height IS NULL
            QUALIFY count(*) OVER (PARTITION BY chain, asset, time) > 1
        )
        SELECT l.seq - 1 AS seq, l.side = 'payer' AS pays,
            dense_rank() OVER (ORDER BY tied.moment, l.address) - 1 AS holder
        FROM tied JOIN seen_leg AS l ON l.seq = tied.seq
        WHERE l.spent_hash IS NULL
            AND l.seq NOT IN (SELECT seq FROM seen_leg WHERE spent_hash IS NOT NULL)
        ORDER BY l.seq, l.side, l.index
        """
    ).fetchnumpy()
    level = np.zeros(transfers, np.int64)
    seq, holder, pays = (
        legs["seq"].astype(np.int64),
        legs["holder"].astype(np.int64),
        legs["pays"].astype(np.bool_),
    )
    if not pays.any():
        return level
    paid_by = set(zip(seq[pays].tolist(), holder[pays].tolist(), strict=True))
    own = np.array([pair in paid_by for pair in zip(seq.tolist(), holder.tolist(), strict=True)], np.bool_)
    gets = ~pays & ~own
    for _ in range(LONGEST_CHAIN):
        reached = np.zeros(int(holder.max()) + 1, np.int64)
        np.maximum.at(reached, holder[gets], level[seq[gets]] + 1)
        before = level.copy()
        np.maximum.at(level, seq[pays], reached[holder[pays]])
        if (before == level).all():
            break
    return level
