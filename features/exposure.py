"""Where every coin came from, and where it went: time-ordered proportional tracing.

The rule is pro rata (the "haircut"): a payment takes from its payer the same share of everything
that the payer holds. A labelled service or offender ends a trace: what it pays counts as its
category in full, and what reaches it has arrived. On a UTXO chain each output is a balance of its
own, so a coin that was never spent together with another is not touched by it; on an account chain
one asset of an address is the balance. The destination side is the adjoint of the source side, so value
from S to M is the same number seen from either end.

Sources: Möser, Böhme, Breuker, "Towards Risk Scoring of Bitcoin Transactions" (2014), for the
proportional rule; the adjoint is reverse accumulation over the same linear steps.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from features.exposure_kernel import (
    BURN,
    FAR,
    FEE,
    PAYMENT,
    POUR,
    RETURN,
    SLOT,
    SWAP,
    TALLY,
    carry_backward,
    carry_forward,
    list_tally,
    share_out,
    total_flows,
)
from features.slots import SlotStore, new_store

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Numbers = NDArray[np.int32] | NDArray[np.int64]

__all__ = [
    "BURN",
    "FEE",
    "PAYMENT",
    "RETURN",
    "SWAP",
    "ExposureColumns",
    "LegColumns",
    "Traced",
    "sum_by",
    "trace_exposure",
]

Held = tuple[IntArray, NDArray[Any]]
"""Holder of each slot, and the slots: what nobody has spent yet."""

LEGS_AT_ONCE = 12_000_000
"""Legs up to which both passes may run at once: beyond it, memory is what counts."""

STRETCH = 1_000_000
"""Transfers between two moments at which a pass may be set aside."""


class LegColumns(NamedTuple):
    """One side of all transfers of one chain, grouped by transfer in causal order.

    `start` has length n+1: legs of transfer t are `start[t]:start[t+1]`. `holder` is what carries
    the balance (-1: spent from before the ledger's view). `owner` is who it counts for: one asset of an
    entity. `seed` is a category number or -1. `amount` is in raw units, `usd` in micro-USD (NaN: unknown).
    `weight` is what parts of one transfer are weighed by: the amount, but where one asset is given for
    another.
    """

    start: IntArray
    holder: Numbers
    owner: Numbers
    seed: NDArray[np.int16]
    amount: FloatArray
    weight: FloatArray
    usd: FloatArray


@dataclass(frozen=True)
class ExposureColumns:
    """What owners received or sent, by category: parallel columns, by owner, category, directness.

    `category` counts as the taxonomy does; numbers from `categories` on are the ones without an
    owner. `direct` says that the labelled entity itself was the counterparty. `value` is in raw
    units, `usd` in micro-USD (NaN: unknown), `hops` the least number of payments to or from it.
    `largest` (raw units) is the largest part that came along one path from one labelled payment, and
    `origin` the number of its payer leg; of what was sent, of the payee leg with which it arrived; -1: none.
    """

    owner: NDArray[np.int32]
    category: NDArray[np.int16]
    direct: NDArray[np.bool_]
    value: FloatArray
    usd: FloatArray
    hops: NDArray[np.int16]
    largest: FloatArray
    origin: NDArray[np.int32]


@dataclass(frozen=True)
class Traced:
    """The outcome for one chain.

    `received_total` and `sent_total` have one number an owner, in raw units: what the shares are
    shares of. `held_*` are parallel columns of what nobody has spent yet (none where that was not asked for),
    `balance` its sum a holder.
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


@dataclass
class Forward:
    """The forward pass after some transfers: enough to go on with what follows."""

    done: int
    state: SlotStore
    tally: SlotStore


@dataclass(frozen=True)
class Task:
    """What is traced: one chain's legs, and what each transfer is."""

    payers: LegColumns
    payees: LegColumns
    roles: NDArray[np.int8]
    flows: NDArray[np.bool_]
    """For each payee leg, whether it is a payment to another: change is none, and no fee is."""
    holders: int
    owners: int
    categories: int
    spill: Path | None = None
    """Folder for the state where it may not fit into memory."""
    held: bool = True
    """Whether the state at the end is wanted."""

    @property
    def transfers(self) -> int:
        """Return how many transfers there are."""
        return self.payers.start.size - 1


class Resting(Protocol):
    """Where a forward pass is set aside and taken up again."""

    def begin(self, task: Task) -> Forward | None:
        """Return an earlier pass over the same first transfers, if there is one."""

    def rest(self, forward: Forward, task: Task) -> None:
        """Take note of the pass between two stretches."""


def trace_exposure(
    payers: LegColumns,
    payees: LegColumns,
    roles: NDArray[np.int8] | None = None,
    *,
    owner_entity: Numbers | None = None,
    holders: int,
    owners: int,
    categories: int,
    threads: int = 1,
    spill: Path | None = None,
    resting: Resting | None = None,
    held: bool = True,
) -> Traced:
    """Trace all value of one chain, from sources and to destinations.

    `roles` says of each transfer what it is (PAYMENT, FEE, BURN, RETURN, SWAP); all are payments without it.
    `owner_entity` says which owners are one entity; without it each is its own. Numbers of categories without
    an owner: received `categories` (history not in the ledger) and `categories + 1` (newly made); sent
    `categories` (fees) and `categories + 1` (burned). What was sent and is in no category of `sent` is still
    held. With two `threads` both passes run at once: the same numbers, in more memory. `spill` is
    where the state lies that may not fit into memory, `resting` what was traced before is taken up from;
    without `held` nothing is said of what is still held.
    """
    if roles is None:
        roles = np.full(payers.start.size - 1, PAYMENT, np.int8)
    flows = find_flows(payers, payees, roles, owner_entity)
    task = Task(payers, payees, roles, flows, holders, owners, categories, spill, held)
    balance = np.zeros(holders)
    fraction = np.zeros(payers.holder.size)
    share_out(payers, payees, balance, fraction, 0, task.transfers)
    if threads > 1 and payers.holder.size + payees.holder.size <= LEGS_AT_ONCE:
        with ThreadPoolExecutor(2) as pool:
            backward = pool.submit(_run_backward, task, fraction)
            received, state = _run_forward(task, fraction, resting)
            sent = backward.result()
    else:
        received, state = _run_forward(task, fraction, resting)
        sent = _run_backward(task, fraction)
    del fraction
    totals = total_flows(payers, payees, flows, roles, owners)
    return Traced(
        received=received,
        sent=sent,
        received_total=totals[:, 0],
        received_usd=totals[:, 1],
        sent_total=totals[:, 2],
        sent_usd=totals[:, 3],
        held_holder=state[0] if state else np.zeros(0, np.int64),
        held_category=state[1]["key"].astype(np.int64) if state else np.zeros(0, np.int64),
        held_value=state[1]["value"] if state else np.zeros(0),
        balance=balance,
    )


def _run_forward(
    task: Task, fraction: FloatArray, resting: Resting | None
) -> tuple[ExposureColumns, Held | None]:
    forward = resting.begin(task) if resting is not None else None
    if forward is None:
        state, tally = new_store(task.holders, SLOT, task.spill), new_store(task.owners, TALLY, task.spill)
        forward = Forward(0, state, tally)
    legs = (task.payers, task.payees, task.flows, task.roles)
    pool, keys = _new_pool(task.categories)
    while forward.done < task.transfers:
        last = min((forward.done // STRETCH + 1) * STRETCH, task.transfers)
        carry_forward(
            legs,
            fraction,
            pool,
            keys,
            task.categories,
            forward.state.parts,
            forward.tally.parts,
            forward.done,
            last,
        )
        forward.done = last
        if resting is not None:
            resting.rest(forward, task)
    held = forward.state.listed() if task.held else None
    forward.state.close()
    received = ExposureColumns(*list_tally(*forward.tally.parts[:2]))
    forward.tally.close()
    return received, held


def _new_pool(categories: int) -> tuple[NDArray[Any], IntArray]:
    """Return what one transfer carries, with nothing in it, and room for the keys that it touches."""
    pool = np.zeros(2 * (categories + 2), POUR)
    pool["hops"], pool["met"], pool["kept"] = FAR, -1, -1
    return pool, np.zeros(pool.size, np.int64)


def _run_backward(task: Task, fraction: FloatArray) -> ExposureColumns:
    state, tally = new_store(task.holders, SLOT, task.spill), new_store(task.owners, TALLY, task.spill)
    pool, keys = _new_pool(task.categories)
    legs = (task.payers, task.payees, task.flows, task.roles)
    carry_backward(legs, fraction, pool, keys, task.categories, state.parts, tally.parts, 0, task.transfers)
    state.close()
    sent = ExposureColumns(*list_tally(*tally.parts[:2]))
    tally.close()
    return sent


def find_flows(
    payers: LegColumns,
    payees: LegColumns,
    roles: NDArray[np.int8],
    owner_entity: Numbers | None = None,
) -> NDArray[np.bool_]:
    """Return for each payee leg whether it is a payment to another.

    What an entity that pays alone pays itself is change: no receipt, no payment and no hop. Where several
    entities pay together nobody can say whose coin is whose, so every leg counts. A fee is nobody's receipt.
    """
    n = payers.start.size - 1
    entity_of = (lambda owner: owner) if owner_entity is None else (lambda owner: owner_entity[owner])
    sole = np.full(n, -1, np.int64)
    paid = np.diff(payers.start) > 0
    first = payers.start[:-1][paid]
    if first.size:
        entity = entity_of(payers.owner)
        lowest, highest = np.minimum.reduceat(entity, first), np.maximum.reduceat(entity, first)
        sole[paid] = np.where(lowest == highest, lowest, -1)
    legs = np.diff(payees.start)
    flows = entity_of(payees.owner) != np.repeat(sole, legs)
    return np.asarray(flows & np.repeat(roles != FEE, legs), np.bool_)


def sum_by(group: Numbers, values: FloatArray, groups: int) -> FloatArray:
    """Sum `values` by `group`, one by one in their order: the same doubles on every run."""
    return np.asarray(np.bincount(group, values, minlength=groups), np.float64)
