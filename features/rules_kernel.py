"""The compiled passes behind one trace: which transfers matter, the four rules, and the strongest paths.

All walk the events of one chain in causal order, on one thread. `emit` says of each payer leg which mark its
money starts with (-1: what its holder holds), `keeps` of each payee leg whether its holder keeps what it
gets, and `watch` which question a receipt answers (-1: none).
"""

import numba as nb
import numpy as np

from features.exposure_kernel import BURN, FEE, RETURN, SWAP

HAIRCUT, FIFO, LIFO, POISON = range(4)
"""Pro rata; first in, first out; last in, first out; all that was ever mixed with a mark carries it."""

DUST = 1e-12
"""A part of an amount that is left by the rounding of doubles, and no value."""


@nb.njit(cache=True, nogil=True)
def find_ancestors(payers, payees, emit, keeps, watch, holders):
    """Return which events bear on the watched receipts: all of every holder whose money reaches one.

    From last to first: a holder matters from the last moment at which it pays towards a watched receipt.
    """
    needed = np.zeros(holders, np.bool_)
    chosen = np.zeros(payers.start.size - 1, np.bool_)
    for t in range(payers.start.size - 2, -1, -1):
        reaches = False
        for j in range(payees.start[t], payees.start[t + 1]):
            if payees.amount[j] > 0.0 and (watch[j] >= 0 or (keeps[j] and needed[payees.holder[j]])):
                reaches = True
        touches = reaches
        for i in range(payers.start[t], payers.start[t + 1]):
            holder = payers.holder[i]
            if emit[i] < 0 and holder >= 0 and payers.amount[i] > 0.0:
                if needed[holder]:
                    touches = True
                if reaches:
                    needed[holder] = True
        chosen[t] = touches
    return chosen


@nb.njit(cache=True, nogil=True)
def find_descendants(payers, payees, emit, keeps, holders):
    """Return (which events bear on where marked money went, which holders it reached)."""
    reached = np.zeros(holders, np.bool_)
    chosen = np.zeros(payers.start.size - 1, np.bool_)
    for t in range(payers.start.size - 1):
        leaves = False
        for i in range(payers.start[t], payers.start[t + 1]):
            if payers.amount[i] > 0.0:
                holder = payers.holder[i]
                leaves = leaves or emit[i] == 0 or (emit[i] < 0 and holder >= 0 and reached[holder])
        if leaves:
            for j in range(payees.start[t], payees.start[t + 1]):
                if keeps[j] and payees.amount[j] > 0.0:
                    reached[payees.holder[j]] = True
    for t in range(payers.start.size - 1):
        for i in range(payers.start[t], payers.start[t + 1]):
            holder = payers.holder[i]
            chosen[t] = chosen[t] or emit[i] == 0 or (emit[i] < 0 and holder >= 0 and reached[holder])
        for j in range(payees.start[t], payees.start[t + 1]):
            chosen[t] = chosen[t] or (keeps[j] and reached[payees.holder[j]])
    return chosen, reached


@nb.njit(cache=True)
def _event_total(payers, payees, t):
    """Return what the event gives out and what it takes in, both in what its parts are weighed by."""
    given = 0.0
    for j in range(payees.start[t], payees.start[t + 1]):
        if payees.amount[j] > 0.0:
            given += payees.weight[j]
    taken = 0.0
    for i in range(payers.start[t], payers.start[t + 1]):
        if payers.amount[i] > 0.0:
            taken += payers.weight[i]
    return given, taken


@nb.njit(cache=True, nogil=True)
def follow_shares(
    payers, payees, roles, fraction, emit, keeps, watch, origins, marks, answers, holders, arriving
):
    """Haircut: return the value of each mark in the watched receipts, [answers, marks].

    `origins` is (mark of value from before the view, mark of newly made value). Where assets were exchanged
    on the way, value is in units of what arrived or, without `arriving`, of what set out.
    """
    held = np.zeros((holders, marks))
    answer = np.zeros((answers, marks))
    pool = np.zeros(marks)
    for t in range(payers.start.size - 1):
        given, total = _event_total(payers, payees, t)
        pool[:] = 0.0
        for i in range(payers.start[t], payers.start[t + 1]):
            amount, weight, holder = payers.amount[i], payers.weight[i], payers.holder[i]
            if amount <= 0.0:
                continue
            if not arriving:
                weight = amount
            if emit[i] >= 0:
                pool[emit[i]] += weight
                continue
            taken = fraction[i]
            if taken > 1.0:
                pool[origins[0]] += (taken - 1.0) * weight
            if taken < 2.0:
                share = min(taken, 1.0)
                for m in range(marks):
                    moved = held[holder, m] * share
                    held[holder, m] = held[holder, m] - moved if share < 1.0 else 0.0
                    pool[m] += moved * (weight / amount)
        if roles[t] == FEE or payers.start[t] == payers.start[t + 1]:
            pool[:] = 0.0
            total = given
            pool[origins[0] if roles[t] == RETURN else origins[1]] = total
        if total <= 0.0:
            continue
        if roles[t] == SWAP and not arriving:
            total = given
        for j in range(payees.start[t], payees.start[t + 1]):
            amount = payees.amount[j] if arriving else payees.weight[j]
            if amount <= 0.0:
                continue
            for m in range(marks):
                value = amount * (pool[m] / total)
                if watch[j] >= 0:
                    answer[watch[j], m] += value
                if keeps[j]:
                    held[payees.holder[j], m] += value
    return answer


