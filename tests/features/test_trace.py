"""One address followed: the four rules against exact fractions, the strongest paths against all paths."""

import itertools
import math
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from features.exposure import PAYMENT, SWAP
from features.legs import ChainLegs
from features.trace import RETURNED, RULES, trace_destinations, trace_sources
from tests.features.reference_rules import HISTORY, MINTED, follow
from tests.features.reference_tracing import Transfer
from tests.features.test_exposure import CATEGORIES, ROLES, account_ledgers, columns, run, utxo_ledgers


def as_legs(transfers: list[Transfer], holders: int, entities: int) -> ChainLegs:
    payers, payees = columns([t.payers for t in transfers]), columns([t.payees for t in transfers])
    return ChainLegs(
        chain=1,
        utxo=False,
        payers=payers,
        payees=payees,
        roles=np.array([ROLES[t.what] for t in transfers], np.int8),
        holders=holders,
        owner_entity=np.arange(entities, dtype=np.int32),
        owner_asset=np.ones(entities, np.int32),
        payer_node=payers.owner.astype(np.int32),
        payee_node=payees.owner.astype(np.int32),
        seq=np.arange(1, len(transfers) + 1),
    )


def only(entity: int, entities: int) -> NDArray[np.bool_]:
    chosen = np.zeros(entities, np.bool_)
    chosen[entity] = True
    return chosen


def sole(transfer: Transfer) -> int | None:
    payers = {leg[1] for leg in transfer.payers}
    return next(iter(payers)) if len(payers) == 1 else None


def check_sources(transfers: list[Transfer], holders: int, entities: int) -> None:
    number = {HISTORY: CATEGORIES, MINTED: CATEGORIES + 1}
    for subject in range(entities):
        found = trace_sources(
            as_legs(transfers, holders, entities), only(subject, entities), categories=CATEGORIES
        )
        for rule in RULES:
            exact = follow(
                transfers,
                rule,
                lambda t, i, leg: leg[2] if leg[2] >= 0 else None,
                lambda leg: leg[2] < 0,
                lambda t, j, leg: (
                    0 if leg[1] == subject != sole(transfers[t]) and transfers[t].what != "fee" else None  # noqa: B023
                ),
            )
            wanted = {number.get(mark, mark): float(value) for (_, mark), value in exact.items()}
            got = {a.category: a.values[rule] for a in found.answers if a.values[rule] > 1e-9}
            assert got.keys() == wanted.keys(), (rule, subject)
            for key, value in wanted.items():
                assert math.isclose(got[key], value, rel_tol=1e-9, abs_tol=1e-9), (rule, subject, key)


def check_destinations(transfers: list[Transfer], holders: int, entities: int) -> None:
    for subject in range(entities):
        found = trace_destinations(
            as_legs(transfers, holders, entities), only(subject, entities), categories=CATEGORIES
        )
        for rule in RULES:

            def mark(t: int, i: int, leg: tuple[int, int, int, int], subject: int = subject) -> object:
                if leg[1] == subject and transfers[t].what != "fee":
                    return "here"
                return "other" if leg[2] >= 0 else None

            def end(t: int, j: int, leg: tuple[int, int, int, int], subject: int = subject) -> int | None:
                if leg[1] == sole(transfers[t]) or transfers[t].what == "fee":
                    return None
                return RETURNED if leg[1] == subject else leg[2] if leg[2] >= 0 else None

            exact = follow(
                transfers, rule, mark, lambda leg, subject=subject: leg[2] < 0 and leg[1] != subject, end
            )
            wanted = {group: float(value) for (group, m), value in exact.items() if m == "here"}
            got = {a.category: a.values[rule] for a in found.answers if a.values[rule] > 1e-9}
            assert got.keys() == wanted.keys(), (rule, subject)
            for key, value in wanted.items():
                assert math.isclose(got[key], value, rel_tol=1e-9, abs_tol=1e-9), (rule, subject, key)


