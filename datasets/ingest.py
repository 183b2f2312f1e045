"""Transfers and legs into the ledger: one transaction a file, so that a file is in as a whole or not at all.

Three rules keep a re-run from changing anything. A file is known by (chain, layout, SHA-256, mapping).
A transfer with a height is known by (chain, height, position, kind, part), or by its hash where its
position is not stated; a known one is left as it was. A transfer without a height is *loose*: it is
kept under (batch, row), and what an earlier loose file of the same chain already says is marked
`duplicate` and counted by nobody, so that overlapping files add up to their union in either order.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.address import Chain
from chains.errors import FileError
from chains.files.beside import Beside
from chains.files.layouts import PaymentMapping, read_layout
from chains.ledger import LegBatch, join_batches
from datasets.ahead import read_ahead
from datasets.custody import count_rows, hash_file, while_unchanged
from datasets.once import count_once, shared_hashes
from datasets.overlap import find_known, find_known_genesis, mark_repeats, write_blocks
from datasets.store import Ledger, chain_number, next_number, transaction
from datasets.told import find_told, set_aside_told
from datasets.twins import find_unplaced, replace_transfers
from datasets.writing import (
    Source,
    Writing,
    count_unmoved,
    write_custody,
    write_rejected,
    write_transfers,
)

Progress = Callable[[int, int], None]
"""Called with source rows read and source rows in all (0 where that is not known beforehand)."""

LEGS_AT_ONCE = 500_000
"""Interning reads all addresses of the ledger once, so few large passes are cheaper than many small ones."""

MB_A_THREAD = 96
"""DuckDB's memory for each of its threads while batches are written: what was written already needs none."""

MANY_LEGS = 1_000_000
"""After an import of so many, the file is put in order at once and with little memory, not on closing it."""


@dataclass(frozen=True)
class ImportResult:
    """What one import did. All counts are those of the first import when the file was already in."""

    source: str
    chain: str  # CAIP-2
    already_imported: bool
    source_rows: int
    transfers: int  # added, duplicates among them
    legs: int  # added
    known: int  # left as the ledger had them
    quarantined: int  # source rows set aside
    lossy: int  # added transfers with an amount that came as a double or was rounded
    repeated: int  # exact repeats within the file, kept and counted
    duplicate: int  # said by an earlier loose file already: kept, not counted
    sums: Mapping[str, int]  # payee amounts that count, in raw units, by asset reference
    unmoved: Mapping[str, int]  # source rows that moved nothing and are no fault, by reason
    assumed: int  # source rows taken as successful transactions because nothing says how they ended


def import_file(
    ledger: Ledger,
    layout: str,
    path: Path,
    *,
    chain: Chain,
    mapping: PaymentMapping | None = None,
    listed: Collection[str] = (),
    beside: Beside | None = None,
    progress: Progress | None = None,
    code_version: str,
) -> ImportResult:
    """Read one file of one chain into the ledger; a file that is already in changes nothing.

    `beside` has the other files of the same export, where the layout is one of several tables.
    Raises FileError and ColumnError for what cannot be read and LedgerConflict for another branch of
    the chain, LedgerError where disk or memory do not suffice; after any error the ledger is as it was.
    """
    sha256, lines = hash_file(path)
    before = path.stat()
    source = Source(chain, layout, path.name, sha256, mapping.as_json() if mapping else "{}")
    _refuse_other_reading(ledger, source, path)
    earlier = _find_batch(ledger.connection, source)
    if earlier is not None:
        if beside is not None and beside.has_receipts:
            _refuse_assumed(ledger, earlier, path)
        return _result(ledger.connection, earlier, source, already=True)
    batches = read_layout(layout, path, chain=chain, mapping=mapping, listed=listed, beside=beside)
    with closing(read_ahead(batches)) as ahead:
        return ingest_batches(
            ledger,
            while_unchanged(path, (before.st_size, before.st_mtime_ns), ahead),
            source=source,
            total_rows=count_rows(path, lines),
            progress=progress,
            receipts=beside is not None and beside.has_receipts,
            code_version=code_version,
        )


