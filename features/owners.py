"""Who owns an address, by labels, and clusters that would hold addresses of different owners.

A cluster is wrong somewhere if labels name two owners in it. Then its spends are joined again by themselves,
in the order of the ledger, and a spend that would bring two owners together joins nobody and is reported: it
was signed by several. That order is the same for every order of imports, and so is the outcome.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
from numpy.typing import NDArray

from datasets.taxonomy import entity_key, load_taxonomy
from features.clustering_kernel import REFUSED, flatten, join_unless

IntArray = NDArray[np.int64]

CONFIDENCE = 0.5
"""A label below this confidence is shown, but neither names an owner nor marks anybody's money."""

VAGUE = frozenset({"service_other", "marketplace"})
"""Categories that leave the kind of service open: they contradict no other."""


@dataclass(frozen=True)
class Claim:
    """What labels say of the owner: names, as (letters compared, one spelling), and kinds of service."""

    names: frozenset[tuple[str, str]]
    services: frozenset[str]

    def excludes(self, other: "Claim") -> bool:
        """Return whether both cannot be one owner.

        Two sets of names that share none do; where a side has no name, two sets of services that share none.
        """
        if self.names and other.names:
            return {key for key, _ in self.names}.isdisjoint(key for key, _ in other.names)
        return bool(self.services and other.services and self.services.isdisjoint(other.services))

    def with_(self, other: "Claim") -> "Claim":
        """Return what both say; of two spellings of a name the first in the alphabet."""
        spelled = dict(sorted(self.names | other.names, reverse=True))
        return Claim(frozenset(spelled.items()), self.services | other.services)

    @property
    def text(self) -> str:
        """The owner as a person reads it."""
        return " / ".join(sorted(name for _, name in self.names) or sorted(self.services))


@dataclass(frozen=True)
class Refusal:
    """Two inputs (nodes) of transaction `seq` that were not joined, and who owns their clusters by labels."""

    node_a: int
    node_b: int
    seq: int
    owner_a: str
    owner_b: str


def read_claims(
    connection: duckdb.DuckDBPyConnection, as_of: datetime, node_of: NDArray[np.int32]
) -> dict[int, Claim]:
    """Return the claim of each labelled node of a UTXO chain, from labels that count at `as_of`.

    A label counts that was published before and not withdrawn by then, with at least `CONFIDENCE`.
    """
    categories = load_taxonomy().by_id
    rows = connection.execute(
        """
        SELECT l.address, l.entity, l.category
        FROM ledger.attributed_label AS l
        JOIN ledger.chain AS c ON c.chain = l.chain AND c.utxo
        WHERE l.published_at < $as_of AND (l.withdrawn_at IS NULL OR l.withdrawn_at > $as_of)
            AND l.confidence >= $confidence
        """,
        {"as_of": as_of, "confidence": CONFIDENCE},
    ).fetchall()
    claims: dict[int, Claim] = {}
    for address, entity, category in rows:
        node = int(node_of[address]) if address < node_of.size else -1
        known = categories.get(category)
        if node < 0 or known is None:
            continue
        key = entity_key(entity)
        stops = known.service in {"custodial", "mixer"} and category not in VAGUE
        claim = Claim(frozenset({(key, entity)} if key else ()), frozenset({category} if stops else ()))
        if claim.names or claim.services:
            claims[node] = claim.with_(claims[node]) if node in claims else claim
    return claims


def find_contested(claims: Mapping[int, Claim], parent: NDArray[np.int32]) -> IntArray:
    """Return the clusters (lowest nodes) in which two claims exclude each other; `parent` is flat."""
    by_cluster: dict[int, set[Claim]] = {}
    for node, claim in claims.items():
        by_cluster.setdefault(int(parent[node]), set()).add(claim)
    contested = [
        cluster for cluster, distinct in by_cluster.items() if len(distinct) > 1 and _disagree(list(distinct))
    ]
    return np.array(sorted(contested), np.int64)


def _disagree(claims: list[Claim]) -> bool:
    return any(a.excludes(b) for n, a in enumerate(claims) for b in claims[:n])


def join_without_conflict(
    nodes: IntArray, pairs: IntArray, claims: Mapping[int, Claim]
) -> tuple[IntArray, NDArray[np.bool_], tuple[Refusal, ...]]:
    """Join pairs in their order, but nobody in a transaction that would join owners who exclude each other.

    `nodes` are the nodes in question, rising; `pairs` has a row (node, node, seq) each. Returns the lowest
    node of each one's cluster, which pairs joined two clusters, and one refusal for each such transaction.
    """
    register = _Register()
    claim = np.full(nodes.size, -1, np.int64)
    for place, node in enumerate(nodes.tolist()):
        if node in claims:
            claim[place] = register.number(claims[node])
    parent = np.arange(nodes.size)
    places = np.column_stack([np.searchsorted(nodes, pairs[:, :2]), pairs[:, 2]])
    joined = np.zeros(len(pairs), np.bool_)
    refused = np.full((len(pairs), 4), -1, np.int64)
    asked, verdict, at = np.empty(0, np.int64), np.empty(0, np.int64), 0
    while True:
        at, one, other = join_unless(parent, claim, asked, verdict, places, at, joined, refused)
        if at == len(pairs):
            break
        place = np.searchsorted(asked, one << 32 | other)
        asked = np.insert(asked, place, one << 32 | other)
        verdict = np.insert(verdict, place, register.judge(one, other))
    flatten(parent)
    refusals = tuple(
        Refusal(
            int(nodes[refused[i, 0]]),
            int(nodes[refused[i, 1]]),
            int(pairs[i, 2]),
            register.claims[refused[i, 2]].text,
            register.claims[refused[i, 3]].text,
        )
        for i in np.flatnonzero(refused[:, 0] >= 0)
    )
    return nodes[parent], joined, refusals


class _Register:
    """Numbers for claims, so that compiled code can carry them."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self._numbers: dict[Claim, int] = {}

    def number(self, claim: Claim) -> int:
        if claim not in self._numbers:
            self._numbers[claim] = len(self.claims)
            self.claims.append(claim)
        return self._numbers[claim]

    def judge(self, one: int, other: int) -> int:
        """Return the number of what two claims say together, or REFUSED."""
        first, second = self.claims[one], self.claims[other]
        return REFUSED if first.excludes(second) else self.number(first.with_(second))
