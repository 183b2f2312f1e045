"""What marks money: services that nobody has named, found by structure, and labels before them."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from datasets.taxonomy import load_taxonomy
from features.seeds import mark_seeds
from features.seen import see
from tests.features.ledgers import BANK, Payment, import_claims, import_payments

AS_OF = datetime.fromisoformat("2024-01-01T00:00:00")
START = datetime.fromisoformat("2023-01-01T09:00:00")
PAST = "2022-01-01T00:00:00Z"


def pay(day: int, payer: str, payee: str, minute: int = 0) -> Payment:
    return (START + timedelta(days=day, minutes=minute)).isoformat(), payer, payee, "10.00"


def service(
    payers: int = 100, payees: int = 100, *, days: int = 30, strangers: bool = True, favourite: int = 0
) -> list[Payment]:
    """Payments of strangers through "service"; strangers also deal with others."""
    moves = [pay(n % days, f"payer {n}", "service", n) for n in range(payers)]
    moves += [pay(n % days, "service", f"payee {n}", 600 + n) for n in range(payees)]
    moves += [pay(n % days, "payer 0", "service", 300 + n) for n in range(favourite)]
    if strangers:
        for n in range(max(payers, payees)):
            moves += [pay(200, f"payer {n}", f"payee {(n + step) % payees}", n) for step in (0, 1)]
            moves += [pay(201, f"payer {n % payers}", f"payee {n}", n)] if n < payees else []
    return moves


def mark(ledger: Path, moves: list[Payment]) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """Return the services found, with accounts, and each account's seed."""
    import_payments(ledger, moves)
    connection = see(ledger, AS_OF)
    mark_seeds(connection, AS_OF)
    found = connection.execute(
        """
        SELECT a.account, u.payers, u.payees, u.transfers, u.since_seq
        FROM unknown_service AS u
        JOIN member AS m ON m.node = u.entity JOIN ledger.address AS a ON a.address = m.address
        """
    ).fetchall()
    seeds = connection.execute(
        "SELECT a.account, s.category FROM seed AS s JOIN ledger.address AS a ON a.address = s.address"
    ).fetchall()
    connection.close()
    return found, dict(seeds)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.duckdb"


def test_who_handles_strangers_money_is_a_service_without_a_name(ledger: Path) -> None:
    moves = service()
    found, seeds = mark(ledger, moves)
    ((account, payers, payees, transfers, since_seq),) = found
    assert (account, payers, payees, transfers) == ("service", 100, 100, 200)
    # What comes last of the first deals with each of the hundred: on day 29, with payee 89.
    assert sorted(moves)[since_seq - 1][2] == "payee 89"
    number = load_taxonomy().by_id["unknown_service"].index
    assert seeds.pop("service") == number
    assert set(seeds.values()) == {-1}


@pytest.mark.parametrize(
    "moves",
    [
        service(payers=99),
        service(payees=99),
        service(strangers=False),
        service(days=29),
        service(favourite=20),
    ],
    ids=["99 payers", "99 payees", "payers made for it", "29 days", "one payer dominates"],
)
def test_near_misses_are_no_service(ledger: Path, moves: list[Payment]) -> None:
    found, seeds = mark(ledger, moves)
    assert found == []
    assert set(seeds.values()) == {-1}


@pytest.mark.parametrize("confidence", ["0.9", "0.1"])
def test_whatever_a_label_says_comes_first(ledger: Path, confidence: str) -> None:
    import_claims(ledger, [(f"{BANK}:service", "social_network_shop", confidence, PAST)])
    found, seeds = mark(ledger, service())
    assert found == []
    named = load_taxonomy().by_id["social_network_shop"].index
    assert seeds["service"] == (named if confidence == "0.9" else -1)


def test_a_label_published_later_does_not_hide_the_structure(ledger: Path) -> None:
    import_claims(ledger, [(f"{BANK}:service", "exchange", "1", "2024-01-01T00:00:00Z")], recorded_at=AS_OF)
    found, _ = mark(ledger, service())
    assert len(found) == 1
