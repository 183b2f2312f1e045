"""The two compiled passes of tracing: forward for sources, backward (its adjoint) for destinations.

Both walk one chain and asset in causal order on one thread, so that sums come out the same on every
run. A holder is what carries a balance: an address on an account chain, one output on a UTXO chain.
State is sparse: a list of slots for each holder, one slot for each category that its balance stems
from (forward) or ends in (backward). Slots live in flat arrays that grow, chained by `next`.

An accumulator key is `2 * category + direct`: the same lists hold what each entity received or sent.
"""

import numba as nb
import numpy as np

SNAP = 1.0 - 1e-12
"""A payment of at least this share of a balance empties it: the rest is rounding of doubles."""


@nb.njit(cache=True)
def _grow_f(old, size):
    new = np.empty(size, old.dtype)
    new[: old.size] = old
    return new


@nb.njit(cache=True)
def _add(head, pool_next, pool_key, pool_value, pool_usd, pool_hops, meta, holder, key, value, usd, hops):
    """Add `value` to the slot (`holder`, `key`); return the arrays, which may have grown.

    `meta[0]` is the first free slot of the free list (-1: none), `meta[1]` the number of slots used.
    """
    slot = head[holder]
    while slot >= 0:
        if pool_key[slot] == key:
            pool_value[slot] += value
            pool_usd[slot] += usd
            pool_hops[slot] = min(pool_hops[slot], hops)
            return pool_next, pool_key, pool_value, pool_usd, pool_hops
        slot = pool_next[slot]
    if meta[0] >= 0:
        slot = meta[0]
        meta[0] = pool_next[slot]
    else:
        slot = meta[1]
        meta[1] += 1
        if slot >= pool_key.size:
            size = 2 * pool_key.size
            pool_next = _grow_f(pool_next, size)
            pool_key = _grow_f(pool_key, size)
            pool_value = _grow_f(pool_value, size)
            pool_usd = _grow_f(pool_usd, size)
            pool_hops = _grow_f(pool_hops, size)
    pool_next[slot] = head[holder]
    pool_key[slot] = key
    pool_value[slot] = value
    pool_usd[slot] = usd
    pool_hops[slot] = hops
    head[holder] = slot
    return pool_next, pool_key, pool_value, pool_usd, pool_hops


@nb.njit(cache=True)
def _free(head, pool_next, meta, holder):
    """Give all slots of `holder` back to the free list."""
    slot = head[holder]
    while slot >= 0:
        following = pool_next[slot]
        pool_next[slot] = meta[0]
        meta[0] = slot
        slot = following
    head[holder] = -1


@nb.njit(cache=True)
def _empty_pool(size):
    return (
        np.empty(size, np.int32),
        np.empty(size, np.int16),
        np.empty(size, np.float64),
        np.empty(size, np.float64),
        np.empty(size, np.int16),
    )


@nb.njit(cache=True)
def _collect(head, pool_next, pool_key, pool_value, pool_usd, pool_hops, used):
    """Return the lists as columns, by holder and then key, so that the result has one order."""
    holder = np.empty(used, np.int32)
    key = np.empty(used, np.int16)
    value = np.empty(used, np.float64)
    usd = np.empty(used, np.float64)
    hops = np.empty(used, np.int16)
    n = 0
    for h in range(head.size):
        first = n
        slot = head[h]
        while slot >= 0:
            at = n
            while at > first and key[at - 1] > pool_key[slot]:
                holder[at] = holder[at - 1]
                key[at] = key[at - 1]
                value[at] = value[at - 1]
                usd[at] = usd[at - 1]
                hops[at] = hops[at - 1]
                at -= 1
            holder[at] = h
            key[at] = pool_key[slot]
            value[at] = pool_value[slot]
            usd[at] = pool_usd[slot]
            hops[at] = pool_hops[slot]
            n += 1
            slot = pool_next[slot]
    return holder[:n], key[:n], value[:n], usd[:n], hops[:n]


