"""Entities: our estimate of which addresses share an owner.

On a UTXO chain whoever spends several outputs in one transaction holds the keys of all of them (common-input
ownership, Nakamoto 2008, section 10; Meiklejohn et al. 2013). CoinJoins and what may be a PayJoin are left
out: there several owners sign one transaction. Clusters that would hold labels of different owners are joined
again without the spends that the labels exclude (`owners.py`). On account chains an address is an entity.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chains.errors import InputError
from features.clustering_kernel import find_new, flatten, invert, join_pairs, pair_inputs
from features.columns import read_columns
from features.owners import Claim, Refusal, find_contested, join_without_conflict, read_claims

IntArray = NDArray[np.int64]
LEGS_AT_ONCE = 1_000_000


class Pairs(NamedTuple):
    """Inputs of one transaction: the first and another one, as nodes, with the transaction's seq.

    The arrays have room for more: only the first `size` are pairs.
    """

    first: NDArray[np.int32]
    other: NDArray[np.int32]
    seq: IntArray
    size: int


@dataclass(frozen=True)
class Clusters:
    """Which nodes belong together, and why.

    `entity` has the lowest node of each node's cluster, `joined` (pairs of nodes) and `seq` the joins of the
    spanning forest in the order of the ledger, `ambiguous` the spends left out as PayJoin-like, `refusals`
    what labels excluded.
    """

    entity: NDArray[np.int32]
    joined: NDArray[np.int32]
    seq: IntArray
    ambiguous: IntArray
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Merge:
    """One join of two clusters: two addresses (numbers of the ledger) that transfer `seq` spends together."""

    address_a: int
    address_b: int
    seq: int


def cluster_entities(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Make the tables `member`, `merge`, `payjoin_like` and `refused_merge`.

    `member(address, node, entity)` has every address seen. `node` numbers them from 0 by first appearance, so
    that the numbers do not depend on the order of imports; `entity` is the lowest node of the cluster: its
    earliest member. `merge(address_a, address_b, seq)` is the spanning forest: each join
    of two clusters, with the transfer that it rests on. `payjoin_like(seq)` are spends that may be PayJoins
    and join nobody. `refused_merge(address_a, address_b, seq, owner_a, owner_b)` are the spends that join
    nobody because labels known before `as_of` name different owners.
    """
    addresses = number_addresses(connection)
    write_clusters(connection, addresses, cluster_spends(connection, addresses, as_of))
    connection.execute("DROP TABLE payjoin_suspect")


def number_addresses(connection: duckdb.DuckDBPyConnection) -> IntArray:
    """Return all addresses seen in the order in which they first appear: an address's place is its node.

    Inside a transfer payers come before payees, and legs in their order: nothing depends on imports.
    """
    highest = connection.execute("SELECT coalesce(max(address), 0) FROM seen_leg").fetchall()[0][0]
    met = np.zeros(highest + 1, np.bool_)
    parts = []
    for batch in connection.sql("SELECT address FROM seen_leg").to_arrow_reader(LEGS_AT_ONCE):
        address = batch.column(0).to_numpy()
        found = np.empty(address.size, np.int64)
        parts.append(found[: find_new(address, met, found)].copy())
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def cluster_spends(connection: duckdb.DuckDBPyConnection, addresses: IntArray, as_of: datetime) -> Clusters:
    """Join who spends together; `addresses` has the address of each node."""
    nodes = addresses.size
    node_of = np.full(int(addresses.max()) + 1 if nodes else 0, -1, np.int32)
    invert(addresses, node_of)
    coinjoins = _read_seqs(connection, "SELECT seq FROM seen_transfer WHERE coinjoin ORDER BY seq")
    suspects = _read_seqs(connection, "SELECT seq FROM payjoin_suspect ORDER BY seq")
    parent = np.arange(nodes, dtype=np.int32)
    joined, seq, found = np.empty((nodes, 2), np.int32), np.empty(nodes, np.int64), 0
    for pairs in read_pairs(connection, node_of, _merge_sorted(coinjoins, suspects)):
        found = join_pairs(parent, pairs.first, pairs.other, pairs.seq, pairs.size, joined, seq, found)
    flatten(parent)
    certain = found
    plain, ambiguous = _tell_apart(connection, node_of, parent)
    if plain.size:
        found = join_pairs(parent, plain.first, plain.other, plain.seq, plain.size, joined, seq, found)
        flatten(parent)
    order = np.argsort(seq[:found], kind="stable") if found > certain else slice(found)
    clusters = Clusters(parent, joined[order], seq[order], ambiguous)

    claims = read_claims(connection, as_of, node_of)
    contested = find_contested(claims, parent)
    if contested.size:
        left_out = _merge_sorted(coinjoins, ambiguous)
        clusters = _join_again(clusters, contested, claims, read_pairs(connection, node_of, left_out))
    return clusters


