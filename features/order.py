"""The order of transfers inside one moment: what is spent in it is received first."""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LONGEST_CHAIN = 64
"""Payments in a row that are put in order inside one moment; a circle of payments has no order."""


def order_moments(connection: duckdb.DuckDBPyConnection) -> None:
    """Renumber transfers of one moment so that what is spent in it is received first.

    On a UTXO chain an output comes before the transfer that spends it: inside a block the position does
    that, a file without positions may list them in any order. On an account chain without blocks (a bank's
    file may have days only) receipts come before payments, as far as payments do not run in a circle.
    Changes `place` in the table `counted`, and with it `spend`.
    """
    early = connection.execute("SELECT count(*) FROM spend WHERE creator >= spender").fetchall()[0][0]
    legs: dict[str, Any] = connection.execute(_TIED_LEGS).fetchnumpy()
    if not early and not legs["place"].size:
        return
    columns: dict[str, Any] = connection.execute(
        "SELECT epoch_us(time) AS time, chain FROM counted ORDER BY place"
    ).fetchnumpy()
    time, chain = columns["time"].astype(np.int64), columns["chain"].astype(np.int64)
    level = _levels_of_receipts(legs, time.size)
    if early:
        first = np.ones(time.size, np.bool_)  # transfers of one chain and moment stand side by side
        first[1:] = (time[1:] != time[:-1]) | (chain[1:] != chain[:-1])
        level += _levels_of_spends(connection, np.cumsum(first))
    if not level.any():
        return
    order = np.lexsort((np.arange(level.size), level, time))
    renumbered = np.empty(level.size, np.int64)
    renumbered[order] = np.arange(1, level.size + 1)
    connection.register("new_place", pa.table({"old": np.arange(1, level.size + 1), "new": renumbered}))
    connection.execute(
        "CREATE OR REPLACE TABLE counted AS SELECT c.* REPLACE (n.new AS place) "
        "FROM counted AS c JOIN new_place AS n ON n.old = c.place ORDER BY place"
    )
    connection.execute(
        "CREATE OR REPLACE TABLE spend AS SELECT s.* REPLACE (n.new AS spender, m.new AS creator) "
        "FROM spend AS s JOIN new_place AS n ON n.old = s.spender JOIN new_place AS m ON m.old = s.creator"
    )
    connection.unregister("new_place")


def _levels_of_spends(connection: duckdb.DuckDBPyConnection, moment: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many spends lead to each transfer inside its moment; 0 where the order is right already."""
    spends: dict[str, Any] = connection.execute(
        "SELECT DISTINCT spender - 1 AS spender, creator - 1 AS creator FROM spend"
    ).fetchnumpy()
    spender, creator = spends["spender"].astype(np.int64), spends["creator"].astype(np.int64)
    level = np.zeros(moment.size, np.int64)
    together = moment[spender] == moment[creator]
    too_early = together & (creator >= spender)
    ours = together & np.isin(moment[spender], moment[spender[too_early]])
    spender, creator = spender[ours], creator[ours]
    for _ in range(spender.size):  # a chain of spends is at most this long; a cycle (a forgery) ends here too
        before = level.copy()
        np.maximum.at(level, spender, level[creator] + 1)
        if (before == level).all():
            break
    return level


_TIED_LEGS = """
    WITH tied AS (
        SELECT place, transfer, dense_rank() OVER (ORDER BY chain, asset, time) AS moment
        FROM counted WHERE height IS NULL
        QUALIFY count(*) OVER (PARTITION BY chain, asset, time) > 1
    ),
    tied_leg AS (
        SELECT tied.place, tied.moment, l.side, l.index, l.address
        FROM tied JOIN ledger.leg AS l ON l.transfer = tied.transfer
        ANTI JOIN dust_transfer AS d ON d.transfer = tied.transfer
        WHERE l.amount > 0
        QUALIFY NOT bool_or(l.spent_hash IS NOT NULL) OVER (PARTITION BY tied.place)
    )
    SELECT place - 1 AS place, side = 'payer' AS pays,
        dense_rank() OVER (ORDER BY moment, address) - 1 AS holder
    FROM tied_leg
    ORDER BY place, side, index
"""


def _levels_of_receipts(legs: dict[str, Any], transfers: int) -> NDArray[np.int64]:
    """Return how many payments lead to each transfer inside its moment, on account chains without blocks."""
    level = np.zeros(transfers, np.int64)
    place, holder, pays = (
        legs["place"].astype(np.int64),
        legs["holder"].astype(np.int64),
        legs["pays"].astype(np.bool_),
    )
    if not pays.any():
        return level
    pair = place * (int(holder.max()) + 1) + holder
    own = np.isin(pair, pair[pays])
    gets = ~pays & ~own
    for _ in range(LONGEST_CHAIN):
        reached = np.zeros(int(holder.max()) + 1, np.int64)
        np.maximum.at(reached, holder[gets], level[place[gets]] + 1)
        before = level.copy()
        np.maximum.at(level, place[pays], reached[holder[pays]])
        if (before == level).all():
            break
    return level
