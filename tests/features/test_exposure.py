"""Tracing: conservation, additivity, forward = adjoint, equality with the exact reference, causality."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.exposure import BURN, FEE, PAYMENT, RETURN, LegColumns, Traced, trace_exposure
from tests.features.reference_tracing import HISTORY, MINTED, Leg, Transfer, trace

CATEGORIES = 4
ROLES = {"payment": PAYMENT, "fee": FEE, "burn": BURN, "return": RETURN}


def columns(sides: list[tuple[tuple[int, int, int, int], ...]]) -> LegColumns:
    flat = [leg for legs in sides for leg in legs]
    start = np.concatenate([[0], np.cumsum([len(legs) for legs in sides])]).astype(np.int64)
    amounts = np.array([leg[3] for leg in flat], np.float64)
    return LegColumns(
        start=start,
        holder=np.array([leg[0] for leg in flat], np.int64),
        owner=np.array([leg[1] for leg in flat], np.int64),
        seed=np.array([leg[2] for leg in flat], np.int16),
        amount=amounts,
        weight=amounts,
        usd=amounts * 2.0,
    )


def run(transfers: list[Transfer], holders: int, entities: int) -> Traced:
    return trace_exposure(
        columns([t.payers for t in transfers]),
        columns([t.payees for t in transfers]),
        np.array([ROLES[t.what] for t in transfers], np.int8),
        holders=holders,
        owners=entities,
        categories=CATEGORIES,
    )


@st.composite
def account_ledgers(draw: st.DrawFn) -> tuple[list[Transfer], int, list[int]]:
    """Random account-chain ledgers: overspending, zero amounts, self-payments, fees, all kinds, seeds."""
    addresses = draw(st.integers(2, 7))
    seeds = draw(st.lists(st.integers(-1, CATEGORIES - 1), min_size=addresses, max_size=addresses))
    amount = st.integers(0, 60)
    who = st.integers(0, addresses - 1)
    transfers = []
    for payer, payee, value, kind in draw(
        st.lists(st.tuples(who, who, amount, st.integers(0, 9)), min_size=1, max_size=30)
    ):
        payers: tuple[Leg, ...] = ((payer, payer, seeds[payer], value),)
        payees: tuple[Leg, ...] = ((payee, payee, seeds[payee], value),)
        what = {1: "burn", 2: "return", 3: "fee", 4: "fee"}.get(kind, "payment")
        if kind in (0, 2):
            payers = ()
        elif kind in (1, 3):  # burned; or a fee of which nobody gets a part
            payees = ()
        elif kind == 4:
            payees = ((payee, payee, seeds[payee], value // 3),)
        transfers.append(Transfer(payers, payees, what))
    return transfers, addresses, seeds


@st.composite
def utxo_ledgers(draw: st.DrawFn) -> tuple[list[Transfer], int, int]:
    """Random UTXO ledgers: no output spent twice, fees, coinbases, unknown inputs, shared entities."""
    entities = draw(st.integers(2, 5))
    seeds = draw(st.lists(st.integers(-1, CATEGORIES - 1), min_size=entities, max_size=entities))
    unspent: list[tuple[int, int, int]] = []  # holder, entity, amount
    transfers: list[Transfer] = []
    holders = 0
    for _ in range(draw(st.integers(1, 15))):
        n_in = draw(st.integers(0, min(3, len(unspent))))
        payers = []
        for _ in range(n_in):
            holder, entity, amount = unspent.pop(draw(st.integers(0, len(unspent) - 1)))
            payers.append((holder, entity, seeds[entity], amount))
        if draw(st.integers(0, 5)) == 0:
            entity = draw(st.integers(0, entities - 1))
            payers.append((-1, entity, seeds[entity], draw(st.integers(1, 50))))
        budget = sum(p[3] for p in payers) if payers else draw(st.integers(1, 50))
        payees = []
        for _ in range(draw(st.integers(1, 4))):
            amount = draw(st.integers(0, budget))
            budget -= amount
            entity = draw(st.integers(0, entities - 1))
            payees.append((holders, entity, seeds[entity], amount))
            unspent.append((holders, entity, amount))
            holders += 1
        transfers.append(Transfer(tuple(payers), tuple(payees)))
    return transfers, holders, entities


def check_against_reference(
    transfers: list[Transfer], holders: int, entities: int, *, accounts: bool = False
) -> None:
    traced = run(transfers, holders, entities)
    exact = trace(transfers, lambda t, i, leg: leg[2] if leg[2] >= 0 else None)
    number = {HISTORY: CATEGORIES, MINTED: CATEGORIES + 1}

    expected = {
        (entity, number.get(mark, mark), direct): (float(value[0]), exact.hops[entity, (mark, direct)])
        for (entity, (mark, direct)), value in exact.received.items()
    }
    got = traced.received
    actual = {
        (int(e), int(c), bool(d)): (v, int(h))
        for e, c, d, v, h in zip(got.owner, got.category, got.direct, got.value, got.hops, strict=True)
    }
    assert actual.keys() == expected.keys()
    for key, (value, hops) in expected.items():
        assert math.isclose(actual[key][0], value, rel_tol=1e-9, abs_tol=1e-9), key
        assert actual[key][1] == hops, key
    held = {
        (int(h), int(c)): v
        for h, c, v in zip(traced.held_holder, traced.held_category, traced.held_value, strict=True)
        if v > 1e-9
    }
    wanted = {(h, number.get(m, m)): float(v) for (h, m), v in exact.held.items() if v > Fraction(1, 10**9)}
    assert held.keys() == wanted.keys()
    assert all(math.isclose(held[k], wanted[k], rel_tol=1e-9, abs_tol=1e-9) for k in wanted)

    # The destination side, from outside: mark every payer leg by itself and see where each mark arrives.
    # A marked payment would stop the marks before it, so each leg is marked in a trace of its own.
    sent: dict[tuple[int, int], float] = {}
    for t, transfer in enumerate(transfers):
        sole = {leg[1] for leg in transfer.payers}
        for i, leg in enumerate(transfer.payers):
            marked = trace(
                transfers,
                lambda tt, ii, other, t=t, i=i: (
                    "here" if (tt, ii) == (t, i) else (other[2] if other[2] >= 0 else None)
                ),
            )
            if transfer.what == "fee":
                continue  # a fee is no payment of its payer
            if accounts and sole != {payee[1] for payee in transfer.payees}:  # to itself: no flow
                # it ends in fees and burns of those who have it later, or is burned itself
                for nobody, ended in ((CATEGORIES, marked.fees), (CATEGORIES + 1, marked.burned)):
                    if ended["here"]:
                        sent[leg[1], nobody] = sent.get((leg[1], nobody), 0.0) + float(ended["here"])
            for (mark, seed), value in marked.arrived.items():
                if mark != "here":
                    continue
                # what came back to the payer as change and went on from there is no flow of this payment
                change = change_part(transfers, t, i, seed) if len(sole) == 1 else Fraction(0)
                sent[leg[1], seed] = sent.get((leg[1], seed), 0.0) + float(value - change)
    actual_sent: dict[tuple[int, int], float] = {}
    for e, c, v in zip(traced.sent.owner, traced.sent.category, traced.sent.value, strict=True):
        if c < CATEGORIES or accounts:
            actual_sent[int(e), int(c)] = actual_sent.get((int(e), int(c)), 0.0) + v
    for who in sent.keys() | actual_sent.keys():
        assert math.isclose(sent.get(who, 0.0), actual_sent.get(who, 0.0), rel_tol=1e-9, abs_tol=1e-9), who


def change_part(transfers: list[Transfer], t: int, i: int, seed: int) -> Fraction:
    """How much of payer leg i of transfer t reaches `seed` through the payer's own change alone."""
    transfer = transfers[t]
    entity = transfer.payers[i][1]
    own = [leg for leg in transfer.payees if leg[1] == entity]
    if not own:
        return Fraction(0)
    kept = Transfer(transfer.payers, tuple(own))
    marked = trace(
        [*transfers[:t], kept, *transfers[t + 1 :]],
        lambda tt, ii, other: "here" if (tt, ii) == (t, i) else (other[2] if other[2] >= 0 else None),
    )
    return Fraction(marked.arrived.get(("here", seed), 0))


