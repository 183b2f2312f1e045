"""The layouts of bitcoin-etl and AWS: each kind of row, and a near miss beside it."""

import gzip
import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chains.errors import ColumnError, FileError
from chains.files.layouts import read_layout
from chains.registry import find_chain
from tests.chains.legs import Read, gather, key_address, legs_of, reasons, txid, witness_address

BITCOIN = find_chain("bitcoin")
MULTISIG = "5121" + "02" + "11" * 32 + "21" + "03" + "22" * 32 + "52ae"
RETURN = "6a0568656c6c6f"
HOUR = 1_700_000_000


def spend(name: str, index: int, value: int | None, *addresses: str, **more: Any) -> dict[str, Any]:
    return {
        "spent_transaction_hash": txid(name),
        "spent_output_index": index,
        "script_hex": "00",  # the signature's, never the spent output's
        "addresses": list(addresses),
        "value": value,
        **more,
    }


def pay(value: int, *addresses: str, script_hex: str | None = None) -> dict[str, Any]:
    return {"script_hex": script_hex, "addresses": list(addresses), "value": value}


def numbered(legs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"index": i, **leg} for i, leg in enumerate(legs)]


def transaction(
    name: str, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    return {
        "hash": txid(name),
        "block_hash": txid("block"),
        "block_number": 800_000,
        "block_timestamp": HOUR,
        "index": 1,
        "is_coinbase": False,
        "inputs": numbered(inputs),
        "outputs": numbered(outputs),
        **more,
    }


def golden_rows() -> list[dict[str, Any]]:
    miner, shop, friend = key_address("miner"), witness_address("shop"), key_address("friend")
    return [
        transaction(
            "mint", [], [pay(625_000_000, miner), pay(0, script_hex=RETURN)], index=0, is_coinbase=True
        ),
        transaction(
            "buy",
            [spend("mint", 0, 625_000_000, miner), spend("other", 7, 5, friend)],
            [pay(600_000_000, shop), pay(20_000_000, script_hex=MULTISIG), pay(0, script_hex=RETURN)],
        ),
        transaction("open", [spend("buy", 1, 20_000_000)], [pay(19_000_000, friend, shop)], index=2),
        transaction("far", [spend("elsewhere", 3, 9)], [pay(9, friend)], index=3),
        transaction("print", [spend("far", 0, 9, friend)], [pay(10, friend)], index=4),
        transaction("blank", [spend("far", 0, None, friend)], [pay(9, friend)], index=5),
        transaction("typo", [spend("far", 0, 9, friend)], [pay(9, friend[:-1] + "1")], index=6),
        transaction("empty", [], [pay(9, friend)], index=7),
        transaction("nobody", [spend("far", 0, 9, friend)], [], index=8),
        transaction("debt", [spend("far", 0, 9, friend)], [pay(-1, friend)], index=9),
        transaction("cut", [spend("far", 0, 9, friend)], [pay(9, friend)], index=10, hash="abc"),
        transaction("late", [spend("far", 0, 9, friend)], [pay(9, friend)], index=11, block_timestamp=10**12),
        transaction("loose", [spend("far", 0, 9, friend)], [pay(9, friend)], index=12, block_number=None),
        transaction("lost", [spend("far", 0, 9, friend)], [pay(9, friend)], index=None),
        transaction("fork", [spend("far", 0, 9, friend)], [pay(9, friend)], index=14, block_hash="xyz"),
        transaction(
            "from", [spend("far", 0, 9, friend, spent_transaction_hash=None)], [pay(9, friend)], index=15
        ),
        transaction(
            "all", [spend("far", 0, 9, friend.replace(friend, shop.upper()))], [pay(9, friend)], index=16
        ),
    ]


def etl_table(rows: list[dict[str, Any]]) -> pa.Table:
    leg = [("index", pa.int64()), ("script_hex", pa.string()), ("addresses", pa.list_(pa.string()))]
    spent = [("spent_transaction_hash", pa.string()), ("spent_output_index", pa.int64())]
    return pa.Table.from_pylist(
        rows,
        schema=pa.schema(
            [
                ("hash", pa.string()),
                ("block_hash", pa.string()),
                ("block_number", pa.int64()),
                ("block_timestamp", pa.int64()),
                ("index", pa.int64()),
                ("is_coinbase", pa.bool_()),
                ("inputs", pa.list_(pa.struct([*leg, *spent, ("value", pa.int64())]))),
                ("outputs", pa.list_(pa.struct([*leg, ("value", pa.int64())]))),
            ]
        ),
    )


def write(table: pa.Table, folder: Path, **options: Any) -> Path:
    path = folder / "transactions.parquet"
    pq.write_table(table, path, **options)
    return path


def read_etl(path: Path, rows_per_batch: int = 100_000) -> Read:
    return gather(read_layout("bitcoin-etl", path, chain=BITCOIN, rows_per_batch=rows_per_batch))


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return write(etl_table(golden_rows()), tmp_path)


def test_every_row_of_bitcoin_etl_makes_legs_or_a_rejection(golden: Path) -> None:
    read = read_etl(golden)
    multisig = "script-" + sha256(bytes.fromhex(MULTISIG)).hexdigest()[:40]
    data = "script-" + sha256(bytes.fromhex(RETURN)).hexdigest()[:40]
    miner, shop, friend = key_address("miner"), witness_address("shop"), key_address("friend")
    assert [row["row"] for row in read.transfers] == [0, 1, 2, 3, 16]
    mint, buy = read.transfers[:2]
    assert (mint["kind"], buy["kind"]) == ("reward", "native")
    assert (buy["height"], buy["position"], buy["part"], buy["asset"]) == (800_000, 1, 0, "slip44:0")
    assert (buy["hash"].hex(), buy["block_hash"].hex()) == (txid("buy"), txid("block"))
    assert buy["time"] == datetime.fromtimestamp(HOUR, UTC).replace(tzinfo=None)
    assert not any(row["lossy"] for row in read.transfers)
    assert legs_of(read, 0) == [("payee", 0, miner, 625_000_000), ("payee", 1, data, 0)]
    assert legs_of(read, 1) == [
        ("payer", 0, miner, 625_000_000),
        ("payer", 1, friend, 5),
        ("payee", 0, shop, 600_000_000),
        ("payee", 1, multisig, 20_000_000),
        ("payee", 2, data, 0),
    ]
    first = read.legs[2]
    assert (first["spent_hash"].hex(), first["spent_index"]) == (txid("mint"), 0)
    assert all(leg["spent_hash"] is None for leg in read.legs if leg["side"] == "payee")
    # One who spends an output without an address is called as that output is; and so is one unknown here.
    assert legs_of(read, 2)[0] == ("payer", 0, multisig, 20_000_000)
    assert legs_of(read, 2)[1] == ("payee", 0, f"output-{txid('open')}-0", 19_000_000)
    assert legs_of(read, 3)[0] == ("payer", 0, f"output-{txid('elsewhere')}-3", 9)
    assert legs_of(read, 4)[0] == ("payer", 0, shop, 9)
    assert reasons(read) == {
        4: "inputs_below_outputs",
        5: "no_value",
        6: "bad_address",
        7: "no_inputs",
        8: "no_outputs",
        9: "bad_amount",
        10: "bad_hash",
        11: "bad_time",
        12: "bad_height",
        13: "bad_position",
        14: "bad_block_hash",
        15: "bad_input",
    }
    details = {row["row"]: row["detail"] for row in read.rejected}
    assert details[4].endswith("by 1 satoshi")
    assert key_address("friend")[:-1] + "1" in details[6]
    assert list(read.assets) == ["slip44:0"]


@pytest.mark.parametrize("rows_per_batch", [1, 2, 5])
def test_the_size_of_batches_changes_nothing(golden: Path, rows_per_batch: int) -> None:
    assert read_etl(golden, rows_per_batch) == read_etl(golden)


def test_batches_number_their_transfers_anew_and_rows_through(golden: Path) -> None:
    batches = list(read_layout("bitcoin-etl", golden, chain=BITCOIN, rows_per_batch=2))
    assert [batch.transfers["row"].to_pylist() for batch in batches[:2]] == [[0, 1], [2, 3]]
    assert [batch.transfers["transfer"].to_pylist() for batch in batches[:2]] == [[0, 1], [0, 1]]
    assert batches[2].rejected["row"].to_pylist() == [4, 5]


def test_rows_without_a_position_take_the_files_order_in_their_block(tmp_path: Path) -> None:
    heights = [5, 5, 6, 5, 6, 7]
    rows = [
        transaction(f"t{i}", [spend("a", i, 9, key_address("a"))], [pay(9, key_address("b"))], block_number=h)
        for i, h in enumerate(heights)
    ]
    path = write(etl_table(rows).drop_columns(["index"]), tmp_path)
    for rows_per_batch in (1, 2, 100):
        found = [row["position"] for row in read_etl(path, rows_per_batch).transfers]
        assert found == [0, 1, 0, 2, 1, 0]


def test_sums_stay_exact_beyond_what_a_double_holds(tmp_path: Path) -> None:
    large, address = 2**61 + 1, key_address("whale")
    inputs = [spend("a", i, large, address) for i in range(6)]
    rows = [
        transaction("equal", inputs, [pay(large, address) for _ in range(6)]),
        transaction(
            "above", inputs, [pay(large, address) for _ in range(5)] + [pay(large + 1, address)], index=2
        ),
    ]
    read = read_etl(write(etl_table(rows), tmp_path))
    assert [row["row"] for row in read.transfers] == [0]
    assert reasons(read) == {1: "inputs_below_outputs"}
    assert sum(int(leg["amount"]) for leg in read.legs if leg["side"] == "payer") == 6 * large


@pytest.mark.parametrize("suffix", [".jsonl", ".json.gz"])
def test_json_lines_say_the_same_as_parquet(golden: Path, tmp_path: Path, suffix: str) -> None:
    text = "".join(json.dumps(row) + "\n" for row in golden_rows())
    path = tmp_path / f"transactions{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    assert read_etl(path) == read_etl(golden)
    assert read_etl(path, 3) == read_etl(golden)


def aws_table(rows: list[dict[str, Any]], *drop: str) -> pa.Table:
    leg = [
        ("index", pa.int64()),
        ("script_hex", pa.string()),
        ("address", pa.string()),
        ("value", pa.float64()),
    ]
    spent = [("spent_transaction_hash", pa.string()), ("spent_output_index", pa.int64())]
    schema = [
        ("hash", pa.string()),
        ("block_hash", pa.string()),
        ("block_number", pa.int64()),
        ("block_timestamp", pa.timestamp("ns", tz="UTC")),
        ("index", pa.int64()),
        ("is_coinbase", pa.bool_()),
        ("inputs", pa.list_(pa.struct([*leg, *spent]))),
        ("outputs", pa.list_(pa.struct(leg))),
    ]
    made = [
        {
            **row,
            "block_timestamp": datetime.fromtimestamp(HOUR, UTC),
            "inputs": [{**leg, "address": (leg["addresses"] or [None])[0]} for leg in row["inputs"]],
            "outputs": [{**leg, "address": (leg["addresses"] or [None])[0]} for leg in row["outputs"]],
        }
        for row in rows
    ]
    return pa.Table.from_pylist(made, schema=pa.schema(schema)).drop_columns(list(drop))


def btc(name: str, spent: float, paid: float) -> dict[str, Any]:
    address = key_address("a")
    return transaction(
        name, [{**spend("z", 0, 0, address), "value": spent}], [{**pay(0, address), "value": paid}]
    )


def test_doubles_of_btc_become_whole_satoshi(tmp_path: Path) -> None:
    rows = [
        btc("plain", 0.29, 0.28),
        btc("noise", 0.1 + 0.2, 0.3),
        btc("supply", 20_999_999.97690001, 20_999_999.97690001),
        btc("part", 0.0000000225, 0.00000001),
        btc("nan", float("nan"), 0.1),
        btc("negative", 0.1, -0.1),
        btc("infinite", float("inf"), 0.1),
        btc("more", 0.1, 0.10000001),
        {**btc("mint", 0.0, 6.25), "inputs": [], "is_coinbase": True},
    ]
    table = aws_table(rows, "block_number", "block_hash")
    read = gather(read_layout("aws-btc", write(table, tmp_path), chain=BITCOIN))
    sums = {row["row"]: [int(leg["amount"]) for leg in read.legs if leg["transfer"] == row["transfer"]]
            for row in read.transfers}  # fmt: skip
    assert sums == {
        0: [29_000_000, 28_000_000],
        1: [30_000_000, 30_000_000],
        2: [2_099_999_997_690_001] * 2,
        3: [2, 1],
        8: [625_000_000],
    }
    assert [row["row"] for row in read.transfers if row["lossy"]] == [3]
    assert reasons(read) == {4: "bad_amount", 5: "bad_amount", 6: "bad_amount", 7: "inputs_below_outputs"}
    assert all(row["height"] is None and row["block_hash"] is None for row in read.transfers)
    assert all(
        row["time"] == datetime.fromtimestamp(HOUR, UTC).replace(tzinfo=None) for row in read.transfers
    )
    assert read.transfers[0]["position"] == 1


def test_without_scripts_outputs_are_named_by_their_transaction(tmp_path: Path) -> None:
    rows = [
        transaction("make", [spend("z", 0, 9, key_address("a"))], [pay(9)]),
        transaction("take", [spend("make", 0, 9)], [pay(9, key_address("b"))], index=None),
    ]
    for row in rows:
        for leg in (*row["inputs"], *row["outputs"]):
            leg["value"] = leg["value"] / 1e8
    table = aws_table(rows, "block_number")
    fields = [f for f in table.schema.field("outputs").type.value_type if f.name != "script_hex"]
    table = table.set_column(
        table.schema.get_field_index("outputs"),
        pa.field("outputs", pa.list_(pa.struct(fields))),
        pa.array(table["outputs"].to_pylist(), pa.list_(pa.struct(fields))),
    )
    read = gather(read_layout("aws-btc", write(table, tmp_path), chain=BITCOIN))
    stand_in = f"output-{txid('make')}-0"
    assert [leg["account"] for leg in read.legs] == [key_address("a"), stand_in, stand_in, key_address("b")]
    assert [row["position"] for row in read.transfers] == [1, None]


def test_a_missing_or_wrong_column_is_named_before_the_first_batch(tmp_path: Path, golden: Path) -> None:
    table = etl_table(golden_rows())
    for column in ("hash", "block_timestamp", "inputs", "outputs"):
        path = write(table.drop_columns([column]), tmp_path)
        with pytest.raises(ColumnError, match=f"'{column}'") as caught:
            read_layout("bitcoin-etl", path, chain=BITCOIN)
        assert caught.value.column == column
    path = write(table.set_column(0, "hash", pa.array(range(table.num_rows))), tmp_path)
    with pytest.raises(ColumnError, match="must hold text"):
        read_layout("bitcoin-etl", path, chain=BITCOIN)
    path = write(table.set_column(6, "inputs", pa.array(["x"] * table.num_rows)), tmp_path)
    with pytest.raises(ColumnError, match="list of records"):
        read_layout("bitcoin-etl", path, chain=BITCOIN)


def test_a_file_of_the_other_layout_is_told_by_its_columns(tmp_path: Path) -> None:
    etl = write(etl_table(golden_rows()), tmp_path)
    with pytest.raises(ColumnError, match="aws-btc"):
        read_layout("aws-btc", etl, chain=BITCOIN)
    aws = write(aws_table([btc("plain", 0.29, 0.28)]), tmp_path)
    with pytest.raises(ColumnError, match="aws-btc"):
        read_layout("bitcoin-etl", aws, chain=BITCOIN)
    line = tmp_path / "aws.jsonl"
    line.write_text(json.dumps(transaction("a", [spend("b", 0, 5)], [{"address": "x", "value": 0.5}])) + "\n")
    with pytest.raises(ColumnError, match=r"outputs\.addresses"):
        read_layout("bitcoin-etl", line, chain=BITCOIN)


def test_layout_and_chain_must_fit(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="ethereum is not one"):
        read_layout("bitcoin-etl", golden, chain=find_chain("ethereum"))
    with pytest.raises(FileError, match="no layout"):
        read_layout("etl", golden, chain=BITCOIN)
    table = tmp_path / "t.csv"
    table.write_text("hash\n")
    with pytest.raises(FileError, match="JSON lines"):
        read_layout("bitcoin-etl", table, chain=BITCOIN)
    with pytest.raises(FileError, match="payments"):
        read_layout("payments", golden, chain=BITCOIN)


def test_a_file_cut_short_is_refused(golden: Path, tmp_path: Path) -> None:
    whole = golden.read_bytes()
    path = tmp_path / "cut.parquet"
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(FileError, match=r"cut\.parquet: is (truncated|empty)"):
            read_layout("bitcoin-etl", path, chain=BITCOIN)
    damaged = bytearray(whole)
    damaged[40 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - 40)
    path.write_bytes(damaged)
    with pytest.raises(FileError):
        gather(read_layout("bitcoin-etl", path, chain=BITCOIN))
    text = "".join(json.dumps(row) + "\n" for row in golden_rows())
    cut = tmp_path / "cut.jsonl"
    cut.write_text(text[:-200])
    with pytest.raises(FileError):
        gather(read_layout("bitcoin-etl", cut, chain=BITCOIN))


def test_an_empty_table_has_no_batches(tmp_path: Path) -> None:
    path = write(etl_table([]), tmp_path)
    assert read_etl(path) == Read([], [], [], {})
