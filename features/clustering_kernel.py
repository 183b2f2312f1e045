"""The compiled loops of clustering: who spends together is joined, and every join names its transaction.

Nodes are numbers from 0; `parent[n] <= n` throughout, and a node that is its own parent is the lowest of its
cluster. Joining is Rem's algorithm (Dijkstra, "A Discipline of Programming", 1976, chapter 23; the fastest
that Patwary, Blair and Manne found in 2010): both paths are followed upwards at once and shortened on the
way. One thread does it, in the order of the ledger: the joins that are kept are those of the earliest spends.
"""

import numba as nb
import numpy as np

NEVER = np.int64(2**63 - 1)
REFUSED = -1
"""The verdict that two claims of ownership exclude each other."""


@nb.njit(cache=True, nogil=True)
def find_new(address, met, found):
    """Put each address that was not met before into `found`, in order; returns how many these are."""
    count = 0
    for i in range(address.size):
        found[count] = address[i]
        count += not met[address[i]]
        met[address[i]] = True
    return count


@nb.njit(cache=True, nogil=True)
def invert(address, node_of):
    """Set `node_of[address[n]]` to n."""
    for n in range(address.size):
        node_of[address[n]] = n


@nb.njit(cache=True, nogil=True)
def pair_inputs(seq, address, node_of, left_out, state, first, other, pair_seq):
    """Pair the first input of each transaction with each other one; returns how many pairs there are.

    `seq` rises (else -1 is returned); legs of one transaction follow each other, also from one call to the
    next: `state` is (last seq, its first node, place in `left_out`), at the start (-1, -1, 0). `left_out` are
    transactions that join nobody, rising. Pairs go into the last three arrays, with room for every leg.
    """
    last, top, place = state[0], np.int32(state[1]), state[2]
    skipped = left_out[place] if place < left_out.size else NEVER
    for i in range(seq.size):  # no branches: the look-ups of one leg need not wait for those of another
        other[i] = node_of[address[i]]
    count = 0
    for i in range(seq.size):
        node = other[i]  # read before it is overwritten: count <= i
        if seq[i] < last:
            return -1
        same = seq[i] == last
        top = top if same else node
        first[count] = top
        other[count] = node
        pair_seq[count] = seq[i]
        count += same
        last = seq[i]
        if last >= skipped:
            if last == skipped:
                count -= same
            else:
                while skipped < last:
                    place += 1
                    skipped = left_out[place] if place < left_out.size else NEVER
    state[0], state[1], state[2] = last, top, place
    return count


@nb.njit(cache=True, nogil=True)
def join_pairs(parent, first, other, pair_seq, count, joined, joined_seq, found):
    """Join the pairs in their order; `joined` (two columns) and `joined_seq` get what joined two clusters.

    `found` is how many stand there already; returns how many there are then.
    """
    for i in range(count):
        x, y = first[i], other[i]
        while parent[x] != parent[y]:
            if parent[x] < parent[y]:
                x, y = y, x
            up = parent[x]
            parent[x] = parent[y]
            if x == up:  # x was the lowest of its cluster
                joined[found, 0] = first[i]
                joined[found, 1] = other[i]
                joined_seq[found] = pair_seq[i]
                found += 1
                break
            x = up
    return found


@nb.njit(cache=True, nogil=True)
def flatten(parent):
    """Set every node's parent to the lowest node of its cluster."""
    for n in range(parent.size):
        parent[n] = parent[parent[n]]


@nb.njit(cache=True)
def join_unless(parent, claim, asked, verdict, pairs, start, joined, refused):
    """Join pairs in their order, transaction by transaction, but no transaction of which claims exclude it.

    `pairs` has rows (first, other, seq), of which `start` is the first to look at. `claim[n]`, for the lowest
    node n of a cluster, is the number of what is claimed of the cluster; -1: nothing. `verdict` is the claim
    that two claims a, b make together, or REFUSED, and stands at `a << 32 | b` in `asked`, which rises.
    Sets `joined` for pairs that joined two clusters; for one pair of each refused transaction it sets
    `refused` to (node, other node, claim, other claim). Returns where to go on and the two claims whose
    verdict is needed for that; at the end (how many pairs there are, -1, -1).
    """
    end = start
    while end < pairs.shape[0]:
        start = end
        while end < pairs.shape[0] and pairs[end, 2] == pairs[start, 2]:
            end += 1
        speaker = pairs[start, 0]
        together = claim[_lowest(parent, speaker)]
        excluded = False
        for i in range(start, end):
            other = claim[_lowest(parent, pairs[i, 1])]
            if other < 0 or other == together:
                continue
            if together < 0:
                together, speaker = other, pairs[i, 1]
                continue
            place = np.searchsorted(asked, together << 32 | other)
            if place == asked.size or asked[place] != together << 32 | other:
                return start, together, other
            if verdict[place] == REFUSED:
                refused[i, 0], refused[i, 1] = speaker, pairs[i, 1]
                refused[i, 2], refused[i, 3] = together, other
                excluded = True
                break
            together = verdict[place]
        if excluded:
            continue
        for i in range(start, end):
            x, y = _lowest(parent, pairs[i, 0]), _lowest(parent, pairs[i, 1])
            if x != y:
                joined[i] = True
                parent[max(x, y)] = min(x, y)
                claim[min(x, y)] = together
    return end, -1, -1


@nb.njit(cache=True)
def _lowest(parent, node):
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
