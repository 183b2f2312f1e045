"""The two compiled passes of tracing: forward for sources, backward (its adjoint) for destinations.

Both walk one chain and asset in causal order on one thread, so that sums come out the same on every
run. A holder is what carries a balance: an address on an account chain, one output on a UTXO chain.
State is sparse: a list of slots for each holder, one slot for each category that its balance stems
from (forward) or ends in (backward). Slots live in one array, chained by `next`, with a free list.

Inside a transfer, and in what each entity received or sent, a key is `2 * category + direct`.
"""

import numba as nb
import numpy as np

SNAP = 1.0 - 1e-12
"""A payment of at least this share of a balance empties it: the rest is rounding of doubles."""

SLOT = np.dtype([("next", "i4"), ("key", "i2"), ("hops", "i2"), ("value", "f8"), ("usd", "f8")], align=True)
PAYMENT, FEE, BURN, RETURN = range(4)
"""What a transfer is: value given to another, or newly made; the chain's fee; value taken back by its issuer
or destroyed; value that returns from where the ledger does not see it."""

FAR = 32767  # more hops than are counted: a longer path is said to have one less


@nb.njit(cache=True)
def _room(slots, meta, needed):
    """Return `slots` with space for `needed` more; `meta` is (first free slot or -1, slots in use)."""
    if meta[1] + needed <= slots.size:
        return slots
    grown = np.empty(max(2 * slots.size, meta[1] + needed), slots.dtype)
    grown[: meta[1]] = slots[: meta[1]]
    return grown


@nb.njit(cache=True)
def _add(head, slots, meta, holder, key, value, usd, hops):
    """Add `value` to the slot of (`holder`, `key`), which is made if there is none; `_room` comes first."""
    at = head[holder]
    while at >= 0:
        if slots[at].key == key:
            slots[at].value += value
            slots[at].usd += usd
            slots[at].hops = min(slots[at].hops, hops)
            return
        at = slots[at].next
    if meta[0] >= 0:
        at = meta[0]
        meta[0] = slots[at].next
    else:
        at = meta[1]
        meta[1] += 1
    slots[at].next = head[holder]
    slots[at].key = key
    slots[at].value = value
    slots[at].usd = usd
    slots[at].hops = hops
    head[holder] = at


@nb.njit(cache=True)
def _free(head, slots, meta, holder):
    """Give all slots of `holder` back to the free list."""
    at = head[holder]
    while at >= 0:
        following = slots[at].next
        slots[at].next = meta[0]
        meta[0] = at
        at = following
    head[holder] = -1


@nb.njit(cache=True)
def _pour(pool, key, value, share, hops):
    """Add to the pool of one transfer: per key a value, a share of flows alone, and least hops of each."""
    if pool.inside[key] == 0:
        pool.inside[key] = 1
        pool.touched[pool.size[0]] = key
        pool.size[0] += 1
        pool.value[key] = 0.0
        pool.flowing[key] = 0.0
        pool.hops[key] = FAR
        pool.flow_hops[key] = FAR
    pool.value[key] += value
    pool.hops[key] = min(pool.hops[key], hops)
    if share > 0.0:
        pool.flowing[key] += share
        pool.flow_hops[key] = min(pool.flow_hops[key], hops)


@nb.njit(cache=True)
def _empty(pool):
    for k in range(pool.size[0]):
        pool.inside[pool.touched[k]] = 0
    pool.size[0] = 0


@nb.njit(cache=True)
def _listed(head, slots, used):
    """Return (holder of each slot, slots), by holder and then key: the result has one order."""
    holder = np.empty(used, np.int64)
    out = np.empty(used, slots.dtype)
    n = 0
    for h in range(head.size):
        first = n
        at = head[h]
        while at >= 0:
            place = n
            while place > first and out[place - 1].key > slots[at].key:
                out[place] = out[place - 1]
                place -= 1
            out[place] = slots[at]
            holder[n] = h
            n += 1
            at = slots[at].next
    return holder[:n], out[:n]


