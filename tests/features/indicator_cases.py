"""Small ledgers worked out by hand, one an indicator: who shows it, and who only looks alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.features.indicated import Move

DAY = 24.0


@dataclass(frozen=True)
class Case:
    """Moves in which only those in `expected` show the indicator: account -> (strength, evidence, count)."""

    moves: Sequence[Move]
    expected: dict[str, tuple[float, list[int], int]]
    values: dict[str, Any]
    labels: Sequence[tuple[str, str]] = field(default=())


def crowd(names: str, number: int, hours: float, step: float, payee: str, usd: float) -> list[Move]:
    """Many payers of one payee, one after the other."""
    return [(hours + step * k, f"{names}{k}", payee, usd) for k in range(number)]


def fed(payee: str, hours: float, usd: float) -> Move:
    """Money to spend, from somebody who does nothing else."""
    return (hours, f"source of {payee}", payee, usd)


def shop(name: str, hours: float, times: int, usd: float, payers: int) -> Iterable[Move]:
    return ((hours + 6.0 * k, f"{name} customer {k % payers}", name, usd) for k in range(times))


CASES: dict[str, Case] = {
    "structuring": Case(
        [
            fed("cutter", 0, 5000),
            *((DAY * k, "cutter", f"c{k}", 950.0) for k in range(1, 5)),  # 4 in 4 days
            fed("slow", 200, 9000),
            *((200 + 3 * DAY * k, "slow", f"s{k}", 950.0) for k in range(1, 7)),
            # as many payments at the limit or over it
            fed("grand", 600, 9000),
            *((600 + 10 * k, "grand", f"g{k}", 950.0 + 50 * (k % 2)) for k in range(8)),
            *((1000.0 + 20 * k, "tycoon", f"t{k}", 9500.0) for k in range(4)),
        ],
        {"cutter": (4 / 8, [2, 3, 4, 5], 4), "tycoon": (4 / 8, [22, 23, 24, 25], 4)},
        {"payments": 4},
    ),
    "high_value_burst": Case(
        [
            (0, "lord", "a", 10_000),
            (10, "lord", "b", 12_000),
            (24, "lord", "c", 30_000),
            (25, "lord", "d", 9_999),
            (0.5, "knight", "a", 10_000),
            (11, "knight", "b", 10_000),
            (24.6, "knight", "c", 10_000),
            *((50 + k, "exchange", "e", 50_000.0) for k in range(5)),
        ],
        {"lord": (3 / 6, [1, 3, 5], 3)},
        {"payments": 3, "total_usd": 52_000},
        [("exchange", "exchange")],
    ),
    "regular_then_silent": Case(
        [
            *((100.0 * k, "payer", "silent", 2000.0) for k in range(5)),
            *((100.0 * k + 1, "firm", "worker", 2000.0) for k in range(40)),  # still comes at the end
            *((3.0 * k * k, "patron", "uneven", 2000.0) for k in range(5)),
        ],
        # Both who paid and who was paid, 3,901 - 400 hours before the last transfer.
        {
            "payer": (3501 / (3501 + 90 * 24), [1, 8, 10, 12, 14], 5),
            "silent": (3501 / (3501 + 90 * 24), [1, 8, 10, 12, 14], 5),
        },
        {"transfers": 5, "longest_step_days": 100 / 24, "silence_days": 3501 / 24, "total_usd": 10_000},
    ),
    "frequent_to_same": Case(
        [
            *((2.0 * k, "busy", "friend", 20.0) for k in range(10)),
            *((2.7 * k + 100, "calm", "friend", 20.0) for k in range(10)),  # nine in any 24 hours
            *((1.0 * k + 200, "gambler", "casino", 20.0) for k in range(20)),
        ],
        {"busy": (10 / 20, list(range(1, 11)), 10)},
        {"payments": 10, "total_usd": 200},
        [("casino", "gambling")],
    ),
    "small_high_frequency": Case(
        [
            *shop("shop", 0, 20, 50, 5),
            *((1000 + 6.0 * k, f"donor {k}", "charity", 50.0) for k in range(40)),  # each comes once
            *((2000 + 6.0 * k, f"partner {k % 3}", "family", 50.0) for k in range(20)),  # of three payers
        ],
        {"shop": (20 / 40, list(range(1, 21)), 20)},
        {"receipts": 20, "payers": 5, "returning_share": 1, "total_usd": 1000},
    ),
    "dormant_awakening": Case(
        [
            (0, "a", "sleeper", 50),
            (181 * DAY, "b", "sleeper", 2000),
            (181 * DAY + 70, "sleeper", "c", 1700),
            (0.1, "a", "keeper", 50),
            (181 * DAY + 0.1, "b", "keeper", 2000),
            (181 * DAY + 70.1, "keeper", "c", 1500),
            (30 * DAY, "a", "napper", 50),
            (200 * DAY, "b", "napper", 2000),
            (200 * DAY + 1, "napper", "c", 2000),
        ],
        {"sleeper": (181 / 361, [7, 9], 2)},
        {"silence_days": 181, "received_usd": 2000, "passed_share": 0.85},
    ),
    "new_wallet_emptied": Case(
        [
            (0, "a", "new", 15_000),
            (5, "b", "new", 1000),
            (40, "new", "c", 15_500),
            (100, "a", "half", 15_000),
            (110, "half", "c", 8000),
            (200, "a", "small", 5000),
            (210, "small", "c", 5000),
            (300, "a", "old", 20),
            (310, "a", "old", 15_000),
            (311, "old", "c", 15_020),
        ],
        {"new": (15 / 25, [1, 2, 3], 3)},
        {"first_usd": 15_000, "passed_share": 15.5 / 16, "hours": 40},
    ),
    "withdrawal_to_fresh": Case(
        [
            (0, "exchange", "fresh", 2000),
            (2, "fresh", "next", 1990),
            (10, "exchange", "kept", 2000),
            (12, "kept", "next", 1000),
            (20, "a", "used", 10),
            (21, "exchange", "used", 2000),
            (22, "used", "next", 2010),
            (30, "person", "lent", 2000),
            (31, "lent", "next", 2000),
            (40, "exchange", "round", 2000),
            (41, "round", "exchange", 2000),
        ],
        {"fresh": (6 / 8, [1, 2], 2)},
        {"received_usd": 2000, "passed_share": 0.995, "minutes": 120},
        [("exchange", "exchange")],
    ),
    "rapid_pass_through": Case(
        [
            *(
                m
                for k in range(3)
                for m in ((50.0 * k, f"p{k}", "mule", 400.0), (50.0 * k + 5, "mule", "boss", 380.0))
            ),
            *(
                m
                for k in range(3)
                for m in ((50.0 * k + 1, f"q{k}", "saver", 400.0), (50.0 * k + 6, "saver", "boss", 280.0))
            ),
        ],
        {"mule": (3 / 6, [1, 3, 5, 7, 9, 11], 6)},
        {"times": 3, "passed_share": 1, "wait_hours": 5, "total_usd": 1140},
    ),
    "many_small_payers": Case(
        [
            *crowd("p", 15, 0, 24, "collector", 40),
            (400, "collector", "boss", 590),
            *crowd("q", 15, 500, 24, "hoarder", 40),
            (900, "hoarder", "boss", 100),
            *((1000 + 24.0 * k, f"r{k % 5}", "club", 40.0) for k in range(30)),
            (2000, "club", "boss", 1200),
        ],
        {"collector": (15 / 30, list(range(1, 16)), 15)},
        {"payers": 15, "receipts": 15, "passed_share": 590 / 600},
    ),
    "fan_out_to_services": Case(
        [
            (0, "a", "fan", 3000),
            (1, "fan", "x", 900),
            (2, "fan", "y", 900),
            (3, "fan", "z", 900),
            (100, "a", "late", 3000),
            (101, "late", "x", 900),
            (102, "late", "y", 900),
            (125, "late", "z", 900),
            (200, "a", "loyal", 3000),
            *((201.0 + k, "loyal", "x", 900.0) for k in range(3)),
            (300, "a", "social", 3000),
            *((301.0 + k, "social", f"friend {k}", 900.0) for k in range(3)),
        ],
        {"fan": (3 / 6, [1, 2, 3, 4], 4)},
        {"services": 3, "hours": 3, "total_usd": 2700},
        [("x", "exchange"), ("y", "p2p_exchange"), ("z", "gambling")],
    ),
    "matching_deposits": Case(
        [
            *(
                m
                for k in (0, 100)
                for m in (
                    (0.0 + k, "a", "funnel", 500.0),
                    (1.0 + k, "b", "funnel", 400.0),
                    (2.0 + k, "c", "funnel", 300.0),
                    (3.0 + k, "funnel", "exchange", 1190.0),
                    (4.0 + k, "funnel", "landlord", 10.0),
                )
            ),
            *(
                m
                for k in (200, 300)
                for m in (  # one source
                    (0.0 + k, "a", "one", 1200.0),
                    (3.0 + k, "one", "exchange", 1199.0),
                    (4.0 + k, "one", "landlord", 1.0),
                )
            ),
            *(
                m
                for k in (400, 500)
                for m in (  # half of it
                    (0.0 + k, "a", "half", 500.0),
                    (1.0 + k, "b", "half", 800.0),
                    (2.0 + k, "c", "half", 900.0),
                    (3.0 + k, "half", "exchange", 1100.0),
                    (4.0 + k, "half", "landlord", 1100.0),
                )
            ),
            *(
                m
                for k in (600, 700)
                for m in (  # to a person
                    (0.0 + k, "a", "kin", 500.0),
                    (1.0 + k, "b", "kin", 400.0),
                    (2.0 + k, "c", "kin", 300.0),
                    (3.0 + k, "kin", "uncle", 1190.0),
                )
            ),
        ],
        {"funnel": (3 / 6, [1, 2, 3, 4], 4)},
        {"payers": 3, "equal_share": 1190 / 1200, "paid_usd": 1190, "times": 2},
        [("exchange", "exchange")],
    ),
    "split_forwarding": Case(
        [
            (0, "a", "splitter", 3000),
            *((1.0 + k, "splitter", f"new {k}", 980.0) for k in range(3)),
            # the same hands as last week
            *((10.0 + k, "b", f"hand {k}", 5.0) for k in range(3)),
            (20, "a", "payroll", 3000),
            *((21.0 + k, "payroll", f"hand {k}", 980.0) for k in range(3)),
            (30, "a", "payer", 3000),
            (31, "payer", "seller", 2500),
            (32, "payer", "tip 1", 200),
            (33, "payer", "tip 2", 200),
        ],
        {"splitter": (3 / 6, [1, 2, 3, 4], 4)},
        {"wallets": 3, "received_usd": 3000, "passed_share": 0.98, "hours": 3},
    ),
    "scatter_gather": Case(
        [
            *((0.0 + k, "boss", f"carrier {k}", 500.0) for k in range(3)),
            *((10.0 + k, f"carrier {k}", "till", 450.0) for k in range(3)),
            *((100.0 + k, "giver", f"kid {k}", 500.0) for k in range(3)),  # two collectors
            *((110.0 + k, f"kid {k}", f"bank {k % 2}", 500.0) for k in range(3)),
            *((200.0 + k, "firm", f"hand {k}", 500.0) for k in range(3)),  # all use one exchange
            *((210.0 + k, f"hand {k}", "exchange", 500.0) for k in range(3)),
        ],
        {
            who: (3 / 6, [1, 2, 3, 4, 5, 6], 6)
            for who in ("boss", "till", "carrier 0", "carrier 1", "carrier 2")
        },
        {"wallets": 3, "total_usd": 1350},
        [("exchange", "exchange")],
    ),
    "mixer_use": Case(
        [
            (0, "mixer", "washed", 1800),
            (1, "a", "washed", 200),
            (2, "mixer", "shop", 1100),
            *crowd("p", 30, 10, 1, "shop", 400.0),
            (50, "curious", "mixer", 200),
        ],
        {"washed": (0.9 / 1.0, [1], 1)},
        {"side": "received", "mixed_share": 0.9, "total_usd": 1800},
        [("mixer", "mixer")],
    ),
    "darknet_counterparty": Case(
        [
            (0, "market", "vendor", 700),
            (1, "market", "vendor", 800),
            (2, "vendor", "market", 100),
            (3, "buyer", "market", 999),
            (4, "vendor", "friend", 1500),
        ],
        {"vendor": (1500 / 2500, [1, 2], 2)},
        {"side": "received", "transfers": 2, "total_usd": 1500},
        [("market", "darknet_market")],
    ),
    "mixer_and_market": Case(
        [
            (0, "mixer", "between", 500),
            (84, "between", "market", 400),
            (100, "mixer", "trader", 500),
            (101, "trader", "exchange", 500),
            (200, "early", "market", 500),
            (201, "mixer", "early", 500),
            (300, "mixer", "later", 500),
            (300 + 7 * DAY + 1, "later", "market", 500),
        ],
        {"between": (7 / 10.5, [1, 2], 2)},
        {"times": 1, "days": 3.5, "total_usd": 400},
        [("mixer", "mixer"), ("market", "darknet_market"), ("exchange", "exchange")],
    ),
    "supplier_many_remitters": Case(
        [
            *crowd("p", 5, 0, 48, "supplier", 900),
            *crowd("q", 5, 1, 48, "wholesaler", 900),
            *((1000.0 + k, "bulk", "supplier 2", 2900.0) for k in range(9)),
        ],
        {"supplier": (5 / 10, [1, 3, 5, 7, 9], 5)},
        {"payers": 5, "total_usd": 4500},
        [("supplier", "precursor_supplier"), ("supplier 2", "precursor_supplier")],
    ),
    "market_payout_fan_out": Case(
        [
            (0, "seller", "market", 300),
            *(
                m
                for k in (100, 300, 500)
                for m in (
                    (0.0 + k, "market", "seller", 1000.0),
                    *((1.0 + k + i, "seller", f"hand {i}", 200.0) for i in range(3)),
                )
            ),
            *(
                m
                for k in (101, 301, 501)
                for m in (  # never paid the market
                    (0.0 + k, "market", "guest", 1000.0),
                    *((1.0 + k + i, "guest", f"pal {i}", 200.0) for i in range(3)),
                )
            ),
            (1000, "buyer", "market", 300),
            (1100, "market", "buyer", 300),
            *((1101.0 + i, "buyer", f"hand {i}", 50.0) for i in range(3)),
        ],
        {"seller": (3 / 6, [1, 2, 3, 7, 10, 11, 15, 18, 19, 23], 13)},
        {"times": 3, "payouts": 3, "most_payees": 3},
        [("market", "darknet_market")],
    ),
    "sweep_to_exchangers": Case(
        [
            *(
                m
                for k in range(10)
                for m in (
                    (20.0 * k, f"p{k % 5}", "till", 100.0),
                    (20.0 * k + 10, "till", f"desk {k % 2}", 95.0),
                )
            ),
            # a merchant sweeps once at the end, an agent pays families
            *((1000 + 20.0 * k, f"q{k % 5}", "merchant", 100.0) for k in range(10)),
            (1300, "merchant", "exchange", 1000),
            *(
                m
                for k in range(10)
                for m in (
                    (2000 + 20.0 * k, f"r{k % 5}", "agent", 100.0),
                    (2010 + 20.0 * k, "agent", f"family {k % 2}", 95.0),
                )
            ),
        ],
        {"till": (10 / 13, list(range(1, 21)), 20)},
        {"sweeps": 10, "exchangers": 2, "swept_share": 0.95, "total_usd": 950},
        [("desk 0", "cash_out_exchanger"), ("desk 1", "exchange"), ("exchange", "exchange")],
    ),
    "fresh_rotation": Case(
        [
            *(
                m
                for k in range(5)
                for m in (
                    (50.0 * k, f"buyer {k}", f"turn {k}", 100.0),
                    (50.0 * k + 20, f"turn {k}", "till", 95.0),
                )
            ),
            # invoice addresses, all open at the same time
            *((1000.0 + k, f"guest {k}", f"invoice {k}", 100.0) for k in range(8)),
            *((1100.0 + k, f"invoice {k}", "merchant", 100.0) for k in range(8)),
            # and the same into a service
            *(
                m
                for k in range(5)
                for m in (
                    (2000 + 50.0 * k, f"user {k}", f"slot {k}", 100.0),
                    (2020 + 50.0 * k, f"slot {k}", "exchange", 95.0),
                )
            ),
        ],
        {who: (4 / 8, list(range(1, 11)), 10) for who in ("till", *(f"turn {k}" for k in range(5)))},
        {"wallets": 5, "handovers": 4, "total_usd": 475},
        [("exchange", "exchange")],
    ),
}
