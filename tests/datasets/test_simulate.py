"""The simulated world: same seed same bytes, a chain that adds up, labels that are partial and late."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from chains.address import encode_segwit, find_chain, parse_account
from chains.errors import InputError
from datasets.ingest import import_file
from datasets.labels import import_labels
from datasets.prices import import_prices
from datasets.simulate.addresses import draw_programs, encode_witness
from datasets.simulate.roles import ROLES
from datasets.simulate.world import World, simulate_world
from datasets.store import open_ledger
from datasets.taxonomy import load_taxonomy

ROOT = Path(__file__).resolve().parents[2]
SMALL = 8_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return simulate_world(tmp_path_factory.mktemp("world"), seed=11, transfers=SMALL)


@pytest.fixture(scope="module")
def transactions(world: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(world.utxo).to_pylist()
    return rows


@pytest.fixture(scope="module")
def labels(world: World) -> list[dict[str, str]]:
    with world.labels.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def truth(world: World) -> dict[str, dict[str, str]]:
    with world.truth.open(encoding="utf-8", newline="") as handle:
        return {row["account"]: row for row in csv.DictReader(handle)}


def hash_files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_same_seed_same_bytes_with_another_hash_seed(world: World, tmp_path: Path) -> None:
    command = (
        "import sys; from pathlib import Path; from datasets.simulate.world import simulate_world; "
        f"simulate_world(Path(sys.argv[1]), seed=11, transfers={SMALL})"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", command, str(tmp_path / "again")], check=True, cwd=ROOT, env=environment
    )
    mine, other = hash_files(world.folder), hash_files(tmp_path / "again")
    assert sorted(mine) == [
        "labels.csv",
        "prices.csv",
        "tokens.parquet",
        "truth.csv",
        "utxo.parquet",
        "world.json",
    ]
    assert mine == other


def test_another_seed_is_another_world(world: World, tmp_path: Path) -> None:
    simulate_world(tmp_path / "other", seed=12, transfers=2_000)
    simulate_world(tmp_path / "same", seed=11, transfers=2_000)
    mine, other = hash_files(tmp_path / "same"), hash_files(tmp_path / "other")
    assert all(mine[name] != other[name] for name in mine)


def test_every_input_spends_an_unspent_output_at_its_value(transactions: list[dict[str, Any]]) -> None:
    unspent: dict[tuple[str, int], tuple[int, list[str]]] = {}
    inputs = 0
    for row in transactions:
        paid = 0
        for place, spent in enumerate(row["inputs"]):
            assert spent["index"] == place
            key = (spent["spent_transaction_hash"], spent["spent_output_index"])
            assert unspent.pop(key) == (
                spent["value"],
                spent["addresses"],
            )  # KeyError: absent, or spent twice
            paid += spent["value"]
            inputs += 1
        received = 0
        for place, output in enumerate(row["outputs"]):
            assert output["index"] == place
            assert output["value"] > 0
            assert (row["hash"], place) not in unspent
            unspent[row["hash"], place] = (output["value"], output["addresses"])
            received += output["value"]
        assert (row["input_value"], row["output_value"]) == (paid, received)
        assert (row["input_count"], row["output_count"]) == (len(row["inputs"]), len(row["outputs"]))
        if row["is_coinbase"]:
            assert not row["inputs"]
            assert row["fee"] == 0
        else:
            assert row["inputs"]
            assert row["fee"] == paid - received > 0
    assert inputs > SMALL / 4
    assert len({row["hash"] for row in transactions}) == len(transactions)


def test_blocks_follow_each_other_and_begin_with_a_coinbase(transactions: list[dict[str, Any]]) -> None:
    blocks: dict[int, tuple[str, datetime]] = {}
    last = (0, -1)
    for row in transactions:
        place = (row["block_number"], row["index"])
        assert place == (last[0], last[1] + 1) or place == (last[0] + 1, 0)
        assert row["is_coinbase"] == (row["index"] == 0)
        assert blocks.setdefault(row["block_number"], (row["block_hash"], row["block_timestamp"])) == (
            row["block_hash"],
            row["block_timestamp"],
        )
        last = place
    times = [time for _, time in blocks.values()]
    assert times == sorted(times)
    assert len({block for block, _ in blocks.values()}) == len(blocks)
    assert times[0].isoformat() > "2022-12-31"
    assert times[-1].isoformat() < "2024-01-01"


def test_coinjoins_have_equal_outputs_of_different_owners(
    transactions: list[dict[str, Any]], truth: dict[str, dict[str, str]]
) -> None:
    chain = find_chain("simulated-utxo").caip2
    joins = 0
    for row in transactions:
        equal = Counter(output["value"] for output in row["outputs"]).most_common(1)[0][1]
        owners = {truth[f"{chain}:{spent['addresses'][0]}"]["owner"] for spent in row["inputs"]}
        if len(owners) > 1:
            joins += 1
            assert equal == len(owners) >= 4
    assert joins > 0


def test_addresses_are_valid_and_owned(
    world: World, transactions: list[dict[str, Any]], truth: dict[str, dict[str, str]]
) -> None:
    utxo, token = find_chain(world.utxo_chain), find_chain(world.token_chain)
    assert utxo.simulated
    assert token.simulated
    seen = {a for row in transactions for output in row["outputs"] for a in output["addresses"]}
    for address in sorted(seen)[:300]:
        assert parse_account(address, utxo).address == address
    assert {f"{utxo.caip2}:{a}" for a in seen} <= truth.keys()
    table = pq.read_table(world.tokens)
    accounts = set(table["from_address"].to_pylist()) | set(table["to_address"].to_pylist())
    for address in sorted(accounts)[:300]:
        assert parse_account(address, token).address == address
    assert {f"{token.caip2}:{a}" for a in accounts} <= truth.keys()
    assert len(truth) == world.counts["addresses"]


def test_vectorised_bech32_equals_the_scalar_one() -> None:
    programs = draw_programs(np.random.default_rng(1), 200)
    assert encode_witness(programs) == [encode_segwit("sim", 0, bytes(p)) for p in programs]


def test_token_accounts_never_pay_what_they_do_not_have(
    world: World, truth: dict[str, dict[str, str]]
) -> None:
    table = pq.read_table(world.tokens).to_pydict()
    assert set(table["token_address"]) == {world.token_contract, world.coin_contract}
    balance: Counter[tuple[str, str]] = Counter()
    columns = ("from_address", "to_address", "token_address", "value")
    for payer, payee, token, amount in zip(*(table[name] for name in columns), strict=True):
        assert amount > 0
        if truth[f"eip155:78284:{payer}"]["role"] != "issuer":
            assert balance[payer, token] >= amount
        balance[payer, token] -= amount
        balance[payee, token] += amount


def test_labels_are_partial_late_and_sometimes_wrong(
    world: World, labels: list[dict[str, str]], truth: dict[str, dict[str, str]]
) -> None:
    known = {category.id for category in load_taxonomy().categories}
    assert {row["category"] for row in labels} <= known
    assert {role.category for role in ROLES} <= known
    assert all(row["account"] in truth for row in labels)
    cases = [row for row in labels if row["source"] == "simulated cases"]
    assert all("2023-02-19" < row["published_at"] < "2024-01-01" for row in cases)
    owners = {row["entity"] for row in cases}
    drug = {row["owner"] for row in truth.values() if row["drug"] == "true"}
    confirmed = {row["entity"] for row in cases if row["name"] == "confirmed case"}
    assert 0.08 < len(confirmed) / len(owners) < 0.4
    assert 0.3 < len(confirmed & drug) / len(drug) < 0.95
    told_wrong = {owner for owner in owners if (owner in confirmed) != (owner in drug)}
    assert 0 < len(told_wrong) < 0.06 * len(owners)
    markets = {row["published_at"] for row in labels if row["category"] == "darknet_market"}
    assert min(markets) < "2023-03-15"
    assert max(markets) > "2023-06-01"
    assert {row["owner"] for row in truth.values() if row["role"] == "exchange"} - {
        r["entity"] for r in labels
    }


def test_most_confirmed_owners_stop_after_the_case(world: World, labels: list[dict[str, str]]) -> None:
    table = pq.read_table(world.tokens).to_pydict()
    closed = {
        row["account"].removeprefix("eip155:78284:"): datetime.fromisoformat(row["published_at"][:-1])
        for row in labels
        if row["name"] == "confirmed case"
    }
    later: Counter[str] = Counter()
    for payer, time in zip(table["from_address"], table["block_timestamp"], strict=True):
        if payer in closed and time > closed[payer]:
            later[payer] += 1
    tokens = [account for account in closed if account.startswith("0x")]
    # Most fall silent but for one sweep by the authority; some go on.
    assert sum(later[account] <= 1 for account in tokens) > 0.6 * len(tokens)
    assert any(later[account] > 1 for account in tokens)


def test_prices_cover_every_day_of_the_ledger(world: World, transactions: list[dict[str, Any]]) -> None:
    with world.prices.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    days = {row["day"] for row in rows}
    assert len(rows) == 2 * len(days) == 2 * 366
    assert {row["block_timestamp"].date().isoformat() for row in transactions} <= days
    assets = {f"{find_chain(world.utxo_chain).caip2}/slip44:1", f"eip155:78284/erc20:{world.coin_contract}"}
    assert {row["asset"] for row in rows} == assets
    prices = {(row["asset"], row["day"]): row["usd"] for row in rows}
    assert all(len({prices[asset, day] for asset in assets}) == 1 for day in days)
    assert all(float(row["usd"]) > 0 for row in rows)


def test_size_follows_the_request_and_description_counts_it(
    world: World, transactions: list[dict[str, Any]]
) -> None:
    told = json.loads(world.description.read_text(encoding="utf-8"))
    assert told["counts"]["utxo_transfers"] == len(transactions)
    assert told["counts"]["token_transfers"] == pq.read_metadata(world.tokens).num_rows
    whole = told["counts"]["utxo_transfers"] + told["counts"]["token_transfers"]
    assert 0.75 * SMALL < whole < 1.35 * SMALL


def test_progress_ends_where_it_said(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate_world(
        tmp_path / "w", seed=3, transfers=1_500, progress=lambda done, whole: told.append((done, whole))
    )
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(("seed", "transfers"), [(-1, 2_000), (1, 999), (1, -5)])
def test_refuses_a_world_that_cannot_be(tmp_path: Path, seed: int, transfers: int) -> None:
    with pytest.raises(InputError, match="at least 1000 transfers"):
        simulate_world(tmp_path / "w", seed=seed, transfers=transfers)
    assert not (tmp_path / "w").exists()


def test_the_files_import_whole(world: World, tmp_path: Path) -> None:
    """Every row of both ledgers becomes legs, and every label finds its address."""
    with open_ledger(tmp_path / "ledger.duckdb", write=True) as ledger:
        utxo = import_file(
            ledger, "bitcoin-etl", world.utxo, chain=find_chain(world.utxo_chain), code_version="test"
        )
        tokens = import_file(
            ledger,
            world.token_layout,
            world.tokens,
            chain=find_chain(world.token_chain),
            code_version="test",
        )
        assert utxo.transfers == utxo.source_rows == world.counts["utxo_transfers"]
        assert tokens.transfers == tokens.source_rows == world.counts["token_transfers"]
        assert utxo.quarantined + tokens.quarantined + utxo.lossy + tokens.lossy + tokens.repeated == 0
        assert import_prices(ledger, world.prices).added == 2 * 366
        labels = import_labels(
            ledger, "csv", world.labels, recorded_at=datetime.fromisoformat("2024-01-02"), strict=True
        )
        assert labels.labels == sum(world.counts[f"{kind}_labels"] for kind in ("service", "case", "freeze"))
        listed = ledger.connection.execute("SELECT count(*) FROM asset WHERE listed AND decimals IN (6, 8)")
        assert listed.fetchall() == [(3,)]