def _tell_apart(
    connection: duckdb.DuckDBPyConnection, node_of: NDArray[np.int32], parent: NDArray[np.int32]
) -> tuple[Pairs, IntArray]:
    """Return the pairs of suspected PayJoins that may join, and the seqs of those that join nobody.

    A spend joins nobody if it would glue together two clusters that stand by themselves: each of them has
    other spends. An address that spends only here takes nobody along: it is joined as in any other spend.
    """
    rows = read_columns(
        connection,
        """
        WITH input AS (
            SELECT seq, index, address FROM seen_leg SEMI JOIN payjoin_suspect USING (seq)
            WHERE spent_seq IS NOT NULL
        ),
        spends AS (
            SELECT address, count(DISTINCT seq) AS times
            FROM seen_leg SEMI JOIN input USING (address) WHERE spent_seq IS NOT NULL GROUP BY address
        )
        SELECT seq, address, times FROM input JOIN spends USING (address) ORDER BY seq, index
        """,
    )
    seq, node = rows["seq"].astype(np.int64), node_of[rows["address"]]
    if not seq.size:
        return Pairs(node, node, seq, 0), seq
    cluster = parent[node]
    members = np.bincount(parent)
    grown = (members[cluster] > 1) | (rows["times"] > 1)
    sides = np.unique(np.column_stack([seq[grown], cluster[grown]]), axis=0)[:, 0]
    ambiguous = np.unique(sides[1:][sides[1:] == sides[:-1]])
    first_leg = np.searchsorted(seq, seq)
    pair = (first_leg != np.arange(seq.size)) & ~np.isin(seq, ambiguous)
    return Pairs(node[first_leg][pair], node[pair], seq[pair], int(pair.sum())), ambiguous


def _read_seqs(connection: duckdb.DuckDBPyConnection, query: str) -> IntArray:
    return read_columns(connection, query)["seq"].astype(np.int64)


def _merge_sorted(one: IntArray, other: IntArray) -> IntArray:
    return np.sort(np.concatenate([one, other]))


def read_pairs(
    connection: duckdb.DuckDBPyConnection, node_of: NDArray[np.int32], left_out: IntArray
) -> Iterator[Pairs]:
    """Yield who spends together, in the order of the ledger; a portion holds until the next one is asked for.

    The next portion is made while one is used.
    """
    reader = connection.sql("SELECT seq, address FROM seen_leg WHERE spent_seq IS NOT NULL").to_arrow_reader(
        LEGS_AT_ONCE
    )
    state = np.array([-1, -1, 0], np.int64)
    rooms = [_make_room(0), _make_room(0)]

    def next_pairs(turn: int) -> Pairs | None:
        batch = next(reader, None)
        if batch is None:
            return None
        seq, address = (column.to_numpy() for column in batch.columns)
        if rooms[turn].seq.size < seq.size:
            rooms[turn] = _make_room(seq.size)
        room = rooms[turn]
        size = pair_inputs(seq, address, node_of, left_out, state, room.first, room.other, room.seq)
        if size < 0:
            raise AssertionError("seen_leg is not in the order of the ledger")
        return room._replace(size=size)

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(next_pairs, 0)
        for turn in cycle((1, 0)):
            pairs = coming.result()
            if pairs is None:
                return
            coming = ahead.submit(next_pairs, turn)
            yield pairs


