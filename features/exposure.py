"""Where every coin came from, and where it went: time-ordered proportional tracing.

The rule is pro rata (the "haircut"): a payment takes from its payer the same share of everything
that the payer holds. A labelled service or offender ends a trace: what it pays counts as its
category in full, and what reaches it has arrived. On a UTXO chain each output is a balance of its
own, so a coin that was never spent together with another is not touched by it; on an account chain
the address is the balance. The destination side is the adjoint of the source side, so value from S
to M is the same number seen from either end.

Sources: Möser, Böhme, Breuker, "Towards Risk Scoring of Bitcoin Transactions" (2014), for the
proportional rule; the adjoint is reverse accumulation over the same linear steps.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.exposure_kernel import BURN, FEE, PAYMENT, RETURN, trace_backward, trace_forward

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Numbers = NDArray[np.int32] | NDArray[np.int64]

__all__ = ["BURN", "FEE", "PAYMENT", "RETURN", "LegColumns", "Traced", "sum_by", "trace_exposure"]


class LegColumns(NamedTuple):
    """One side of all transfers of one chain and asset, grouped by transfer in causal order.

    `start` has length n+1: legs of transfer t are `start[t]:start[t+1]`. `holder` is what carries
    the balance (-1: spent from before the ledger's view). `entity` is who it counts for. `seed` is
    a category number or -1. `amount` is in raw units, `usd` in micro-USD (NaN: unknown).
    """

    start: IntArray
    holder: Numbers
    entity: Numbers
    seed: NDArray[np.int16]
    amount: FloatArray
    usd: FloatArray


@dataclass(frozen=True)
class ExposureColumns:
    """What entities received or sent, by category: parallel columns, by entity, category, directness.

    `category` counts as the taxonomy does; numbers from `categories` on are the ones without an
    owner. `direct` says that the labelled entity itself was the counterparty. `value` is in raw
    units, `usd` in micro-USD (NaN: unknown), `hops` the least number of payments to or from it.
    """

    entity: IntArray
    category: IntArray
    direct: NDArray[np.bool_]
    value: FloatArray
    usd: FloatArray
    hops: IntArray


@dataclass(frozen=True)
class Traced:
    """The outcome for one chain and asset.

    `received_total` and `sent_total` have one number an entity, in raw units: what the shares are
    shares of. `held` is (holder, category, value) of what nobody has spent yet, `balance` its sum a
    holder.
    """

    received: ExposureColumns
    sent: ExposureColumns
    received_total: FloatArray
    received_usd: FloatArray
    sent_total: FloatArray
    sent_usd: FloatArray
    held_holder: IntArray
    held_category: IntArray
    held_value: FloatArray
    balance: FloatArray


def trace_exposure(
    payers: LegColumns,
    payees: LegColumns,
    roles: NDArray[np.int8] | None = None,
    *,
    holders: int,
    entities: int,
    categories: int,
) -> Traced:
    """Trace all value of one chain and asset, from sources and to destinations.

    `roles` says of each transfer what it is (PAYMENT, FEE, BURN, RETURN); all are payments without it.
    Numbers of categories without an owner: received `categories` (history not in the ledger) and
    `categories + 1` (minted); sent `categories` (fees) and `categories + 1` (burned). What was sent and is
    in no category of `sent` is still held.
    """
    if roles is None:
        roles = np.full(payers.start.size - 1, PAYMENT, np.int8)
    sole = sole_payers(payers)
    received, held, balance, fraction = trace_forward(
        payers, payees, roles, sole, _pool(categories), holders, entities, categories
    )
    sent = trace_backward(
        payers, payees, roles, sole, _pool(categories), fraction, holders, entities, categories
    )
    del fraction
    legs = np.diff(payees.start)
    flows = (payees.entity != np.repeat(sole, legs)) & np.repeat(roles != FEE, legs)
    moved = _segment_sums(payees.start, np.where(flows, payees.amount, 0.0))
    paid = _segment_sums(payers.start, payers.amount)
    with np.errstate(divide="ignore", invalid="ignore"):
        flowing = np.where(paid > 0, moved / paid, 0.0)
    flowing[roles == BURN] = 1.0
    flowing_share = np.repeat(flowing, np.diff(payers.start))
    return Traced(
        received=_columns(received),
        sent=_columns(sent),
        received_total=sum_by(payees.entity[flows], payees.amount[flows], entities),
        received_usd=sum_by(payees.entity[flows], payees.usd[flows], entities),
        sent_total=sum_by(payers.entity, payers.amount * flowing_share, entities),
        sent_usd=sum_by(payers.entity, payers.usd * flowing_share, entities),
        held_holder=held[0],
        held_category=held[1]["key"].astype(np.int64),
        held_value=held[1]["value"],
        balance=balance,
    )


def sole_payers(payers: LegColumns) -> IntArray:
    """Return for each transfer the entity that alone paid it, or -1 (several, or nobody).

    What such an entity pays itself is change: no receipt, no payment and no hop. Where several
    entities pay together nobody can say whose coin is whose, so every leg counts.
    """
    n = payers.start.size - 1
    sole = np.full(n, -1, np.int64)
    counts = np.diff(payers.start)
    paid = counts > 0
    first = payers.start[:-1][paid]
    if first.size:
        lowest = np.minimum.reduceat(payers.entity, first)
        highest = np.maximum.reduceat(payers.entity, first)
        sole[paid] = np.where(lowest == highest, lowest, -1)
    return sole


def sum_by(group: Numbers, values: FloatArray, groups: int) -> FloatArray:
    """Sum `values` by `group`, one by one in their order: the same doubles on every run."""
    return np.asarray(np.bincount(group, values, minlength=groups), np.float64)


def _segment_sums(start: IntArray, values: FloatArray) -> FloatArray:
    owner = np.repeat(np.arange(start.size - 1), np.diff(start))
    return sum_by(owner, values, start.size - 1)


def _columns(listed: tuple[IntArray, NDArray[Any]]) -> ExposureColumns:
    entity, slots = listed
    return ExposureColumns(
        entity=entity,
        category=slots["key"].astype(np.int64) >> 1,
        direct=(slots["key"] & 1).astype(np.bool_),
        value=slots["value"].copy(),
        usd=slots["usd"].copy(),
        hops=slots["hops"].astype(np.int64),
    )


class _Pool(NamedTuple):
    """What one transfer carries, by key; scratch memory of the kernels."""

    value: FloatArray
    flowing: FloatArray
    hops: NDArray[np.int16]
    flow_hops: NDArray[np.int16]
    inside: NDArray[np.int8]
    touched: NDArray[np.int16]
    size: IntArray


def _pool(categories: int) -> _Pool:
    keys = 2 * (categories + 2)
    return _Pool(
        value=np.zeros(keys),
        flowing=np.zeros(keys),
        hops=np.zeros(keys, np.int16),
        flow_hops=np.zeros(keys, np.int16),
        inside=np.zeros(keys, np.int8),
        touched=np.zeros(keys, np.int16),
        size=np.zeros(1, np.int64),
    )
