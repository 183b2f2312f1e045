import copy
import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chains.bitcoin.blocks import decode_block, decode_blocks, merkle_root, read_exact
from chains.bitcoin.faults import exact_sat
from chains.errors import BadAnswer
from chains.files.bitcoin import read_bitcoin
from chains.ledger import BLOCK_SCHEMA
from chains.registry import find_chain
from tests.chains.blocks import (
    COIN,
    REGTEST,
    Out,
    Tx,
    coin_of,
    read,
    read_lines,
    script_of,
    show_block,
    small_block,
    spend,
)
from tests.chains.legs import gather

GOLDEN = Path(__file__).parents[1] / "golden" / "bitcoin"


def golden(name: str) -> tuple[list[Any], list[list[str]]]:
    blocks = read_exact((GOLDEN / f"{name}.json").read_bytes())
    with (GOLDEN / f"{name}.csv").open(newline="") as file:
        return blocks, list(csv.reader(file))[1:]


@pytest.mark.parametrize(("name", "chain"), [("first_blocks", "bitcoin"), ("every_kind", "bitcoin-regtest")])
def test_recorded_blocks_become_the_reviewed_legs(name: str, chain: str) -> None:
    blocks, wanted = golden(name)
    found = []
    for block in blocks:
        batch = read(block, find_chain(chain))
        gather([batch])
        found += read_lines(batch)
    assert found == wanted


def test_accounts_are_the_addresses_that_the_node_writes() -> None:
    blocks, lines = golden("every_kind")
    accounts = {(line[2], line[4], line[5]): line[6] for line in lines}
    with_address = 0
    for tx in (tx for block in blocks for tx in block["tx"]):
        legs = [("payee", i, vout["scriptPubKey"]) for i, vout in enumerate(tx["vout"])]
        legs += [
            ("payer", i, vin["prevout"]["scriptPubKey"])
            for i, vin in enumerate(tx["vin"])
            if "prevout" in vin
        ]
        for side, index, script in legs:
            account = accounts[tx["txid"], side, str(index)]
            assert account == script.get("address", account)
            assert account.startswith("script-") != ("address" in script)
            with_address += "address" in script
    assert with_address > 60


def test_a_block_says_its_parent_its_time_and_what_it_is() -> None:
    blocks, _ = golden("first_blocks")
    first, later = (read(block, find_chain("bitcoin")) for block in blocks)
    assert first.blocks.schema.equals(BLOCK_SCHEMA)
    assert first.blocks.to_pylist()[0]["parent_hash"] is None
    (row,) = later.blocks.to_pylist()
    assert row["parent_hash"].hex() == "000000002a22cfee1f2c846adbd12b3e183d4f97683f85dad08a79780a84bd55"
    assert str(row["time"]) == "2009-01-12 03:30:25"
    transfers = later.transfers.to_pylist()
    assert [(t["row"], t["position"], t["part"], t["kind"]) for t in transfers] == [
        (0, 0, 0, "reward"),
        (1, 1, 0, "native"),
    ]
    assert {t["block_hash"] for t in transfers} == {row["hash"]}
    assert {t["asset"] for t in transfers} == {"slip44:0"}
    assert not any(t["lossy"] for t in transfers)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything inside a block."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(block: Any, path: tuple[Any, ...], value: Any, *, remove: bool = False) -> Any:
    other = copy.deepcopy(block)
    inside = other
    for key in path[:-1]:
        inside = inside[key]
    if remove:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return other


DEEP: list[Any] = []
for _ in range(50_000):
    DEEP = [DEEP]