@nb.njit(cache=True, nogil=True)
def follow_poison(payers, payees, roles, fraction, emit, keeps, watch, origins, marks, answers, holders):
    """Poison: every receipt counts in full for each mark that any of its money ever met, [answers, marks].

    What met no mark counts as of the origins: of the first of them that it met.
    """
    held = np.zeros((holders, marks), np.bool_)
    answer = np.zeros((answers, marks))
    pool = np.zeros(marks, np.bool_)
    for t in range(payers.start.size - 1):
        pool[:] = False
        for i in range(payers.start[t], payers.start[t + 1]):
            holder = payers.holder[i]
            if payers.amount[i] <= 0.0:
                continue
            if emit[i] >= 0:
                pool[emit[i]] = True
                continue
            if fraction[i] > 1.0:
                pool[origins[0]] = True
            if fraction[i] < 2.0:
                for m in range(marks):
                    pool[m] |= held[holder, m]
                    if fraction[i] >= 1.0:
                        held[holder, m] = False
        if roles[t] == FEE or payers.start[t] == payers.start[t + 1]:
            pool[:] = False
            pool[origins[0] if roles[t] == RETURN else origins[1]] = True
        marked = False
        for m in range(marks):
            marked = marked or (pool[m] and m != origins[0] and m != origins[1])
        for j in range(payees.start[t], payees.start[t + 1]):
            if payees.amount[j] <= 0.0:
                continue
            for m in range(marks):
                if keeps[j] and pool[m]:
                    held[payees.holder[j], m] = True
            if watch[j] < 0:
                continue
            if marked:
                for m in range(marks):
                    if pool[m] and m != origins[0] and m != origins[1]:
                        answer[watch[j], m] += payees.amount[j]
            elif pool[origins[0]]:
                answer[watch[j], origins[0]] += payees.amount[j]
            elif pool[origins[1]]:
                answer[watch[j], origins[1]] += payees.amount[j]
    return answer


@nb.njit(cache=True)
def _append(parcels, size, mark, amount, worth):
    """Put a parcel behind the others of a list: mark, amount, and what it was when it set out.

    One of the same mark and rate is joined. Returns (list, length).
    """
    if size > 0 and parcels[size - 1, 0] == mark:
        apart = parcels[size - 1, 2] * amount - worth * parcels[size - 1, 1]
        if abs(apart) <= DUST * worth * parcels[size - 1, 1]:
            parcels[size - 1, 1] += amount
            parcels[size - 1, 2] += worth
            return parcels, size
    if size == parcels.shape[0]:
        larger = np.empty((2 * size + 4, 3))
        larger[:size] = parcels
        parcels = larger
    parcels[size, 0], parcels[size, 1], parcels[size, 2] = mark, amount, worth
    return parcels, size + 1


