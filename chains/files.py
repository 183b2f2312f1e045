"""Files that people already have, read as legs: one function over every layout."""

from collections.abc import Collection, Iterator
from pathlib import Path

from chains.errors import FileError
from chains.ledger import LegBatch
from chains.mapping import PaymentMapping
from chains.payments import read_payments
from chains.registry import Chain

__all__ = ["LAYOUTS", "PaymentMapping", "read_layout"]

LAYOUTS = ("bitcoin-etl", "aws-btc", "payments")


def read_layout(
    layout: str,
    path: Path,
    *,
    chain: Chain,
    mapping: PaymentMapping | None = None,
    listed: Collection[str] = (),
    rows_per_batch: int = 100_000,
) -> Iterator[LegBatch]:
    """Read a file of a layout as batches of legs, as a stream.

    Each batch numbers its transfers from 0, its rows over the whole file. `mapping` and `listed` (assets to
    count as listed, by reference or contract) are for payments. Raises `FileError` for a file that is absent,
    damaged or not of the layout, `ColumnError` for a column that is missing or holds something else, both
    before the first batch; a file that breaks off later raises `FileError` there.
    """
    if layout == "payments":
        return read_payments(path, chain=chain, mapping=mapping, listed=listed, rows_per_batch=rows_per_batch)
    if layout not in LAYOUTS:
        raise FileError(path, why=f"{layout!r} is no layout; there are {', '.join(LAYOUTS)}")
    if mapping is not None:
        raise FileError(path, why=f"the layout {layout} has fixed columns: a mapping is for payments only")
    from chains.bitcoin_files import read_bitcoin

    return read_bitcoin(layout, path, chain=chain, rows_per_batch=rows_per_batch)
