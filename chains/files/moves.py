"""From decoded columns to a batch of legs: groups of one-sided or two-sided movements, put in order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.bulk import Mask
from chains.files.evm_values import Integers
from chains.ledger import AMOUNT, LEG_SCHEMA, TRANSFER_SCHEMA, Kind, Side

_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True)
class Rows:
    """Where and when each row of a batch of source rows happened."""

    number: Integers  # in the source, from 0
    height: pa.Array  # int64
    position: pa.Array  # int32, null where unknown
    time: pa.Array
    hash: pa.Array  # null for what is no transaction
    block_hash: pa.Array


@dataclass(frozen=True)
class Moves:
    """Movements of one kind, each from a row of the batch. A party that is null has no leg."""

    kind: Kind
    row: Integers  # place in the batch
    part: Integers
    asset: pa.Array
    payer: pa.Array
    payee: pa.Array
    paid: pa.Array  # AMOUNT
    got: pa.Array  # AMOUNT
    lossy: Mask


def join_moves(rows: Rows, groups: Iterable[Moves]) -> tuple[pa.Table, pa.Table]:
    """Transfers and legs of all movements, by row, kind and part; transfers numbered from 0."""
    present = [group for group in groups if len(group.row)]
    if not present:
        return TRANSFER_SCHEMA.empty_table(), LEG_SCHEMA.empty_table()
    row = np.concatenate([group.row for group in present])
    part = np.concatenate([group.part for group in present])
    kind = np.concatenate([np.full(len(group.row), _ORDER[group.kind]) for group in present])
    order = np.lexsort((part, kind, rows.number[row]))
    row, part, kind = row[order], part[order], kind[order]
    places, count = pa.array(row), len(row)
    words = pa.array([member.value for member in Kind]).take(pa.array(kind))
    take = pa.array(order)
    transfers = pa.table(
        {
            "transfer": np.arange(count, dtype=np.int64),
            "row": rows.number[row],
            "height": rows.height.take(places),
            "position": rows.position.take(places),
            "kind": words,
            "part": part.astype(np.int32),
            "time": rows.time.take(places),
            "hash": rows.hash.take(places),
            "asset": _joined(present, "asset").take(take),
            "block_hash": rows.block_hash.take(places),
            "lossy": np.concatenate([group.lossy for group in present])[order],
        },
        schema=TRANSFER_SCHEMA,
    )
    return transfers, _legs(present, order)


def _legs(groups: Sequence[Moves], order: Integers) -> pa.Table:
    """Payer's and payee's leg of each movement, next to each other."""
    count = len(order)
    take = pa.array(order)
    parties = [_joined(groups, name).take(take) for name in ("payer", "payee")]
    amounts = [_joined(groups, name).take(take) for name in ("paid", "got")]
    zipped = pa.array(np.arange(2 * count).reshape(2, count).T.ravel())
    account = pa.concat_arrays(parties).take(zipped)
    legs = pa.table(
        {
            "transfer": np.repeat(np.arange(count), 2),
            "side": pa.array([Side.PAYER.value, Side.PAYEE.value]).take(pa.array(np.arange(2 * count) % 2)),
            "index": np.zeros(2 * count, np.int32),
            "account": account,
            "amount": pa.concat_arrays(amounts).take(zipped),
            "spent_hash": pa.nulls(2 * count, pa.binary()),
            "spent_index": pa.nulls(2 * count, pa.int32()),
        }
    )
    return legs.filter(account.is_valid()).cast(LEG_SCHEMA)


def _joined(groups: Sequence[Moves], name: str) -> pa.Array:
    return pa.concat_arrays([getattr(group, name) for group in groups])


def product(count: pa.Array, price: pa.Array) -> tuple[pa.Array, Mask]:
    """Count times price, null where either is; and which are beyond 38 digits (0 there)."""
    fits = pc.and_(pc.less(count, _limit(13)), pc.less(price, _limit(24)))
    small = pc.if_else(fits, count, None).cast(pa.decimal128(13, 0))
    each = pc.if_else(fits, price, None).cast(pa.decimal128(24, 0))
    value = pc.multiply(small, each).cast(AMOUNT)
    beyond = np.asarray(pc.fill_null(pc.invert(fits), fill_value=False))
    if not beyond.any():
        return value, beyond
    exact = [int(count[int(i)].as_py()) * int(price[int(i)].as_py()) for i in np.flatnonzero(beyond)]
    large = np.zeros(len(count), np.bool_)
    large[beyond] = [number >= 10**38 for number in exact]
    numbers = pa.array([number if number < 10**38 else 0 for number in exact], AMOUNT)
    return pc.replace_with_mask(value, pa.array(beyond), numbers), large


def total(first: pa.Array, second: pa.Array, sign: int = 1) -> tuple[pa.Array, Mask]:
    """First plus (or minus) second; and which are beyond 38 digits or below zero (0 there)."""
    safe = pc.and_(pc.less(first, _limit(37)), pc.less(second, _limit(37)))
    narrow = pa.decimal128(37, 0)
    one, two = (pc.if_else(safe, each, None).cast(narrow) for each in (first, second))
    value = (pc.add(one, two) if sign > 0 else pc.subtract(one, two)).cast(AMOUNT)
    out = np.asarray(pc.fill_null(pc.invert(safe), fill_value=False))
    out |= np.asarray(pc.fill_null(pc.less(value, pa.scalar(0, AMOUNT)), fill_value=False))
    return pc.if_else(pa.array(out), pa.scalar(0, AMOUNT), value), out


def _limit(digits: int) -> pa.Scalar:
    return pa.scalar(10**digits, AMOUNT)