@nb.njit(cache=True)
def trace_forward(
    payer_start, payer_holder, payer_entity, payer_seed, payer_amount,
    payee_start, payee_holder, payee_entity, payee_seed, payee_amount, payee_usd,
    sole_payer, holders, entities, categories,
):
    """Carry every category forward; return what each entity received and what each holder still holds.

    Columns of legs are grouped by transfer through `*_start` (length n+1). Seeds are category
    numbers or -1. Category numbers `categories` and `categories + 1` are the two without an owner:
    spent beyond what the ledger saw received, and minted. Returns (received columns by entity and
    accumulator key), (held columns by holder and category) and `fraction`: for each payer leg the
    share of its holder's balance that it moved, which the backward pass reuses.
    """
    history, minted = categories, categories + 1
    width = categories + 2
    balance = np.zeros(holders, np.float64)
    head = np.full(holders, -1, np.int32)
    meta = np.array([-1, 0], np.int64)
    s_next, s_key, s_value, s_usd, s_hops = _empty_pool(max(1024, payee_holder.size // 4))
    r_head = np.full(entities, -1, np.int32)
    r_meta = np.array([-1, 0], np.int64)
    r_next, r_key, r_value, r_usd, r_hops = _empty_pool(max(1024, entities))
    fraction = np.zeros(payer_holder.size, np.float64)

    pool = np.zeros(2 * width, np.float64)  # key 2*category+direct -> value in this transfer
    pool_hops = np.zeros(2 * width, np.int16)
    touched = np.zeros(2 * width, np.int16)
    inside = np.zeros(2 * width, np.bool_)

    for t in range(payer_start.size - 1):
        n_touched = 0
        total = 0.0
        for i in range(payer_start[t], payer_start[t + 1]):
            amount = payer_amount[i]
            total += amount
            if amount <= 0.0:
                continue
            seed = payer_seed[i]
            holder = payer_holder[i]
            unseen = 0.0
            if seed >= 0:
                key = 2 * seed + 1
                if not inside[key]:
                    inside[key] = True
                    touched[n_touched] = key
                    n_touched += 1
                    pool[key] = 0.0
                pool[key] += amount
                pool_hops[key] = 0
            elif holder < 0:
                unseen = amount
            else:
                held = balance[holder]
                share = 1.0
                if amount < held * SNAP:
                    share = amount / held
                slot = head[holder]
                while slot >= 0:
                    key = 2 * s_key[slot]
                    if not inside[key]:
                        inside[key] = True
                        touched[n_touched] = key
                        n_touched += 1
                        pool[key] = 0.0
                        pool_hops[key] = s_hops[slot]
                    moved = s_value[slot] * share
                    pool[key] += moved
                    pool_hops[key] = min(pool_hops[key], s_hops[slot])
                    s_value[slot] -= moved
                    slot = s_next[slot]
                if share == 1.0:
                    unseen = max(0.0, amount - held) if held < amount * SNAP else 0.0
                    _free(head, s_next, meta, holder)
                    balance[holder] = 0.0
                else:
                    balance[holder] = held - amount
                fraction[i] = share
            if unseen > 0.0:
                key = 2 * history
                if not inside[key]:
                    inside[key] = True
                    touched[n_touched] = key
                    n_touched += 1
                    pool[key] = 0.0
                    pool_hops[key] = 0
                pool[key] += unseen
                pool_hops[key] = 0
        if payer_start[t] == payer_start[t + 1]:
            for j in range(payee_start[t], payee_start[t + 1]):
                total += payee_amount[j]
            key = 2 * minted
            inside[key] = True
            touched[n_touched] = key
            n_touched += 1
            pool[key] = total
            pool_hops[key] = 0
        if total > 0.0:
            for j in range(payee_start[t], payee_start[t + 1]):
                amount = payee_amount[j]
                if amount <= 0.0:
                    continue
                share = amount / total
                flows = payee_entity[j] != sole_payer[t]
                keeps = payee_seed[j] < 0
                for k in range(n_touched):
                    key = touched[k]
                    value = pool[key] * share
                    if value <= 0.0:
                        continue
                    hops = pool_hops[key] + (1 if flows else 0)
                    if flows:
                        r_next, r_key, r_value, r_usd, r_hops = _add(
                            r_head, r_next, r_key, r_value, r_usd, r_hops, r_meta,
                            payee_entity[j], key, value, payee_usd[j] * (pool[key] / total), hops,
                        )
                    if keeps:
                        s_next, s_key, s_value, s_usd, s_hops = _add(
                            head, s_next, s_key, s_value, s_usd, s_hops, meta,
                            payee_holder[j], key // 2, value, 0.0, hops,
                        )
                if keeps:
                    balance[payee_holder[j]] += amount
        for k in range(n_touched):
            inside[touched[k]] = False

    received = _collect(r_head, r_next, r_key, r_value, r_usd, r_hops, r_meta[1])
    held_now = _collect(head, s_next, s_key, s_value, s_usd, s_hops, meta[1])
    return received, held_now, balance, fraction


@nb.njit(cache=True)
def trace_backward(
    payer_start, payer_holder, payer_entity, payer_seed, payer_amount, payer_usd,
    payee_start, payee_holder, payee_entity, payee_seed, payee_amount,
    sole_payer, fraction, holders, entities, categories,
):
    """Carry every category backward: of what each entity sent, how much ended where.

    The adjoint of `trace_forward`: it walks the same transfers from last to first with the same
    `fraction`, and keeps for each holder the share of one unit of its balance that ends in each
    category. Category `categories` is fees. What is in no category at the end is still held.
    """
    fees = categories
    width = categories + 1
    head = np.full(holders, -1, np.int32)
    meta = np.array([-1, 0], np.int64)
    s_next, s_key, s_value, s_usd, s_hops = _empty_pool(max(1024, payee_holder.size // 4))
    r_head = np.full(entities, -1, np.int32)
    r_meta = np.array([-1, 0], np.int64)
    r_next, r_key, r_value, r_usd, r_hops = _empty_pool(max(1024, entities))

    # Per unit of the pool: everything (for the payers' state) and flows only (for what they sent).
    every = np.zeros(2 * width, np.float64)
    flowing = np.zeros(2 * width, np.float64)
    pool_hops = np.zeros(2 * width, np.int16)
    flow_hops = np.zeros(2 * width, np.int16)
    touched = np.zeros(2 * width, np.int16)
    inside = np.zeros(2 * width, np.bool_)

    for t in range(payer_start.size - 2, -1, -1):
        if payer_start[t] == payer_start[t + 1]:
            continue
        n_touched = 0
        total = 0.0
        for i in range(payer_start[t], payer_start[t + 1]):
            total += payer_amount[i]
        if total <= 0.0:
            continue
        paid = 0.0
        for j in range(payee_start[t], payee_start[t + 1]):
            amount = payee_amount[j]
            if amount <= 0.0:
                continue
            paid += amount
            share = amount / total
            flows = payee_entity[j] != sole_payer[t]
            if payee_seed[j] >= 0:
                key = 2 * payee_seed[j] + 1
                if not inside[key]:
                    inside[key] = True
                    touched[n_touched] = key
                    n_touched += 1
                    every[key] = 0.0
                    flowing[key] = 0.0
                    pool_hops[key] = 32767
                    flow_hops[key] = 32767
                every[key] += share
                pool_hops[key] = 1
                if flows:
                    flowing[key] += share
                    flow_hops[key] = 1
            else:
                slot = head[payee_holder[j]]
                while slot >= 0:
                    key = 2 * s_key[slot]
                    if not inside[key]:
                        inside[key] = True
                        touched[n_touched] = key
                        n_touched += 1
                        every[key] = 0.0
                        flowing[key] = 0.0
                        pool_hops[key] = 32767
                        flow_hops[key] = 32767
                    every[key] += share * s_value[slot]
                    hops = s_hops[slot] + (1 if flows else 0)
                    pool_hops[key] = min(pool_hops[key], hops)
                    if flows:
                        flowing[key] += share * s_value[slot]
                        flow_hops[key] = min(flow_hops[key], hops)
                    slot = s_next[slot]
        if paid < total * SNAP:
            # A fee takes its part of every payer's coins, but is nobody's receipt: it is no flow.
            key = 2 * fees
            if not inside[key]:
                inside[key] = True
                touched[n_touched] = key
                n_touched += 1
                every[key] = 0.0
                flowing[key] = 0.0
                pool_hops[key] = 32767
                flow_hops[key] = 32767
            every[key] += (total - paid) / total
            pool_hops[key] = 0
        for i in range(payer_start[t + 1] - 1, payer_start[t] - 1, -1):
            amount = payer_amount[i]
            if amount <= 0.0:
                continue
            for k in range(n_touched):
                key = touched[k]
                if flowing[key] > 0.0:
                    r_next, r_key, r_value, r_usd, r_hops = _add(
                        r_head, r_next, r_key, r_value, r_usd, r_hops, r_meta,
                        payer_entity[i], key, amount * flowing[key], payer_usd[i] * flowing[key], flow_hops[key],
                    )
            holder = payer_holder[i]
            if payer_seed[i] >= 0 or holder < 0:
                continue
            share = fraction[i]
            if share == 1.0:
                _free(head, s_next, meta, holder)
            else:
                slot = head[holder]
                while slot >= 0:
                    s_value[slot] *= 1.0 - share
                    slot = s_next[slot]
            for k in range(n_touched):
                key = touched[k]
                value = every[key] * share
                if value > 0.0:
                    s_next, s_key, s_value, s_usd, s_hops = _add(
                        head, s_next, s_key, s_value, s_usd, s_hops, meta,
                        holder, key // 2, value, 0.0, pool_hops[key],
                    )
        for k in range(n_touched):
            inside[touched[k]] = False

    return _collect(r_head, r_next, r_key, r_value, r_usd, r_hops, r_meta[1])
