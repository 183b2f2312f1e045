"""Numbers for pairs, compiled: by first appearance, so that what comes later changes none of them."""

import numba as nb
import numpy as np


@nb.njit(cache=True)
def number_pairs(
    payer_start, payer, payer_asset, payee_start, payee, payee_asset, payer_number, payee_number
):
    """Number the pairs (who, asset) of both sides from 0 in the order of their first appearance.

    Sets the numbers of the legs; returns who and asset of each number.
    """
    who = np.empty(1024, np.int32)
    what = np.empty(1024, np.int32)
    table = np.full(4096, -1, np.int32)
    found = 0
    for t in range(payer_start.size - 1):
        for side in range(2):
            start = payer_start if side == 0 else payee_start
            people = payer if side == 0 else payee
            assets = payer_asset if side == 0 else payee_asset
            numbers = payer_number if side == 0 else payee_number
            for i in range(start[t], start[t + 1]):
                place = _find_pair(table, who, what, people[i], assets[i])
                if table[place] < 0:
                    if found == who.size:
                        who, what = _doubled(who), _doubled(what)
                    who[found], what[found] = people[i], assets[i]
                    table[place] = found
                    found += 1
                    if 2 * found > table.size:
                        table = np.full(4 * table.size, -1, np.int32)
                        for n in range(found):
                            table[_find_pair(table, who, what, who[n], what[n])] = n
                        place = _find_pair(table, who, what, people[i], assets[i])
                numbers[i] = table[place]
    return who[:found].copy(), what[:found].copy()


@nb.njit(cache=True)
def _find_pair(table, who, what, person, asset):
    """Return where the pair stands in the table, or where it would."""
    mixed = (np.uint64(person) + (np.uint64(asset) << np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64(mixed >> np.uint64(20)) & (table.size - 1)
    while table[place] >= 0 and (who[table[place]] != person or what[table[place]] != asset):
        place = (place + 1) & (table.size - 1)
    return place


@nb.njit(cache=True)
def _doubled(values):
    larger = np.empty(2 * values.size, values.dtype)
    larger[: values.size] = values
    return larger
