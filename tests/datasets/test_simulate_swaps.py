"""Swaps and bridges of the simulated world, freezes, and whom its truth calls easy to mistake."""

import csv
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chains.address import find_chain
from datasets.ingest import import_file
from datasets.labels import import_labels
from datasets.prices import import_prices
from datasets.simulate.agents.swaps import BRIDGE_FEE, SWAP_FEE
from datasets.simulate.dials import Dials
from datasets.simulate.roles import ROLES
from datasets.simulate.truth import CONFOUNDERS
from datasets.simulate.world import World, simulate_world
from datasets.store import open_ledger
from features.build import build_features
from tests.datasets.worlds import TOKEN, Payment, Truth, read_prices, read_tokens, read_truth, read_utxo

DRUG_TRADE = {role.name for role in ROLES if role.drug}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    dials = Dials(frozen=0.9, seized=0.3)
    return simulate_world(tmp_path_factory.mktemp("world"), seed=4, transfers=15_000, dials=dials)


@pytest.fixture(scope="module")
def truth(world: World) -> Truth:
    return read_truth(world)


@pytest.fixture(scope="module")
def tokens(world: World, truth: Truth) -> list[Payment]:
    return read_tokens(world, truth)


@pytest.fixture(scope="module")
def coins(world: World, truth: Truth) -> list[Payment]:
    return read_utxo(world, truth)


@pytest.fixture(scope="module")
def closed(world: World) -> dict[str, datetime]:
    with world.labels.open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["source"] == "simulated cases"]
    return {row["entity"]: datetime.fromisoformat(row["published_at"][:-1]) for row in rows}


def test_both_sides_of_a_swap_are_one_transaction(world: World, tokens: list[Payment]) -> None:
    prices = read_prices(world)
    by_hash: defaultdict[str, list[Payment]] = defaultdict(list)
    for payment in tokens:
        by_hash[payment.hash].append(payment)
    swaps = 0
    for paid, *rest in by_hash.values():
        if "dex" not in (paid.payer["role"], paid.payee["role"]):
            assert not rest
            continue
        if paid.payer["role"] == "exchange":  # what the pool began the year with
            assert not rest
            continue
        (got,) = rest
        swaps += 1
        assert (paid.payer, paid.payee, paid.time) == (got.payee, got.payer, got.time)
        assert {paid.token, got.token} == {world.token_contract, world.coin_contract}
        into = 1e-2 * prices[paid.time.date().isoformat()]  # dollars' raw units for one of the coin's
        rate = 1 / into if got.token == world.coin_contract else into
        assert got.amount == pytest.approx(paid.amount * rate * (1 - SWAP_FEE), abs=1, rel=1e-9)
    assert swaps > 100


def test_tracing_sees_the_swaps_of_the_imported_file(world: World, truth: Truth, tmp_path: Path) -> None:
    """A swap is carried through: only what the pools began with comes from or to one."""
    as_of = datetime.fromisoformat("2024-01-01")
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        chain = find_chain(world.token_chain)
        import_file(ledger, world.token_layout, world.tokens, chain=chain, code_version="test")
        import_prices(ledger, world.prices)
        import_labels(ledger, "csv", world.labels, recorded_at=as_of)
    with build_features(tmp_path / "ledger.duckdb", as_of) as build:
        exposures = build.exposures.select(["entity", "category"]).to_pylist()
        near = {row["entity"] for row in exposures if row["category"] == "dex"}
        nodes = build.connection.execute(
            "SELECT m.node, a.account FROM member AS m JOIN ledger.address AS a USING (address)"
        ).fetchall()
    account = {node: f"{TOKEN}:{text}" for node, text in nodes}
    assert {truth[account[entity]]["role"] for entity in near} <= {"exchange", "issuer"}


