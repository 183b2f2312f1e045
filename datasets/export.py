"""The ledger as one table without its inner numbers, so that two ledgers can be compared."""

import orjson
import pyarrow as pa

from datasets.store import Ledger


def export_rows(ledger: Ledger) -> pa.Table:
    """Return one row a transfer that counts, its legs in a list, in the order of the natural key.

    What depends on the order of imports is left out: numbers, batches and rows, and duplicates. Two
    ledgers of the same files hold the same rows here, whatever the order of the files.
    """
    return ledger.connection.sql(_EXPORT).to_arrow_table()


def export_lines(ledger: Ledger) -> bytes:
    """Return `export_rows` as JSON lines: equal bytes say equal ledgers (Arrow's may differ under nulls)."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    rows = (
        row for batch in export_rows(ledger).to_batches(max_chunksize=10_000) for row in batch.to_pylist()
    )
    return b"".join(orjson.dumps(row, default=_as_text, option=options) for row in rows)


def _as_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


_EXPORT = """
    WITH written AS (
        SELECT transfer, list({
            'side': side::VARCHAR, 'index': index, 'account': account, 'amount': amount::DECIMAL(38, 0),
            'spent_hash': spent_hash, 'spent_index': spent_index
        } ORDER BY side, index, account, amount, spent_hash, spent_index) AS legs
        FROM leg JOIN address USING (address)
        GROUP BY transfer
    )
    SELECT caip2 AS chain, height, position, kind::VARCHAR AS kind, part, time, hash, reference AS asset,
           lossy, repeated, provisional, legs
    FROM transfer
    JOIN chain USING (chain)
    JOIN asset USING (asset)
    LEFT JOIN written USING (transfer)
    WHERE NOT duplicate
    ORDER BY caip2, height, position, transfer.kind, part, time, hash, reference, legs, lossy, repeated
"""
