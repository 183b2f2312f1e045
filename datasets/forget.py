"""Take an import back: the ledger is then as if it had never been made.

What it brought goes: transfers with their legs, rows set aside, freezes, the blocks, assets and addresses
that only it named. What it made others leave uncounted counts again. A file whose rows an import after it
found in the ledger already, and left out, cannot go before that one does: its rows are not kept twice.
Of what was read from a node only the newest run can go, so that no stretch of blocks gets a hole.
"""

from dataclasses import dataclass
from typing import Any

import duckdb

from chains.errors import LedgerError
from chains.registry import find_chain
from datasets.blocks import LAYOUT as NODE
from datasets.check import views
from datasets.frozen import write_frozen_labels
from datasets.overlap import KEYED
from datasets.store import Ledger, transaction
from datasets.told import cut_stretches


@dataclass(frozen=True)
class Forgotten:
    """What was taken back."""

    batch: int  # its number, as `silkscreen status` shows it
    chain: str  # CAIP-2
    layout: str
    source: str
    transfers: int
    legs: int
    set_aside: int
    counted_again: int  # transfers of other imports that it had made uncounted
    blocks_to: int | None  # of a node's run: the stretches now end here; None for another import
    lost: tuple[
        str, ...
    ]  # imports of which this one had replaced rows: only importing them anew brings those back


def forget_batch(ledger: Ledger, batch: str) -> Forgotten:
    """Take one import back, wholly or not at all.

    `batch` is its number, or the beginning of its SHA-256 (six digits or more). Raises LedgerError where
    there is none or there are several, where a later import rests on it, and where a stretch of blocks
    would be torn.
    """
    with transaction(ledger) as connection:
        found = _find_batch(connection, batch)
        number, chain, node = found["batch"], found["chain"], found["layout"] == NODE
        below = _cut_height(connection, found) if node else None
        _refuse_needed(connection, found)
        lost = _replaced_by(connection, found) if node else ()
        counts = _remove_rows(connection, number)
        if below is not None:
            _shorten(connection, chain, below)
        _remove_blocks(connection, chain)
        again = _count_again(ledger, chain)
        _remove_reading(connection, found)
        frozen = connection.execute(
            "DELETE FROM freeze_event WHERE batch = $1 RETURNING 1", [number]
        ).fetchall()
        connection.execute("DELETE FROM batch WHERE batch = $1", [number])
        if frozen:
            write_frozen_labels(ledger, find_chain(found["caip2"]))
        _remove_unnamed(connection, chain)
    return Forgotten(
        number,
        found["caip2"],
        found["layout"],
        found["source"],
        *counts,
        counted_again=again,
        blocks_to=None if below is None else below - 1,
        lost=lost,
    )


def _find_batch(connection: duckdb.DuckDBPyConnection, text: str) -> dict[str, Any]:
    word = text.strip().lower()
    found: list[dict[str, Any]] = (
        connection.sql(
            """
            SELECT b.batch, b.chain, c.caip2, b.layout, b.source, b.mapping, b.first_height
            FROM batch AS b JOIN chain AS c ON c.chain = b.chain
            WHERE b.batch::VARCHAR = $word OR (length($word) >= 6 AND starts_with(b.sha256, $word))
            ORDER BY b.batch
            """,
            params={"word": word},
        )
        .to_arrow_table()
        .to_pylist()
    )
    exact = [row for row in found if str(row["batch"]) == word]
    found = exact or found
    if not found:
        raise LedgerError(f"no import {text[:80]!r}: `silkscreen status --batches` shows their numbers")
    if len(found) > 1:
        numbers = ", ".join(f"{row['batch']} ({row['caip2']}, {row['layout']})" for row in found)
        raise LedgerError(f"several imports begin with {text[:80]!r}: give the number of one: {numbers}")
    return found[0]


def _cut_height(connection: duckdb.DuckDBPyConnection, found: dict[str, Any]) -> int:
    """Return the first height that a node's run brought; refuse where another run brought some above it."""
    first = int(found["first_height"])
    above = connection.execute(
        """
        SELECT b.batch, b.last_height FROM batch AS b
        WHERE b.chain = $1 AND b.layout = $2 AND b.batch <> $3 AND b.last_height >= $4
          AND (b.first_height >= $4 OR EXISTS (
              FROM transfer AS t WHERE t.batch = b.batch AND t.height >= $4))
        ORDER BY b.last_height DESC, b.batch DESC LIMIT 1
        """,
        [found["chain"], NODE, found["batch"], first],
    ).fetchall()
    if above:
        batch, last = above[0]
        raise LedgerError(
            f"import {found['batch']} was read from a node, from block {first} on, and import {batch} "
            f"reaches up to block {last}: a stretch of blocks gets no hole; forget import {batch} first"
        )
    return first


def _refuse_needed(connection: duckdb.DuckDBPyConnection, found: dict[str, Any]) -> None:
    """Refuse what later imports rest on: they left out rows that the ledger held, perhaps from this one."""
    resting = connection.execute(
        f"""
        SELECT b.batch, b.source, b.known FROM batch AS b
        WHERE b.chain = $1 AND b.batch > $2 AND b.known > 0
          AND EXISTS (FROM transfer AS t WHERE t.batch = $2 AND {KEYED})
        ORDER BY b.batch DESC
        """,  # noqa: S608  (KEYED is a constant)
        [found["chain"], found["batch"]],
    ).fetchall()
    if resting:
        batch, source, known = resting[0]
        more = f", and {len(resting) - 1} more did so" if len(resting) > 1 else ""
        raise LedgerError(
            f"import {batch} ({source}) left out {known} transfers that the ledger held already{more}, "
            f"perhaps from import {found['batch']}: forget import {batch} first, import it again afterwards"
        )