HOSTILE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**32, 2**63, 2**64, 10**400, 10**5000, -(10**400), 1.5, 1e300, "",
    float("nan"), float("inf"), "x", "00", "0" * 64, "g" * 64, "f" * 64, "é" * 64, "\ud800" * 64, "\0" * 64,
    "a" * 10_000, "1e400", "-1", "0.000000001", "1" * 400, [], {}, [None], [[]], [{}], {"hex": 1},
    {"hex": "0"}, [1] * 5, b"ab", Decimal("NaN"),
)  # fmt: skip


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_whatever_is_put_in_place_of_a_field_is_refused_or_changes_nothing(step: int) -> None:
    """Every field with every `step`th hostile value, another start for each field."""
    block = read_exact(small_block())
    truth = read_lines(read(block))
    block_hash = bytes.fromhex(block["hash"])
    refused = []
    values = (*HOSTILE, DEEP, "remove")
    for number, path in enumerate(places(block)):
        for value in values[number % step :: step]:
            other = changed(block, path, value, remove=value == "remove" and isinstance(value, str))
            try:
                batch = decode_block(other, REGTEST, coin_of(REGTEST), height=200, block_hash=block_hash)
            except BadAnswer as error:
                refused.append(str(error))
            else:
                spent = "prevout" in path and path[-1] in ("value", "hex", "height")
                assert spent or read_lines(batch) == truth, (path, value)
    assert len(refused) > 2_000 / step
    for words in refused:
        assert "block 200: " in words
        assert len(words) < 1000
        assert words.isprintable()


def test_what_is_no_block_is_refused() -> None:
    answers: tuple[Any, ...] = (None, 5, "x", [], {}, {"tx": []}, {"tx": [1]}, DEEP, [{}], 10**5000)
    for answer in answers:
        with pytest.raises(BadAnswer, match="block 7: "):
            decode_block(answer, REGTEST, coin_of(REGTEST), height=7, block_hash=bytes(32))


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("height",), 201, "says that its height is '201'"),
        (("time",), 1_700_000_001, "its header has the hash"),
        (("nonce",), 2**32, "its nonce is '4294967296'"),
        (("bits",), "1d00ffff", "its header has the hash"),
        (("hash",), "00" * 32, "was asked for"),
        (("hash",), "00" * 31, "its hash is"),
        (("previousblockhash",), "22" * 32, "its header has the hash"),
        (("nTx",), 4, "it holds 3 transactions, and says nTx is '4'"),
        (("tx", 1, "txid"), "33" * 32, "merkle root"),
        (("tx", 1, "txid"), "33" * 31, "transaction 1 .*its txid is"),
        (("tx", 1, "vout", 0, "value"), "7.00000001", "transaction 1 .* do not have its hash"),
        (("tx", 1, "vout", 0, "value"), "-7.00000001", "transaction 1 .*vout 0: its value is .*, below"),
        (("tx", 1, "vout", 0, "n"), 1, "transaction 1 .*vout 0: its n is '1', and must be 0"),
        (("tx", 1, "vout", 0, "scriptPubKey", "hex"), "51", "transaction 1 .* do not have its hash"),
        (("tx", 1, "vin", 0, "vout"), 1, "transaction 1 .* do not have its hash"),
        (("tx", 1, "vin", 0, "txid"), "44" * 32, "transaction 1 .* do not have its hash"),
        (("tx", 2, "vin", 1, "sequence"), 5, "transaction 2 .* do not have its hash"),
        (("tx", 2, "vin", 1, "prevout"), None, "transaction 2 .*vin 1: the node does not say what it spends"),
        (("tx", 1, "vin", 0, "prevout", "value"), "9.99999899", "its outputs exceed its inputs by 1 satoshi"),
        (("tx", 1, "vin", 0), {"ismweb": True, "output_id": "ab"}, r"private part of the chain \(MWEB\)"),
        (("tx", 0, "vin", 0, "coinbase"), "0102", "transaction 0 .* do not have its hash"),
        (("tx",), ["aa" * 32], "hashes only"),
    ],
)  # fmt: skip
def test_each_lie_is_called_by_its_name(path: tuple[Any, ...], value: Any, why: str) -> None:
    block = read_exact(small_block())
    other = changed(block, path, value)
    with pytest.raises(
        BadAnswer, match=f"block 200: .*{why}" if not why.startswith("its h") else why
    ) as caught:
        decode_block(other, REGTEST, coin_of(REGTEST), height=200, block_hash=bytes.fromhex(block["hash"]))
    assert caught.value.method == "getblock"