def _make_room(size: int) -> Pairs:
    return Pairs(np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64), 0)


def _join_again(
    clusters: Clusters, contested: IntArray, claims: Mapping[int, Claim], portions: Iterator[Pairs]
) -> Clusters:
    """Join the contested clusters by themselves, without what labels exclude; the others stay."""
    ours = np.zeros(clusters.entity.size, np.bool_)
    ours[contested] = True
    ours = ours[clusters.entity]
    kept = []
    for pairs in portions:
        rows = np.flatnonzero(ours[pairs.first[: pairs.size]])
        kept.append(np.column_stack([pairs.first[rows], pairs.other[rows], pairs.seq[rows]]))
    inside = np.concatenate(kept)
    nodes = np.flatnonzero(ours)
    lowest, joins, refusals = join_without_conflict(nodes, inside, claims)
    entity = clusters.entity.copy()
    entity[nodes] = lowest
    others = ~ours[clusters.joined[:, 0]]
    joined = np.concatenate([clusters.joined[others], inside[joins, :2]])
    seq = np.concatenate([clusters.seq[others], inside[joins, 2]])
    order = np.argsort(seq, kind="stable")
    return Clusters(entity, joined[order], seq[order], clusters.ambiguous, refusals)


def write_clusters(connection: duckdb.DuckDBPyConnection, addresses: IntArray, clusters: Clusters) -> None:
    """Write the tables `member`, `merge`, `payjoin_like` and `refused_merge`."""
    address_a, address_b = (addresses.take(side) for side in clusters.joined.T)
    refusals = clusters.refusals
    tables = {
        "member": {
            "address": addresses,
            "node": np.arange(addresses.size),
            "entity": clusters.entity.astype(np.int64),
        },
        "merge": {"address_a": address_a, "address_b": address_b, "seq": clusters.seq},
        "payjoin_like": {"seq": clusters.ambiguous},
        "refused_merge": {
            "address_a": addresses[np.array([r.node_a for r in refusals], np.int64)],
            "address_b": addresses[np.array([r.node_b for r in refusals], np.int64)],
            "seq": np.array([r.seq for r in refusals], np.int64),
            "owner_a": pa.array([r.owner_a for r in refusals], pa.string()),
            "owner_b": pa.array([r.owner_b for r in refusals], pa.string()),
        },
    }
    for name, columns in tables.items():
        connection.register("written", pa.table(columns))
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM written")  # noqa: S608  (names above)
        connection.unregister("written")


def explain_joins(merges: Iterable[Merge], address_a: int, address_b: int) -> list[Merge]:
    """Return the joins through which two addresses are one entity, from the first to the second.

    `merges` are those of the entity. Each join's `address_a` is the nearer one. There are none for one and
    the same address. Raises InputError where the two are not one entity.
    """
    beside: dict[int, list[Merge]] = {}
    for merge in merges:
        beside.setdefault(merge.address_a, []).append(merge)
        back = Merge(merge.address_b, merge.address_a, merge.seq)
        beside.setdefault(merge.address_b, []).append(back)
    steps: dict[int, Merge | None] = {address_a: None}
    waiting = [address_a]
    while waiting and address_b not in steps:
        for merge in beside.get(waiting.pop(), ()):
            if merge.address_b not in steps:
                steps[merge.address_b] = merge
                waiting.append(merge.address_b)
    if address_b not in steps:
        raise InputError("the two addresses are not one entity: no spends join them")
    path: list[Merge] = []
    step = steps[address_b]
    while step is not None:
        path.append(step)
        step = steps[step.address_a]
    return path[::-1]