@nb.njit(cache=True)
def trace_forward(payers, payees, roles, sole_payer, pool, holders, entities, categories):
    """Carry every category forward; return what each entity received and what each holder still holds.

    `payers` and `payees` are named tuples of columns (`LegColumns`), `sole_payer` an entity or -1 for each
    transfer, `roles` what it is. Keys without an owner: `categories` is spent beyond what the ledger saw
    received, `categories + 1` is minted. A fee leaves its payer, and what the block's maker gets of it counts
    as minted, as it does in a coinbase: nobody pays anybody. Returns (received: entity, slots), (held:
    holder, slots), the balance of each holder, and for each payer leg the share of its holder's balance that
    it moved, which the backward pass reuses.
    """
    history, minted = categories, categories + 1
    balance = np.zeros(holders, np.float64)
    head = np.full(holders, -1, np.int32)
    meta = np.array([-1, 0], np.int64)
    slots = np.empty(1024, SLOT)
    got_head = np.full(entities, -1, np.int32)
    got_meta = np.array([-1, 0], np.int64)
    got = np.empty(1024, SLOT)
    fraction = np.zeros(payers.holder.size, np.float64)

    for t in range(payers.start.size - 1):
        total = 0.0
        for i in range(payers.start[t], payers.start[t + 1]):
            amount = payers.amount[i]
            total += amount
            holder = payers.holder[i]
            if amount <= 0.0:
                continue
            if payers.seed[i] >= 0:
                _pour(pool, 2 * payers.seed[i] + 1, amount, 0.0, 0)
            elif holder < 0:
                _pour(pool, 2 * history, amount, 0.0, 0)
            else:
                held = balance[holder]
                share = amount / held if amount < held * SNAP else 1.0
                at = head[holder]
                while at >= 0:
                    moved = slots[at].value * share
                    _pour(pool, 2 * slots[at].key, moved, 0.0, slots[at].hops)
                    slots[at].value -= moved
                    at = slots[at].next
                fraction[i] = share
                if share < 1.0:
                    balance[holder] = held - amount
                else:
                    _free(head, slots, meta, holder)
                    balance[holder] = 0.0
                    if held < amount * SNAP:
                        _pour(pool, 2 * history, amount - held, 0.0, 0)
        if roles[t] == FEE:
            _empty(pool)
            total = 0.0
        if roles[t] == FEE or payers.start[t] == payers.start[t + 1]:
            for j in range(payees.start[t], payees.start[t + 1]):
                total += payees.amount[j]
            _pour(pool, 2 * (history if roles[t] == RETURN else minted), total, 0.0, 0)
        legs = payees.start[t + 1] - payees.start[t]
        slots = _room(slots, meta, legs * pool.size[0])
        got = _room(got, got_meta, legs * pool.size[0])
        for j in range(payees.start[t], payees.start[t + 1]):
            amount = payees.amount[j]
            if amount <= 0.0:
                continue
            flows = roles[t] != FEE and payees.entity[j] != sole_payer[t]
            keeps = payees.seed[j] < 0
            for k in range(pool.size[0]):
                key = pool.touched[k]
                part = pool.value[key] / total
                if part <= 0.0:
                    continue
                hops = min(pool.hops[key] + (1 if flows else 0), FAR - 1)
                if flows:
                    usd = payees.usd[j] * part
                    _add(got_head, got, got_meta, payees.entity[j], key, amount * part, usd, hops)
                if keeps:
                    _add(head, slots, meta, payees.holder[j], key // 2, amount * part, 0.0, hops)
            if keeps:
                balance[payees.holder[j]] += amount
        _empty(pool)

    return _listed(got_head, got, got_meta[1]), _listed(head, slots, meta[1]), balance, fraction


@nb.njit(cache=True)
def trace_backward(payers, payees, roles, sole_payer, pool, fraction, holders, entities, categories):
    """Carry every category backward: of what each entity sent, how much ended where.

    The adjoint of `trace_forward`: it walks the same transfers from last to first with the same
    `fraction`, and keeps for each holder the share of one unit of its balance that ends in each
    category. Key `categories` is fees, `categories + 1` is burned. What is in no category at the end is
    still held.
    """
    fees, burned = categories, categories + 1
    head = np.full(holders, -1, np.int32)
    meta = np.array([-1, 0], np.int64)
    slots = np.empty(1024, SLOT)
    put_head = np.full(entities, -1, np.int32)
    put_meta = np.array([-1, 0], np.int64)
    put = np.empty(1024, SLOT)

    for t in range(payers.start.size - 2, -1, -1):
        total = 0.0
        for i in range(payers.start[t], payers.start[t + 1]):
            total += payers.amount[i]
        if total <= 0.0:
            continue
        # The pool of one transfer, per unit of it: all that its payees keep or pass on, and flows alone.
        paid = 0.0
        for j in range(payees.start[t], payees.start[t + 1]):
            amount = payees.amount[j]
            if amount <= 0.0 or roles[t] == FEE:
                continue
            paid += amount
            share = amount / total
            flows = payees.entity[j] != sole_payer[t]
            if payees.seed[j] >= 0:
                _pour(pool, 2 * payees.seed[j] + 1, share, share if flows else 0.0, 1)
            else:
                at = head[payees.holder[j]]
                while at >= 0:
                    value = share * slots[at].value
                    hops = min(slots[at].hops + (1 if flows else 0), FAR - 1)
                    _pour(pool, 2 * slots[at].key, value, value if flows else 0.0, hops)
                    at = slots[at].next
        if roles[t] == BURN:
            _pour(pool, 2 * burned, 1.0, 1.0, 0)
        elif paid < total * SNAP:
            # A fee takes its part of every payer's coins, but is nobody's receipt: it is no flow.
            _pour(pool, 2 * fees, (total - paid) / total, 0.0, 0)
        legs = payers.start[t + 1] - payers.start[t]
        slots = _room(slots, meta, legs * pool.size[0])
        put = _room(put, put_meta, legs * pool.size[0])
        for i in range(payers.start[t + 1] - 1, payers.start[t] - 1, -1):
            amount = payers.amount[i]
            if amount <= 0.0:
                continue
            for k in range(pool.size[0]):
                key = pool.touched[k]
                share = pool.flowing[key]
                if share > 0.0:
                    value, usd, hops = amount * share, payers.usd[i] * share, pool.flow_hops[key]
                    _add(put_head, put, put_meta, payers.entity[i], key, value, usd, hops)
            holder = payers.holder[i]
            if payers.seed[i] >= 0 or holder < 0:
                continue
            moved = fraction[i]
            if moved < 1.0:
                at = head[holder]
                while at >= 0:
                    slots[at].value *= 1.0 - moved
                    at = slots[at].next
            else:
                _free(head, slots, meta, holder)
            for k in range(pool.size[0]):
                key = pool.touched[k]
                value = pool.value[key] * moved
                if value > 0.0:
                    _add(head, slots, meta, holder, key // 2, value, 0.0, pool.hops[key])
        _empty(pool)

    return _listed(put_head, put, put_meta[1])