def test_another_height_or_hash_than_was_asked_for_is_refused() -> None:
    block = read_exact(small_block())
    asset = coin_of(REGTEST)
    with pytest.raises(BadAnswer, match="block 201"):
        decode_block(block, REGTEST, asset, height=201, block_hash=bytes.fromhex(block["hash"]))
    with pytest.raises(BadAnswer, match="block 200: its header has the hash"):
        decode_block(block, REGTEST, asset, height=200, block_hash=bytes(32))


def test_fewer_more_or_repeated_transactions_are_refused() -> None:
    block = read_exact(small_block())
    fewer = block | {"tx": block["tx"][:2], "nTx": 2}
    with pytest.raises(BadAnswer, match="merkle root"):
        read(fewer)
    with pytest.raises(BadAnswer, match="nTx"):
        read(block | {"tx": block["tx"][:2]})
    # an odd list and the same with its end repeated have the same merkle root (CVE-2012-2459)
    with pytest.raises(BadAnswer, match="stands in it twice"):
        read(block | {"tx": [*block["tx"], block["tx"][2]], "nTx": 4})


def test_a_coinbase_elsewhere_or_nowhere_is_refused() -> None:
    paid = Tx([Out(1, "51")], [spend("a", 2)])
    minted = Tx([Out(1, "51")])
    for txs, why in (([paid], "no coinbase"), ([minted, Tx([Out(2, "51")])], "not the first of its block"),
                     ([paid, minted], "no coinbase")):  # fmt: skip
        with pytest.raises(BadAnswer, match=why):
            read(read_exact(show_block(txs)))


@pytest.mark.parametrize("bits", ["1d00ffff", "00000000", "01003456", "04923456", "2000ffff", "20ffffff"])
def test_a_header_without_work_is_refused(bits: str) -> None:
    block = read_exact(show_block([Tx([Out(1, "51")])], bits=bits))
    with pytest.raises(BadAnswer, match="no work in it"):
        read(block)
    # there the work is in another hash than the one that names the block
    assert read(block, find_chain("dogecoin")).blocks.num_rows == 1


@pytest.mark.parametrize("outputs", [252, 253, 300])
def test_counts_of_several_bytes_are_written_as_the_chain_does(outputs: int) -> None:
    script = "6a4d2c01" + "ab" * outputs
    spends = [spend(str(place), COIN, place % 256) for place in range(outputs)]
    data = show_block([Tx([Out(1, "51")]), Tx([Out(5, script) for _ in range(outputs)], spends)])
    assert read(read_exact(data)).legs.num_rows == 2 * outputs + 1


def test_odd_and_even_numbers_of_transactions_have_their_merkle_roots() -> None:
    for count in range(1, 10):
        txs = [Tx([Out(place, "51")], [spend("a", COIN, place)]) for place in range(1, count)]
        assert read(read_exact(show_block([Tx([Out(1, "51")]), *txs]))).transfers.num_rows == count
    one = bytes(range(32))
    assert merkle_root([one]) == one


def test_versions_and_lock_times_may_have_a_sign_or_none() -> None:
    for version in (-1, -(2**31), 2**31 - 1, 0):
        block = read_exact(show_block([Tx([Out(1, "51")], version=version)]))
        for shown in (version, version & 0xFFFFFFFF):
            block["tx"][0]["version"] = shown
            assert read(block).transfers.num_rows == 1


def test_one_coinbase_in_two_blocks_is_two_transfers() -> None:
    # BIP-30: in 2010 two coinbases came twice, with the same hash
    same = Tx([Out(50 * COIN, script_of("miner"))], coinbase="04ffff001d0102")
    first = read_exact(show_block([same], height=91_722))
    second = read_exact(show_block([same], height=91_723, parent=first["hash"]))
    hashes = [bytes.fromhex(block["hash"]) for block in (first, second)]
    batch = decode_blocks([first, second], REGTEST, coin_of(REGTEST), first_height=91_722, hashes=hashes)
    rows = batch.transfers.to_pylist()
    assert rows[0]["hash"] == rows[1]["hash"]
    assert [(row["height"], row["position"], row["kind"]) for row in rows] == [
        (91_722, 0, "reward"),
        (91_723, 0, "reward"),
    ]
    assert batch.legs.num_rows == 2


