"""Clusters: the same as a plain union-find says, each join with its transfer, and what joins nobody."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import InputError
from features.entities import (
    Merge,
    cluster_entities,
    cluster_spends,
    explain_joins,
    number_addresses,
    write_clusters,
)
from features.owners import Claim, join_without_conflict
from features.seen import see
from tests.features.ledgers import BITCOIN, Spend, coin, import_claims, import_payments, import_spends

AS_OF = datetime.fromisoformat("2023-06-01T00:00:00")

SPENDS = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=5), max_size=40)


def spend_tables(
    spends: Sequence[Sequence[int]], left_out: Sequence[int] = (), suspects: Sequence[int] = ()
) -> duckdb.DuckDBPyConnection:
    """The tables that clustering reads; spend n (from 1) has these addresses as inputs, and pays 99."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS ledger")
    connection.execute("CREATE TABLE ledger.chain AS SELECT 1 AS chain, true AS utxo")
    connection.execute(
        "CREATE TABLE ledger.attributed_label (chain INT, address BIGINT, category VARCHAR, entity VARCHAR, "
        "confidence DOUBLE, published_at TIMESTAMP, withdrawn_at TIMESTAMP)"
    )
    legs: list[dict[str, Any]] = []
    for seq, inputs in enumerate(spends, start=1):
        legs += [{"seq": seq, "index": i, "address": a, "spent_seq": 0} for i, a in enumerate(inputs)]
        legs.append({"seq": seq, "index": 0, "address": 99, "spent_seq": None})
    schema = pa.schema([(name, pa.int64()) for name in ("seq", "index", "address", "spent_seq")])
    made = pa.Table.from_pylist(legs, schema=schema)
    connection.register("made", made)
    connection.execute("CREATE TABLE seen_leg AS SELECT * FROM made")
    seqs = pa.table({"seq": pa.array(range(1, len(spends) + 1), pa.int64())})
    connection.register("seqs", seqs)
    for name, chosen in (("coinjoins", left_out), ("suspects", suspects)):
        connection.register(name, pa.table({"seq": pa.array(sorted(set(chosen)), pa.int64())}))
    connection.execute(
        "CREATE TABLE seen_transfer AS SELECT seq, seq IN (SELECT seq FROM coinjoins) AS coinjoin FROM seqs"
    )
    connection.execute("CREATE TABLE payjoin_suspect AS SELECT seq FROM suspects")
    return connection


def joins(connection: duckdb.DuckDBPyConnection, a: int, b: int) -> list[Merge]:
    made = connection.execute("SELECT address_a, address_b, seq FROM merge").fetchall()
    return explain_joins((Merge(*merge) for merge in made), a, b)


class Forest:
    """A union-find as plain as can be."""

    def __init__(self) -> None:
        self.cluster: dict[int, set[int]] = {}
        self.joins: list[tuple[int, int, int]] = []

    def add(self, node: int) -> None:
        self.cluster.setdefault(node, {node})

    def join(self, a: int, b: int, seq: int) -> None:
        if self.cluster[a] is not self.cluster[b]:
            self.joins.append((a, b, seq))
            both = self.cluster[a] | self.cluster[b]
            for node in both:
                self.cluster[node] = both


@settings(deadline=None, max_examples=60)
@given(spends=SPENDS, left_out=st.sets(st.integers(1, 40)))
def test_clusters_and_their_joins_are_those_of_a_plain_union_find(
    spends: list[list[int]], left_out: set[int]
) -> None:
    connection = spend_tables(spends, sorted(left_out))
    addresses = number_addresses(connection)
    plain = Forest()
    for seq, inputs in enumerate(spends, start=1):
        for address in (*inputs, 99):
            plain.add(address)
        if seq not in left_out:
            for other in inputs[1:]:
                plain.join(inputs[0], other, seq)
    met = list(dict.fromkeys(a for inputs in spends for a in (*inputs, 99)))
    assert addresses.tolist() == met

    write_clusters(connection, addresses, cluster_spends(connection, addresses, AS_OF))
    members = connection.execute("SELECT address, node, entity FROM member ORDER BY node").fetchall()
    assert [row[:2] for row in members] == list(zip(met, range(len(met)), strict=True))
    lowest = [min(met.index(other) for other in plain.cluster[address]) for address in met]
    assert [row[2] for row in members] == lowest
    joins = connection.execute("SELECT address_a, address_b, seq FROM merge").fetchall()
    assert joins == plain.joins


