"""Deposit addresses on account chains: marked where a service empties them, and nowhere else."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from features.seeds import mark_seeds
from features.seen import see
from tests.datasets.batches import Row
from tests.features.ledgers import BANK, ETHEREUM, TETHER, evm, import_claims, import_payments, import_rows

AS_OF = datetime.fromisoformat("2025-01-01T00:00:00")
HOUR, DAY = 60, 1440
PAST = "2020-01-01T00:00:00Z"
LABELS = [
    (f"{ETHEREUM}:{evm('hot')}", "exchange", "1", PAST),
    (f"{ETHEREUM}:{evm('other hot')}", "exchange", "1", PAST),
]

Move = tuple[int, str, str, int]  # minute, payer, payee, units of the token


def rows(moves: list[Move]) -> list[Row]:
    """Token transfers, one a block."""
    return [
        Row(
            ((payer, amount),), ((payee, amount),), minute, height.to_bytes(4, "big") * 8, TETHER.reference,
            "token", height=height,
        )
        for height, (minute, payer, payee, amount) in enumerate(sorted(moves), start=1)
    ]  # fmt: skip


def customer(name: str, *, wait: int = HOUR, kept: int = 0, hot: str = "hot", first: int = DAY) -> list[Move]:
    """Two deposits of strangers' money to an address, each swept after a while."""
    moves = []
    for day in (0, 3):
        start = first + day * DAY
        moves += [
            (start, f"friend {day} of {name}", name, 1_000_000),
            (start + wait, name, hot, 1_000_000 - kept),
        ]
    return moves


CROWD = [move for n in range(5) for move in customer(f"deposit {n}", first=(n + 1) * 11 * DAY)]


def marks(ledger: Path, moves: list[Move], labels: Any = LABELS) -> dict[str, tuple[Any, ...]]:
    """(service, category, confidence, seq) of each marked name."""
    import_rows(ledger, rows(moves))
    import_claims(ledger, labels, recorded_at=AS_OF)
    connection = see(ledger, AS_OF)
    mark_seeds(connection, AS_OF)
    found = connection.execute(
        """
        SELECT a.account, s.account, d.category, d.confidence, d.seq
        FROM deposit_of AS d
        JOIN ledger.address AS a ON a.address = d.address
        JOIN ledger.address AS s ON s.address = d.service
        """
    ).fetchall()
    connection.close()
    names = {evm(name).lower(): name for move in moves for name in move[1:3]}
    return {names[a.lower()]: (names[s.lower()], *rest) for a, s, *rest in found}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.duckdb"


def test_addresses_that_a_service_empties_are_marked_with_the_evidence(ledger: Path) -> None:
    found = marks(ledger, CROWD)
    assert found["deposit 0"] == ("hot", "exchange", 0.75, 2)
    assert found["deposit 4"] == ("hot", "exchange", 0.75, 18)
    assert set(found) == {f"deposit {n}" for n in range(5)}


def test_confidence_grows_with_quick_payments_and_falls_with_slow_ones(ledger: Path) -> None:
    third = [(90 * DAY, "friend", "deposit 0", 500_000), (90 * DAY + HOUR, "deposit 0", "hot", 500_000)]
    slow = [(90 * DAY, "friend", "deposit 1", 500_000), (95 * DAY, "deposit 1", "hot", 500_000)]
    found = marks(ledger, [*CROWD, *third, *slow])
    assert found["deposit 0"][2] == 0.875
    assert found["deposit 1"][2] == 0.5


ONCE = [(DAY, "friend", "near", 9_000_000), (DAY + HOUR, "near", "hot", 9_000_000)]
SUPPLIES = [(40 * DAY, "friend", "near", 900_000), (40 * DAY + HOUR, "near", "supplier", 900_000)]
NEAR_MISSES = {
    "a person who sends everything once": ONCE,
    "a merchant who also pays a supplier": [*customer("near"), *SUPPLIES],
    "a mule paying into two exchanges": [
        *customer("near"),
        *customer("near", hot="other hot", first=50 * DAY),
    ],
    "a saver who waits": customer("near", wait=13 * HOUR),
    "a trader who keeps a part": customer("near", kept=51_000),
    "a wallet that withdraws from there": [*customer("near"), (60 * DAY, "hot", "near", 500_000)],
}


@pytest.mark.parametrize("case", NEAR_MISSES)
def test_near_misses_are_not_marked(ledger: Path, case: str) -> None:
    found = marks(ledger, [*CROWD, *NEAR_MISSES[case]])
    assert "near" not in found
    assert "deposit 0" in found


def test_a_small_rest_and_a_quick_sweep_of_it_are_within_bounds(ledger: Path) -> None:
    assert "near" in marks(ledger, [*CROWD, *customer("near", kept=20_000, wait=12 * HOUR)])


@pytest.mark.parametrize(
    "label",
    [
        (f"{ETHEREUM}:{evm('hot')}", "exchange", "0.4", PAST),  # too doubtful
        (f"{ETHEREUM}:{evm('hot')}", "exchange", "1", "2025-01-01T00:00:00Z"),  # published later
        (f"{ETHEREUM}:{evm('hot')}", "scam", "1", PAST),  # keeps nobody's money
    ],
)
def test_without_a_label_that_counts_nothing_is_marked(
    ledger: Path, label: tuple[str, str, str, str]
) -> None:
    assert marks(ledger, CROWD, [label]) == {}


def test_a_labelled_address_is_what_its_label_says(ledger: Path) -> None:
    labelled = (f"{ETHEREUM}:{evm('deposit 0')}", "drug_vendor", "0.3", PAST)
    found = marks(ledger, [*CROWD, *customer("deposit 5", first=99 * DAY)], [*LABELS, labelled])
    assert set(found) == {f"deposit {n}" for n in range(1, 6)}


def test_four_customers_make_no_collecting_wallet(ledger: Path) -> None:
    assert marks(ledger, [move for n in range(4) for move in customer(f"deposit {n}")]) == {}


def test_in_a_payment_system_an_account_is_an_account(ledger: Path) -> None:
    import_payments(
        ledger,
        [
            (f"2023-0{1 + n}-0{day}T1{hour}:00:00", *pair, "100.00")
            for n in range(5)
            for day in (1, 2)
            for hour, pair in enumerate([("friend", f"account {n}"), (f"account {n}", "bank")])
        ],
    )
    import_claims(ledger, [(f"{BANK}:bank", "bank", "1", PAST)])
    connection = see(ledger, AS_OF)
    mark_seeds(connection, AS_OF)
    assert connection.execute("SELECT * FROM deposit_of").fetchall() == []