@settings(max_examples=150, deadline=None)
@given(account_ledgers())
def test_account_chains_equal_the_exact_reference(ledger: tuple[list[Transfer], int, list[int]]) -> None:
    transfers, addresses, _ = ledger
    check_against_reference(transfers, addresses, addresses, accounts=True)


@settings(max_examples=150, deadline=None)
@given(utxo_ledgers())
def test_utxo_chains_equal_the_exact_reference(ledger: tuple[list[Transfer], int, int]) -> None:
    transfers, holders, entities = ledger
    check_against_reference(transfers, holders, entities)


@settings(max_examples=150, deadline=None)
@given(utxo_ledgers())
def test_value_is_conserved(ledger: tuple[list[Transfer], int, int]) -> None:
    transfers, holders, entities = ledger
    traced = run(transfers, holders, entities)
    by_holder = np.bincount(traced.held_holder, traced.held_value, minlength=holders)
    assert np.allclose(by_holder, traced.balance, rtol=1e-9, atol=1e-9)
    by_entity = np.bincount(traced.received.owner, traced.received.value, minlength=entities)
    assert np.allclose(by_entity, traced.received_total, rtol=1e-9, atol=1e-9)
    # What was sent either arrived, went in fees, or is still held: never more than was sent.
    sent = np.bincount(traced.sent.owner, traced.sent.value, minlength=entities)
    assert (sent <= traced.sent_total * (1 + 1e-9) + 1e-9).all()
    minted = sum(sum(leg[3] for leg in t.payees) for t in transfers if not t.payers)
    entered = minted + sum(leg[3] for t in transfers for leg in t.payers if leg[0] < 0 and leg[2] < 0)
    emitted = sum(leg[3] for t in transfers for leg in t.payers if leg[2] >= 0)
    fees = sum(sum(p[3] for p in t.payers) - sum(p[3] for p in t.payees) for t in transfers if t.payers)
    absorbed = sum(leg[3] for t in transfers for leg in t.payees if leg[2] >= 0)
    assert math.isclose(traced.balance.sum(), entered + emitted - fees - absorbed, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=150, deadline=None)