@settings(max_examples=60, deadline=None)
@given(account_ledgers())
def test_sources_on_account_chains_equal_the_exact_rules(
    ledger: tuple[list[Transfer], int, list[int]],
) -> None:
    check_sources(ledger[0], ledger[1], ledger[1])


@settings(max_examples=60, deadline=None)
@given(utxo_ledgers())
def test_sources_on_utxo_chains_equal_the_exact_rules(ledger: tuple[list[Transfer], int, int]) -> None:
    check_sources(*ledger)


@settings(max_examples=60, deadline=None)
@given(account_ledgers())
def test_destinations_on_account_chains_equal_the_exact_rules(
    ledger: tuple[list[Transfer], int, list[int]],
) -> None:
    check_destinations(ledger[0], ledger[1], ledger[1])


@settings(max_examples=60, deadline=None)
@given(utxo_ledgers())
def test_destinations_on_utxo_chains_equal_the_exact_rules(ledger: tuple[list[Transfer], int, int]) -> None:
    check_destinations(*ledger)


@settings(max_examples=60, deadline=None)
@given(account_ledgers())
def test_the_haircut_of_a_trace_is_the_exposure_of_a_build(
    ledger: tuple[list[Transfer], int, list[int]],
) -> None:
    transfers, addresses, _ = ledger
    whole = run(transfers, addresses, addresses).received
    for subject in range(addresses):
        found = trace_sources(
            as_legs(transfers, addresses, addresses), only(subject, addresses), categories=CATEGORIES
        )
        ours = whole.owner == subject
        lines = np.bincount(whole.category[ours], whole.value[ours], minlength=CATEGORIES + 2)
        for answer in found.answers:
            assert math.isclose(answer.values["haircut"], lines[answer.category], rel_tol=1e-9, abs_tol=1e-9)
        assert math.isclose(
            sum(a.values["haircut"] for a in found.answers), lines.sum(), rel_tol=1e-9, abs_tol=1e-9
        )


Part = tuple[int, Fraction]  # category, value


def all_paths(transfers: list[Transfer], subject: int) -> list[Part]:
    """Every path of money from a labelled payment to `subject`, the largest first: parcels never joined."""
    balance: dict[int, list[Part]] = defaultdict(list)
    total: dict[int, Fraction] = defaultdict(Fraction)
    found: list[Part] = []
    for transfer in transfers:
        pool: list[Part] = []
        paid = sum(Fraction(leg[3]) for leg in transfer.payers)
        for holder, _, seed, amount in transfer.payers:
            if not amount:
                continue
            if seed >= 0:
                pool.append((seed, Fraction(amount)))
                continue
            if holder < 0 or not total[holder]:
                continue
            share = min(Fraction(1), Fraction(amount) / total[holder])
            pool += [(category, value * share) for category, value in balance[holder]]
            balance[holder] = [
                (category, value * (1 - share)) for category, value in balance[holder] if share < 1
            ]
            total[holder] = max(Fraction(0), total[holder] - amount)
        if transfer.what == "fee" or not transfer.payers:
            pool = []
        for holder, entity, seed, amount in transfer.payees:
            if not amount or (transfer.payers and not paid):
                continue
            parts = [(category, value * amount / paid) for category, value in pool]
            if entity == subject and entity != sole(transfer) and transfer.what != "fee":
                found += parts
            if seed < 0:
                balance[holder] += parts
                total[holder] += amount
    return sorted(found, key=lambda part: -part[1])


@settings(max_examples=100, deadline=None)
@given(account_ledgers())
def test_the_strongest_paths_are_the_largest_of_all(ledger: tuple[list[Transfer], int, list[int]]) -> None:
    transfers, addresses, _ = ledger
    for subject in range(addresses):
        found = trace_sources(
            as_legs(transfers, addresses, addresses), only(subject, addresses), categories=CATEGORIES, paths=5
        )
        expected = [float(value) for _, value in all_paths(transfers, subject)[:5]]
        assert [p.value for p in found.paths] == pytest.approx(expected[: len(found.paths)], rel=1e-9)
        assert len(found.paths) == len(expected)
        for path in found.paths:
            assert [s.seq for s in path.steps] == sorted({s.seq for s in path.steps})
            assert path.survived == pytest.approx(path.value / path.steps[0].paid, rel=1e-9)
            for before, after in itertools.pairwise(path.steps):
                assert before.payee == after.payer
                assert before.carried >= after.carried * (1 - 1e-9)


