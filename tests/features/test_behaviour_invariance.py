"""What changes no behaviour feature (the future, the date, numbering, threads); Spark can read the files."""

import random
import re
from collections import deque
from datetime import UTC, timedelta
from fractions import Fraction

import pytest
import sqlglot

from features.catalogue import read_sql
from tests.features.worktables import (
    AS_OF,
    BEHAVIOUR,
    LEDGER,
    SQL_FILES,
    TOGETHER,
    Paid,
    behaviour_features,
    one,
    utc,
    values,
    work_tables,
)


def test_later_transfers_change_nothing() -> None:
    later = (
        one("2024-03-01 00:00", 11, 1, 120_00),  # the very moment is not before it
        one("2024-03-01 00:01", 1, 21, 500_00),
        one("2024-03-02 00:00", 99, 11, 500_00, asset=3),
        Paid(utc("2024-03-03 00:00"), {1: 100, 2: 100}, {21: 50, 98: 150}),
        Paid(utc("2024-03-03 00:01"), {12: 100, 2: 100}, {1: 50, 98: 150}, coinjoin=True),
    )
    names, before = behaviour_features(work_tables(LEDGER, TOGETHER), AS_OF)
    _, after = behaviour_features(work_tables((*LEDGER, *later), TOGETHER), AS_OF)
    assert before.equals(after)
    _, moved_on = behaviour_features(work_tables((*LEDGER, *later), TOGETHER), AS_OF + timedelta(days=7))
    assert not before.equals(moved_on.slice(0, before.num_rows))
    assert len(names) == len(BEHAVIOUR)


def test_no_feature_knows_the_date() -> None:
    """Ten years of whole weeks later (a day of the week is no date) every number is the same."""
    shift = timedelta(weeks=522)
    shifted = [Paid(p.time + shift, p.payers, p.payees, p.asset, p.coinjoin, p.cents) for p in LEDGER]
    _, here = behaviour_features(work_tables(LEDGER, TOGETHER), AS_OF)
    _, there = behaviour_features(work_tables(shifted, TOGETHER), AS_OF + shift)
    assert here.equals(there)


def random_ledger(seed: int, *, transfers: int = 400, holders: int = 12, together: bool = True) -> list[Paid]:
    chance = random.Random(seed)  # noqa: S311  (no secret)
    time = utc("2023-06-01 00:00")
    paid = []
    for _ in range(transfers):
        time += timedelta(
            seconds=chance.choice((0, 1, 30, 3_600, 90_000)), microseconds=chance.choice((0, 500_000))
        )
        payer = chance.randrange(holders)
        payees = {
            chance.randrange(holders): chance.choice((100, 250, 5_000))
            for _ in range(chance.choice((1, 1, 2)))
        }
        payees.pop(payer, None)
        if payees:
            amount = sum(payees.values())
            paid.append(
                Paid(time, {payer: amount}, payees, chance.choice((1, 1, 2)), cents=chance.random() < 0.8)
            )
    return paid


def test_numbers_of_addresses_entities_and_assets_do_not_matter() -> None:
    ledger = random_ledger(1)
    rename = {address: 1_000 - 7 * address for address in range(12)}
    renamed = [
        Paid(
            p.time,
            {rename[a]: v for a, v in p.payers.items()},
            {rename[a]: v for a, v in p.payees.items()},
            {1: 8, 2: 5}[p.asset],
            cents=p.cents,
        )
        for p in ledger
    ]
    together = {0: 0, 1: 0, 2: 0}
    here = values(work_tables(ledger, together))
    there = values(work_tables(renamed, {rename[0]: 77, rename[1]: 77, rename[2]: 77}))
    for address, row in here.items():
        other = there[rename[address]]
        assert {**row, "address": 0} == {**other, "address": 0}


def test_same_bytes_with_two_threads_and_rows_in_any_order() -> None:
    ledger = random_ledger(2, transfers=4_000, holders=300)
    _, here = behaviour_features(work_tables(ledger, threads=1), AS_OF)
    _, there = behaviour_features(work_tables(ledger, threads=2, backwards=True), AS_OF)
    assert here.equals(there)


@pytest.mark.parametrize("seed", range(5))
def test_pass_through_agrees_with_a_queue(seed: int) -> None:
    """First in, first out, by an exact queue of receipts in place of running sums."""
    ledger = random_ledger(seed, transfers=150, holders=4, together=False)
    single = [Paid(p.time, p.payers, p.payees, cents=p.cents) for p in ledger]
    rows = values(work_tables(single))
    for holder, row in rows.items():
        queue: deque[list[int]] = deque()  # [receipt's second, what is left of it]
        received = sent = unseen = 0
        on_time = {86_400: 0, 604_800: 0}
        for p in single:
            second = int(p.time.replace(tzinfo=UTC).timestamp())
            if holder in p.payees:
                queue.append([second, p.payees[holder]])
                received += p.payees[holder]
            if holder in p.payers:
                due = p.payers[holder]
                sent += due
                while due and queue:
                    part = min(due, queue[0][1])
                    for limit in on_time:
                        on_time[limit] += part if second - queue[0][0] <= limit else 0
                    queue[0][1] -= part
                    due -= part
                    if not queue[0][1]:
                        queue.popleft()
                unseen += due
        left = sum(amount for _, amount in queue)
        assert row["pass_through_24h"] == (float(Fraction(on_time[86_400], received)) if received else None)
        assert row["pass_through_7d"] == (float(Fraction(on_time[604_800], received)) if received else None)
        assert row["kept_share"] == (float(Fraction(left, received)) if received else None)
        assert row["unseen_funds_share"] == (float(Fraction(unseen, sent)) if sent else None)


@pytest.mark.parametrize("name", SQL_FILES)
def test_file_is_one_query_that_spark_can_take_too(name: str) -> None:
    statements = sqlglot.transpile(
        read_sql(name),
        read="duckdb",
        write="spark",
        comments=False,
        unsupported_level=sqlglot.ErrorLevel.RAISE,
    )
    assert len(statements) == 1
    assert statements[0].startswith("WITH")
    for foreign in ("INT128", "HUGEINT", "QUANTILE", "PERCENTILE_DISC", "LIST_", "EPOCH", "//"):
        assert foreign not in statements[0].upper()
    assert ":as_of" in statements[0]
    assert "$" not in statements[0]
    indexes = re.findall(r"\[([^\]]*)\]", statements[0])  # Spark counts from 0, DuckDB from 1
    assert all(index.endswith(" + -1") for index in indexes)


@pytest.mark.parametrize("name", SQL_FILES)
def test_file_gives_its_features_and_no_others(name: str) -> None:
    columns = work_tables(LEDGER).sql(read_sql(name), params={"as_of": AS_OF}).columns
    assert columns[0] == ("address" if name.startswith("address_") else "entity")
    assert tuple(columns[1:]) == tuple(feature.name for feature in BEHAVIOUR if feature.sql == name)
