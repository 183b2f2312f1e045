"""Entities: our estimate of which addresses share an owner.

On a UTXO chain whoever spends several outputs in one transaction holds the keys of all of them (common-input
ownership, Nakamoto 2008, section 10; Meiklejohn et al. 2013). CoinJoins and what may be a PayJoin are left
out: there several owners sign one transaction. Clusters that would hold labels of different owners are joined
again without the spends that the labels exclude (`owners.py`). On account chains an address is an entity.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chains.errors import InputError
from features.clustering_kernel import flatten, invert, join_pairs, pair_inputs
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
    spanning forest in the order of the ledger, `refusals` what labels excluded.
    """

    entity: NDArray[np.int32]
    joined: NDArray[np.int32]
    seq: IntArray
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class Merge:
    """One join of two clusters: two addresses (numbers of the ledger) that transfer `seq` spends together."""

    address_a: int
    address_b: int
    seq: int


def cluster_entities(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Make the tables `member`, `merge` and `refused_merge`.

    `member(address, node, entity)` has every address seen. `node` numbers them from 0, by first appearance
    and then by text, so that the numbers do not depend on the order of imports; `entity` is the lowest node
    of the cluster: its earliest member. `merge(address_a, address_b, seq)` is the spanning forest: each join
    of two clusters, with the transfer that it rests on. `refused_merge(address_a, address_b, seq, owner_a,
    owner_b)` are the spends that join nobody because labels known before `as_of` name different owners.
    """
    addresses = number_addresses(connection)
    write_clusters(connection, addresses, cluster_spends(connection, addresses, as_of))


def number_addresses(connection: duckdb.DuckDBPyConnection) -> IntArray:
    """Return all addresses seen, by first appearance and then by text: an address's place is its node."""
    columns = read_columns(
        connection,
        """
        SELECT f.address
        FROM (SELECT address, min(seq) AS first_seq FROM seen_leg GROUP BY address) AS f
        JOIN ledger.address AS a ON a.address = f.address
        JOIN ledger.chain AS c ON c.chain = a.chain
        ORDER BY f.first_seq, c.caip2, a.account
        """,
    )
    return columns["address"].astype(np.int64)


def cluster_spends(connection: duckdb.DuckDBPyConnection, addresses: IntArray, as_of: datetime) -> Clusters:
    """Join who spends together; `addresses` has the address of each node."""
    nodes = addresses.size
    node_of = np.full(int(addresses.max()) + 1 if nodes else 0, -1, np.int32)
    invert(addresses, node_of)
    left_out = read_columns(
        connection,
        "SELECT seq FROM (SELECT seq FROM seen_transfer WHERE coinjoin UNION SELECT seq FROM payjoin_like) "
        "ORDER BY seq",
    )["seq"].astype(np.int64)

    parent = np.arange(nodes, dtype=np.int32)
    joined, seq, found = np.empty((nodes, 2), np.int32), np.empty(nodes, np.int64), 0
    for pairs in read_pairs(connection, node_of, left_out):
        found = join_pairs(parent, pairs.first, pairs.other, pairs.seq, pairs.size, joined, seq, found)
    flatten(parent)
    clusters = Clusters(parent, joined[:found], seq[:found], ())

    claims = read_claims(connection, as_of, node_of)
    contested = find_contested(claims, parent)
    if contested.size:
        clusters = _join_again(clusters, contested, claims, read_pairs(connection, node_of, left_out))
    return clusters


def read_pairs(
    connection: duckdb.DuckDBPyConnection, node_of: NDArray[np.int32], left_out: IntArray
) -> Iterator[Pairs]:
    """Yield who spends together, in the order of the ledger; the next portion is made while one is used."""
    reader = connection.sql("SELECT seq, address FROM seen_leg WHERE spent_seq IS NOT NULL").to_arrow_reader(
        LEGS_AT_ONCE
    )
    state = np.array([-1, -1, 0], np.int64)

    def next_pairs() -> Pairs | None:
        batch = next(reader, None)
        if batch is None:
            return None
        seq, address = (column.to_numpy() for column in batch.columns)
        first, other = np.empty(seq.size, np.int32), np.empty(seq.size, np.int32)
        of_pair = np.empty(seq.size, np.int64)
        count = pair_inputs(seq, address, node_of, left_out, state, first, other, of_pair)
        if count < 0:
            raise AssertionError("seen_leg is not in the order of the ledger")
        return Pairs(first, other, of_pair, count)

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(next_pairs)
        while (pairs := coming.result()) is not None:
            coming = ahead.submit(next_pairs)
            yield pairs


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
    return Clusters(entity, joined[order], seq[order], refusals)


def write_clusters(connection: duckdb.DuckDBPyConnection, addresses: IntArray, clusters: Clusters) -> None:
    """Write the tables `member`, `merge` and `refused_merge`."""
    joined = addresses[clusters.joined]
    refusals = clusters.refusals
    tables = {
        "member": {
            "address": addresses,
            "node": np.arange(addresses.size),
            "entity": clusters.entity.astype(np.int64),
        },
        "merge": {"address_a": joined[:, 0], "address_b": joined[:, 1], "seq": clusters.seq},
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


def explain_cluster(connection: duckdb.DuckDBPyConnection, address_a: int, address_b: int) -> list[Merge]:
    """Return the joins through which two addresses are one entity, from the first to the second.

    Each join's `address_a` is the nearer one. There are none for one and the same address. Raises InputError
    where the two are not one entity.
    """
    rows = connection.execute(
        """
        SELECT g.address_a, g.address_b, g.seq
        FROM member AS a
        JOIN member AS b ON b.entity = a.entity AND b.address = $b
        JOIN member AS m ON m.entity = a.entity
        JOIN merge AS g ON g.address_a = m.address
        WHERE a.address = $a
        """,
        {"a": address_a, "b": address_b},
    ).fetchall()
    beside: dict[int, list[Merge]] = {}
    for one, other, seq in rows:
        beside.setdefault(one, []).append(Merge(one, other, seq))
        beside.setdefault(other, []).append(Merge(other, one, seq))
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
