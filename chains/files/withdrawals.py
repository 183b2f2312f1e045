"""Withdrawals of stakers in files of blocks (EIP-4895): lists of records, or text of such lists."""

import ast
from typing import Any

import numpy as np
import pyarrow as pa

from chains.amounts import raw_units
from chains.deep_json import decode_exact
from chains.errors import AddressError
from chains.files.evm_rows import EvmFile
from chains.files.moves import Moves, Rows
from chains.forms import canonical_address
from chains.ledger import AMOUNT, Kind
from chains.rejections import Rejections, shown

_GWEI = 10**9
_LONGEST_TEXT = 100_000


def unfold_withdrawals(source: EvmFile, column: pa.Array | None, rows: Rows, rejected: Rejections) -> Moves:
    """The withdrawals of each block of a batch, by their order in it; amounts are given in gwei."""
    found: list[tuple[int, int, str, int]] = []
    for row in range(len(rows.number)):
        value = column[row].as_py() if column is not None else None
        if value in (None, "", "[]", []) or rejected.has(row):
            continue
        records = _records(value)
        read = None if records is None else [_withdrawal(record, source) for record in records]
        if read is None or None in read:
            rejected.add(row, "bad_withdrawal", f"its withdrawals {shown(value)} cannot be read")
        elif not rows.position[row].is_valid:
            rejected.add(
                row, "bad_position", "transaction_count is missing: withdrawals come after the last one"
            )
        else:
            found += [(row, part, *each) for part, each in enumerate(read) if each is not None and each[1]]
    amounts = pa.array([amount for *_, amount in found], AMOUNT)
    return Moves(
        kind=Kind.WITHDRAWAL,
        row=np.array([row for row, *_ in found], np.int64),
        part=np.array([part for _, part, *_ in found], np.int64),
        asset=pa.array([source.native.reference] * len(found), pa.string()),
        payer=pa.nulls(len(found), pa.string()),
        payee=pa.array([account for *_, account, _ in found], pa.string()),
        paid=amounts,
        got=amounts,
        lossy=np.zeros(len(found), np.bool_),
    )


def _records(value: Any) -> list[Any] | None:
    """Records of a list, or of its text as JSON or as Python writes it (ethereum-etl's CSV)."""
    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT:
            return None
        try:
            value = decode_exact(value)
        except ValueError:
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return None
    return value if isinstance(value, list) else None


def _withdrawal(record: Any, source: EvmFile) -> tuple[str, int] | None:
    """Account and wei of one withdrawal."""
    if not isinstance(record, dict):
        return None
    address, amount = record.get("address"), record.get("amount")
    try:
        account = canonical_address(address, source.chain) if isinstance(address, str) else None
    except AddressError:
        return None
    gwei = _amount(amount)
    if account is None or gwei is None or gwei * _GWEI >= 10**38:
        return None
    return account, gwei * _GWEI


def _amount(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and value[:2] == "0x":
        try:
            return int(value, 16)
        except ValueError:
            return None
    found = raw_units(value)
    return None if isinstance(found, str) else found[0]
