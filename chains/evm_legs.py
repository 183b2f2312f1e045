"""Columns of legs, filled transfer by transfer: blocks of account chains become Arrow, nothing between.

An amount of more than 38 digits goes to `rejected`, with its height; it is never cut or rounded.
"""

from collections.abc import Callable, Sequence
from typing import Any

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
        self._block: tuple[int, bytes] = (0, b"")  # microseconds since 1970, hash
        self._position = 0
        self._hash: bytes | None = None
        self._heights: list[int] = []
        self._positions: list[int] = []
        self._kinds: list[str] = []
        self._parts: list[int] = []
        self._times: list[int] = []
        self._hashes: list[bytes | None] = []
        self._assets: list[str] = []
        self._block_hashes: list[bytes] = []
        self._leg_transfers: list[int] = []
        self._sides: list[str] = []
        self._indexes: list[int] = []
        self._accounts: list[str] = []
        self._amounts: list[int] = []
        self._rejected: list[tuple[int, str, str, int]] = []
        self._blocks: list[tuple[int, bytes, bytes, int]] = []
        self._freezes: list[tuple[int, int, int, int, bytes | None, str, str, bool]] = []

    def open_block(self, height: int, digest: bytes, parent: bytes, seconds: int) -> None:
        """Begin a block; what is added from here on is in it."""
        self.height, self._block = height, (seconds * 1_000_000, digest)
        self._blocks.append((height, digest, parent, seconds * 1_000_000))

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
        time, _ = self._block
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
        return (
            *(self._heights, self._positions, self._kinds, self._parts, self._times, self._hashes),
            *(self._assets, self._block_hashes, self._leg_transfers, self._sides, self._indexes),
            *(self._accounts, self._amounts, self._rejected, self._blocks, self._freezes),
        )

    def net(self, account: str, height: int) -> int:
        """Return what the transfers of the chain's coin in a block gave an account, less what they took."""
        total = 0
        for number, side, holder, amount in zip(
            self._leg_transfers, self._sides, self._accounts, self._amounts, strict=True
        ):
            if holder == account and self._heights[number] == height and self._assets[number] == self._native:
                total += amount if side == _PAYEE else -amount
        return total

    def finish(self, assets: Sequence[Asset]) -> LegBatch:
        """Return everything that was added, with the assets that it speaks of."""
        count = len(self._heights)
        transfers = [
            pa.array(range(count), pa.int64()),
            pa.array(self._positions, pa.int64()),
            pa.array(self._heights, pa.int64()),
            pa.array(self._positions, pa.int32()),
            pa.array(self._kinds, pa.string()),
            pa.array(self._parts, pa.int32()),
            pa.array(self._times, pa.timestamp("us")),
            pa.array(self._hashes, pa.binary()),
            pa.array(self._assets, pa.string()),
            pa.array(self._block_hashes, pa.binary()),
            pa.repeat(pa.scalar(value=False), count),
        ]
        legs = [
            pa.array(self._leg_transfers, pa.int64()),
            pa.array(self._sides, pa.string()),
            pa.array(self._indexes, pa.int32()),
            pa.array(self._accounts, pa.string()),
            _amounts(self._amounts),
            pa.nulls(len(self._amounts), pa.binary()),
            pa.nulls(len(self._amounts), pa.int32()),
        ]
        return LegBatch(
            pa.table(transfers, schema=TRANSFER_SCHEMA),
            pa.table(legs, schema=LEG_SCHEMA),
            _table(self._rejected, REJECT_SCHEMA),
            tuple(assets),
            _table(self._blocks, BLOCK_SCHEMA),
            _table(self._freezes, FREEZE_SCHEMA),
        )

    def _add_transfer(self, kind: str, part: int, reference: str) -> int:
        number = len(self._heights)
        time, digest = self._block
        self._heights.append(self.height)
        self._positions.append(self._position)
        self._kinds.append(kind)
        self._parts.append(part)
        self._times.append(time)
        self._hashes.append(self._hash)
        self._assets.append(reference)
        self._block_hashes.append(digest)
        self.references.add(reference)
        return number

    def _add_leg(self, number: int, side: str, index: int, account: str, amount: int) -> None:
        self._leg_transfers.append(number)
        self._sides.append(side)
        self._indexes.append(index)
        self._accounts.append(self.account(account))
        self._amounts.append(amount)

    def _reject_large(self, kind: str, part: int, reference: str | None, amount: int) -> None:
        what = f"{kind} {part} of transaction {self._position}"
        self.reject("too_large", f"{what} moves {amount} of {reference or self._native}: over 38 digits")


def _amounts(values: Sequence[int]) -> pa.Array:
    data = b"".join([value.to_bytes(16, "little") for value in values])
    return pa.Array.from_buffers(AMOUNT, len(values), [None, pa.py_buffer(data)])


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
