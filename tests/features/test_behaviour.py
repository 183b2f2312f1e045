"""Every behaviour feature on a ledger small enough to work out by hand, and what must not change them."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import fmean, pstdev

import pyarrow as pa
import pytest

from features.behaviour import behaviour_parts
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


def row_of(
    paid: Sequence[Paid], address: int, entities: Mapping[int, int] | None = None
) -> dict[str, float | None]:
    return values(work_tables(paid, entities))[address]


INTERVALS = (1_800, 477_000, 7_200, 3_567_600, 302_400, 30, 403_170, 280_800)
RECEIVED, SENT = 1273.5, 1322.0  # 120 + 950 + 83.50 + 120; 114 + 1000 + 158 + 50

GOLDEN = {
    "transfers_in": 5,
    "transfers_out": 4,
    "receipt_count_share": 5 / 9,
    "age_days": 59 + 14 / 24,
    "dormancy_days": 1.25,
    "active_span_days": 58 + 8 / 24,
    "active_days": 7,
    "active_days_share": 7 / 59,
    "transfers_per_active_day": 9 / 7,
    "busiest_day_share": 2 / 9,
    "last_30_days_share": 5 / 9,
    "assets": 2,
    "received_usd": RECEIVED,
    "sent_usd": SENT,
    "receipt_median_usd": 120,
    "receipt_p90_usd": 950,
    "payment_median_usd": 114,
    "payment_p90_usd": 1000,
    "retail_receipt_share": 3 / 4,
    "wholesale_receipt_share": 0,
    "under_limit_share": 1 / 8,
    "round_usd_receipt_share": 3 / 4,
    "round_receipt_share": 3 / 5,
    "round_payment_share": 6 / 8,
    "receipt_dispersion": (120 - 83.5) / (120 + 83.5),
    "payment_dispersion": (158 - 50) / (158 + 50),
    "receipt_p90_to_median": 950 / 120,
    "payment_to_receipt_median": 114 / 120,
    "largest_receipt_share": 950 / RECEIVED,
    "largest_payment_share": 1000 / SENT,
    "same_amount_receipt_share": 2 / 4,
    "payers": 4,
    "payees": 6,
    "payer_side_share": 4 / 10,
    "receipts_per_payer": 5 / 4,
    "payments_per_payee": 8 / 6,
    "one_time_payer_share": 3 / 4,
    "new_payer_share_30d": 1 / 2,  # 11 and 14 paid, 14 for the first time
    "new_payee_share_30d": 5 / 6,  # 21 was paid before
    "top_payer_share": 950 / RECEIVED,
    "top_payee_share": 314 / SENT,
    "payer_concentration": (240**2 + 83.5**2 + 950**2) / RECEIVED**2,
    "payee_concentration": (314**2 + 250**2 + 3 * 200**2 + 158**2) / SENT**2,
    "top_3_transfer_share": 7 / 13,  # 11 thrice, 21 twice, 22 twice
    "reciprocal_share": 1 / 9,  # 11
    "payee_payers_median": 2,  # 1 1 2 2 3 4
    "payer_payees_median": 2,  # 1 2 2 3
    "first_payer_payees": 3,  # 11 pays 12, us and 27
    "young_payer_share": 2 / 4,  # 13 and 14
    "fresh_payee_share": 1 / 6,  # 21
    "hours_00_06_share": 1 / 9,
    "hours_06_12_share": 3 / 9,
    "hours_12_18_share": 1 / 9,
    "weekend_share": 4 / 9,
    "hour_spread": 81 / 13,
    "payment_hour_spread": 16 / 6,
    "interval_median_seconds": 280_800,
    "interval_p90_seconds": 3_567_600,
    "receipt_interval_median_seconds": 478_800,
    "payment_interval_median_seconds": 683_970,
    "burstiness": (pstdev(INTERVALS) - fmean(INTERVALS)) / (pstdev(INTERVALS) + fmean(INTERVALS)),
    "within_minute_share": 1 / 8,
    "dwell_median_seconds": 302_400,
    "paid_on_within_hour_share": 1 / 5,
    "sent_share": SENT / (SENT + RECEIVED),
    "kept_share": 0,
    "pass_through_24h": 114 / RECEIVED,
    "pass_through_7d": (114 + 118.5) / RECEIVED,  # of the last 120, all but 1.50 went within four days
    "unseen_funds_share": 48.5 / SENT,
    "emptying_payment_share": 2 / 4,  # 159.50 to 1.50, 1.50 to nothing
    "forwarded_payment_share": 1 / 4,
    "entity_addresses": 2,
    "receipts_per_address": 5 / 2,
    "coinjoin_share": 0,
    "batch_payment_share": 1 / 4,
    "payees_per_payment": 8 / 4,
    "peel_payment_share": 0,
    "peel_remainder_share": 0,
}
GOLDEN_ADDRESS = {
    1: {
        "address_transfers_in": 3,
        "address_transfers_out": 3,
        "address_age_days": 59 + 14 / 24,
        "address_span_days": 58 + 8 / 24,
        "address_sent_share": 1164 / (1164 + 323.5),
    },
    2: {
        "address_transfers_in": 2,
        "address_transfers_out": 1,
        "address_age_days": 54 + 1 / 24,
        "address_span_days": 49 + 13 / 24,
        "address_sent_share": 158 / (158 + 950),  # asset 1: two of its three transfers
    },
}


@pytest.fixture(scope="module")
def golden_rows() -> dict[int, dict[str, float | None]]:
    return values(work_tables(LEDGER, TOGETHER))


BY_HAND = [f.name for f in BEHAVIOUR if f.level == "entity" and f.group != "recent"]  # those: test_recent.py


@pytest.mark.parametrize("name", BY_HAND)
def test_entity_feature_by_hand(golden_rows: dict[int, dict[str, float | None]], name: str) -> None:
    expected = pytest.approx(GOLDEN[name], rel=1e-8)
    assert golden_rows[1][name] == expected
    assert golden_rows[2][name] == expected


@pytest.mark.parametrize("name", [feature.name for feature in BEHAVIOUR if feature.level == "address"])
def test_address_feature_by_hand(golden_rows: dict[int, dict[str, float | None]], name: str) -> None:
    for address, golden in GOLDEN_ADDRESS.items():
        assert golden_rows[address][name] == pytest.approx(golden[name], rel=1e-12)


def test_table_has_a_row_an_address_and_a_double_a_feature() -> None:
    names, table = behaviour_features(work_tables(LEDGER, TOGETHER), AS_OF)
    assert names == tuple(feature.name for feature in BEHAVIOUR)
    assert table.column_names == ["address", *names]
    assert all(table.schema.field(name).type == pa.float64() for name in names)
    assert table.column("address").to_pylist() == [1, 2, *range(11, 18), *range(21, 28)]


def test_files_done_are_reported() -> None:
    told: list[tuple[int, int]] = []
    list(behaviour_parts(work_tables(LEDGER), AS_OF, progress=lambda *now: told.append(now)))
    assert told == [(done, len(SQL_FILES)) for done in range(1, len(SQL_FILES) + 1)]


def test_empty_ledger_gives_no_row() -> None:
    _, table = behaviour_features(work_tables(()), AS_OF)
    assert table.num_rows == 0


def test_what_cannot_be_known_is_null_and_not_zero(golden_rows: dict[int, dict[str, float | None]]) -> None:
    payer, payee = golden_rows[14], golden_rows[27]  # one unpriced payment; one receipt
    assert payer["sent_usd"] is None
    assert payer["received_usd"] is None
    assert payer["kept_share"] is None
    assert payer["receipt_dispersion"] is None
    assert payer["unseen_funds_share"] == 1
    assert payer["emptying_payment_share"] == 0  # there was nothing to empty
    assert payer["largest_payment_share"] == 1
    assert payer["payers"] == 0
    assert payee["sent_usd"] is None
    assert payee["received_usd"] == 10
    assert payee["kept_share"] == 1
    assert payee["payment_hour_spread"] is None
    assert payee["dwell_median_seconds"] is None
    assert payee["paid_on_within_hour_share"] == 0
    assert payee["interval_median_seconds"] is None
    assert payee["new_payer_share_30d"] is None
    assert all(
        not math.isnan(value) for row in golden_rows.values() for value in row.values() if value is not None
    )


def test_sizes_have_their_limits_on_the_right_side() -> None:
    cents = (9_99, 10_00, 499_99, 500_00, 999_99, 1_000_00, 9_000_00, 10_000_00)
    start = utc("2024-01-01 00:00")
    row = row_of([Paid(start + timedelta(hours=i), {9: c}, {1: c}) for i, c in enumerate(cents)], 1)
    assert row["retail_receipt_share"] == 2 / 8  # 10.00 and 499.99
    assert row["wholesale_receipt_share"] == 3 / 8
    assert row["under_limit_share"] == 2 / 8  # 999.99 and 9,000.00
    assert row["round_usd_receipt_share"] == 1  # 9.99 too is within ten cents of 10


def test_round_dollars_are_within_ten_cents() -> None:
    cents = (19_90, 20_10, 20_11, 19_89, 9_89)
    start = utc("2024-01-01 00:00")
    row = row_of([Paid(start + timedelta(hours=i), {9: c}, {1: c}) for i, c in enumerate(cents)], 1)
    assert row["round_usd_receipt_share"] == 2 / 4
    assert row["round_receipt_share"] == 0


def test_spans_have_their_limits_on_the_right_side() -> None:
    paid = [
        one("2024-01-01 00:00:00", 9, 51, 1),
        one("2024-01-01 00:00:00", 9, 52, 1),
        one("2024-01-07 23:59:59", 51, 1, 1),  # seen for a second less than a week
        one("2024-01-08 00:00:00", 52, 1, 1),
        one("2024-01-30 23:59:59", 51, 2, 1),
        one("2024-01-31 00:00:00", 52, 2, 1),  # 30 days before 1 March
    ]
    rows = values(work_tables(paid))
    assert rows[1]["young_payer_share"] == 1 / 2
    assert rows[2]["last_30_days_share"] == 1 / 2
    assert rows[2]["new_payer_share_30d"] == 1


def test_paid_on_in_the_last_second_of_a_day_or_a_week() -> None:
    paid = [
        one("2024-01-01 12:00:00", 9, 1, 100),
        one("2024-01-02 12:00:00", 1, 8, 10),
        one("2024-01-02 12:00:01", 1, 8, 20),
        one("2024-01-08 12:00:00", 1, 8, 30),
        one("2024-01-08 12:00:01", 1, 8, 40),
    ]
    row = row_of(paid, 1)
    assert row["pass_through_24h"] == 10 / 100
    assert row["pass_through_7d"] == 60 / 100


def test_within_one_second_the_order_of_transfers_counts() -> None:
    receipt, payment = one("2024-01-01 00:00", 9, 1, 100), one("2024-01-01 00:00", 1, 8, 100)
    row = row_of([receipt, payment], 1)
    assert row["dwell_median_seconds"] == 0
    assert row["kept_share"] == 0
    assert row["unseen_funds_share"] == 0
    row = row_of([payment, receipt], 1)
    assert row["dwell_median_seconds"] is None
    assert row["kept_share"] == 1
    assert row["unseen_funds_share"] == 1


def test_main_asset_is_the_most_used_then_the_first_used() -> None:
    first = [one("2024-01-01 00:00", 9, 1, 100, asset=2), one("2024-01-02 00:00", 1, 9, 100, asset=1)]
    row = row_of(first, 1)
    assert row["kept_share"] == 1
    assert row["address_sent_share"] == 0
    assert row["largest_receipt_share"] == 1
    assert row["top_payer_share"] == 1
    row = row_of([*first, one("2024-01-03 00:00", 1, 9, 300, asset=1)], 1)
    assert row["kept_share"] is None
    assert row["address_sent_share"] == 1
    assert row["largest_payment_share"] == 3 / 4
    assert row["top_payer_share"] is None


def test_peel_and_its_near_misses() -> None:
    paid = [
        Paid(utc("2024-01-01 00:00"), {31: 100}, {41: 10, 32: 90}),  # a tenth: a peel
        Paid(utc("2024-01-01 01:00"), {32: 89}, {42: 5, 33: 84}),
        Paid(utc("2024-01-01 02:00"), {33: 84}, {43: 9, 34: 75}),  # more than a tenth
        Paid(utc("2024-01-01 03:00"), {34: 70, 35: 5}, {44: 5, 36: 70}),  # two paying addresses
        Paid(utc("2024-01-01 04:00"), {36: 70}, {45: 5, 36: 65}),  # the rest goes back where it came from
        Paid(utc("2024-01-01 05:00"), {46: 100}, {47: 5, 48: 5, 49: 90}),  # three paid
    ]
    rows = values(work_tables(paid))
    assert {a for a, row in rows.items() if row["peel_payment_share"] == 1} == {31, 32}
    assert {a for a, row in rows.items() if row["peel_remainder_share"] == 1} == {32, 33}
    assert rows[42]["peel_remainder_share"] == 0
    assert rows[36]["peel_payment_share"] == 0


def test_coinjoin_counts_as_such_and_makes_no_counterparty() -> None:
    mix = Paid(utc("2024-01-02 00:00"), {1: 10, 2: 10, 3: 10}, {4: 10, 5: 10, 6: 10}, coinjoin=True)
    rows = values(work_tables([one("2024-01-01 00:00", 9, 1, 10), mix]))
    assert rows[1]["coinjoin_share"] == 1 / 2
    assert rows[4]["coinjoin_share"] == 1
    assert rows[1]["payees"] == 0
    assert rows[4]["payers"] == 0
    assert rows[4]["top_payer_share"] is None


def test_amounts_of_38_digits_are_no_obstacle() -> None:
    huge = 10**38 - 1
    paid = [one(f"2024-01-01 00:{i:02}", 9, 1, huge, cents=False) for i in range(40)]
    row = row_of([*paid, one("2024-01-02 00:00", 1, 8, huge, cents=False)], 1)
    assert row["kept_share"] == 39 / 40
    assert row["top_payer_share"] == 1
    assert row["payer_concentration"] == 1