@settings(max_examples=100, deadline=None)
@given(account_ledgers())
def test_the_largest_part_of_a_line_is_that_of_the_strongest_path(
    ledger: tuple[list[Transfer], int, list[int]],
) -> None:
    transfers, addresses, seeds = ledger
    whole = run(transfers, addresses, addresses)
    payers = columns([t.payers for t in transfers])
    for subject in range(addresses):
        strongest: dict[int, float] = {}
        for category, value in all_paths(transfers, subject):
            strongest.setdefault(category, float(value))
        found: dict[int, float] = {}
        lines = whole.received
        for k in np.flatnonzero((lines.owner == subject) & (lines.category < CATEGORIES)):
            category = int(lines.category[k])
            found[category] = max(found.get(category, 0.0), float(lines.largest[k]))
            assert lines.largest[k] <= lines.value[k] * (1 + 1e-6)
            assert payers.seed[lines.origin[k]] == category
        assert found == pytest.approx(strongest, rel=1e-5)
    payees = columns([t.payees for t in transfers])
    sent = whole.sent
    for k in np.flatnonzero(sent.category < CATEGORIES):
        assert 0 < sent.largest[k] <= sent.value[k] * (1 + 1e-6)
        assert payees.seed[sent.origin[k]] == sent.category[k] == seeds[payees.owner[sent.origin[k]]]


def test_the_largest_part_of_what_was_sent_by_hand() -> None:
    """Of 100 sent by owner 0 to 1, 70 reach the exchange in one payment and 30 in another."""
    transfers = [
        Transfer(((-1, 0, -1, 100),), ((0, 1, -1, 100),)),
        Transfer(((0, 1, -1, 30),), ((1, 2, 3, 30),)),
        Transfer(((0, 1, -1, 70),), ((1, 2, 3, 70),)),
    ]
    sent = run(transfers, 2, 3).sent
    (line,) = np.flatnonzero((sent.owner == 0) & (sent.category == 3))
    assert (sent.value[line], sent.largest[line], sent.origin[line]) == (100.0, 70.0, 2)


def test_change_and_fee_are_no_part_of_what_set_out() -> None:
    """A market spends a coin of 1,000: 100 to bob, 890 back to itself; bob keeps 50 and gives 50 to al."""
    transfers = [
        Transfer(((-1, 0, 1, 1000),), ((0, 1, -1, 100), (1, 0, 1, 890))),
        Transfer(((0, 1, -1, 100),), ((2, 2, -1, 50), (3, 1, -1, 50))),
    ]
    legs = as_legs(transfers, 4, 3)
    for who, survived in ((1, 1.0), (2, 0.5)):
        (path,) = trace_sources(legs, only(who, 3), categories=CATEGORIES).paths
        assert path.survived == survived


def test_paths_in_several_assets_are_ranked_by_their_worth() -> None:
    """A million small units worth 900 dollars outweigh a large number of units worth 2."""
    transfers = [
        Transfer(((0, 0, 1, 900),), ((2, 2, -1, 900),)),
        Transfer(((1, 1, 2, 10**15),), ((3, 3, -1, 10**15),)),
    ]
    legs = as_legs(transfers, 4, 4)
    usd = {"payers": np.array([900.0, 2.0]), "payees": np.array([900.0, 2.0])}
    legs = replace(
        legs,
        payers=legs.payers._replace(usd=usd["payers"]),
        payees=legs.payees._replace(usd=usd["payees"]),
        owner_entity=np.array([0, 1, 2, 2], np.int32),
        owner_asset=np.array([1, 2, 1, 2], np.int32),
    )
    subject = legs.owner_entity == 2
    assert [p.category for p in trace_sources(legs, subject, categories=CATEGORIES).paths] == [1, 2]
    unknown = legs.payees._replace(usd=np.array([np.nan, 2.0]))
    found = trace_sources(replace(legs, payees=unknown), subject, categories=CATEGORIES).paths
    assert [p.category for p in found] == [2, 1]  # without a price it comes last
    bare = legs.payees._replace(usd=np.array([np.nan, np.nan]))
    assert len(trace_sources(replace(legs, payees=bare), subject, categories=CATEGORIES).paths) == 2