def test_what_comes_out_of_a_bridge_went_in_on_the_other_chain_less_a_fee(
    world: World, tokens: list[Payment], coins: list[Payment]
) -> None:
    wrapped = [p for p in tokens if p.token == world.coin_contract]
    for entered, left in ((coins, wrapped), (wrapped, coins)):
        paid = [p for p in entered if p.payee["role"] == "bridge" and p.payer["role"] != "exchange"]
        got = [p for p in left if p.payer["role"] == "bridge"]
        assert len(got) > 20
        open_times: defaultdict[tuple[str, int], list[datetime]] = defaultdict(list)
        for payment in paid:
            owners = (payment.payer["owner"], int(payment.amount * (1 - BRIDGE_FEE)))
            open_times[owners].append(payment.time)
        for payment in got:  # to the same owner, the exact sum, minutes to a day (of blocks) later
            begun = open_times[payment.payee["owner"], payment.amount].pop(0)
            assert timedelta(minutes=4) < payment.time - begun < timedelta(hours=48)
        last = {time for times in open_times.values() for time in times}
        assert all(time > datetime.fromisoformat("2023-12-30") for time in last)


def test_a_frozen_account_never_pays_dollars_again(
    world: World, truth: Truth, tokens: list[Payment], closed: dict[str, datetime]
) -> None:
    frozen = {
        account: (row["owner"], datetime.fromisoformat(row["frozen_at"][:-1]))
        for account, row in truth.items()
        if row["frozen_at"]
    }
    assert len(frozen) > 3
    assert all(when > closed[owner] for owner, when in frozen.values())
    held = [row for row in truth.values() if row["frozen_at"]]
    assert all(row["role"] in DRUG_TRADE and row["wallet"] == "main" for row in held)
    paid_before = 0
    for payment in tokens:
        if payment.payer["frozen_at"] and payment.token == world.token_contract:
            assert payment.time < datetime.fromisoformat(payment.payer["frozen_at"][:-1])
            paid_before += 1
    assert paid_before > 0
    with world.labels.open(encoding="utf-8", newline="") as handle:
        told = [row for row in csv.DictReader(handle) if row["category"] == "frozen"]
    assert {(row["account"], row["published_at"], row["may_train"]) for row in told} <= {
        (account, row["frozen_at"], "false") for account, row in truth.items()
    }
    assert told


def test_nothing_that_follows_a_public_case_comes_before_it(
    tokens: list[Payment], coins: list[Payment], closed: dict[str, datetime]
) -> None:
    swept, dusted = 0, 0
    for payment in [*tokens, *coins]:
        if payment.payee["role"] == "authority" and payment.payer["owner"] in closed:
            swept += 1
            assert payment.time > closed[payment.payer["owner"]]
        small = payment.token and payment.usd < 0.95 and payment.payer["role"] == "person"
        if small and payment.payee["owner"] in closed:
            dusted += 1
            assert payment.time > closed[payment.payee["owner"]]
    assert swept > 3
    assert dusted > 10


def test_victims_have_a_role_and_every_confounder_is_there(
    truth: Truth, tokens: list[Payment], coins: list[Payment]
) -> None:
    told = Counter(row["confounder"] for row in truth.values())
    assert told.keys() == {*CONFOUNDERS, ""}
    assert not {row["role"] for row in truth.values() if row["confounder"]} & DRUG_TRADE
    payments = [*tokens, *coins]
    robbed = {p.payer["owner"] for p in payments if p.payee["role"] in ("scam", "ransomware")}
    victims = {row["owner"] for row in truth.values() if row["role"] in ("fraud_victim", "ransom_victim")}
    assert len(robbed & victims) > 0.6 * len(victims)
    assert all(row["confounder"] == "victim" for row in truth.values() if row["owner"] in victims)
    hot = [row for row in truth.values() if row["confounder"] == "exchange_hot_wallet"]
    assert {row["role"] for row in hot} == {"exchange"}
    tourists = {row["owner"] for row in truth.values() if row["confounder"] == "market_tourist"}
    assert tourists <= {p.payee["owner"] for p in payments if p.payer["role"] == "darknet_market"}
