"""Rows of EVM files: where and when each happened, between whom, how much; each fault with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.assets import asset_reference, find_asset, token_reference
from chains.bulk import Mask
from chains.files.beside import Beside
from chains.files.evm_values import (
    Amounts,
    Integers,
    read_accounts,
    read_amounts,
    read_hashes,
    read_times,
    read_whole,
)
from chains.files.moves import Moves, Rows
from chains.ledger import Asset, Kind
from chains.registry import Chain
from chains.rejections import Rejections, shown, value_at

Columns = Mapping[str, pa.Array]

_FAULTS = {
    "bad_amount": "is no amount: it must be a whole number, not negative",
    "too_large": "has more than 38 digits",
}


@dataclass(frozen=True)
class EvmFile:
    """One file being read, and what it is read with."""

    layout: str
    path: Path
    chain: Chain
    native: Asset
    beside: Beside
    rows_per_batch: int
    listed: frozenset[str] = frozenset()
    assets: dict[str, Asset] = field(default_factory=dict)  # tokens met so far, by account of the contract

    def token(self, contract: str) -> Asset:
        """Return the asset of a contract."""
        if contract not in self.assets:
            reference = token_reference(self.chain, contract)
            wanted = {asset_reference(text.strip(), self.chain) for text in self.listed}
            self.assets[contract] = find_asset(self.chain, reference, listed=reference in wanted)
        return self.assets[contract]


def read_places(
    source: EvmFile, columns: Mapping[str, pa.Array | None], rejected: Rejections, first: int
) -> tuple[Rows, "BlockColumns"]:
    """Where and when each row happened, from its own columns and from those beside it."""
    height = columns["height"]
    assert height is not None  # noqa: S101  (every table needs it)
    count = len(height)
    heights, good, _ = read_whole(height)
    reject_values(rejected, ~good, "bad_height", height)
    stated, transaction = columns.get("hash"), pa.nulls(count, pa.binary())
    if stated is not None:
        transaction, broken = read_hashes(stated)
        reject_values(rejected, broken | np.asarray(transaction.is_null()), "bad_hash", stated)
    facts = source.beside.blocks(heights)
    times, block_hash = facts.time, facts.block_hash
    stated = columns.get("time")
    if stated is not None:
        own, broken = read_times(stated)
        reject_values(rejected, broken, "bad_time", stated)
        times = pc.coalesce(own, times)
    for row in np.flatnonzero(np.asarray(times.is_null())):
        rejected.add(int(row), "bad_time", f"nothing says the time of block {heights[row]}")
    stated = columns.get("block_hash")
    if stated is not None:
        own, broken = read_hashes(stated)
        reject_values(rejected, broken, "bad_block_hash", stated)
        other = np.asarray(pc.fill_null(pc.not_equal(own, block_hash), fill_value=False))
        for row in np.flatnonzero(other):
            rejected.add(
                int(row), "other_branch", f"block {heights[row]} has another hash in the blocks file"
            )
        block_hash = pc.coalesce(own, block_hash)
    position = pa.nulls(count, pa.int32())
    stated = columns.get("position")
    if stated is not None:
        places, placed, broken = read_whole(stated)
        reject_values(rejected, broken | (places >= 2**31), "bad_position", stated)
        position = pa.array(np.where(placed, places, 0).clip(0, 2**31 - 1), pa.int32(), mask=~placed)
    if position.null_count and columns.get("hash") is not None:
        position = pc.coalesce(position, source.beside.positions(heights, transaction))
    numbers = np.arange(first, first + count)
    rows = Rows(numbers, pa.array(heights), position, times, transaction, block_hash)
    return rows, BlockColumns(facts.miner, facts.base_fee)


@dataclass(frozen=True)
class BlockColumns:
    """Who gets the tips of each row's block, and its base fee; null where unknown."""

    miner: pa.Array
    base_fee: pa.Array


def read_party(
    source: EvmFile, columns: Columns, word: str, rejected: Rejections, *, needed: bool = False
) -> pa.Array:
    """Canonical accounts of a column; a row without one is rejected where it is `needed`."""
    accounts, broken = read_accounts(columns[word], source.chain)
    lacking = np.asarray(accounts.is_null()) if needed else broken
    for row in np.flatnonzero(broken | lacking):
        value = value_at(columns[word], int(row))
        found = f"{shown(value)} is no address" if value is not None else "there is none"
        rejected.add(int(row), "bad_address", f"{word}: {found}")
    return accounts


def read_values(column: pa.Array, rejected: Rejections) -> Amounts:
    """Amounts of a column; a row without one is rejected."""
    value = read_amounts(column)
    for reason, fault in (("bad_amount", value.bad | value.absent), ("too_large", value.large)):
        for row in np.flatnonzero(fault):
            stated = value_at(column, int(row))
            found = f"{shown(stated)} {_FAULTS[reason]}" if stated is not None else "there is no amount"
            rejected.add(int(row), reason, found)
    return value


def one_to_one(
    kind: Kind,
    rows: Integers,
    asset: str | pa.Array,
    *,
    payer: pa.Array,
    payee: pa.Array,
    value: Amounts,
    part: Integers | None = None,
) -> Moves:
    """The movements of some rows of a batch from one payer to one payee."""
    take = pa.array(rows)
    amount = value.value.take(take)
    return Moves(
        kind=kind,
        row=rows,
        part=part[rows] if part is not None else np.zeros(len(rows), np.int64),
        asset=pa.repeat(asset, len(rows)) if isinstance(asset, str) else asset,
        payer=payer.take(take),
        payee=payee.take(take),
        paid=amount,
        got=amount,
        lossy=value.lossy[rows],
    )


def reject_values(rejected: Rejections, faults: Mask, reason: str, column: pa.Array) -> None:
    """Reject rows for what stands in a column."""
    for row in np.flatnonzero(faults):
        value = value_at(column, int(row))
        rejected.add(
            int(row), reason, f"{shown(value)} does not fit" if value is not None else "it is missing"
        )
