"""What a transfer was worth: prices of a chain, rates of every chain, pegged tokens, and what is unknown."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from datasets.prices import import_prices
from datasets.store import open_ledger
from features.build import build_features
from tests.datasets.batches import Row
from tests.features.ledgers import BANK, ETHER, ETHEREUM, TETHER, import_payments, import_rows

AS_OF = datetime.fromisoformat("2023-03-01T00:00:00")
DAYS = {"sat": "2023-01-28", "sun": "2023-01-29", "mon": "2023-01-30"}


def price(ledger: Path, *lines: str, header: str = "asset,day,usd") -> None:
    path = ledger.parent / "prices.csv"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    with open_ledger(ledger, write=True) as held:
        import_prices(held, path)


def values(ledger: Path) -> list[int | None]:
    """Micro-USD of each payee leg, in order."""
    with build_features(ledger, AS_OF) as build:
        found = build.connection.execute(
            "SELECT usd FROM seen_leg WHERE side = 'payee' ORDER BY seq"
        ).fetchall()
    return [usd for (usd,) in found]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.duckdb"


def pay_each_day(ledger: Path, currency: str, amount: str) -> None:
    import_payments(
        ledger, [(f"{day}T10:00:00", "a", "b", amount) for day in DAYS.values()], currency=currency
    )


def test_a_rate_is_for_its_day_and_unknown_is_no_value(ledger: Path) -> None:
    """A central bank's file has no weekend: nothing is carried on unless the file says until when."""
    pay_each_day(ledger, "EUR", "100.00")
    assert values(ledger) == [None, None, None]
    price(ledger, "iso4217:EUR,2023-01-27,1.08", "iso4217:EUR,2023-01-30,1.0904")
    assert values(ledger) == [None, None, 109_040_000]
    price(ledger, "iso4217:EUR,2023-01-27,1.08,2023-01-28", header="asset,day,usd,until")
    assert values(ledger) == [108_000_000, None, 109_040_000]


def test_the_price_of_the_chain_goes_before_the_rate_of_every_chain(ledger: Path) -> None:
    """A bank's own rate, say; on days without one the general rate stands."""
    pay_each_day(ledger, "EUR", "1.00")
    price(ledger, *(f"iso4217:EUR,{day},1.08" for day in DAYS.values()), f"{BANK}/iso4217:EUR,2023-01-29,1.2")
    assert values(ledger) == [1_080_000, 1_200_000, 1_080_000]


def test_one_rate_serves_a_coin_on_every_chain_that_has_it(ledger: Path) -> None:
    for chain in ("ethereum", "arbitrum"):
        rows = [Row((("a", 10**18),), (("b", 10**18),), 1, b"x" * 32, ETHER.reference, height=1, position=0)]
        import_rows(ledger, rows, chain=chain, name=chain)
    price(ledger, "slip44:60,2023-01-01,1585.2")
    assert values(ledger) == [1_585_200_000, 1_585_200_000]


def test_a_small_unit_keeps_its_value(ledger: Path) -> None:
    """12,500,000 sums at 11,445 to the dollar: with a price in whole millionths it would be 1,087.50."""
    pay_each_day(ledger, "UZS", "12500000.00")
    price(ledger, "iso4217:UZS,2023-01-30,11445", header="asset,day,per_usd")
    assert values(ledger)[2] == 12_500_000 * 1_000_000 // 11_445 == 1_092_179_991


def token(amounts: Sequence[int]) -> list[Row]:
    return [
        Row((("a", amount),), (("b", amount),), 1, bytes([n]) * 32, TETHER.reference, "token", n, 1, n)
        for n, amount in enumerate(amounts)
    ]


def test_a_dollar_token_is_a_dollar_unless_a_price_says_otherwise(ledger: Path) -> None:
    import_rows(ledger, token([5_000_000]))
    assert values(ledger) == [5_000_000]
    price(ledger, f"{ETHEREUM}/{TETHER.reference},2023-01-01,0.88")
    assert values(ledger) == [4_400_000]


def test_what_is_too_large_to_multiply_is_counted_in_whole_units(ledger: Path) -> None:
    """A trillion units of 18 decimals, times a price of nine digits, are more than 38 digits."""
    rows = [
        Row((("a", amount),), (("b", amount),), 1, bytes([n]) * 32, ETHER.reference, height=1, position=n)
        for n, amount in enumerate([10**30, 10**31, 7 * 10**18])
    ]
    import_rows(ledger, rows)
    price(ledger, "slip44:60,2023-01-01,0.00000333333333")
    assert values(ledger) == [3_333_333_330_000, 33_333_333_300_000, 23]
    price(ledger, "slip44:60,2023-01-01,1500000.5")
    assert values(ledger) == [None, None, 10_500_003_500_000]  # beyond 64 bits: unknown, not wrong