def test_a_swap_is_a_step_that_changes_the_unit() -> None:
    """300 of the thief's and 100 clean dollars are given for 4 coins, of which 1 is passed on."""
    transfers = [
        Transfer(((0, 0, 1, 300),), ((1, 1, -1, 300),)),
        Transfer((), ((1, 1, -1, 100),)),
        Transfer(((1, 1, -1, 400),), ((2, 2, -1, 4),)),  # owner 2 is the coins of owner 1's entity
        Transfer(((2, 2, -1, 1),), ((3, 3, 2, 1),)),
    ]
    legs = replace(
        as_legs(transfers, 4, 4),
        roles=np.array([PAYMENT, PAYMENT, SWAP, PAYMENT], np.int8),
        owner_entity=np.array([0, 1, 1, 3], np.int32),
        owner_asset=np.array([1, 1, 2, 2], np.int32),
    )
    stolen = {a.category: a.values for a in trace_sources(legs, only(3, 4), categories=CATEGORIES).answers}[1]
    assert stolen == {"haircut": 0.75, "fifo": 1.0, "lifo": 0.0, "poison": 1.0}
    (path,) = trace_sources(legs, only(3, 4), categories=CATEGORIES).paths
    assert [(s.amount, s.carried) for s in path.steps] == [(300, 300), (4, 3), (1, 0.75)]
    assert [s.swap for s in path.steps] == [False, True, False]
    assert (path.steps[1].paid_asset, path.steps[1].asset, path.survived) == (1, 2, 0.25)
    went = trace_destinations(legs, only(0, 4), categories=CATEGORIES)
    (answer,) = went.answers
    # in the dollars that set out: of 300, 75 pro rata, and 100 where the thief's went in first
    assert (answer.asset, answer.category) == (1, 2)
    assert answer.values == {"haircut": 75.0, "fifo": 100.0, "lifo": 0.0, "poison": 300.0}
    assert went.totals == {1: 300.0}


def test_a_court_case_by_hand() -> None:
    """A thief's 60 and a salary of 40 meet in A, who pays B 30 and then C 70: what did B get?"""
    transfers = [
        Transfer(((0, 0, 1, 60),), ((1, 1, -1, 60),)),
        Transfer((), ((1, 1, -1, 40),)),
        Transfer(((1, 1, -1, 30),), ((2, 2, -1, 30),)),
        Transfer(((1, 1, -1, 70),), ((3, 3, -1, 70),)),
    ]
    legs = as_legs(transfers, 4, 4)
    stolen = {
        who: {a.category: a.values for a in trace_sources(legs, only(who, 4), categories=CATEGORIES).answers}[
            1
        ]
        for who in (2, 3)
    }
    assert stolen[2] == {"haircut": 18.0, "fifo": 30.0, "lifo": 0.0, "poison": 30.0}
    assert stolen[3] == {"haircut": 42.0, "fifo": 30.0, "lifo": 60.0, "poison": 70.0}
    (path,) = trace_sources(legs, only(2, 4), categories=CATEGORIES).paths
    assert [(s.payer, s.payee, s.amount, s.carried) for s in path.steps] == [(0, 1, 60, 60), (1, 2, 30, 18)]
    assert (path.category, path.survived) == (1, 0.3)
