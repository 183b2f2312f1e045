"""The compiled passes of tracing: what each payment takes; forward for sources, backward for destinations.

All walk one chain in causal order, each on one thread, so that sums come out the same on every run. A holder
is what carries a balance: one asset of an address on an account chain, one output on a UTXO chain. An owner
is whom receipts and payments count for: one asset of an entity.

State is sparse: a holder has a block of slots, one for each category that its balance stems from (forward)
or ends in (backward). Blocks lie in one store; a full one moves to the next larger size, and an emptied one
is left to whoever needs that size next. A pass may end after any transfer and go on from its state.

Inside a transfer, and in what each owner received or sent, a key is `2 * category + direct`.
"""

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

SNAP = 1.0 - 1e-12
"""A payment of at least this share of a balance empties it: the rest is rounding of doubles."""

PAYMENT, FEE, BURN, RETURN, SWAP = range(5)
"""What a transfer is: value given to another, or newly made; the chain's fee; value taken back by its issuer
or destroyed; value that returns from where the ledger does not see it; one asset given for another."""

FAR = 32767  # more hops than are counted: a longer path is said to have one less

SIZES = np.array([0, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256], np.int64)
"""Slots in a block of each size; a block holds at most one slot for each key."""
LARGEST = 256
COUNTERS = 1 + SIZES.size
"""What a store of blocks counts: slots in use, then for each size the first block that is free, or -1."""

HEAD = np.dtype([("first", "i4"), ("count", "i2"), ("size", "i2")])
SLOT = np.dtype(
    [("value", "f8"), ("best", "f4"), ("origin", "i4"), ("hops", "i2"), ("key", "i2")], align=True
)
TALLY = np.dtype(
    [("value", "f8"), ("usd", "f8"), ("best", "f4"), ("origin", "i4"), ("hops", "i2"), ("key", "i2")]
)
"""Both are packed: most of the time goes into fetching them."""

POUR = np.dtype(
    [
        ("value", "f8"),
        ("best", "f8"),
        ("flowing", "f8"),
        ("flow_best", "f8"),
        ("met", "i8"),
        ("kept", "i8"),
        ("origin", "i4"),
        ("flow_origin", "i4"),
        ("hops", "i2"),
        ("flow_hops", "i2"),
    ],
    align=True,
)
"""What one transfer carries of a key: in all and, backward, without change. `hops` is FAR for nothing,
`met` and `kept` are the leg whose slots have met the key already."""

AHEAD = 32
"""Legs ahead of which memory is asked for: first a head, and half as far ahead the block that it names."""