@given(account_ledgers())
def test_value_is_conserved_where_chains_take_fees(ledger: tuple[list[Transfer], int, list[int]]) -> None:
    """What is held is what came in (new, returned, from before the ledger) without what went: fees, burns."""
    transfers, addresses, _ = ledger
    traced = run(transfers, addresses, addresses)
    by_holder = np.bincount(traced.held_holder, traced.held_value, minlength=addresses)
    assert np.allclose(by_holder, traced.balance, rtol=1e-9, atol=1e-9)
    balance = [0.0] * addresses
    for transfer in transfers:
        for _, payer, seed, amount in transfer.payers:
            balance[payer] -= min(amount, balance[payer]) if seed < 0 else 0
        for _, payee, seed, amount in transfer.payees:
            balance[payee] += amount if seed < 0 else 0
    assert np.allclose(traced.balance, balance, rtol=1e-9, atol=1e-9)
    by_entity = np.bincount(traced.received.owner, traced.received.value, minlength=addresses)
    assert np.allclose(by_entity, traced.received_total, rtol=1e-9, atol=1e-9)
    sent = np.bincount(traced.sent.owner, traced.sent.value, minlength=addresses)
    assert (sent <= traced.sent_total * (1 + 1e-9) + 1e-9).all()


@settings(max_examples=150, deadline=None)
@given(account_ledgers())
def test_value_between_categories_is_the_same_from_either_end(
    ledger: tuple[list[Transfer], int, list[int]],
) -> None:
    transfers, addresses, seeds = ledger
    traced = run(transfers, addresses, addresses)
    forward = np.zeros((CATEGORIES, CATEGORIES))
    for e, c, v in zip(traced.received.owner, traced.received.category, traced.received.value, strict=True):
        if seeds[e] >= 0 and c < CATEGORIES:
            forward[c, seeds[e]] += v
    backward = np.zeros((CATEGORIES, CATEGORIES))
    for e, c, v in zip(traced.sent.owner, traced.sent.category, traced.sent.value, strict=True):
        if seeds[e] >= 0 and c < CATEGORIES:
            backward[seeds[e], c] += v
    assert np.allclose(forward, backward, rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(account_ledgers())
def test_exposure_is_additive_over_seeds(ledger: tuple[list[Transfer], int, list[int]]) -> None:
    """Calling category 3 by the name of category 2 adds their exposures, and changes no other."""
    transfers, addresses, _ = ledger

    def renamed(leg: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        return (leg[0], leg[1], 2 if leg[2] == 3 else leg[2], leg[3])

    merged = [
        Transfer(tuple(map(renamed, t.payers)), tuple(map(renamed, t.payees)), t.what) for t in transfers
    ]
    apart, together = run(transfers, addresses, addresses), run(merged, addresses, addresses)
    for before, after in ((apart.received, together.received), (apart.sent, together.sent)):
        table = np.zeros((addresses, CATEGORIES + 2))
        np.add.at(table, (before.owner, np.where(before.category == 3, 2, before.category)), before.value)
        wanted = np.zeros_like(table)
        np.add.at(wanted, (after.owner, after.category), after.value)
        assert np.allclose(table, wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(account_ledgers(), st.integers(0, 30))
def test_a_later_transfer_changes_no_receipt_before_it(
    ledger: tuple[list[Transfer], int, list[int]], cut: int
) -> None:
    """The state after the first transfers is the same whatever follows: prefixes only ever add receipts."""
    transfers, addresses, _ = ledger
    prefix = transfers[:cut] or transfers[:1]
    short, full = run(prefix, addresses, addresses), run(transfers, addresses, addresses)
    later = {
        (int(e), int(c), bool(d)): v
        for e, c, d, v in zip(
            full.received.owner,
            full.received.category,
            full.received.direct,
            full.received.value,
            strict=True,
        )
    }
    for e, c, d, v in zip(
        short.received.owner,
        short.received.category,
        short.received.direct,
        short.received.value,
        strict=True,
    ):
        assert later[int(e), int(c), bool(d)] >= v - 1e-9


def test_a_coin_never_spent_with_another_is_not_touched_by_it() -> None:
    """Golden: one address holds a dirty and a clean output; spending the clean one carries nothing dirty."""
    dirty = Transfer(((-1, 0, 1, 10),), ((0, 1, -1, 10),))  # entity 0 is labelled category 1
    clean = Transfer((), ((1, 1, -1, 30),))
    spend = Transfer(((1, 1, -1, 30),), ((2, 2, -1, 29),))
    traced = run([dirty, clean, spend], 3, 3)
    to_two = traced.received.owner == 2
    assert traced.received.category[to_two].tolist() == [CATEGORIES + 1]
    assert traced.received.value[to_two].tolist() == [29.0]


def test_shares_hops_and_usd_of_a_small_case_by_hand() -> None:
    """A market pays 30, a salary of 10 joins it; half is passed on: two payments from the market."""
    legs = [
        Transfer(((0, 0, 2, 30),), ((1, 1, -1, 30),)),  # market (category 2) -> A
        Transfer((), ((1, 1, -1, 10),)),  # minted -> A
        Transfer(((1, 1, -1, 20),), ((2, 2, -1, 20),)),  # A -> B
        Transfer(((2, 2, -1, 20),), ((3, 3, 3, 20),)),  # B -> exchange (category 3)
    ]
    traced = run(legs, 4, 4)
    rows = {
        (int(e), int(c), bool(d)): (v, u, int(h))
        for e, c, d, v, u, h in zip(
            traced.received.owner, traced.received.category, traced.received.direct,
            traced.received.value, traced.received.usd, traced.received.hops, strict=True,
        )
    }  # fmt: skip
    assert rows[1, 2, True] == (30.0, 60.0, 1)
    assert rows[2, 2, False] == (15.0, 30.0, 2)
    assert rows[3, 2, False] == (15.0, 30.0, 3)
    sent = {
        (int(e), int(c), bool(d)): (v, int(h))
        for e, c, d, v, h in zip(
            traced.sent.owner, traced.sent.category, traced.sent.direct, traced.sent.value,
            traced.sent.hops, strict=True,
        )
    }  # fmt: skip
    assert sent[2, 3, True] == (20.0, 1)
    assert sent[1, 3, False] == (20.0, 2)
    # Of the market's 30 and the minted 10, A passed half on: 15 of the market's money reached the exchange.
    assert sent[0, 3, False] == (pytest.approx(15.0), 3)
    assert traced.sent_total.tolist() == [30.0, 20.0, 20.0, 0.0]


def test_a_fee_on_the_way_is_neither_held_nor_anyones_receipt() -> None:
    """Entity 0 pays 100 to 1, who pays 90 to 2 and 10 as a fee: of what 0 sent, 10 went in fees."""
    first = Transfer(((-1, 0, -1, 100),), ((0, 1, -1, 100),))
    second = Transfer(((0, 1, -1, 100),), ((1, 2, -1, 90),))
    traced = run([first, second], 2, 3)
    sent = list(
        zip(traced.sent.owner.tolist(), traced.sent.category.tolist(), traced.sent.value, strict=True)
    )
    assert sent == [(0, CATEGORIES, pytest.approx(10.0))]
    assert traced.sent_total.tolist() == [100.0, 90.0, 0.0]


def test_a_path_longer_than_can_be_counted_stays_long() -> None:
    chain = [Transfer(((-1, 0, 1, 10),), ((0, 1, -1, 10),))]
    chain += [Transfer(((n, n + 1, -1, 10),), ((n + 1, n + 2, -1, 10),)) for n in range(40_000)]
    traced = run(chain, 40_001, 40_002)
    assert traced.received.hops.min() == 1
    assert traced.received.hops[-1] == traced.received.hops.max() == 32_766
