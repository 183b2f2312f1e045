"""Let each payment count once that a block and a file without heights, or several such files, tell of.

A loose transfer that is told elsewhere is a `duplicate`: kept, and counted by nobody. What a block says
counts first. On a UTXO chain a hash commits to the whole transaction, so equal hashes are enough. On an
account chain one transaction moves many things: there hash, asset, accounts and amounts must be equal, and
the k-th of equal rows of one file is a duplicate where blocks or any one earlier file tell of k or more.
Only transaction hashes (32 bytes) are compared: a bank's reference may return every month.
"""

import duckdb
import pyarrow as pa

from datasets.overlap import KEYED
from datasets.store import registered


def shared_hashes(
    connection: duckdb.DuckDBPyConnection,
    chain: int,
    *,
    batch: int | None = None,
    heights: tuple[int, int] | None = None,
    loose: bool = False,
) -> pa.Table:
    """Return the transaction hashes that loose transfers share with others of a batch, or of heights.

    One column `hash`. Where blocks are about to be taken away, ask before. `loose` says that the batch, whose
    custody record is not written yet, has loose transfers.
    """
    if not loose and not _has_loose(connection, chain):
        return pa.table({"hash": pa.array([], pa.binary())})
    first, last = heights or (None, None)
    return connection.sql(
        f"""
        WITH chosen AS (
            SELECT hash FROM transfer
            WHERE chain = $chain AND hash IS NOT NULL
              AND (octet_length(hash) = 32 OR (SELECT utxo FROM chain WHERE chain.chain = $chain))
              AND (batch = $batch OR (height BETWEEN $first AND $last AND {KEYED}))
        )
        SELECT hash FROM transfer
        WHERE chain = $chain AND hash IN (FROM chosen)
        GROUP BY hash
        HAVING bool_or(NOT {KEYED}) AND count(*) > 1
        """,  # noqa: S608  (KEYED is a constant)
        params={"chain": chain, "batch": batch, "first": first, "last": last},
    ).to_arrow_table()


def count_once(connection: duckdb.DuckDBPyConnection, chain: int, hashes: pa.Table, *, utxo: bool) -> None:
    """Say anew which loose transfers of these hashes are duplicates."""
    if not hashes.num_rows:
        return
    with registered(connection, touched_hash=hashes):
        connection.execute(_COUNT_UTXO if utxo else _COUNT_ACCOUNTS, {"chain": chain})


def _has_loose(connection: duckdb.DuckDBPyConnection, chain: int) -> bool:
    query = "SELECT count(*) > 0 FROM batch WHERE chain = $1 AND loose"
    return bool(connection.execute(query, [chain]).fetchall()[0][0])


_COUNT_UTXO = f"""
    WITH ranked AS (
        SELECT transfer, {KEYED} AS keyed, row_number() OVER (
            PARTITION BY hash, kind, part ORDER BY {KEYED} DESC, transfer
        ) > 1 AS told
        FROM transfer WHERE chain = $chain AND hash IN (FROM touched_hash)
    )
    UPDATE transfer SET duplicate = told
    FROM ranked
    WHERE transfer.transfer = ranked.transfer AND NOT keyed AND transfer.duplicate <> told
"""  # noqa: S608  (KEYED is a constant)

_COUNT_ACCOUNTS = f"""
    WITH touched AS (
        SELECT transfer, batch, hash, asset, {KEYED} AS keyed
        FROM transfer WHERE chain = $chain AND hash IN (FROM touched_hash)
    ),
    content AS (
        SELECT transfer, string_agg(concat_ws(' ', side, address, amount), ',' ORDER BY side, address, amount)
            AS legs
        FROM leg SEMI JOIN touched USING (transfer) GROUP BY transfer
    ),
    told AS (SELECT touched.*, legs FROM touched LEFT JOIN content USING (transfer)),
    said AS (  -- how often each file says the same, and how often blocks do
        SELECT hash, asset, legs, batch, keyed, list(transfer ORDER BY transfer) AS transfers
        FROM told GROUP BY ALL
    ),
    compared AS (
        SELECT unnest(transfers) AS transfer, generate_subscripts(transfers, 1) AS occurrence, keyed,
            greatest(
                coalesce(sum(len(transfers)) FILTER (keyed) OVER same, 0),
                coalesce(max(len(transfers)) FILTER (NOT keyed) OVER earlier, 0)
            ) AS elsewhere
        FROM said
        WINDOW same AS (PARTITION BY hash, asset, legs),
            earlier AS (
                PARTITION BY hash, asset, legs ORDER BY batch
                RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )
    )
    UPDATE transfer SET duplicate = occurrence <= elsewhere
    FROM compared
    WHERE transfer.transfer = compared.transfer AND NOT keyed
      AND transfer.duplicate <> (occurrence <= elsewhere)
"""  # noqa: S608  (KEYED is a constant)
