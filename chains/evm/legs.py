"""Columns of legs, filled transfer by transfer: blocks of account chains become Arrow, nothing between.

An amount of more than 38 digits goes to `rejected`, with its height; it is never cut or rounded.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from chains.ledger import (
    AMOUNT,
    BLOCK_SCHEMA,
    FREEZE_SCHEMA,
    LEG_SCHEMA,
    REJECT_SCHEMA,
    TRANSFER_SCHEMA,
    Asset,
    LegBatch,
)

LARGEST = 10**38 - 1
_PAYER, _PAYEE = "payer", "payee"
_WIDTH = 5  # fields of a transfer, and of a leg


class LegColumns:
    """The columns of one batch under way.

    `native` is the reference of the chain's coin; `token` turns a contract as the node writes it into a
    reference, `account` an address as the node writes it into the canonical one.
    """

    def __init__(
        self, native: str, *, token: Callable[[str], str], account: Callable[[str], str] = str
    ) -> None:
        self.token, self.account = token, account
        self.height = 0
        self._native = native
        self._position = 0
        self._hash: bytes | None = None
        # Rows lie flat in one list, so that a column is a slice of it and no object stands for a row.
        self._transfers: list[Any] = []  # position, kind, part, hash, reference
        self._legs: list[Any] = []  # number of the transfer, side, index, account, amount
        self._count = 0  # of transfers
        self._rejected: list[tuple[int, str, str, int]] = []
        self._blocks: list[tuple[int, bytes, bytes, int]] = []
        self._starts: list[int] = []  # number of each block's first transfer
        self._freezes: list[tuple[int, int, int, int, bytes | None, str, str, bool]] = []

    @property
    def references(self) -> set[str]:
        """The references of all assets that were moved or frozen."""
        return {*self._transfers[4::_WIDTH], *(row[5] for row in self._freezes)}

    def open_block(self, height: int, digest: bytes, parent: bytes, seconds: int) -> None:
        """Begin a block; what is added from here on is in it."""
        self.height = height
        self._blocks.append((height, digest, parent, seconds * 1_000_000))
        self._starts.append(self._count)

    def open_transaction(self, position: int, digest: bytes | None) -> None:
        """Begin a transaction of the open block; the one after the last stands for the block itself."""
        self._position, self._hash = position, digest

    def add(  # noqa: PLR0917  (called for every transfer: names would cost as much as the rest)
        self,
        kind: str,
        part: int,
        payer: str | None,
        payee: str | None,
        amount: int,
        reference: str | None = None,
    ) -> None:
        """Add one transfer of an asset (by default the chain's coin), with a leg for each party there is."""
        if amount > LARGEST:
            self._reject_large(kind, part, reference, amount)
            return
        number, self._count = self._count, self._count + 1
        self._transfers += (self._position, kind, part, self._hash, reference or self._native)
        if payer is not None:
            self._legs += (number, _PAYER, 0, payer, amount)
        if payee is not None:
            self._legs += (number, _PAYEE, 0, payee, amount)

    def add_fee(self, payer: str, amount: int, payees: Sequence[tuple[str, int]]) -> None:
        """Add a fee; what its payees do not get is burned. One of 0 makes no transfer."""
        if not amount:
            return
        if amount > LARGEST:
            self._reject_large("fee", 0, None, amount)
            return
        number, self._count = self._count, self._count + 1
        self._transfers += (self._position, "fee", 0, self._hash, self._native)
        self._legs += (number, _PAYER, 0, payer, amount)
        index = 0
        for account, share in payees:
            if share:
                self._legs += (number, _PAYEE, index, account, share)
                index += 1

    def freeze(self, part: int, reference: str, account: str, *, frozen: bool) -> None:
        """Add that an issuer froze, or released, what an account holds."""
        time = self._blocks[-1][3]
        row = (self.height, self._position, part, time, self._hash, reference, self.account(account), frozen)
        self._freezes.append(row)

    def reject(self, reason: str, detail: str) -> None:
        """Set something of the open transaction aside."""
        self._rejected.append((self._position, reason, detail, self.height))

    def mark(self) -> tuple[int, ...]:
        """Return how far the columns are filled, for `undo`."""
        return tuple(len(column) for column in self._columns())

    def undo(self, mark: tuple[int, ...]) -> None:
        """Take back what was added since the mark."""
        for column, length in zip(self._columns(), mark, strict=True):
            del column[length:]
        self._count = len(self._transfers) // _WIDTH

    def _columns(self) -> tuple[list[Any], ...]:
        return (*(self._transfers, self._legs, self._rejected, self._blocks, self._starts, self._freezes),)

    def net(self, account: str) -> int:
        """Return what the open block gave an account of the chain's coin, less what it took."""
        total, start = 0, self._starts[-1]
        references = self._transfers[4::_WIDTH]
        numbers, sides, _, holders, amounts = _columns(self._legs)
        for number, side, holder, amount in zip(numbers, sides, holders, amounts, strict=True):
            if number >= start and self.account(holder) == account and references[number] == self._native:
                total += amount if side == _PAYEE else -amount
        return total

    def finish(self, assets: Sequence[Asset]) -> LegBatch:
        """Return everything that was added, with the assets that it speaks of."""
        count = self._count
        positions, kinds, parts, hashes, references = _columns(self._transfers)
        numbers, sides, indexes, accounts, amounts = _columns(self._legs)
        if self.account is not str:
            accounts = [self.account(account) for account in accounts]
        of_block = np.repeat(np.arange(len(self._blocks)), np.diff([*self._starts, count]))
        blocks = _table(self._blocks, BLOCK_SCHEMA)
        transfers = [
            pa.array(np.arange(count, dtype=np.int64)),
            pa.array(positions, pa.int64()),
            blocks["height"].combine_chunks().take(of_block),
            pa.array(positions, pa.int32()),
            pa.array(kinds, pa.string()),
            pa.array(parts, pa.int32()),
            blocks["time"].combine_chunks().take(of_block),
            pa.array(hashes, pa.binary()),
            pa.array(references, pa.string()),
            blocks["hash"].combine_chunks().take(of_block),
            pa.repeat(pa.scalar(value=False), count),
        ]
        legs = [
            pa.array(numbers, pa.int64()),
            pa.array(sides, pa.string()),
            pa.array(indexes, pa.int32()),
            pa.array(accounts, pa.string()),
            _amounts(amounts),
            pa.nulls(len(amounts), pa.binary()),
            pa.nulls(len(amounts), pa.int32()),
        ]
        return LegBatch(
            pa.table(transfers, schema=TRANSFER_SCHEMA),
            pa.table(legs, schema=LEG_SCHEMA),
            _table(self._rejected, REJECT_SCHEMA),
            tuple(assets),
            blocks,
            _table(self._freezes, FREEZE_SCHEMA),
        )

    def _reject_large(self, kind: str, part: int, reference: str | None, amount: int) -> None:
        what = f"{kind} {part} of transaction {self._position}"
        self.reject("too_large", f"{what} moves {amount} of {reference or self._native}: over 38 digits")


def _amounts(values: Sequence[int]) -> pa.Array:
    data = b"".join([value.to_bytes(16, "little") for value in values])
    return pa.Array.from_buffers(AMOUNT, len(values), [None, pa.py_buffer(data)])


def _columns(flat: list[Any]) -> list[list[Any]]:
    """The columns of rows that lie flat, one behind the other."""
    return [flat[column::_WIDTH] for column in range(_WIDTH)]


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