@intrinsic
def _fetch(_typing, array, place):  # noqa: ARG001  (its type is int64)
    """Ask for the memory of `array[place]` without waiting for it."""

    def generate(context, builder, signature, args):
        kind = signature.args[0]
        found = context.make_array(kind)(context, builder, args[0])
        pointer = cgutils.get_item_pointer(
            context, builder, kind, found, [args[1]], wraparound=False, boundscheck=False
        )
        byte, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        builder.call(prefetch, [builder.bitcast(pointer, byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@nb.njit(cache=True)
def _fetch_block(head, holder, slots, step):
    """Ask for the block of `holder`; `step` slots fill a line of the cache."""
    begin = np.int64(head[holder].first)
    for s in range(begin, begin + head[holder].count, step):
        _fetch(slots, s)


@nb.njit(cache=True)
def _new_slot(head, holder, slots, counters):
    """Return one more slot of `holder`."""
    place = head[holder]
    count, size = np.int64(place.count), np.int64(place.size)
    if count == SIZES[size]:
        first = counters[2 + size]
        if first >= 0:
            counters[2 + size] = slots[first].origin
        else:
            first = counters[0]
            counters[0] += SIZES[size + 1]
            if counters[0] > slots.size:
                raise MemoryError("the state of tracing does not fit")
        old = np.int64(place.first)
        for k in range(count):
            slots[first + k] = slots[old + k]
        if size > 0:
            slots[old].origin = counters[1 + size]
            counters[1 + size] = old
        place.first = first
        place.size = size + 1
    place.count = count + 1
    return slots[place.first + count]


@nb.njit(cache=True)
def _empty(head, holder, slots, counters):
    """Leave the block of `holder` to whoever needs one."""
    place = head[holder]
    if place.size > 0:
        slots[place.first].origin = counters[1 + place.size]
        counters[1 + place.size] = place.first
        place.size = 0
        place.count = 0


@nb.njit(cache=True)
def _add(slot, value, hops, best, origin):
    """Add to a slot: value, least hops, and the largest part that came from (or went to) one place."""
    slot.value += value
    slot.hops = min(slot.hops, hops)
    larger = best > slot.best
    slot.best = best if larger else slot.best
    slot.origin = origin if larger else slot.origin


@nb.njit(cache=True)
def _set(slot, value, hops, best, origin):
    slot.value = value
    slot.hops = hops
    slot.best = best
    slot.origin = origin


@nb.njit(cache=True)
def _pour(pool, keys, counts, key, value, hops, best, origin):
    """Add a value of a key to what one transfer carries."""
    pour = pool[key]
    if pour.hops == FAR:
        keys[counts[0]] = key
        counts[0] += 1
        _set(pour, value, hops, best, origin)
    else:
        _add(pour, value, hops, best, origin)


@nb.njit(cache=True, nogil=True)
def share_out(payers, payees, balance, fraction, first, last):
    """Set the share of its holder's balance that each payer leg of transfers `first` to `last` takes.

    What a payer spends beyond what was seen is put on top: 1 and the share of the payment that came from
    nowhere, so 2 where nothing was seen. A labelled payer has 0: its money is its own category's.
    """
    for t in range(first, last):
        for i in range(payers.start[t], payers.start[t + 1]):
            amount = payers.amount[i]
            holder = payers.holder[i]
            if payers.seed[i] >= 0 or amount <= 0.0:
                fraction[i] = 0.0
            elif holder < 0:
                fraction[i] = 2.0
            else:
                held = balance[holder]
                if amount < held * SNAP:
                    fraction[i] = amount / held
                    balance[holder] = held - amount
                else:
                    fraction[i] = 1.0 if held >= amount * SNAP else 1.0 + (amount - held) / amount
                    balance[holder] = 0.0
        for j in range(payees.start[t], payees.start[t + 1]):
            if payees.seed[j] < 0 and payees.amount[j] > 0.0:
                balance[payees.holder[j]] += payees.amount[j]


@nb.njit(cache=True, nogil=True)
def carry_forward(legs, fraction, pool, keys, extra, state, tally, first, last):
    """Carry every category from transfer `first` to `last`.

    `legs` is (payers, payees, flows, roles), `extra` the category of value from before the ledger's view;
    the one after it is newly made value. `state` is (head, slots, counters) by holder, `tally` the same by
    owner: what each received. An origin is the number of a payer leg. A fee leaves its
    payer, and what the block's maker gets of it counts as newly made, as in a coinbase.
    """
    payers, payees, flows, roles = legs
    head, slots, counters = state
    got_head, got, got_counters = tally
    history, minted = extra, extra + 1
    counts = np.zeros(1, np.int64)

    for t in range(first, last):
        total = 0.0
        labelled = False
        for i in range(payers.start[t], payers.start[t + 1]):
            ahead = i + 2 * AHEAD
            if ahead < payers.holder.size:
                _fetch(head, max(payers.holder[ahead], 0))
            ahead = i + AHEAD
            if ahead < payers.holder.size:
                _fetch_block(head, max(payers.holder[ahead], 0), slots, 2)
            amount = payers.amount[i]
            if amount <= 0.0:
                continue
            weight = payers.weight[i]
            total += weight
            taken = fraction[i]
            if payers.seed[i] >= 0:
                labelled = True
                _pour(pool, keys, counts, 2 * payers.seed[i] + 1, weight, 0, weight, i)
                continue
            if taken > 1.0:
                _pour(pool, keys, counts, 2 * history, (taken - 1.0) * weight, 0, 0.0, -1)
            if taken < 2.0:
                ratio = weight / amount
                holder = payers.holder[i]
                begin = np.int64(head[holder].first)
                for s in range(begin, begin + head[holder].count):
                    slot = slots[s]
                    value, best = slot.value, np.float64(slot.best)
                    if taken < 1.0:
                        value, best = value * taken, best * taken
                        slot.value -= value
                        slot.best -= np.float32(best)
                    _pour(
                        pool, keys, counts, 2 * slot.key, value * ratio, slot.hops, best * ratio, slot.origin
                    )
                if taken >= 1.0:
                    _empty(head, holder, slots, counters)
        if roles[t] == FEE:
            for k in range(counts[0]):
                pool[keys[k]].hops = FAR
            counts[0] = 0
            total = 0.0
        if roles[t] == FEE or payers.start[t] == payers.start[t + 1]:
            for j in range(payees.start[t], payees.start[t + 1]):
                total += payees.weight[j]
            if total > 0.0:
                _pour(pool, keys, counts, 2 * (history if roles[t] == RETURN else minted), total, 0, 0.0, -1)
        for k in range(counts[0]):
            pour = pool[keys[k]]
            pour.value /= total
            pour.best /= total
        for j in range(payees.start[t], payees.start[t + 1]):
            ahead = j + 2 * AHEAD
            if ahead < payees.holder.size:
                _fetch(head, payees.holder[ahead])
                _fetch(got_head, payees.owner[ahead])
            ahead = j + AHEAD
            if ahead < payees.holder.size:
                _fetch_block(head, payees.holder[ahead], slots, 2)
                _fetch_block(got_head, payees.owner[ahead], got, 2)
            amount = payees.amount[j]
            if amount <= 0.0:
                continue
            hop = 1 if flows[j] else 0
            if flows[j]:
                owner, usd = payees.owner[j], payees.usd[j]
                begin = np.int64(got_head[owner].first)
                for s in range(begin, begin + got_head[owner].count):
                    slot = got[s]
                    pour = pool[slot.key]
                    if pour.hops != FAR:
                        pour.met = j
                        hops, best = min(pour.hops + 1, FAR - 1), np.float32(amount * pour.best)
                        _add(slot, amount * pour.value, hops, best, pour.origin)
                        slot.usd += usd * pour.value
                for k in range(counts[0]):
                    pour = pool[keys[k]]
                    if pour.met != j and pour.value > 0.0:
                        slot = _new_slot(got_head, owner, got, got_counters)
                        slot.key = keys[k]
                        hops = min(pour.hops + 1, FAR - 1)
                        _set(slot, amount * pour.value, hops, amount * pour.best, pour.origin)
                        slot.usd = usd * pour.value
            if payees.seed[j] < 0:
                holder = payees.holder[j]
                begin = np.int64(head[holder].first)
                for s in range(begin, begin + head[holder].count):
                    slot = slots[s]
                    pour = pool[2 * slot.key]
                    if pour.hops != FAR:
                        pour.kept = j
                        hops, best = min(pour.hops + hop, FAR - 1), np.float32(amount * pour.best)
                        _add(slot, amount * pour.value, hops, best, pour.origin)
                    if labelled:
                        pour = pool[2 * slot.key + 1]
                        if pour.hops != FAR:
                            pour.kept = j
                            _add(slot, amount * pour.value, hop, np.float32(amount * pour.best), pour.origin)
                for k in range(counts[0]):
                    pour = pool[keys[k]]
                    if pour.kept != j and pour.value > 0.0:
                        slot = _new_slot(head, holder, slots, counters)
                        slot.key = keys[k] // 2
                        hops = min(pour.hops + hop, FAR - 1)
                        _set(slot, amount * pour.value, hops, amount * pour.best, pour.origin)
                        other = pool[keys[k] ^ 1]
                        if labelled and other.hops != FAR:
                            other.kept = j
                            hops, best = min(other.hops + hop, FAR - 1), np.float32(amount * other.best)
                            _add(slot, amount * other.value, hops, best, other.origin)
        for k in range(counts[0]):
            pool[keys[k]].hops = FAR
        counts[0] = 0


@nb.njit(cache=True)
def _pour_back(pool, keys, counts, key, value, hops, best, origin, flows):
    """Add to where one transfer ends: all of it, and apart from that what is no change."""
    pour = pool[key]
    if pour.hops == FAR:
        pour.flowing = 0.0
        pour.flow_hops = FAR
        pour.flow_best = 0.0
        pour.flow_origin = -1
    _pour(pool, keys, counts, key, value, hops, best, origin)
    if flows:
        pour.flowing += value
        pour.flow_hops = min(pour.flow_hops, hops)
        larger = best > pour.flow_best
        pour.flow_best = best if larger else pour.flow_best
        pour.flow_origin = origin if larger else pour.flow_origin


@nb.njit(cache=True, nogil=True)
def carry_backward(legs, fraction, pool, keys, extra, state, tally, first, last):
    """Carry every category back from transfer `last` to `first`: how much of what was sent ended where.

    The adjoint of `carry_forward`: the same transfers from last to first with the same `fraction`; a holder's
    slots say what share of one unit of its balance ends in each category. `extra` is the category of fees,
    the one after it of what was burned; what is in none at the end is still held. An origin is the payee
    leg with which the largest part arrived.
    """
    payers, payees, flows, roles = legs
    head, slots, counters = state
    put_head, put, put_counters = tally
    fees, burned = extra, extra + 1
    counts = np.zeros(1, np.int64)

    for t in range(last - 1, first - 1, -1):
        total = 0.0
        for i in range(payers.start[t], payers.start[t + 1]):
            if payers.amount[i] > 0.0:
                total += payers.weight[i]
        if total > 0.0 and roles[t] == SWAP:
            total = 0.0
            for j in range(payees.start[t], payees.start[t + 1]):
                total += payees.weight[j]
        paid = 0.0
        labelled = False
        for j in range(payees.start[t], payees.start[t + 1]):
            ahead = j - 2 * AHEAD
            if ahead >= 0:
                _fetch(head, payees.holder[ahead])
            ahead = j - AHEAD
            if ahead >= 0:
                _fetch_block(head, payees.holder[ahead], slots, 2)
            if total <= 0.0 or payees.amount[j] <= 0.0 or roles[t] == FEE:
                continue
            paid += payees.weight[j]
            share = payees.weight[j] / total
            if payees.seed[j] >= 0:
                labelled = True
                key = 2 * payees.seed[j] + 1
                _pour_back(pool, keys, counts, key, share, 1, share, j, flows[j])
            else:
                hop = 1 if flows[j] else 0
                holder = payees.holder[j]
                begin = np.int64(head[holder].first)
                for s in range(begin, begin + head[holder].count):
                    slot = slots[s]
                    value, best, hops = share * slot.value, share * slot.best, min(slot.hops + hop, FAR - 1)
                    _pour_back(pool, keys, counts, 2 * slot.key, value, hops, best, slot.origin, flows[j])
        if total <= 0.0:
            continue
        if roles[t] == BURN:
            _pour_back(pool, keys, counts, 2 * burned, 1.0, 0, 0.0, -1, True)
        elif paid < total * SNAP:
            # A fee takes its part of every payer's coins, but is nobody's receipt: it is no flow.
            _pour_back(pool, keys, counts, 2 * fees, (total - paid) / total, 0, 0.0, -1, False)
        for i in range(payers.start[t + 1] - 1, payers.start[t] - 1, -1):
            ahead = i - 2 * AHEAD
            if ahead >= 0:
                _fetch(head, max(payers.holder[ahead], 0))
                _fetch(put_head, payers.owner[ahead])
            ahead = i - AHEAD
            if ahead >= 0:
                _fetch_block(head, max(payers.holder[ahead], 0), slots, 2)
                _fetch_block(put_head, payers.owner[ahead], put, 2)
            amount = payers.amount[i]
            if amount <= 0.0:
                continue
            owner, usd = payers.owner[i], payers.usd[i]
            begin = np.int64(put_head[owner].first)
            for s in range(begin, begin + put_head[owner].count):
                slot = put[s]
                pour = pool[slot.key]
                if pour.hops != FAR and pour.flowing > 0.0:
                    pour.met = i
                    best = np.float32(amount * pour.flow_best)
                    _add(slot, amount * pour.flowing, pour.flow_hops, best, pour.flow_origin)
                    slot.usd += usd * pour.flowing
            for k in range(counts[0]):
                pour = pool[keys[k]]
                if pour.met != i and pour.flowing > 0.0:
                    slot = _new_slot(put_head, owner, put, put_counters)
                    slot.key = keys[k]
                    _set(
                        slot, amount * pour.flowing, pour.flow_hops, amount * pour.flow_best, pour.flow_origin
                    )
                    slot.usd = usd * pour.flowing
            taken = fraction[i]
            if taken <= 0.0 or taken >= 2.0:  # a labelled payer, or coins from before the ledger's view
                continue
            holder = payers.holder[i]
            if taken >= 1.0:
                taken = 1.0
                _empty(head, holder, slots, counters)
            left = 1.0 - taken
            begin = np.int64(head[holder].first)
            for s in range(begin, begin + head[holder].count):
                slot = slots[s]
                slot.value *= left
                slot.best *= np.float32(left)
                pour = pool[2 * slot.key]
                if pour.hops != FAR:
                    pour.kept = i
                    _add(slot, taken * pour.value, pour.hops, np.float32(taken * pour.best), pour.origin)
                if labelled:
                    pour = pool[2 * slot.key + 1]
                    if pour.hops != FAR:
                        pour.kept = i
                        _add(slot, taken * pour.value, pour.hops, np.float32(taken * pour.best), pour.origin)
            for k in range(counts[0]):
                pour = pool[keys[k]]
                if pour.kept != i and pour.value > 0.0:
                    slot = _new_slot(head, holder, slots, counters)
                    slot.key = keys[k] // 2
                    _set(slot, taken * pour.value, pour.hops, taken * pour.best, pour.origin)
                    other = pool[keys[k] ^ 1]
                    if labelled and other.hops != FAR:
                        other.kept = i
                        _add(
                            slot,
                            taken * other.value,
                            other.hops,
                            np.float32(taken * other.best),
                            other.origin,
                        )
        for k in range(counts[0]):
            pool[keys[k]].hops = FAR
        counts[0] = 0


@nb.njit(cache=True)
def list_slots(head, slots):
    """Return (holder of each slot, slots), by holder and then key: the result has one order."""
    used = 0
    for holder in range(head.size):
        used += np.int64(head[holder].count)
    holders = np.empty(used, np.int64)
    out = np.empty(used, slots.dtype)
    n = 0
    for holder in range(head.size):
        begin, before = np.int64(head[holder].first), n
        for s in range(begin, begin + head[holder].count):
            place = n
            while place > before and out[place - 1].key > slots[s].key:
                out[place] = out[place - 1]
                place -= 1
            out[place] = slots[s]
            holders[n] = holder
            n += 1
    return holders, out


@nb.njit(cache=True, nogil=True)
def list_tally(head, slots):
    """Return what owners received (or sent) as columns, by owner and then key: the result has one order."""
    used = 0
    for owner in range(head.size):
        used += np.int64(head[owner].count)
    owners, keys = np.empty(used, np.int32), np.empty(used, np.int16)
    value, usd, largest = np.empty(used), np.empty(used), np.empty(used)
    hops, origin = np.empty(used, np.int16), np.empty(used, np.int32)
    order = np.empty(LARGEST, np.int64)
    n = 0
    for owner in range(head.size):
        begin, count = np.int64(head[owner].first), np.int64(head[owner].count)
        for k in range(count):
            key = slots[begin + k].key
            place = k
            while place > 0 and slots[order[place - 1]].key > key:
                order[place] = order[place - 1]
                place -= 1
            order[place] = begin + k
        for k in range(count):
            slot = slots[order[k]]
            owners[n], keys[n] = owner, slot.key
            value[n], usd[n], largest[n] = slot.value, slot.usd, slot.best
            hops[n], origin[n] = slot.hops, slot.origin
            n += 1
    return owners, keys >> 1, (keys & 1) == 1, value, usd, hops, largest, origin


@nb.njit(cache=True, nogil=True)
def total_flows(payers, payees, flows, roles, owners):
    """Return what each owner received and paid to others: [owners, (received, its usd, sent, its usd)].

    A payer's part of a payment to others is that of its amount which is no change.
    """
    totals = np.zeros((owners, 4))
    flat = totals.reshape(-1)
    for t in range(payers.start.size - 1):
        moved, given, paid = 0.0, 0.0, 0.0
        for j in range(payees.start[t], payees.start[t + 1]):
            if j + AHEAD < payees.owner.size:
                _fetch(flat, 4 * np.int64(payees.owner[j + AHEAD]))
            given += payees.weight[j]
            if flows[j]:
                moved += payees.weight[j]
                totals[payees.owner[j], 0] += payees.amount[j]
                totals[payees.owner[j], 1] += payees.usd[j]
        for i in range(payers.start[t], payers.start[t + 1]):
            if i + AHEAD < payers.owner.size:
                _fetch(flat, 4 * np.int64(payers.owner[i + AHEAD]))
            paid += payers.weight[i]
        whole = given if roles[t] == SWAP else paid  # a swap's sides are weighed apart, and it has no fee
        share = 1.0 if roles[t] == BURN else moved / whole if whole > 0.0 else 0.0
        for i in range(payers.start[t], payers.start[t + 1]):
            totals[payers.owner[i], 2] += payers.amount[i] * share
            totals[payers.owner[i], 3] += payers.usd[i] * share
    return totals
