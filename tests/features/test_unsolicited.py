"""What strangers put into a history: kept in the ledger, and without effect on any feature."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from chains.address import find_chain
from chains.files.layouts import PaymentMapping
from datasets.ingest import import_file
from datasets.prices import import_prices
from datasets.store import open_ledger
from features.build import build_features, build_frame
from features.frame import FeatureFrame
from tests.datasets.batches import Row
from tests.features.ledgers import (
    BITCOIN,
    ETHER,
    ETHEREUM,
    SPAM,
    TETHER,
    Spend,
    coin,
    evm,
    import_claims,
    import_payments,
    import_rows,
    import_spends,
)
from tests.shared_data import shared_data

AS_OF = datetime.fromisoformat("2023-03-01T00:00:00")
DRUGS = ("darknet_market", "1", "2022-01-01T00:00:00Z")


def rows_of(frame: FeatureFrame) -> dict[str, bytes]:
    """The bytes of every feature of an account, and who the first of its entity is."""
    return {
        account: frame.values[row].tobytes() + frame.accounts[frame.entities[row]].encode()
        for row, account in enumerate(frame.accounts)
    }


def paid(payer: str, payee: str, amount: int, minute: int, *, asset: str = TETHER.reference) -> Row:
    """A payment; a minute a block."""
    kind = "token" if asset != ETHER.reference else "native"
    hash_ = bytes([minute % 256]) * 32
    sides = ((payer, amount),), ((payee, amount),)
    return Row(*sides, minute, hash_, asset, kind, height=minute, position=0)


def build_with(folder: Path, rows: Sequence[Row], *, prices: Sequence[str] = ()) -> FeatureFrame:
    folder.mkdir()
    ledger = folder / "ledger.duckdb"
    import_rows(ledger, rows)
    import_claims(ledger, [(f"{ETHEREUM}:{evm('market')}", *DRUGS)])
    if prices:
        path = folder / "prices.csv"
        path.write_text("\n".join(["asset,day,usd", *prices, ""]), encoding="utf-8")
        with open_ledger(ledger, write=True) as held:
            import_prices(held, path)
    return build_frame(ledger, AS_OF)


HISTORY = [
    paid("employer", "alice", 900_000_000, 10),
    paid("alice", "shop", 300_000_000, 20),
    paid("alice", "carol", 100_000_000, 30),
]


@pytest.mark.parametrize(
    "stranger",
    [
        paid("market", "alice", 10_000, 15),  # a cent of USDT
        paid("alice", "market", 0, 15),  # a forged payer
        paid("market", "alice", 0, 15),
        paid("market", "alice", 10**24, 15, asset=SPAM.reference),
        paid("market", "alice", 10**12, 15, asset=ETHER.reference),  # of unknown price: a millionth
    ],
)
def test_what_strangers_write_changes_no_feature_of_anybody(tmp_path: Path, stranger: Row) -> None:
    before = build_with(tmp_path / "before", HISTORY)
    after = build_with(tmp_path / "after", [*HISTORY[:1], stranger, *HISTORY[1:]])
    assert rows_of(after) == rows_of(before)
    with open_ledger(tmp_path / "after" / "ledger.duckdb") as held:
        assert held.connection.execute("SELECT count(*) FROM transfer").fetchall() == [(4,)]


@pytest.mark.parametrize(
    "rows",
    [
        [paid("market", "alice", 10_001, 15)],  # a little more than a cent
        [
            paid("market", "alice", 10_000, 15),
            paid("market", "alice", 20_000_000, 25),
        ],  # a trial, then the sum
        [
            paid("market", "alice", 10_000, 15),
            paid("alice", "market", 10_000, 5),
        ],  # they deal with each other
        [paid("market", "alice", 10**12 + 1, 15, asset=ETHER.reference)],
    ],
)
def test_what_only_looks_like_it_counts(tmp_path: Path, rows: list[Row]) -> None:
    """From the market with which alice deals, or more than a cent: it is a receipt like any other."""
    frame = build_with(tmp_path / "with", [*HISTORY, *rows])
    alice = frame.values[frame.accounts.index(f"{ETHEREUM}:{evm('alice')}")]
    assert alice[frame.names.index("exposure_source_drug_min_hops")] == 1
    receipts = 1 + sum(row.payees[0][0] == "alice" for row in rows)
    assert alice[frame.names.index("transfers_in")] == receipts


def test_a_price_says_what_a_cent_is(tmp_path: Path) -> None:
    """5 * 10^12 wei are more than a millionth of a unit; at 1,600 dollars they are less than a cent."""
    gift = paid("market", "alice", 5 * 10**12, 15, asset=ETHER.reference)
    before = build_with(tmp_path / "before", HISTORY)
    price = [f"{ETHEREUM}/slip44:60,2023-01-01,1600"]
    assert rows_of(build_with(tmp_path / "priced", [*HISTORY, gift], prices=price)) == rows_of(before)
    assert rows_of(build_with(tmp_path / "unpriced", [*HISTORY, gift])) != rows_of(before)
    larger = replace(gift, payers=(("market", 10**13),), payees=(("alice", 10**13),))
    assert rows_of(build_with(tmp_path / "larger", [*HISTORY, larger], prices=price)) != rows_of(before)


def test_what_counts_later_does_not_count_before(tmp_path: Path) -> None:
    """A cent on day one, a larger payment of the same payer on day two: on day one only the cent is known."""
    minute = 24 * 60 + 15
    later = paid("market", "alice", 50_000_000, minute)
    ledger = tmp_path / "ledger.duckdb"
    import_rows(ledger, [*HISTORY, paid("market", "alice", 10_000, 15), later])
    import_claims(ledger, [(f"{ETHEREUM}:{evm('market')}", *DRUGS)])
    known = build_frame(ledger, datetime.fromisoformat("2023-01-02T00:00:00"))
    assert rows_of(known) == rows_of(_as_of(tmp_path / "alone", HISTORY, "2023-01-02T00:00:00"))
    full = build_frame(ledger, AS_OF)
    assert (
        full.values[full.accounts.index(f"{ETHEREUM}:{evm('alice')}"), full.names.index("transfers_in")] == 3
    )


def _as_of(folder: Path, rows: Sequence[Row], moment: str) -> FeatureFrame:
    build_with(folder, rows)
    return build_frame(folder / "ledger.duckdb", datetime.fromisoformat(moment))


def test_on_a_payment_system_every_cent_counts(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.duckdb"
    import_payments(ledger, [("2023-01-01T10:00:00", "a", "b", "0.01")])
    assert len(build_frame(ledger, AS_OF).accounts) == 2


def coins(extra: Sequence[Spend] = (), dust: Sequence[tuple[str, int]] = ()) -> list[Spend]:
    return [
        Spend("mined", "2023-01-01T00:00:00", (), [("market", 90_000), ("alice", 80_000), ("alice", 70_000)]),
        Spend("attack", "2023-01-02T00:00:00", [("mined", 0)], [("market", 85_000), *dust]),
        Spend("pay", "2023-01-03T00:00:00", [("mined", 1)], [("shop", 60_000), ("alice", 19_000)]),
        *extra,
    ]


def build_coins(folder: Path, spends: Sequence[Spend], as_of: datetime = AS_OF) -> FeatureFrame:
    folder.mkdir(exist_ok=True)
    ledger = folder / "ledger.duckdb"
    if not ledger.exists():
        import_spends(ledger, spends)
        import_claims(ledger, [(f"{BITCOIN}:{coin('market')}", *DRUGS)])
    return build_frame(ledger, as_of)


def test_dust_that_nobody_spent_changes_no_feature_of_its_receivers(tmp_path: Path) -> None:
    before = rows_of(build_coins(tmp_path / "before", coins()))
    dust = [("alice", 546), ("shop", 1000), ("nobody else", 600)]
    after = rows_of(build_coins(tmp_path / "after", coins(dust=dust)))
    assert after == before  # of the sender neither, and nobody else has no row


@pytest.mark.parametrize("amount", [1001, 5000])
def test_more_than_dust_counts(tmp_path: Path, amount: int) -> None:
    frame = build_coins(tmp_path / "ledger", coins(dust=[("alice", amount)]))
    alice = frame.values[frame.accounts.index(f"{BITCOIN}:{coin('alice')}")]
    assert alice[frame.names.index("exposure_source_drug_min_hops")] == 1


def test_dust_counts_from_the_moment_it_is_spent(tmp_path: Path) -> None:
    """Alice spends it with another coin on the 5th: a wallet that takes it takes it as its own."""
    spent = Spend("take", "2023-01-05T00:00:00", [("attack", 1), ("mined", 2)], [("exchange", 70_000)])
    spends = coins([spent], dust=[("alice", 600)])
    early = datetime.fromisoformat("2023-01-04T00:00:00")
    frame = build_coins(tmp_path / "spent", spends, early)
    assert rows_of(frame) == rows_of(build_coins(tmp_path / "before", coins(), early))
    frame = build_coins(tmp_path / "spent", spends)
    for name, hops in (("alice", 1), ("exchange", 2)):
        row = frame.values[frame.accounts.index(f"{BITCOIN}:{coin(name)}")]
        assert row[frame.names.index("exposure_source_drug_min_hops")] == hops


def test_small_change_and_new_coins_are_no_dust_of_strangers(tmp_path: Path) -> None:
    tidy = Spend("tidy", "2023-01-04T00:00:00", [("pay", 1)], [("shop", 18_000), ("alice", 900)])
    small = Spend("small", "2023-01-05T00:00:00", (), [("pool", 700)])
    ledger = tmp_path / "coins" / "ledger.duckdb"
    build_coins(ledger.parent, coins([tidy, small]))
    with build_features(ledger, AS_OF) as build:
        found = build.connection.execute(
            "SELECT a.account, CAST(l.amount AS BIGINT) FROM seen_leg AS l "
            "JOIN ledger.address AS a ON a.address = l.address WHERE l.amount < 1000 ORDER BY 2"
        ).fetchall()
    assert found == [(coin("pool"), 700), (coin("alice"), 900)]


def test_dogecoin_has_larger_dust(tmp_path: Path) -> None:
    """10,000 koinu are nothing where 0.01 DOGE is dust, and a payment on Bitcoin."""

    def account(name: str) -> str:
        return f"output-{name}-0"

    rows = [
        Row((), (("alice", 10**9),), 1, b"a" * 32, "slip44:3", "reward", height=1, position=0),
        Row((("alice", 10**9),), (("bob", 10**9 - 10_000), ("carol", 10_000)), 2, b"b" * 32, "slip44:3",
            height=2, position=0),
    ]  # fmt: skip
    import_rows(tmp_path / "doge.duckdb", rows, chain="dogecoin", rename=account)
    accounts = build_frame(tmp_path / "doge.duckdb", AS_OF).accounts
    assert [account.split("-")[1] for account in accounts] == ["alice", "bob"]


TRON = PaymentMapping.parse(
    [
        *("time=timestamp:ms", "payer=from_address", "payee=to_address", "amount=quant:units"),
        *("currency=token_id", "reference=tx_id", "decimals=token_decimal", "symbol=token_abbr"),
    ]
)
USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"


def build_tron(folder: Path, rows: Sequence[dict[str, str]]) -> FeatureFrame:
    folder.mkdir()
    path = folder / "transfers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with open_ledger(folder / "ledger.duckdb", write=True) as held:
        import_file(held, "payments", path, chain=find_chain("tron"), mapping=TRON, code_version="test")
    return build_frame(folder / "ledger.duckdb", datetime.fromisoformat("2024-01-01T00:00:00"))


@pytest.mark.shared
def test_forged_and_worthless_rows_change_no_feature_of_real_wallets(tmp_path: Path) -> None:
    """Real USDT histories: 22 zero-value rows, 16 with a seized wallet as payer, and cents of strangers."""
    folder = shared_data() / "ledgers" / "tron_usdt"
    with (folder / "transfers.csv").open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    with (folder / "wallets.csv").open(encoding="utf-8", newline="") as file:
        seized = {row["wallet"] for row in csv.DictReader(file)}
    zero = [row for row in rows if row["token_id"] == USDT and int(row["quant"]) == 0]
    assert len(zero) == 22
    assert sum(row["from_address"] in seized for row in zero) == 16
    full = rows_of(build_tron(tmp_path / "full", rows))
    assert rows_of(build_tron(tmp_path / "zero", [row for row in rows if row not in zero])) == full

    def pair(row: dict[str, str]) -> tuple[str, str]:
        return row["from_address"], row["to_address"]

    real = [row for row in rows if row["token_id"] == USDT and int(row["quant"]) > 0]
    large = {pair(row) for row in real if int(row["quant"]) > 10_000}
    dealing = large | {pair(row)[::-1] for row in real}
    cents = [row for row in real if int(row["quant"]) <= 10_000 and pair(row) not in dealing]
    assert len(cents) > 50
    clean = [row for row in real if row not in cents]
    assert rows_of(build_tron(tmp_path / "clean", clean)) == full
