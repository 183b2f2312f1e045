"""Recent counterparties and what they do anew, against a plain count over random ledgers."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

import pytest

from tests.features.worktables import AS_OF, Paid, values, work_tables

DAYS = (7, 14, 30)
Row = dict[str, float | None]


def payment(days_ago: float, payer: int, payee: int, amount: int, *, asset: int = 1) -> Paid:
    return Paid(AS_OF - timedelta(days=days_ago), {payer: amount}, {payee: amount}, asset=asset)


def count_recent(paid: Sequence[Paid], entity: int, partly: Iterable[int] = ()) -> Row:
    """Count what the SQL counts, pair by pair."""
    moves = [(p, next(iter(p.payers)), next(iter(p.payees))) for p in paid if p.time < AS_OF]
    first: dict[tuple[int, int], float] = {}
    uses: Counter[int] = Counter()
    used_first: dict[int, int] = {}
    for place, (p, payer, payee) in enumerate(moves):
        ago = (AS_OF - p.time).total_seconds()
        first[payer, payee] = max(first.get((payer, payee), 0), ago)
        if entity in (payer, payee):
            uses[p.asset] += 1
            used_first.setdefault(p.asset, place)
    main = min(uses, key=lambda asset: (-uses[asset], used_first[asset]))
    found: Row = {}
    for days in DAYS:
        seconds = days * 86_400
        late = [(p, a, b) for p, a, b in moves if (AS_OF - p.time).total_seconds() <= seconds]
        new = {pair for pair, ago in first.items() if ago <= seconds}
        payers, payees = defaultdict(set), defaultdict(set)
        for a, b in new:
            payers[b].add(a)
            payees[a].add(b)

        def share(
            side: int, late: list[tuple[Paid, int, int]] = late, new: set[tuple[int, int]] = new
        ) -> float | None:
            ours = [
                (next(iter(m[0].payers.values())), (m[1], m[2]) in new)
                for m in late
                if m[side] == entity and m[0].asset == main
            ]
            total = sum(amount for amount, _ in ours)
            return sum(amount for amount, is_new in ours if is_new) / total if total else None

        near_in, near_out = payers[entity] - set(partly), payees[entity] - set(partly)
        known_in, known_out = (
            2 * len(near_in) >= len(payers[entity]),
            2 * len(near_out) >= len(payees[entity]),
        )

        def most(numbers: Iterable[int], known: bool) -> float | None:
            listed = list(numbers)
            return max(listed) if known and listed else None

        shared_payees = Counter(o for q in near_out if len(payers[q]) <= 100 for o in payers[q] - {entity})
        shared_payers = Counter(o for p in near_in if len(payees[p]) <= 100 for o in payees[p] - {entity})
        hops = {
            x
            for x in set(payers) | set(payees)
            if x not in set(partly) and len(payers[x]) <= 100 and len(payees[x]) <= 100
        }
        onward = Counter(
            z for x in payees[entity] & hops for z in payees[x] - {entity} if first[entity, x] >= first[x, z]
        )
        inward = Counter(
            s for x in payers[entity] & hops for s in payers[x] - {entity} if first[s, x] >= first[x, entity]
        )
        values_here = {
            "receipts": sum(b == entity for _, _, b in late),
            "payments": sum(a == entity for _, a, _ in late),
            "new_payers": len(payers[entity]),
            "new_payees": len(payees[entity]),
            "new_payer_value_share": share(2),
            "new_payee_value_share": share(1),
            "new_payer_new_payers": most((len(payers[p]) for p in near_in), known_in),
            "new_payer_new_payees": most((len(payees[p]) for p in near_in), known_in),
            "new_payee_new_payers": most((len(payers[q]) for q in near_out), known_out),
            "new_payee_new_payees": most((len(payees[q]) for q in near_out), known_out),
            "shared_new_payees": max(shared_payees.values(), default=0) if known_out else None,
            "shared_new_payers": max(shared_payers.values(), default=0) if known_in else None,
            "new_relays_onward": max(onward.values(), default=0) if known_out else None,
            "new_relays_inward": max(inward.values(), default=0) if known_in else None,
        }
        found |= {f"{name}_{days}d": value for name, value in values_here.items()}
    return found


def random_payments(seed: int, people: int, transfers: int) -> list[Paid]:
    draw = random.Random(seed)  # noqa: S311
    made = []
    for _ in range(transfers):
        payer, payee = draw.sample(range(people), 2)
        days_ago = draw.choice([0.5, 3, 7, 7.5, 13, 14, 20, 30, 31, 50])
        made.append(payment(days_ago, payer, payee, draw.randint(1, 99), asset=draw.choice([1, 1, 2])))
    return sorted(made, key=lambda p: p.time)


@pytest.mark.parametrize("seed", range(6))
def test_recent_counterparties_are_as_a_plain_count_says(seed: int) -> None:
    paid = random_payments(seed, people=9, transfers=60)
    partly = [] if seed < 3 else [1, 4, 5]
    table = values(work_tables(paid, partly=partly))
    for entity, row in table.items():
        expected = count_recent(paid, entity, partly)
        assert {name: row[name] for name in expected} == pytest.approx(expected), entity


def test_a_cohort_with_one_funder_and_one_collector_is_seen() -> None:
    drops = range(10, 15)
    paid = [payment(6, 1, drop, 100) for drop in drops] + [payment(5, drop, 2, 99) for drop in drops]
    table = values(work_tables(paid))
    assert table[1]["new_relays_onward_7d"] == 5
    assert table[2]["new_relays_inward_7d"] == 5
    assert table[10]["new_payer_new_payees_7d"] == table[10]["new_payee_new_payers_7d"] == 5
    assert table[10]["new_relays_onward_7d"] == 0
    back = [payment(6, drop, 2, 99) for drop in drops] + [payment(5, 1, drop, 100) for drop in drops]
    assert values(work_tables(back))[1]["new_relays_onward_7d"] == 0, "paid on before it was paid"


def test_an_exchange_joins_nobody() -> None:
    """Two customers of an exchange, each paying it and one shop, share the shop and not the exchange."""
    customers = range(1, 102)
    paid = [payment(3, one, 900, 50) for one in customers] + [payment(2, one, 901, 5) for one in (1, 2)]
    table = values(work_tables(paid))
    assert table[1]["shared_new_payees_7d"] == 1
    assert table[1]["new_payee_new_payers_7d"] == 101
    fewer = values(work_tables([*paid[:100], *paid[101:]]))
    assert fewer[2]["shared_new_payees_7d"] == 2


def test_who_has_too_many_new_counterparties_gets_no_answer() -> None:
    paid = [payment(3, 900, one, 50) for one in range(1_001, 2_002)]
    table = values(work_tables(paid))
    assert table[900]["new_payees_7d"] == 1_001
    assert table[900]["shared_new_payees_7d"] is None
    assert table[900]["new_relays_onward_7d"] is None
    assert table[900]["shared_new_payers_7d"] == 0


def test_what_unread_counterparties_do_is_unknown() -> None:
    paid = [payment(3, 1, 2, 50), payment(3, 3, 2, 50), payment(2, 2, 4, 60), payment(2, 5, 4, 60)]
    whole, partly = (values(work_tables(paid, partly=others)) for others in ([], [1, 3, 4]))
    asked = [
        *("new_payer_new_payees_7d", "new_payee_new_payers_7d", "shared_new_payees_7d", "first_payer_payees"),
        *("payee_payers_median", "payer_payees_median", "young_payer_share", "fresh_payee_share"),
    ]
    assert all(whole[2][name] is not None for name in asked)
    assert all(partly[2][name] is None for name in asked)
    assert partly[2]["new_payers_7d"] == 2, "its own history is there"