def ingest_batches(
    ledger: Ledger,
    batches: Iterable[LegBatch],
    *,
    source: Source,
    total_rows: int = 0,
    progress: Progress | None = None,
    receipts: bool = False,
    code_version: str,
    legs_at_once: int = LEGS_AT_ONCE,
) -> ImportResult:
    """Write batches of one source into the ledger, all of them or none.

    The result does not depend on where the source was cut into batches, nor on `legs_at_once`: batches
    are held until they have that many legs, and memory is bounded by that and by the largest one.
    `receipts` says that files of receipts were at hand.
    Raises LedgerConflict, FileError, LedgerError and whatever reading the batches raises.
    """
    earlier = _find_batch(ledger.connection, source)
    if earlier is not None:
        return _result(ledger.connection, earlier, source, already=True)
    with _frugal(ledger.connection) as spend_freely:
        with transaction(ledger) as connection:
            run = Writing(
                ledger=ledger,
                source=source,
                chain=chain_number(ledger, source.chain),
                batch=next_number(connection, "batch"),
                next_transfer=next_number(connection, "transfer"),
                receipts=receipts,
            )
            for batch in _gather(_with_progress(run, batches, total_rows, progress), legs_at_once):
                _write_batch(run, batch)
            if run.loose:
                spend_freely()
                mark_repeats(connection, run.chain, run.batch)
            told = shared_hashes(connection, run.chain, batch=run.batch, loose=run.loose)
            count_once(connection, run.chain, told, utxo=source.chain.utxo)
            write_custody(run, code_version)
            result = _result(connection, run.batch, source, already=False)
        if result.legs >= MANY_LEGS:
            with suppress(duckdb.Error):  # it is in already, and closing the ledger tries again
                connection.execute("CHECKPOINT")
        return result


@contextmanager
def _frugal(connection: duckdb.DuckDBPyConnection) -> Iterator[Callable[[], None]]:
    """Bound the memory of DuckDB, which would keep all that it has written; give a way to end that early."""
    threads = int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])
    connection.execute(f"SET memory_limit = '{MB_A_THREAD * threads}MB'")

    def spend_freely() -> None:
        connection.execute("RESET memory_limit")

    try:
        yield spend_freely
    finally:
        spend_freely()


def _with_progress(
    run: Writing, batches: Iterable[LegBatch], total_rows: int, progress: Progress | None
) -> Iterator[LegBatch]:
    for batch in batches:
        run.source_rows = max(run.source_rows, batch.rows_read)
        for table in (batch.transfers, batch.rejected):
            if table.num_rows:
                run.source_rows = max(run.source_rows, int(pc.max(table["row"]).as_py()) + 1)
        if progress is not None:
            progress(run.source_rows, max(total_rows, run.source_rows) if total_rows else 0)
        yield batch


