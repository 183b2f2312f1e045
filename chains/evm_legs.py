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
        self.references: set[str] = set()
        self._native = native
        self._position = 0
        self._hash: bytes | None = None
        # Rows are tuples: one append each, and columns by one zip at the end.
        self._transfers: list[tuple[int, str, int, bytes | None, str]] = []
        self._legs: list[tuple[int, str, int, str, int]] = []
        self._rejected: list[tuple[int, str, str, int]] = []
        self._blocks: list[tuple[int, bytes, bytes, int]] = []
        self._starts: list[int] = []  # number of each block's first transfer
        self._freezes: list[tuple[int, int, int, int, bytes | None, str, str, bool]] = []

    def open_block(self, height: int, digest: bytes, parent: bytes, seconds: int) -> None:
        """Begin a block; what is added from here on is in it."""
        self.height = height
        self._blocks.append((height, digest, parent, seconds * 1_000_000))
        self._starts.append(len(self._transfers))

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
        number = self._add_transfer(kind, part, reference or self._native)
        if payer is not None:
            self._add_leg(number, _PAYER, 0, payer, amount)
        if payee is not None:
            self._add_leg(number, _PAYEE, 0, payee, amount)

    def add_fee(self, payer: str, amount: int, payees: Sequence[tuple[str, int]]) -> None:
        """Add a fee; what its payees do not get is burned. One of 0 makes no transfer."""
        if not amount:
            return
        if amount > LARGEST:
            self._reject_large("fee", 0, None, amount)
            return
        number = self._add_transfer("fee", 0, self._native)
        self._add_leg(number, _PAYER, 0, payer, amount)
        index = 0
        for account, share in payees:
            if share:
                self._add_leg(number, _PAYEE, index, account, share)
                index += 1

    def freeze(self, part: int, reference: str, account: str, *, frozen: bool) -> None:
        """Add that an issuer froze, or released, what an account holds."""
        self.references.add(reference)
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

    def _columns(self) -> tuple[list[Any], ...]:
        return (*(self._transfers, self._legs, self._rejected, self._blocks, self._starts, self._freezes),)

    def net(self, account: str) -> int:
        """Return what the open block gave an account of the chain's coin, less what it took."""
        total, start = 0, self._starts[-1]
        for number, side, _, holder, amount in self._legs:
            if number >= start and holder == account and self._transfers[number][4] == self._native:
                total += amount if side == _PAYEE else -amount
        return total

    def finish(self, assets: Sequence[Asset]) -> LegBatch:
        """Return everything that was added, with the assets that it speaks of."""
        count = len(self._transfers)
        positions, kinds, parts, hashes, references = _columns(self._transfers, 5)
        numbers, sides, indexes, accounts, amounts = _columns(self._legs, 5)
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

    def _add_transfer(self, kind: str, part: int, reference: str) -> int:
        number = len(self._transfers)
        self._transfers.append((self._position, kind, part, self._hash, reference))
        self.references.add(reference)
        return number

    def _add_leg(self, number: int, side: str, index: int, account: str, amount: int) -> None:
        self._legs.append((number, side, index, self.account(account), amount))

    def _reject_large(self, kind: str, part: int, reference: str | None, amount: int) -> None:
        what = f"{kind} {part} of transaction {self._position}"
        self.reject("too_large", f"{what} moves {amount} of {reference or self._native}: over 38 digits")


def _amounts(values: Sequence[int]) -> pa.Array:
    data = b"".join([value.to_bytes(16, "little") for value in values])
    return pa.Array.from_buffers(AMOUNT, len(values), [None, pa.py_buffer(data)])


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = _columns(rows, len(schema))
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
