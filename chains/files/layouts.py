"""Files that people already have, read as legs: one function over every layout."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from chains.errors import FileError
from chains.files.evm_columns import LAYOUTS as EVM_LAYOUTS
from chains.files.mapping import PaymentMapping
from chains.files.payments import read_payments
from chains.ledger import LegBatch
from chains.registry import Chain

if TYPE_CHECKING:
    from chains.files.beside import Beside

__all__ = ["LAYOUTS", "PaymentMapping", "read_layout"]

LAYOUTS = ("bitcoin-etl", "aws-btc", *EVM_LAYOUTS, "genesis", "payments")


def read_layout(
    layout: str,
    path: Path,
    *,
    chain: Chain,
    mapping: PaymentMapping | None = None,
    listed: Collection[str] = (),
    beside: "Beside | None" = None,
    rows_per_batch: int = 50_000,
) -> Iterator[LegBatch]:
    """Read a file of a layout as batches of legs, as a stream.

    Each batch numbers its transfers from 0, its rows over the whole file. `mapping` is for payments, `listed`
    (assets to count as listed, by reference or contract) for payments and tokens, `beside` (other files of
    the same export) for tables of EVM chains. Raises `FileError` for a file that is absent, damaged or not of
    the layout, `ColumnError` for a column that is missing or holds something else, both before the first
    batch; a file that breaks off later raises `FileError` there.
    """
    if layout == "payments":
        return read_payments(path, chain=chain, mapping=mapping, listed=listed, rows_per_batch=rows_per_batch)
    if layout not in LAYOUTS:
        raise FileError(path, why=f"{layout!r} is no layout; there are {', '.join(LAYOUTS)}")
    if mapping is not None:
        raise FileError(path, why=f"the layout {layout} has fixed columns: a mapping is for payments only")
    if layout in EVM_LAYOUTS:
        from chains.files.evm import read_evm

        return read_evm(
            layout, path, chain=chain, listed=listed, beside=beside, rows_per_batch=rows_per_batch
        )
    if layout == "genesis":
        from chains.files.genesis import read_genesis

        return read_genesis(path, chain=chain)
    from chains.files.bitcoin import read_bitcoin

    return read_bitcoin(layout, path, chain=chain, rows_per_batch=rows_per_batch)
