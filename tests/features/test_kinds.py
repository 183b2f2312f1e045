"""Kinds of transfers that a node brings: what a fee, an internal call, a mint, a burn and a withdrawal do."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.build import Build, build_features, build_frame
from tests.datasets.batches import Row
from tests.features.ledgers import ETHER, ETHEREUM, TETHER, evm, import_claims, import_rows

AS_OF = datetime.fromisoformat("2023-03-01T00:00:00")
ETH = 10**18
SEED = [(f"{ETHEREUM}:{evm('market')}", "darknet_market", "1", "2022-12-01T00:00:00Z")]


def native(
    height: int,
    payer: str,
    payee: str,
    amount: int,
    *,
    kind: str = "native",
    part: int = 0,
    position: int = 0,
) -> Row:
    """A payment of ether; a minute a block, and a transaction has one hash whatever its parts."""
    return Row(
        ((payer, amount),),
        ((payee, amount),),
        minute=height,
        hash=bytes([height, position]) * 16,
        asset=ETHER.reference,
        kind=kind,
        part=part,
        height=height,
        position=position,
    )


def fee(height: int, payer: str, amount: int, *, tip: int = 0, position: int = 0) -> Row:
    """A fee, of which the block's maker gets the tip."""
    payees = (("maker", tip),) if tip else ()
    return Row(
        ((payer, amount),), payees, height, bytes([height, position]) * 16, ETHER.reference, "fee",
        height=height, position=position,
    )  # fmt: skip


def made(height: int, payee: str, amount: int, kind: str) -> Row:
    """Value that comes from no address of the chain."""
    return Row((), ((payee, amount),), height, None, ETHER.reference, kind, height=height, position=9)


def token(
    height: int, payer: str | None, payee: str | None, amount: int, *, part: int = 0, position: int = 0
) -> Row:
    """A transfer of USDT; without payer a mint, without payee a burn."""
    return Row(
        ((payer, amount),) if payer else (),
        ((payee, amount),) if payee else (),
        height, bytes([height, position]) * 16, TETHER.reference, "token", part, height, position,
    )  # fmt: skip


def lines(build: Build, name: str) -> dict[tuple[str, str, bool], tuple[Any, ...]]:
    """(direction, category, direct) -> (value in whole ether or tokens, share, hops)."""
    row = build.frame.accounts.index(f"{ETHEREUM}:{evm(name)}")
    entity = build.nodes[build.frame.entities[row]]
    units = dict(
        build.connection.execute("SELECT asset, power(10.0::DOUBLE, decimals) FROM ledger.asset").fetchall()
    )
    return {
        ("in" if line["direction"] == 0 else "out", line["category"], line["direct"]): (
            pytest.approx(line["value"] / units[line["asset"]]),
            pytest.approx(line["share"]),
            line["hops"],
        )
        for line in build.exposures.to_pylist()
        if line["entity"] == entity
    }


def features(ledger: Path, *names: str) -> dict[str, np.ndarray[Any, Any]]:
    frame = build_frame(ledger, AS_OF)
    return {name: frame.values[frame.accounts.index(f"{ETHEREUM}:{evm(name)}")] for name in names}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.duckdb"


PAID = [native(1, "market", "alice", 10 * ETH), native(2, "alice", "bob", 8 * ETH)]