def _replaced_by(connection: duckdb.DuckDBPyConnection, found: dict[str, Any]) -> tuple[str, ...]:
    """Return other imports that lost rows to nodes' blocks, some perhaps to this run's."""
    rows = connection.execute(
        "SELECT source FROM batch WHERE chain = $1 AND layout <> $2 AND replaced > 0 ORDER BY batch",
        [found["chain"], NODE],
    ).fetchall()
    return tuple(row[0] for row in rows)


def _remove_rows(connection: duckdb.DuckDBPyConnection, batch: int) -> tuple[int, int, int]:
    """Remove what the batch brought, and keep aside what it named: `named_height`, `named_address`."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE named_height AS SELECT DISTINCT height FROM transfer"
        " WHERE batch = $1 AND height IS NOT NULL",
        [batch],
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE named_address AS "
        "SELECT address FROM leg WHERE transfer IN (SELECT transfer FROM transfer WHERE batch = $1) "
        "UNION SELECT address FROM freeze_event WHERE batch = $1",
        [batch],
    )
    counts = []
    for statement in (
        "DELETE FROM leg WHERE transfer IN (SELECT transfer FROM transfer WHERE batch = $1)",
        "DELETE FROM transfer WHERE batch = $1",
        "DELETE FROM quarantine WHERE batch = $1",
        "DELETE FROM unmoved WHERE batch = $1",
        "DELETE FROM assumed WHERE batch = $1",
    ):
        counts.append(int(connection.execute(statement, [batch]).fetchall()[0][0]))
    legs, transfers, set_aside = counts[:3]
    return transfers, legs, set_aside


def _shorten(connection: duckdb.DuckDBPyConnection, chain: int, below: int) -> None:
    """Let the stretches of a chain end below a height, and name the blocks from there on as those to go."""
    cut_stretches(connection, chain, below - 1)
    connection.execute(
        "DELETE FROM node_head WHERE chain = $1 AND chain NOT IN (SELECT chain FROM synced)", [chain]
    )
    connection.execute(
        "INSERT INTO named_height SELECT height FROM block WHERE chain = $1 AND height >= $2", [chain, below]
    )


def _remove_blocks(connection: duckdb.DuckDBPyConnection, chain: int) -> None:
    """Remove the blocks that were named and that nobody names any more."""
    connection.execute(
        """
        DELETE FROM block
        WHERE chain = $1 AND height IN (SELECT height FROM named_height)
          AND height NOT IN (SELECT height FROM transfer WHERE chain = $1 AND height IS NOT NULL)
          AND NOT EXISTS (
              FROM synced AS s WHERE s.chain = $1 AND block.height BETWEEN s.first_height AND s.last_height)
        """,
        [chain],
    )


def _count_again(ledger: Ledger, chain: int) -> int:
    """Mark the rest anew as its imports alone would have; return how many transfers count that did not."""
    loose = "SELECT count(*) FROM batch WHERE chain = $1 AND loose"
    if not ledger.connection.execute(loose, [chain]).fetchall()[0][0]:
        return 0
    with views(ledger):
        rows = ledger.connection.execute(
            """
            UPDATE transfer SET repeated = e.repeated, duplicate = e.duplicate
            FROM expected_mark AS e
            WHERE transfer.transfer = e.transfer AND e.chain = $1
              AND (transfer.repeated <> e.repeated OR transfer.duplicate <> e.duplicate)
            RETURNING batch, duplicate
            """,
            [chain],
        ).fetchall()
    for batch in {batch for batch, _ in rows}:
        ledger.connection.execute(
            "UPDATE batch SET duplicate = (SELECT count(*) FROM transfer WHERE batch = $1 AND duplicate) "
            "WHERE batch = $1",
            [batch],
        )
    return sum(not duplicate for _, duplicate in rows)


def _remove_reading(connection: duckdb.DuckDBPyConnection, found: dict[str, Any]) -> None:
    """Remove what is said of how far indexers were read for the batch's address, and for all in its rows.

    An indexer tells what the ledger held already too, and that was not written again: who had a part in a
    transfer that goes is to be read anew.
    """
    gone = connection.execute(
        """
        DELETE FROM pulled
        WHERE chain = $1 AND (address IN (SELECT address FROM named_address)
          OR layout = $2 AND source = $3 AND address IN (
            SELECT address FROM address WHERE chain = $1 AND account = json_extract_string($4, '$.address')))
        RETURNING address
        """,
        [found["chain"], found["layout"], found["source"], found["mapping"]],
    ).fetchall()
    for (address,) in gone:
        connection.execute("INSERT INTO named_address VALUES ($1)", [address])


def _remove_unnamed(connection: duckdb.DuckDBPyConnection, chain: int) -> None:
    """Remove addresses, assets and the chain where nothing names them any more."""
    for table, where in (
        ("address", "address IN (SELECT address FROM named_address)"),
        ("asset", f"chain = {chain}"),
        ("chain", f"chain = {chain}"),
    ):
        naming = connection.execute(
            "SELECT table_name FROM duckdb_columns() WHERE column_name = $1 AND table_name <> $1"
            " AND NOT internal AND NOT starts_with(table_name, 'named_') ORDER BY table_name",
            [table],
        ).fetchall()
        named = " UNION ALL ".join(f"SELECT {table} FROM {name}" for (name,) in naming)  # noqa: S608
        connection.execute(f"DELETE FROM {table} WHERE {where} AND {table} NOT IN ({named})")  # noqa: S608
    connection.execute("DROP TABLE named_height; DROP TABLE named_address")