@nb.njit(cache=True, nogil=True)
def follow_parcels(
    payers, payees, roles, fraction, emit, keeps, watch, origins, marks, answers, holders, arriving, last
):
    """FIFO, or with `last` LIFO: return the value of each mark in the watched receipts, [answers, marks].

    `arriving` is as in `follow_shares`.
    A balance is a list of parcels in the order in which they came. A payment takes from the front (with
    `last` from the back). What the payers of one transfer give lies in the order of its legs and in which it
    was taken; the payees get it in the order of their legs, from the front (with `last` from the back), and
    the fee is what is left.
    """
    # Parcels of all holders in one store: a doubly linked list each.
    mark_of = np.empty(1024, np.int32)
    amount_of, worth_of = np.empty(1024), np.empty(1024)
    after = np.empty(1024, np.int32)
    before = np.empty(1024, np.int32)
    first = np.full(holders, -1, np.int32)
    end = np.full(holders, -1, np.int32)
    free, used = -1, 0
    answer = np.zeros((answers, marks))
    pool = np.empty((16, 3))
    for t in range(payers.start.size - 1):
        given, total = _event_total(payers, payees, t)
        size = 0
        for i in range(payers.start[t], payers.start[t + 1]):
            amount, holder = payers.amount[i], payers.holder[i]
            if amount <= 0.0:
                continue
            ratio = payers.weight[i] / amount
            if emit[i] >= 0:
                pool, size = _append(pool, size, emit[i], payers.weight[i], amount)
                continue
            left = amount
            empties = fraction[i] >= 1.0
            if fraction[i] < 2.0:
                at = end[holder] if last else first[holder]
                while at >= 0 and (empties or left > amount * DUST):
                    whole = empties or amount_of[at] <= left + amount * DUST
                    part = amount_of[at] if whole else left
                    worth = worth_of[at] if whole else worth_of[at] * (part / amount_of[at])
                    pool, size = _append(pool, size, mark_of[at], part * ratio, worth)
                    left -= part
                    if not whole:
                        amount_of[at] -= part
                        worth_of[at] -= worth
                        break
                    following = before[at] if last else after[at]
                    after[at] = free
                    free = at
                    at = following
                    if last:
                        end[holder] = at
                        if at >= 0:
                            after[at] = -1
                        else:
                            first[holder] = -1
                    else:
                        first[holder] = at
                        if at >= 0:
                            before[at] = -1
                        else:
                            end[holder] = -1
            if fraction[i] > 1.0:
                part = fraction[i] - 1.0
                pool, size = _append(pool, size, origins[0], part * payers.weight[i], part * amount)
        if roles[t] == FEE or payers.start[t] == payers.start[t + 1]:
            size, total = 0, given
            if total > 0.0:
                origin = origins[0] if roles[t] == RETURN else origins[1]
                pool, size = _append(pool, 0, origin, total, total)
        if roles[t] == BURN or total <= 0.0:
            continue
        if roles[t] == SWAP:  # its sides are weighed apart
            for k in range(size):
                pool[k, 1] *= given / total
        front, back = 0, size - 1
        for j in range(payees.start[t], payees.start[t + 1]):
            amount, left = payees.amount[j], payees.weight[j]
            if amount <= 0.0:
                continue
            least = left * DUST
            back_to_amount = amount / left
            while left > least and front <= back:
                k = back if last else front
                whole = pool[k, 1] <= left + least
                part = pool[k, 1] if whole else left
                worth = pool[k, 2] if whole else pool[k, 2] * (part / pool[k, 1])
                mark, value = np.int32(pool[k, 0]), part * back_to_amount
                left -= part
                if whole:
                    front, back = (front, back - 1) if last else (front + 1, back)
                else:
                    pool[k, 1] -= part
                    pool[k, 2] -= worth
                if watch[j] >= 0:
                    answer[watch[j], mark] += value if arriving else worth
                if not keeps[j]:
                    continue
                holder = payees.holder[j]
                behind = end[holder]
                if behind >= 0 and mark_of[behind] == mark:
                    apart = worth_of[behind] * value - worth * amount_of[behind]
                    if abs(apart) <= DUST * worth_of[behind] * value:
                        amount_of[behind] += value
                        worth_of[behind] += worth
                        continue
                if free >= 0:
                    at = free
                    free = after[at]
                else:
                    at = used
                    used += 1
                    if at == amount_of.size:
                        mark_of, amount_of = np.append(mark_of, mark_of), np.append(amount_of, amount_of)
                        worth_of = np.append(worth_of, worth_of)
                        after, before = np.append(after, after), np.append(before, before)
                mark_of[at], amount_of[at], worth_of[at] = mark, value, worth
                after[at], before[at] = -1, behind
                if behind >= 0:
                    after[behind] = at
                else:
                    first[holder] = at
                end[holder] = at
    return answer


@nb.njit(cache=True)
def _enter(values, links, size, value, link):
    """Put a value into a list that falls from the largest, as long as it has room; return its new length."""
    if size == values.size:
        if value <= values[size - 1]:
            return size
        size -= 1
    place = size
    while place > 0 and values[place - 1] < value:
        values[place] = values[place - 1]
        links[place] = links[place - 1]
        place -= 1
    values[place] = value
    links[place] = link
    return size + 1