def _gather(batches: Iterable[LegBatch], legs_at_once: int) -> Iterator[LegBatch]:
    """Join batches until they are worth one pass over the ledger's addresses."""
    held: list[LegBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.legs.num_rows + batch.rejected.num_rows
        if size >= legs_at_once:
            yield join_batches(held)
            held, size = [], 0
    if held:
        yield join_batches(held)


def _write_batch(run: Writing, batch: LegBatch) -> None:
    write_rejected(run, batch.rejected)
    count_unmoved(run, batch)
    if not batch.transfers.num_rows:
        return
    overlap = {"source": run.source.name, "chain_name": run.source.chain.name}
    connection = run.ledger.connection
    write_blocks(connection, run.chain, batch.transfers, **overlap)
    known = find_known_genesis(
        connection, run.chain, run.batch, batch.transfers, batch.legs, source=run.source.name
    )
    known |= find_known(connection, run.chain, batch.transfers, **overlap)
    run.known += int(known.sum())
    told = find_told(connection, run.chain, batch.transfers) & ~known
    if told.any():
        write_rejected(run, set_aside_told(batch.transfers, told))
    fresh = np.flatnonzero(~known & ~told)
    if not fresh.size:
        return
    if not run.source.chain.utxo:
        added = batch.transfers.take(pa.array(fresh))
        replace_transfers(connection, find_unplaced(connection, run.chain, added, batch.legs))
    write_transfers(run, batch, fresh)


def _refuse_other_reading(ledger: Ledger, source: Source, path: Path) -> None:
    """Refuse a file that is in under another mapping or layout: its payments would count twice."""
    found = ledger.connection.execute(
        """
        SELECT b.layout, b.mapping FROM batch AS b JOIN chain AS c ON c.chain = b.chain
        WHERE c.caip2 = $1 AND b.sha256 = $2 AND b.transfers > 0 AND (b.layout, b.mapping) <> ($3, $4)
        LIMIT 1
        """,
        [source.chain.caip2, source.sha256, source.layout, source.mapping],
    ).fetchall()
    if found:
        layout, mapping = found[0]
        why = (
            f"is in already, read as {layout} with {mapping}: read another way it would count twice. "
            "If the first reading was wrong, take it back with `silkscreen ledger forget` first"
        )
        raise FileError(path, why=why)


def _refuse_assumed(ledger: Ledger, batch: int, path: Path) -> None:
    """Refuse a file that is in without its receipts, now that they are there: failed payments count in it."""
    query = "SELECT sum(source_rows) FROM assumed WHERE batch = $1 AND NOT receipts"
    rows = ledger.connection.execute(query, [batch]).fetchall()[0][0]
    if rows:
        why = (
            f"is in already, read without receipts: {rows} transactions were taken as successful, and their "
            f"fees are not known. `silkscreen ledger forget {batch}`, then import it with its receipts"
        )
        raise FileError(path, why=why)


def _find_batch(connection: duckdb.DuckDBPyConnection, source: Source) -> int | None:
    found = connection.execute(
        """
        SELECT batch FROM batch JOIN chain USING (chain)
        WHERE caip2 = $1 AND layout = $2 AND sha256 = $3 AND mapping = $4
        """,
        [source.chain.caip2, source.layout, source.sha256, source.mapping],
    ).fetchall()
    return int(found[0][0]) if found else None


def _result(
    connection: duckdb.DuckDBPyConnection, number: int, source: Source, *, already: bool
) -> ImportResult:
    counts = connection.sql(
        """
        SELECT source_rows, transfers, legs, known, quarantined, lossy, repeated, duplicate
        FROM batch WHERE batch = $batch
        """,
        params={"batch": number},
    ).to_arrow_table()
    return ImportResult(
        source=source.name,
        chain=source.chain.caip2,
        already_imported=already,
        sums=_payee_sums(connection, number),
        unmoved=_unmoved(connection, number),
        assumed=_assumed(connection, number),
        **counts.to_pylist()[0],
    )


def _unmoved(connection: duckdb.DuckDBPyConnection, number: int) -> dict[str, int]:
    query = "SELECT reason, source_rows FROM unmoved WHERE batch = $1 ORDER BY reason"
    return {reason: int(rows) for reason, rows in connection.execute(query, [number]).fetchall()}


def _assumed(connection: duckdb.DuckDBPyConnection, number: int) -> int:
    query = "SELECT coalesce(sum(source_rows), 0) FROM assumed WHERE batch = $1"
    return int(connection.execute(query, [number]).fetchall()[0][0])


def _payee_sums(connection: duckdb.DuckDBPyConnection, number: int) -> dict[str, int]:
    """Add up what the batch's counting transfers pay; large amounts in halves, whose sums stay in HUGEINT."""
    rows = connection.execute(
        """
        WITH counting AS (SELECT transfer, asset FROM transfer WHERE batch = $1 AND NOT duplicate),
        summed AS (
            SELECT asset,
                   sum(amount) FILTER (amount < 1000000000000000000) AS small,
                   sum(amount // 1000000000000000000) FILTER (amount >= 1000000000000000000) AS high,
                   sum(amount % 1000000000000000000) FILTER (amount >= 1000000000000000000) AS low
            FROM leg JOIN counting USING (transfer)
            WHERE side = 'payee'
            GROUP BY asset
        )
        SELECT reference, coalesce(high, 0), coalesce(low, 0) + coalesce(small, 0)
        FROM summed JOIN asset USING (asset) ORDER BY reference
        """,
        [number],
    ).fetchall()
    return {reference: int(high) * 10**18 + int(low) for reference, high, low in rows}