@settings(deadline=None, max_examples=60)
@given(spends=SPENDS, ends=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_the_joins_between_two_addresses_lead_from_one_to_the_other(
    spends: list[list[int]], ends: tuple[int, int]
) -> None:
    connection = spend_tables(spends)
    cluster_entities(connection, AS_OF)
    entity = dict(connection.execute("SELECT address, entity FROM member").fetchall())
    a, b = ends
    if a != b and (a not in entity or b not in entity or entity[a] != entity[b]):
        with pytest.raises(InputError):
            joins(connection, a, b)
        return
    path = joins(connection, a, b)
    assert [a, *(step.address_b for step in path)] == [*(step.address_a for step in path), b]
    assert len({frozenset((s.address_a, s.address_b)) for s in path}) == len(path)
    for step in path:
        assert {step.address_a, step.address_b} <= set(spends[step.seq - 1])


def test_legs_out_of_order_are_noticed() -> None:
    connection = spend_tables([[1, 2], [3, 4]])
    connection.execute("CREATE OR REPLACE TABLE seen_leg AS SELECT * FROM seen_leg ORDER BY seq DESC")
    with pytest.raises(AssertionError, match="order"):
        cluster_entities(connection, AS_OF)


NAMED = st.sampled_from([Claim(frozenset({(n, n.upper())}), frozenset()) for n in ("ann", "bob", "cid")])
SERVICE = st.sampled_from([Claim(frozenset(), frozenset({kind})) for kind in ("exchange", "darknet_market")])


@settings(deadline=None, max_examples=100)
@given(spends=SPENDS, claims=st.dictionaries(st.integers(0, 30), st.one_of(NAMED, SERVICE)))
def test_what_labels_exclude_is_refused_as_a_plain_union_find_would(
    spends: list[list[int]], claims: dict[int, Claim]
) -> None:
    rows = [(i[0], other, seq) for seq, i in enumerate(spends, start=1) for other in i[1:]]
    nodes = np.arange(31)
    lowest, joined, refusals = join_without_conflict(nodes, np.array(rows, np.int64).reshape(-1, 3), claims)

    plain, said = Forest(), dict(claims)
    for node in range(31):
        plain.add(node)
    refused = []
    for seq, inputs in enumerate(spends, start=1):
        parts = {id(plain.cluster[node]): plain.cluster[node] for node in inputs}.values()
        together: Claim | None = None
        excluded = False
        for part in parts:
            claim = said.get(min(part))
            if claim is not None and together is not None and together.excludes(claim):
                excluded = True
                break
            together = claim if together is None else together if claim is None else together.with_(claim)
        if excluded:
            refused.append(seq)
            continue
        for other in inputs[1:]:
            plain.join(inputs[0], other, seq)
        if together is not None:
            said[min(plain.cluster[inputs[0]])] = together
    assert lowest.tolist() == [min(plain.cluster[node]) for node in range(31)]
    assert [rows[i] for i in np.flatnonzero(joined)] == plain.joins
    assert [r.seq for r in refusals] == refused
    owners = {(r.owner_a, r.owner_b) for r in refusals}
    assert all(a and b and a != b for a, b in owners)


def funded(*names: str) -> Spend:
    """A transaction that gives each name 10,000 satoshi and an odd one more than the one before."""
    return Spend("mined", "2023-01-01T00:00:00", (), [(n, 10_000 + i) for i, n in enumerate(names)])


def entities(ledger: Path, *, threads: int = 1) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Each account's entity by its earliest member, and the refusals with accounts."""
    connection = see(ledger, AS_OF, threads=threads)
    found = dict(
        connection.execute(
            """
            SELECT a.account, e.account
            FROM member AS m JOIN ledger.address AS a ON a.address = m.address
            JOIN member AS l ON l.node = m.entity JOIN ledger.address AS e ON e.address = l.address
            """
        ).fetchall()
    )
    refusals = connection.execute(
        """
        SELECT a.account, b.account, r.seq, r.owner_a, r.owner_b
        FROM refused_merge AS r
        JOIN ledger.address AS a ON a.address = r.address_a
        JOIN ledger.address AS b ON b.address = r.address_b
        """
    ).fetchall()
    connection.close()
    return found, refusals


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.duckdb"


PAST = "2022-01-01T00:00:00Z"


def test_each_join_names_its_transfer(ledger: Path) -> None:
    spends = [
        funded("a", "b", "b", "c"),
        Spend("one", "2023-01-02T00:00:00", [("mined", 0), ("mined", 1)], [("x", 20_000)]),
        Spend("two", "2023-01-03T00:00:00", [("mined", 3), ("mined", 2)], [("y", 20_000)]),
    ]
    import_spends(ledger, spends)
    connection = see(ledger, AS_OF)
    number = dict(connection.execute("SELECT account, address FROM ledger.address").fetchall())
    a, b, c = (number[coin(name)] for name in "abc")
    assert joins(connection, a, c) == [Merge(a, b, 2), Merge(b, c, 3)]
    assert joins(connection, a, a) == []
    with pytest.raises(InputError):
        joins(connection, a, number[coin("x")])


@pytest.mark.parametrize(
    ("published", "confidence", "refused"),
    [(PAST, "0.5", True), (PAST, "0.4", False), ("2023-06-01T00:00:00Z", "1", False), ("", "1", False)],
)
def test_labels_that_count_refuse_a_join(
    ledger: Path, published: str, confidence: str, refused: bool
) -> None:
    together = Spend("all", "2023-01-02T00:00:00", [("mined", i) for i in range(3)], [("x", 30_000)])
    import_spends(ledger, [funded("a", "b", "c"), together])
    import_claims(
        ledger,
        [
            (f"{BITCOIN}:{coin('a')}", "darknet_market", "1", PAST),
            (f"{BITCOIN}:{coin('c')}", "exchange", confidence, published),
        ],
    )
    found, refusals = entities(ledger)
    owners = (f"{BITCOIN}:{coin('a')}", f"{BITCOIN}:{coin('c')}")
    assert refusals == ([(coin("a"), coin("c"), 2, *owners)] if refused else [])
    assert len({found[coin(name)] for name in "abc"}) == (3 if refused else 1)


def test_refusals_do_not_depend_on_files_rows_or_threads(tmp_path: Path) -> None:
    """The chain a, b, c, d has an owner at either end: where it breaks is the same in every order."""
    spends = [
        funded("a", "b", "b", "c", "c", "d", "e", "e"),
        Spend("one", "2023-01-02T00:00:00", [("mined", 0), ("mined", 1)], [("x", 20_000)]),
        Spend("two", "2023-01-03T00:00:00", [("mined", 2), ("mined", 3)], [("y", 20_000)]),
        Spend("three", "2023-01-03T00:00:00", [("mined", 4), ("mined", 5)], [("z", 20_000)]),
        Spend("four", "2023-01-04T00:00:00", [("mined", 6), ("mined", 7)], [("z", 20_000)]),
    ]
    labels = [
        (f"{BITCOIN}:{coin('a')}", "darknet_market", "1", PAST),
        (f"{BITCOIN}:{coin('d')}", "exchange", "1", PAST),
    ]
    outcomes = []
    for place, step in enumerate((1, -1, 2)):
        folder = tmp_path / str(place)
        folder.mkdir()
        if step == 2:
            for number, spend in enumerate(spends[:0:-1]):  # each with what it spends
                import_spends(folder / "ledger.duckdb", [spends[0], spend], name=f"part{number}.parquet")
        else:
            import_spends(folder / "ledger.duckdb", spends[::step])
        import_claims(folder / "ledger.duckdb", labels if step == 1 else labels[::-1])
        outcomes.append(entities(folder / "ledger.duckdb", threads=1 + place))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    found, refusals = outcomes[0]
    assert len(refusals) == 1
    assert found[coin("a")] == found[coin("b")]
    assert found[coin("a")] != found[coin("d")]


def test_names_decide_before_services_and_spellings_do_not() -> None:
    silk = Claim(frozenset({("silkroad", "Silk Road")}), frozenset({"darknet_market"}))
    same = Claim(frozenset({("silkroad", "SilkRoad")}), frozenset({"exchange"}))
    other = Claim(frozenset({("hydra", "Hydra")}), frozenset({"darknet_market"}))
    unnamed = Claim(frozenset(), frozenset({"exchange"}))
    assert not silk.excludes(same)
    assert silk.excludes(other)
    assert silk.excludes(unnamed)
    assert not same.excludes(unnamed)
    assert silk.with_(same).text == same.with_(silk).text == "Silk Road"
    assert unnamed.text == "exchange"


def payjoin(outputs: Sequence[int], *, time: str = "2023-01-05T00:00:00", names: str = "ac") -> list[Spend]:
    """Two owners with clusters of their own, a and b, c and d; then one spend of an output of each."""
    coins = [("a", 100_003), ("b", 5_000), ("c", 40_007), ("d", 5_000), ("a", 3_000), ("c", 3_000)]
    places = {"a": 0, "b": 1, "c": 2, "d": 3}
    return [
        Spend("mined", "2018-01-01T00:00:00", (), coins),
        Spend("ours", "2018-01-02T00:00:00", [("mined", 4), ("mined", 1)], [("x", 7_900)]),
        Spend("theirs", "2018-01-02T00:00:00", [("mined", 5), ("mined", 3)], [("y", 7_900)]),
        Spend("pay", time, [("mined", places[n]) for n in names], list(zip("pq", outputs, strict=False))),
    ]


@pytest.mark.parametrize(
    ("spends", "left_out"),
    [
        (payjoin([70_119, 69_513]), True),  # c adds 40,007 to a payment of 30,112
        (payjoin([120_119, 19_513]), False),  # both inputs are needed: an ordinary payment
        (payjoin([70_119, 69_000]), False),  # one output is round
        (payjoin([70_119, 69_513], time="2018-08-07T00:00:00"), False),  # before anyone thought of it
        (payjoin([139_513]), False),  # one output: a sweep
    ],
    ids=["payjoin", "needed", "round", "early", "sweep"],
)
def test_a_payjoin_joins_nobody_and_its_near_misses_do(
    ledger: Path, spends: list[Spend], left_out: bool
) -> None:
    import_spends(ledger, spends)
    found, _ = entities(ledger)
    assert found[coin("a")] == found[coin("b")]
    assert found[coin("c")] == found[coin("d")]
    assert (found[coin("a")] != found[coin("c")]) == left_out
    connection = see(ledger, AS_OF)
    assert connection.execute("SELECT seq FROM payjoin_like").fetchall() == ([(4,)] if left_out else [])


def test_a_payjoin_like_spend_of_addresses_with_no_other_spend_joins(ledger: Path) -> None:
    """Nothing is glued together: c spends only here."""
    spends = [
        Spend("mined", "2023-01-01T00:00:00", (), [("a", 100_003), ("c", 40_007)]),
        Spend("pay", "2023-01-05T00:00:00", [("mined", 0), ("mined", 1)], [("p", 70_119), ("q", 69_513)]),
    ]
    import_spends(ledger, spends)
    found, _ = entities(ledger)
    assert found[coin("a")] == found[coin("c")]


def test_other_evidence_joins_what_a_payjoin_like_spend_does_not(ledger: Path) -> None:
    spends = payjoin([70_119, 69_513])
    more = Spend("mined again", "2023-02-01T00:00:00", (), [("a", 6_000), ("d", 6_000)])
    both = Spend("both", "2023-02-02T00:00:00", [("mined again", 0), ("mined again", 1)], [("z", 11_900)])
    import_spends(ledger, [*spends, more, both])
    found, _ = entities(ledger)
    assert found[coin("a")] == found[coin("c")]


def test_accounts_are_entities_of_their_own(ledger: Path) -> None:
    import_payments(
        ledger, [("2023-01-01T10:00:00", "a", "b", "1.00"), ("2023-01-02T10:00:00", "b", "a", "1.00")]
    )
    found, refusals = entities(ledger)
    assert (found, refusals) == ({"a": "a", "b": "b"}, [])