def test_a_fee_makes_no_counterparty_no_timing_no_activity_and_no_address(tmp_path: Path) -> None:
    """The same payments with and without fees: alice spent 1 of her 10 on a fee before she paid bob."""
    frames = []
    fees = [
        fee(1, "market", ETH, tip=ETH // 2, position=1),
        fee(1, "alice", ETH, tip=ETH // 2, position=2),  # a failed transaction moves its fee alone
        fee(5, "stranger", ETH, tip=ETH, position=3),
    ]
    for place, rows in enumerate((PAID, [*PAID, *fees])):
        (tmp_path / str(place)).mkdir()
        ledger = tmp_path / str(place) / "ledger.duckdb"
        import_rows(ledger, rows)
        import_claims(ledger, SEED)
        frames.append(build_frame(ledger, AS_OF))
    assert frames[0].accounts == frames[1].accounts  # neither the block's maker nor who only failed
    assert frames[0].values.tobytes() == frames[1].values.tobytes()


def test_a_fee_leaves_its_payers_balance(ledger: Path) -> None:
    import_rows(ledger, [*PAID, fee(2, "alice", ETH, tip=ETH // 4)])
    import_claims(ledger, SEED)
    with build_features(ledger, AS_OF) as build:
        market = lines(build, "market")
        bob = lines(build, "bob")
    # of the 10 that the market sent, 1 went in alice's fee, and 9 are held by bob and alice
    assert market["out", "unattributed:fees", False] == (1.0, 0.1, 1)
    assert market["out", "unattributed:still_held", False] == (9.0, 0.9, 0)
    assert bob == {("in", "darknet_market", False): (8.0, 1.0, 2)}


def test_what_a_fee_pays_the_blocks_maker_carries_no_category_on(ledger: Path) -> None:
    """As a coinbase does on Bitcoin, where the fees of a block are part of it."""
    rows = [
        native(1, "market", "alice", 10 * ETH),
        fee(1, "market", 3 * ETH, tip=2 * ETH, position=1),
        native(2, "maker", "shop", ETH),
        native(3, "maker", "shop", 2 * ETH),
    ]
    import_rows(ledger, rows)
    import_claims(ledger, SEED)
    with build_features(ledger, AS_OF) as build:
        shop = lines(build, "shop")
        frame = build.frame
        maker = frame.values[frame.accounts.index(f"{ETHEREUM}:{evm('maker')}")]
    assert shop["in", "unattributed:minted", False][:2] == (2.0, pytest.approx(2 / 3))
    assert shop["in", "unattributed:history_not_in_ledger", False][:2] == (1.0, pytest.approx(1 / 3))
    assert {category for _, category, _ in shop} == {
        "unattributed:minted",
        "unattributed:history_not_in_ledger",
    }
    assert maker[frame.names.index("transfers_in")] == 0
    assert maker[frame.names.index("payers")] == 0
    assert np.isnan(maker[frame.names.index("exposure_source_drug_min_hops")])


def test_fees_between_two_payments_stand_in_their_order(ledger: Path) -> None:
    """Two fees in one block between receipt and payment: the second one spends what the maker just got."""
    rows = [
        native(1, "market", "maker", 10 * ETH),
        fee(2, "alice", 10 * ETH, tip=10 * ETH, position=0),
        fee(2, "maker", 15 * ETH, position=1),
        native(2, "maker", "bob", 5 * ETH, position=2),
    ]
    import_rows(ledger, rows)
    import_claims(ledger, SEED)
    with build_features(ledger, AS_OF) as build:
        assert lines(build, "bob") == {
            ("in", "darknet_market", False): (2.5, 0.5, 2),
            ("in", "unattributed:minted", False): (2.5, 0.5, 1),
        }
        assert lines(build, "market")["out", "unattributed:fees", False] == (7.5, 0.75, 1)


def test_one_transaction_with_every_part_is_several_transfers(ledger: Path) -> None:
    """Alice calls a contract that splits her ether between two and sends her tokens; and pays for gas."""
    rows = [
        native(1, "market", "alice", 10 * ETH),
        native(2, "alice", "splitter", 9 * ETH),
        native(2, "splitter", "bob", 6 * ETH, kind="internal", part=1),
        native(2, "splitter", "carol", 3 * ETH, kind="internal", part=2),
        token(2, "splitter", "alice", 50_000_000, part=7),
        fee(2, "alice", ETH // 2, tip=ETH // 4),
    ]
    import_rows(ledger, rows)
    import_claims(ledger, SEED)
    with build_features(ledger, AS_OF) as build:
        assert lines(build, "bob") == {("in", "darknet_market", False): (6.0, 1.0, 3)}
        assert lines(build, "carol") == {("in", "darknet_market", False): (3.0, 1.0, 3)}
        # the token's own history is not in the ledger: value is not carried from one asset into another
        assert lines(build, "alice")["in", "unattributed:history_not_in_ledger", False][0] == 50.0
        frame = build.frame
    alice = dict(
        zip(frame.names, frame.values[frame.accounts.index(f"{ETHEREUM}:{evm('alice')}")], strict=True)
    )
    assert (alice["transfers_in"], alice["transfers_out"], alice["assets"]) == (2, 1, 2)
    assert (alice["payers"], alice["payees"], alice["reciprocal_share"]) == (2, 1, 0.5)
    assert (alice["address_transfers_in"], alice["address_transfers_out"]) == (2, 1)


def test_a_mint_is_new_and_a_burn_leaves(ledger: Path) -> None:
    rows = [
        token(1, None, "alice", 100_000_000),
        token(2, "alice", "bob", 60_000_000),
        token(3, "bob", None, 45_000_000),
    ]
    import_rows(ledger, rows)
    with build_features(ledger, AS_OF) as build:
        frame = build.frame
        assert lines(build, "alice") == {
            ("in", "unattributed:minted", False): (100.0, 1.0, 1),
            ("out", "unattributed:burned", False): (45.0, 0.75, 1),
            ("out", "unattributed:still_held", False): (15.0, 0.25, 0),
        }
        assert lines(build, "bob")["out", "unattributed:burned", False] == (45.0, 1.0, 0)
    bob = dict(zip(frame.names, frame.values[frame.accounts.index(f"{ETHEREUM}:{evm('bob')}")], strict=True))
    assert (bob["transfers_out"], bob["sent_usd"], bob["payees"]) == (1, 45.0, 0)
    assert bob["address_transfers_out"] == 1
    assert len(frame.accounts) == 2  # nobody stands for the issuer


def test_what_comes_back_from_staking_has_a_history_that_the_ledger_does_not_show(ledger: Path) -> None:
    rows = [
        made(0, "founder", 5 * ETH, "genesis"),
        made(1, "miner", 2 * ETH, "reward"),
        made(2, "staker", 32 * ETH, "withdrawal"),
    ]
    import_rows(ledger, rows)
    with build_features(ledger, AS_OF) as build:
        assert [list(lines(build, name)) for name in ("founder", "miner", "staker")] == [
            [("in", "unattributed:minted", False)],
            [("in", "unattributed:minted", False)],
            [("in", "unattributed:history_not_in_ledger", False)],
        ]
        payers = build.frame.values[:, build.frame.names.index("payers")]
    assert payers.tolist() == [0, 0, 0]


def test_a_chain_with_nothing_but_fees_builds(ledger: Path) -> None:
    import_rows(ledger, [fee(1, "alice", ETH, tip=ETH)])
    assert build_frame(ledger, AS_OF).accounts == ()
