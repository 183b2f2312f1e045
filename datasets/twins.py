"""Transfers that one source places and an indexer does not: what both tell is in the ledger once.

An API without log indices gives token transfers, and most give calls, a negative part made from what they say
(`chains/evm/indexer.py`). Where a transfer of the same transaction, kind, asset, parties and amount has its
true part, that one stays and the other goes; the k-th of several equal ones needs a k-th twin.
"""

from collections import Counter
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from datasets.store import registered

Content = tuple[Any, ...]

_KINDS = ("token", "internal")


def find_placed(
    connection: duckdb.DuckDBPyConnection, chain: int, transfers: pa.Table, legs: pa.Table
) -> NDArray[np.bool_]:
    """Return which of the transfers the ledger has with a true part: those need not be written."""
    held = _held_contents(connection, chain, transfers)
    placed = Counter(content for content, part, _ in held if part >= 0)
    known = np.zeros(transfers.num_rows, np.bool_)
    for content, part, row in _told_contents(transfers, legs):
        if part < 0 and placed[content]:
            placed[content] -= 1
            known[row] = True
    return known


def find_unplaced(
    connection: duckdb.DuckDBPyConnection, chain: int, transfers: pa.Table, legs: pa.Table
) -> list[int]:
    """Return the ledger's transfers without a true part whose twins are among these: they are to go."""
    some = connection.execute("SELECT 1 FROM transfer WHERE chain = $1 AND part < 0 LIMIT 1", [chain])
    if not some.fetchall():
        return []
    with registered(connection, told_hash=transfers.select(["hash"])):
        hashes = connection.sql(
            """
            SELECT DISTINCT hash FROM transfer
            WHERE chain = $chain AND part < 0 AND hash IN (SELECT hash FROM told_hash)
            """,
            params={"chain": chain},
        ).to_arrow_table()["hash"]
    told = transfers.filter(pc.is_in(transfers["hash"], value_set=hashes.combine_chunks()))
    places = Counter(content for content, part, _ in _told_contents(told, legs) if part >= 0)
    replaced = []
    for content, part, transfer in _held_contents(connection, chain, told):
        if part < 0 and places[content]:
            places[content] -= 1
            replaced.append(transfer)
    return replaced


def replace_transfers(connection: duckdb.DuckDBPyConnection, transfers: list[int]) -> None:
    """Take transfers out of the ledger, and count them as replaced where they came from."""
    if not transfers:
        return
    with registered(connection, gone=pa.table({"transfer": pa.array(transfers, pa.int64())})):
        connection.execute(
            """
            UPDATE batch SET replaced = replaced + counted.transfers
            FROM (
                SELECT batch, count(*) AS transfers FROM transfer SEMI JOIN gone USING (transfer)
                GROUP BY batch
            ) AS counted
            WHERE batch.batch = counted.batch
            """
        )
        connection.execute("DELETE FROM leg WHERE transfer IN (FROM gone)")
        connection.execute("DELETE FROM transfer WHERE transfer IN (FROM gone)")


def _told_contents(transfers: pa.Table, legs: pa.Table) -> list[tuple[Content, int, int]]:
    """Content, part and row of each transfer that may have a twin."""
    moving = pc.is_in(transfers["kind"], value_set=pa.array(_KINDS)).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(moving)
    chosen = transfers.take(pa.array(rows))
    sides: dict[int, list[tuple[str, str, int]]] = {}
    wanted = pc.is_in(legs["transfer"], value_set=chosen["transfer"].combine_chunks())
    for leg in legs.filter(wanted).to_pylist():
        sides.setdefault(leg["transfer"], []).append((leg["side"], leg["account"], int(leg["amount"])))
    return [
        ((one["hash"], one["kind"], one["asset"], *sorted(sides.get(one["transfer"], []))), one["part"], row)
        for one, row in zip(chosen.to_pylist(), rows.tolist(), strict=True)
    ]


def _held_contents(
    connection: duckdb.DuckDBPyConnection, chain: int, transfers: pa.Table
) -> list[tuple[Content, int, int]]:
    """Content, part and number of the ledger's transfers of the same transactions."""
    if not transfers.num_rows:
        return []
    span = pc.min_max(transfers["height"]).as_py()
    with registered(connection, told_hash=transfers.select(["hash"])):
        rows = connection.execute(
            """
            SELECT t.transfer, t.part, t.hash, t.kind::VARCHAR, a.reference,
                   l.side::VARCHAR, d.account, l.amount
            FROM transfer AS t
            JOIN asset AS a ON a.asset = t.asset
            LEFT JOIN leg AS l ON l.transfer = t.transfer
            LEFT JOIN address AS d ON d.address = l.address
            WHERE t.chain = $chain AND t.height BETWEEN $lowest AND $highest
              AND t.kind IN ('token', 'internal') AND t.hash IN (SELECT hash FROM told_hash)
            ORDER BY t.transfer
            """,
            {"chain": chain, "lowest": span["min"], "highest": span["max"]},
        ).fetchall()
    held: dict[tuple[int, int, Content], list[tuple[str, str, int]]] = {}
    for transfer, part, digest, kind, reference, side, account, amount in rows:
        sides = held.setdefault((transfer, part, (bytes(digest), kind, reference)), [])
        if side is not None:
            sides.append((side, account, int(amount)))
    return [((*content, *sorted(sides)), part, transfer) for (transfer, part, content), sides in held.items()]