@nb.njit(cache=True, nogil=True)
def find_paths(payers, payees, roles, fraction, emit, keeps, watch, wanted, holders, flows, rank, most):
    """Return the `most` paths with the largest value from payments of `wanted` marks to watched receipts.

    Money of one path shrinks in a balance as all others there do, so the largest stay the largest: keeping
    `most` of them in each balance loses none. What arrived in several assets is compared by `rank`, the worth
    of a unit at each payee leg. Returns the last step of each path, the strongest first, and of each step:
    payer leg, payee leg, step before (-1: the first), value on arrival in the payee's units, and what share
    that is of what the first payment gave to others (`flows`).
    """
    value_of = np.zeros((holders, most))
    step_of = np.zeros((holders, most), np.int32)
    count = np.zeros(holders, np.int32)
    from_leg, to_leg = np.empty(1024, np.int32), np.empty(1024, np.int32)
    earlier, arrived, survived = np.empty(1024, np.int32), np.empty(1024), np.empty(1024)
    steps = 0
    best, best_step, found = np.zeros(most), np.zeros(most, np.int32), 0
    pool_value, pool_entry = np.zeros(most), np.zeros(most, np.int32)
    entry_leg, entry_step, entry_share = np.empty(64, np.int32), np.empty(64, np.int32), np.empty(64)
    for t in range(payers.start.size - 1):
        given, total = _event_total(payers, payees, t)
        size, entries = 0, 0
        for i in range(payers.start[t], payers.start[t + 1]):
            amount, weight, holder = payers.amount[i], payers.weight[i], payers.holder[i]
            if amount <= 0.0:
                continue
            if entries + most + 1 > entry_leg.size:
                entry_leg, entry_step = np.append(entry_leg, entry_leg), np.append(entry_step, entry_step)
                entry_share = np.append(entry_share, entry_share)
            if emit[i] >= 0:
                if wanted[emit[i]]:
                    entry_leg[entries], entry_step[entries], entry_share[entries] = i, -1, 1.0
                    size = _enter(pool_value, pool_entry, size, weight, entries)
                    entries += 1
            elif fraction[i] < 2.0:
                share = min(fraction[i], 1.0)
                for k in range(count[holder]):
                    step = step_of[holder, k]
                    entry_leg[entries], entry_step[entries] = i, step
                    entry_share[entries] = survived[step] * (value_of[holder, k] * share / arrived[step])
                    value = value_of[holder, k] * share * (weight / amount)
                    size = _enter(pool_value, pool_entry, size, value, entries)
                    entries += 1
                    value_of[holder, k] *= 1.0 - share
                if share >= 1.0:
                    count[holder] = 0
        if roles[t] == FEE or total <= 0.0 or size == 0:
            continue
        moved = 0.0
        for j in range(payees.start[t], payees.start[t + 1]):
            if flows[j]:
                moved += payees.weight[j]
        for j in range(payees.start[t], payees.start[t + 1]):
            amount, holder = payees.amount[j], payees.holder[j]
            if amount <= 0.0 or not (keeps[j] or watch[j] >= 0):
                continue
            for k in range(size):
                value = pool_value[k] * (amount / total)
                stays = keeps[j] and (count[holder] < most or value > value_of[holder, most - 1])
                wins = watch[j] >= 0 and (found < most or value * rank[j] > best[most - 1])
                if value <= 0.0 or not (stays or wins):
                    continue
                if steps == from_leg.size:
                    from_leg, to_leg = np.append(from_leg, from_leg), np.append(to_leg, to_leg)
                    earlier, arrived = np.append(earlier, earlier), np.append(arrived, arrived)
                    survived = np.append(survived, survived)
                entry = pool_entry[k]
                from_leg[steps], to_leg[steps] = entry_leg[entry], j
                earlier[steps], arrived[steps] = entry_step[entry], value
                whole = given if roles[t] == SWAP else total
                if entry_step[entry] < 0 and moved > 0.0:
                    whole = moved  # change is no part of what set out, nor is the fee
                survived[steps] = entry_share[entry] * (payees.weight[j] / whole)
                if stays:
                    count[holder] = _enter(value_of[holder], step_of[holder], count[holder], value, steps)
                if wins:
                    found = _enter(best, best_step, found, value * rank[j], steps)
                steps += 1
    steps_found = (from_leg[:steps], to_leg[:steps], earlier[:steps], arrived[:steps], survived[:steps])
    return best_step[:found], steps_found
