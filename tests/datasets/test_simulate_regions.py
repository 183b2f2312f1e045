"""A world of several regions: one chain each, written in a stream, with money that crosses between them."""

import hashlib
import json
from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chains.errors import InputError
from datasets.simulate.world import World, simulate_world
from tests.datasets.worlds import TOKEN, Payment, Truth, read_tokens, read_truth, read_utxo

SIZE, REGION = 18_000, 6_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return simulate_world(tmp_path_factory.mktemp("world"), seed=6, transfers=SIZE, region_size=REGION)


@pytest.fixture(scope="module")
def truth(world: World) -> Truth:
    return read_truth(world)


def hash_files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_three_regions_make_one_world_of_the_size_asked_for(world: World, truth: Truth) -> None:
    told = json.loads(world.description.read_text("utf-8"))
    assert told["regions"] == len(told["first_owners"]) == 3
    assert len(hash_files(world.folder)) == 6  # nothing is left of the parts
    whole = world.counts["utxo_transfers"] + world.counts["token_transfers"]
    assert 0.75 * SIZE < whole < 1.35 * SIZE
    assert pq.read_metadata(world.utxo).num_rows == world.counts["utxo_transfers"]
    assert pq.read_metadata(world.tokens).num_rows == world.counts["token_transfers"]
    assert len(truth) == world.counts["addresses"]
    owners = {row["owner"] for row in truth.values() if row["role"] == "exchange"}
    assert len(owners) == 15


def test_the_same_seed_gives_the_same_bytes_again(world: World, tmp_path: Path) -> None:
    simulate_world(tmp_path / "again", seed=6, transfers=SIZE, region_size=REGION)
    assert hash_files(tmp_path / "again") == hash_files(world.folder)


def test_a_single_region_is_the_world_of_its_seed(tmp_path: Path) -> None:
    simulate_world(tmp_path / "one", seed=6, transfers=REGION, region_size=REGION)
    simulate_world(tmp_path / "default", seed=6, transfers=REGION)
    assert hash_files(tmp_path / "one") == hash_files(tmp_path / "default")


def test_coins_are_spent_once_over_all_regions_and_blocks_have_one_coinbase(world: World) -> None:
    unspent: dict[tuple[str, int], tuple[int, list[str]]] = {}
    place, coinbases, time = (0, -1), Counter[int](), None
    for row in pq.read_table(world.utxo).to_pylist():
        for spent in row["inputs"]:
            key = (spent["spent_transaction_hash"], spent["spent_output_index"])
            assert unspent.pop(key) == (
                spent["value"],
                spent["addresses"],
            )  # KeyError: absent, or spent twice
        for output in row["outputs"]:
            key = (row["hash"], output["index"])
            assert key not in unspent
            unspent[key] = (output["value"], output["addresses"])
        here = (row["block_number"], row["index"])
        assert here in ((place[0], place[1] + 1), (place[0] + 1, 0))
        assert row["is_coinbase"] == (row["index"] == 0)
        assert time is None or row["block_timestamp"] >= time
        coinbases[row["block_number"]] += row["is_coinbase"]
        place, time = here, row["block_timestamp"]
    assert set(coinbases.values()) == {1}
    assert len(coinbases) == world.counts["blocks"]


def test_no_account_pays_what_it_does_not_hold_over_all_regions(world: World, truth: Truth) -> None:
    balance: Counter[tuple[str, str]] = Counter()
    place = (0, -1, -1)
    columns = ("from_address", "to_address", "token_address", "value")
    for row in pq.read_table(world.tokens).to_pylist():
        payer, payee, token, amount = (row[name] for name in columns)
        if truth[f"{TOKEN}:{payer}"]["role"] != "issuer":
            assert balance[payer, token] >= amount > 0
        balance[payer, token] -= amount
        balance[payee, token] += amount
        here = (row["block_number"], row["log_index"], row["transaction_index"])
        if here[0] == place[0]:
            assert here[1] == place[1] + 1
            assert here[2] - place[2] in (0, 1)
        else:
            assert here[0] > place[0]
            assert here[1:] == (0, 0)
        place = here


def test_exchanges_settle_and_people_send_home_between_regions(world: World, truth: Truth) -> None:
    first = json.loads(world.description.read_text("utf-8"))["first_owners"]

    def region(row: dict[str, str]) -> int:
        return bisect_right(first, int(row["owner"].removeprefix("owner-")))

    crossed: Counter[tuple[str, int, int]] = Counter()
    reached: set[str] = set()
    incoming: list[Payment] = []
    for name, payments in (("token", read_tokens(world, truth)), ("coin", read_utxo(world, truth))):
        for payment in payments:
            regions = region(payment.payer), region(payment.payee)
            if regions[0] != regions[1]:
                assert payment.payer["role"] == "exchange"
                crossed[name, *regions] += 1
                reached.add(payment.payee["role"])
                incoming.append(payment)
    assert crossed.keys() == {
        (name, a, b) for name in ("token", "coin") for a in (1, 2, 3) for b in (1, 2, 3) if a != b
    }
    assert reached >= {"exchange", "family"}
    # What came over a border is spent by who received it: coins of one region are inputs in another.
    hashes = {p.hash for p in incoming if not p.token}
    spent = {
        s["spent_transaction_hash"] for row in pq.read_table(world.utxo).to_pylist() for s in row["inputs"]
    }
    assert len(hashes & spent) > 0.5 * len(hashes)


def test_labels_of_all_regions_are_one_stream(world: World, truth: Truth) -> None:
    lines = world.labels.read_text("utf-8").splitlines()[1:]
    times = [line.split(",")[7] for line in lines]
    assert times == sorted(times)
    assert all(line.split(",")[0] in truth for line in lines)


def test_the_files_are_written_a_window_of_time_after_the_other(world: World) -> None:
    """Row groups follow each other in time, each with transfers of all regions: no sort of the whole."""
    for path, column in ((world.utxo, "block_timestamp"), (world.tokens, "block_timestamp")):
        file = pq.ParquetFile(path)
        assert file.num_row_groups >= 8
        ends = [
            file.read_row_group(i, columns=[column])[column].to_numpy() for i in range(file.num_row_groups)
        ]
        assert all(one.max() <= other.min() for one, other in pairwise(ends))


def test_refuses_regions_that_are_too_small(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1000 transfers"):
        simulate_world(tmp_path / "w", seed=1, transfers=5_000, region_size=999)
    assert not (tmp_path / "w").exists()
