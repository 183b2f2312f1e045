"""One asset given for another inside one transaction: what was paid carries on in what was received."""

from pathlib import Path
from typing import Any

import pytest

from features.build import Build, build_features
from tests.datasets.batches import Row
from tests.features.ledgers import ETHEREUM, TETHER, evm, import_claims, import_rows
from tests.features.test_kinds import AS_OF, ETH, native, token

POOL = (f"{ETHEREUM}:{evm('pool')}", "dex", "1", "2022-12-01T00:00:00Z")
SEEDS = [
    (f"{ETHEREUM}:{evm('market')}", "darknet_market", "1", "2022-12-01T00:00:00Z"),
    (f"{ETHEREUM}:{evm('exchange')}", "exchange", "1", "2022-12-01T00:00:00Z"),
    POOL,
]
DOLLAR = 10**6
PAID = [token(1, "market", "dealer", 300 * DOLLAR), token(2, "employer", "dealer", 100 * DOLLAR)]
SWAP = [
    token(3, "dealer", "pool", 400 * DOLLAR, part=1),
    native(3, "pool", "dealer", ETH // 5, kind="internal", part=1),
]
AFTER = [native(4, "dealer", "friend", ETH // 10), native(5, "friend", "exchange", ETH // 20)]


def lines(build: Build, who: str, direction: int) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return {(category, decimals): (value in whole units, hops)} of one account."""
    node = build.connection.execute(
        "SELECT m.node FROM member AS m JOIN ledger.address AS a USING (address) WHERE a.account = $1",
        [evm(who)],
    ).fetchall()[0][0]
    decimals = dict(build.connection.execute("SELECT asset, decimals FROM ledger.asset").fetchall())
    return {
        (row["category"], decimals[row["asset"]]): (row["value"] / 10 ** decimals[row["asset"]], row["hops"])
        for row in build.exposures.to_pylist()
        if row["entity"] == node and row["direction"] == direction
    }


def import_all(folder: Path, rows: list[Row], claims: list[tuple[str, str, str, str]] = SEEDS) -> Path:
    ledger = folder / "ledger.duckdb"
    import_rows(ledger, rows)
    import_claims(ledger, claims)
    return ledger


@pytest.mark.parametrize("order", [SWAP, SWAP[::-1]])
def test_a_swap_carries_the_mixture_on_and_is_nobodys_receipt(tmp_path: Path, order: list[Row]) -> None:
    with build_features(import_all(tmp_path, [*PAID, *order, *AFTER]), AS_OF) as build:
        dealer, friend = lines(build, "dealer", 0), lines(build, "friend", 0)
        assert dealer["darknet_market", 6] == (pytest.approx(300), 1)
        assert {decimals for _, decimals in dealer} == {6}  # the ether is the dealer's own, in another form
        assert friend["darknet_market", 18] == (pytest.approx(0.075), 2)
        assert friend["unattributed:history_not_in_ledger", 18] == (pytest.approx(0.025), 2)
        assert lines(build, "dealer", 1)["exchange", 18] == (pytest.approx(0.05), 2)
        # of the market's 300 dollars three quarters of 0.05 ether came to the exchange: 75 dollars' worth
        assert lines(build, "market", 1)["exchange", 6] == (pytest.approx(75), 3)


def test_without_a_label_a_pool_is_a_holder_like_any_other(tmp_path: Path) -> None:
    with build_features(import_all(tmp_path, [*PAID, *SWAP, *AFTER], SEEDS[:2]), AS_OF) as build:
        assert ("darknet_market", 18) not in lines(build, "friend", 0)


def test_two_transactions_are_no_swap(tmp_path: Path) -> None:
    apart = [SWAP[0], native(6, "pool", "dealer", ETH // 5), native(7, "dealer", "friend", ETH // 10)]
    with build_features(import_all(tmp_path, [*PAID, *apart]), AS_OF) as build:
        assert lines(build, "dealer", 0)["dex", 18] == (pytest.approx(0.2), 1)
        assert ("darknet_market", 18) not in lines(build, "friend", 0)
        assert lines(build, "dealer", 1)["dex", 6] == (pytest.approx(400), 1)


def test_a_way_through_several_pools_is_one_exchange(tmp_path: Path) -> None:
    claims = [*SEEDS, (f"{ETHEREUM}:{evm('pool2')}", "dex", "1", "2022-12-01T00:00:00Z")]
    through = [
        native(3, "pool2", "dealer", ETH // 5, kind="internal", part=1),
        token(3, "pool", "pool2", 5 * DOLLAR, part=2),
        token(3, "dealer", "pool", 400 * DOLLAR, part=3),
    ]
    with build_features(import_all(tmp_path, [*PAID, *through, *AFTER], claims), AS_OF) as build:
        assert lines(build, "friend", 0)["darknet_market", 18] == (pytest.approx(0.075), 2)


def test_wrapping_needs_no_label(tmp_path: Path) -> None:
    """Ether paid into a token's contract that makes the token in the same transaction, and back again."""
    contract = TETHER.reference.partition(":")[2]

    def named(who: str) -> str:
        return contract if who == "contract" else evm(who)

    rows = [
        native(1, "market", "dealer", ETH),
        native(2, "dealer", "contract", ETH),
        token(2, None, "dealer", 1000 * DOLLAR, part=1),
        token(3, "dealer", "friend", 500 * DOLLAR),
        token(4, "friend", None, 400 * DOLLAR, part=1),
        native(4, "contract", "friend", ETH * 2 // 5, kind="internal", part=2),
        native(5, "friend", "cousin", ETH // 5),
    ]
    ledger = tmp_path / "ledger.duckdb"
    import_rows(ledger, rows, rename=named)
    import_claims(ledger, SEEDS[:1])
    with build_features(ledger, AS_OF) as build:
        assert lines(build, "friend", 0)["darknet_market", 6] == (pytest.approx(500), 2)
        assert lines(build, "cousin", 0)["darknet_market", 18] == (pytest.approx(0.2), 3)
        assert ("unattributed:minted", 6) not in lines(build, "dealer", 0)


def test_several_assets_for_one_are_weighed_by_their_value(tmp_path: Path) -> None:
    """300 dollars of the market's and ether of unknown price: without a price each part counts alike."""
    rows = [
        token(1, "market", "dealer", 300 * DOLLAR),
        native(1, "employer", "dealer", ETH, position=1),
        token(3, "dealer", "pool", 300 * DOLLAR, part=1),
        native(3, "dealer", "pool", ETH),
        token(3, "pool", "friend", 700 * DOLLAR, part=2),
    ]
    with build_features(import_all(tmp_path, rows), AS_OF) as build:
        friend = lines(build, "friend", 0)
        assert friend["darknet_market", 6] == (pytest.approx(350), 2)
        assert friend["unattributed:history_not_in_ledger", 6] == (pytest.approx(350), 2)