def test_blocks_together_are_the_same_as_one_at_a_time() -> None:
    blocks, lines = golden("every_kind")
    hashes = [bytes.fromhex(block["hash"]) for block in blocks]
    batch = decode_blocks(blocks, REGTEST, coin_of(REGTEST), first_height=114, hashes=hashes)
    batch.legs.validate(full=True)
    assert batch.transfers["transfer"].to_pylist() == list(range(batch.transfers.num_rows))
    assert read_lines(batch) == lines
    assert batch.blocks["height"].to_pylist() == list(range(114, 120))


def test_a_fault_in_one_of_many_blocks_names_that_block() -> None:
    blocks, _ = golden("every_kind")
    hashes = [bytes.fromhex(block["hash"]) for block in blocks]
    for path, value, why in (
        ((3, "tx", 1, "vout", 3, "value"), "46.51992532", "block 117: transaction 1 .*its hash"),
        ((3, "tx", 2, "vin", 0, "prevout", "value"), "1.0", "block 117: transaction 2 .*exceed"),
        ((4, "tx", 2, "vin", 1, "prevout"), 5, "block 118: transaction 2 .*vin 1: its prevout is '5'"),
        ((5, "nonce"), 99, "block 119: its header"),
    ):
        other = changed(blocks, path, value)
        with pytest.raises(BadAnswer, match=why):
            decode_blocks(other, REGTEST, coin_of(REGTEST), first_height=114, hashes=hashes)


def test_coins_of_bitcoin_cash_beside_tokens_are_read() -> None:
    # a token stands before the script on the chain and beside it in the answer: its hash cannot be recomputed
    cash = find_chain("bitcoin-cash")
    block = read_exact(
        show_block([Tx([Out(1, "51")]), Tx([Out(1000, script_of("a", "76a914"))], [spend("a", 2000)])])
    )
    block["tx"][1]["vout"][0]["scriptPubKey"]["hex"] = script_of("b", "76a914")
    with pytest.raises(BadAnswer, match="do not have its hash"):
        read(block, cash)
    block["tx"][1]["vout"][0]["tokenData"] = {"category": "ab" * 32, "amount": "5"}
    assert read(block, cash).legs.num_rows == 3


def test_a_file_of_the_same_blocks_gives_the_same_legs(tmp_path: Path) -> None:
    blocks, _ = golden("every_kind")
    known = {tx["txid"] for block in blocks for tx in block["tx"]}
    rows = []
    for block in blocks:
        for index, tx in enumerate(block["tx"]):
            spends = [vin for vin in tx["vin"] if "prevout" in vin]
            rows.append({
                "hash": tx["txid"], "block_number": block["height"], "block_hash": block["hash"],
                "block_timestamp": block["time"], "index": index, "is_coinbase": index == 0,
                "inputs": [{"index": i, "spent_transaction_hash": vin["txid"],
                            "spent_output_index": vin["vout"], "value": exact_sat(vin["prevout"]["value"]),
                            "addresses": [a] if (a := vin["prevout"]["scriptPubKey"].get("address")) else []}
                           for i, vin in enumerate(spends)],
                "outputs": [{"index": vout["n"], "script_hex": vout["scriptPubKey"]["hex"],
                             "value": exact_sat(vout["value"]),
                             "addresses": [a] if (a := vout["scriptPubKey"].get("address")) else []}
                            for vout in tx["vout"]],
            })  # fmt: skip
    path = tmp_path / "transactions.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = gather(read_bitcoin("bitcoin-etl", path, chain=REGTEST, rows_per_batch=1000))
    hashes = [bytes.fromhex(block["hash"]) for block in blocks]
    batch = decode_blocks(blocks, REGTEST, coin_of(REGTEST), first_height=114, hashes=hashes)
    assert files.rejected == []
    assert any(leg["spent_hash"] and leg["spent_hash"].hex() in known for leg in files.legs)
    # `row` is of the file there, and the place in the block here
    assert [row | {"row": 0} for row in files.transfers] == [
        row | {"row": 0} for row in batch.transfers.to_pylist()
    ]
    assert files.legs == batch.legs.to_pylist()
    assert files.assets == {asset.reference: asset for asset in batch.assets}
