"""Transactions in the layouts of ethereum-etl, AWS and cryo: each kind of row, and a near miss beside it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chains.errors import ColumnError, FileError
from chains.files.evm import created_account
from chains.registry import find_chain
from tests.chains.evm_tables import (
    BLOCK,
    MINER,
    NATIVE,
    SECONDS,
    TIME,
    A,
    B,
    C,
    cryo_bytes,
    gzipped,
    keys,
    read,
    receipt,
    save_csv,
    save_parquet,
    trace,
    transfer,
    tx,
)
from tests.chains.legs import legs_of, reasons, txid


def test_a_transaction_with_its_receipt_and_block_is_a_payment_and_a_fee(tmp_path: Path) -> None:
    path = save_csv([tx("pay", 3)], tmp_path / "transactions.csv")
    receipts = save_csv([receipt("pay", 3)], tmp_path / "receipts.csv")
    blocks = save_csv([BLOCK], tmp_path / "blocks.csv")
    found = read(path, receipts, blocks)
    assert keys(found) == [(100, 3, "native", 0), (100, 3, "fee", 0)]
    assert legs_of(found, 0) == [("payer", 0, A, 5), ("payee", 0, B, 5)]
    assert legs_of(found, 1) == [("payer", 0, A, 252_000), ("payee", 0, MINER, 42_000)]
    first = found.transfers[0]
    assert (first["time"], first["asset"], first["lossy"]) == (TIME, NATIVE, False)
    assert first["hash"] == bytes.fromhex(txid("pay"))
    assert first["block_hash"] == bytes.fromhex(txid("block"))
    assert found.counts == [0, 1]


def test_without_blocks_nobody_is_said_to_get_the_tip(tmp_path: Path) -> None:
    path = save_csv([tx("pay", 3)], tmp_path / "transactions.csv")
    receipts = save_csv([receipt("pay", 3)], tmp_path / "receipts.csv")
    assert legs_of(read(path, receipts), 1) == [("payer", 0, A, 252_000)]


def test_without_receipts_there_is_no_fee_and_success_is_assumed(tmp_path: Path) -> None:
    rows = [tx("pay", 3), tx("call", 4, value=0)]
    found = read(save_csv(rows, tmp_path / "transactions.csv"))
    assert keys(found) == [(100, 3, "native", 0)]
    assert (found.counts, found.idle) == ([1, 2], {"zero_value": 1})


@pytest.mark.parametrize("size", [1, 2, 100])
def test_every_kind_of_transaction(tmp_path: Path, size: int) -> None:
    rows = [
        tx("failed", 0, receipt_status=0),
        tx("empty", 1, value=0),
        tx("made", 2, to_address=None, receipt_contract_address=C),
        tx("made without word", 3, to_address=None),
        tx("blob", 4, receipt_blob_gas_used=100, receipt_blob_gas_price=3),
        tx("rollup", 5, receipt_l1_fee=77),
        tx("own price", 6, receipt_effective_gas_price=None),
        tx("free", 7, receipt_effective_gas_price=0, gas_price=0),
        tx("deposit", 8, transaction_type=126),
        tx("huge", 9, value=10**38),
        tx("debt", 10, value=-1),
        tx("worded", 11, value="many"),
        tx("nowhere", 12, to_address="0xabc"),
        tx("nobody", 13, from_address=None),
        tx("odd end", 14, receipt_status=2),
        tx("late", 15, block_timestamp=10**12),
        tx("cut", 16, hash="0xabc"),
        tx("lost", 17, block_number=-4),
        tx("beside", 18, transaction_index="x"),
        tx("checksum", 19, to_address="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        tx("bad checksum", 20, to_address="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"),
        tx("largest", 21, value=10**38 - 1),
        tx("costly", 22, receipt_gas_used=10**20, receipt_effective_gas_price=10**20),
    ]
    defaults = {
        "receipt_status": 1,
        "receipt_gas_used": 21_000,
        "receipt_effective_gas_price": 12,
        "receipt_contract_address": None,
        "receipt_blob_gas_used": None,
        "receipt_blob_gas_price": None,
        "receipt_l1_fee": None,
    }
    path = save_csv([{**defaults, **row} for row in rows], tmp_path / "transactions.csv")
    blocks = save_csv([BLOCK], tmp_path / "blocks.csv")
    found = read(path, blocks, rows_per_batch=size)
    made = {(t["position"], t["kind"]): legs_of(found, i) for i, t in enumerate(found.transfers)}
    tip = ("payee", 0, MINER, 42_000)
    assert [made.get((0, kind)) for kind in ("native", "fee")] == [None, [("payer", 0, A, 252_000), tip]]
    assert [made.get((1, kind)) for kind in ("native", "fee")] == [None, [("payer", 0, A, 252_000), tip]]
    assert made[2, "native"][1] == ("payee", 0, C, 5)
    assert made[3, "native"][1] == ("payee", 0, created_account(A, 7), 5)
    assert made[4, "fee"] == [("payer", 0, A, 252_300), tip]
    assert made[5, "fee"] == [("payer", 0, A, 252_077), tip]
    assert made[6, "fee"] == [("payer", 0, A, 252_000), tip]
    assert (7, "native") in made
    assert (7, "fee") not in made
    assert (8, "fee") not in made
    assert made[19, "native"][1][2] == "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
    assert made[21, "native"][0][3] == 10**38 - 1
    assert reasons(found) == {
        9: "too_large",
        10: "bad_amount",
        11: "bad_amount",
        12: "bad_address",
        13: "bad_address",
        14: "bad_status",
        15: "bad_time",
        16: "bad_hash",
        17: "bad_height",
        18: "bad_position",
        20: "bad_address",
        22: "too_large",
    }
    assert not found.idle


def test_the_contract_of_a_creation_is_ethereums_own() -> None:
    # The first two contracts of the account that Hardhat and anvil begin with.
    sender = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert created_account(sender, 0) == "0x5fbdb2315678afecb367f032d93f642f64180aa3"
    assert created_account(sender, 1) == "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"
    assert len({created_account(sender, nonce) for nonce in (127, 128, 255, 256, 65_536)}) == 5


def test_a_creation_without_receipt_or_nonce_is_set_aside(tmp_path: Path) -> None:
    rows = [tx("made", 0, to_address=None), tx("idle", 1, to_address=None, value=0)]
    for row in rows:
        del row["nonce"]
    found = read(save_csv(rows, tmp_path / "transactions.csv"))
    assert reasons(found) == {0: "no_payee"}
    assert found.idle == {"zero_value": 1}


def test_receipts_from_before_byzantium(tmp_path: Path) -> None:
    rows = [
        tx("left over", 0, gas=60_000),
        tx("plain", 1, gas=21_000),
        tx("used up", 2, gas=50_000),
        tx("used up, empty", 3, gas=50_000, value=0),
    ]
    used = (50_000, 21_000, 50_000, 50_000)
    path = save_csv(rows, tmp_path / "transactions.csv")
    ends = [
        receipt(name, i, status=None, root="0x" + txid("root"), gas_used=gas)
        for i, (name, gas) in enumerate(
            zip(("left over", "plain", "used up", "used up, empty"), used, strict=True)
        )
    ]
    found = read(path, save_csv(ends, tmp_path / "receipts.csv"))
    assert [key[1:3] for key in keys(found)] == [
        (0, "native"),
        (0, "fee"),
        (1, "native"),
        (1, "fee"),
        (3, "fee"),
    ]
    assert reasons(found) == {2: "unknown_outcome"}
    assert found.counts[0] == 1  # the plain payment, taken as arrived


def test_doubles_of_wei_are_rounded_by_rule_and_flagged(tmp_path: Path) -> None:
    values = [0.0, 1.0, float(2**53), 1.2345678901234568e18, 1e17, 1e38, 1.5, -1.0]
    rows = [tx(f"t{i}", i, value=value) for i, value in enumerate(values)]
    found = read(save_parquet(rows, tmp_path / "t.parquet"), layout="aws-eth")
    paid = [(int(legs_of(found, i)[0][3]), t["lossy"]) for i, t in enumerate(found.transfers)]
    assert paid == [(1, False), (2**53, True), (1_234_567_890_123_456_800, True), (10**17, True)]
    assert reasons(found) == {5: "too_large", 6: "bad_amount", 7: "bad_amount"}


@pytest.mark.parametrize(
    ("text", "paid", "lossy"),
    [
        ("1.2345678901234568E18", 1_234_567_890_123_456_800, True),
        ("1e18", 10**18, True),
        ("1234567890123456768.0", 1_234_567_890_123_456_768, True),
        ("9.007199254740992e15", 2**53, True),
        ("9.007199254740991e15", 2**53 - 1, False),
        ("5.0", 5, False),
        ("1234567890123456789", 1_234_567_890_123_456_789, False),
        ("0x112210f47de98115", 1_234_567_890_123_456_789, False),
        ("0xe000000000000000", 0xE000000000000000, False),
    ],
)
def test_text_of_doubles_is_flagged_as_the_doubles_are(
    tmp_path: Path, text: str, paid: int, lossy: bool
) -> None:
    pay = read(save_csv([tx("pay", 0, value=text)], tmp_path / "t.csv"), layout="aws-eth")
    token = read(save_csv([transfer(3, 0, value=text)], tmp_path / "k.csv"), layout="aws-eth")
    call = read(save_csv([trace("", value=0), trace("0", value=text)], tmp_path / "c.csv"), layout="aws-eth")
    for found in (pay, token, call):
        assert [(int(legs_of(found, 0)[0][3]), t["lossy"]) for t in found.transfers] == [(paid, lossy)]


def cryo_rows() -> list[dict[str, Any]]:
    names = ("pay", "failed", "empty", "huge")
    values = (5, 6, 0, 2**128)
    return [
        {
            "block_number": 100,
            "transaction_index": i,
            "transaction_hash": cryo_bytes(txid(name)),
            "nonce": 1,
            "from_address": cryo_bytes(A),
            "to_address": cryo_bytes(B),
            "value_binary": value.to_bytes(32, "big"),
            "value_string": str(value),
            "value_f64": float(value),
            "gas_limit": 30_000,
            "gas_used": 21_000,
            "gas_price": 12,
            "transaction_type": 2,
            "success": name != "failed",
            "chain_id": 1,
        }
        for i, (name, value) in enumerate(zip(names, values, strict=True))
    ]


@pytest.mark.parametrize("kept", ["value_binary", "value_string", "value_f64"])
def test_cryo_in_each_form_of_its_amounts(tmp_path: Path, kept: str) -> None:
    others = {"value_binary", "value_string", "value_f64"} - {kept}
    rows = [{name: cell for name, cell in row.items() if name not in others} for row in cryo_rows()]
    path = save_parquet(rows, tmp_path / "ethereum__transactions__100_to_100.parquet")
    block = {
        "block_number": 100,
        "block_hash": cryo_bytes(txid("block")),
        "author": cryo_bytes(MINER),
        "timestamp": SECONDS,
        "base_fee_per_gas": 10,
    }
    blocks = save_parquet([block], tmp_path / "ethereum__blocks__100_to_100.parquet")
    found = read(path, blocks, layout="cryo")
    assert keys(found) == [
        (100, 0, "native", 0),
        (100, 0, "fee", 0),
        (100, 1, "fee", 0),
        (100, 2, "fee", 0),
    ]
    assert legs_of(found, 1) == [("payer", 0, A, 252_000), ("payee", 0, MINER, 42_000)]
    assert reasons(found) == {3: "too_large"}
    assert found.transfers[0]["time"] == TIME


def test_cryo_without_times_says_what_to_do(tmp_path: Path) -> None:
    path = save_parquet(cryo_rows(), tmp_path / "t.parquet")
    with pytest.raises(ColumnError, match="--include-columns timestamp"):
        read(path, layout="cryo")
    timed = [{**row, "timestamp": SECONDS} for row in cryo_rows()]
    assert len(read(save_parquet(timed, tmp_path / "u.parquet"), layout="cryo").transfers) == 4


def test_a_block_that_no_file_tells_of_leaves_its_rows_without_a_time(tmp_path: Path) -> None:
    rows = [{**tx("pay", 0), "block_number": height} for height in (100, 101)]
    for row in rows:
        del row["block_timestamp"]
    blocks = save_csv([BLOCK], tmp_path / "blocks.csv")
    found = read(save_csv(rows, tmp_path / "transactions.csv"), blocks)
    assert reasons(found) == {1: "bad_time"}


@pytest.mark.parametrize(
    "times",
    [
        pa.array([SECONDS * 10**6, -(2**62), 2**62], pa.timestamp("us")),
        pa.array([SECONDS * 10**9, 2**63 - 1, -(2**62)], pa.timestamp("ns")),
        pa.array(["2024-05-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]),
    ],
)
def test_times_beyond_any_calendar_are_set_aside(tmp_path: Path, times: pa.Array) -> None:
    table = pa.Table.from_pylist([tx("pay", place) for place in range(3)])
    place = table.schema.get_field_index("block_timestamp")
    path = tmp_path / "times.parquet"
    pq.write_table(table.set_column(place, "block_timestamp", times), path)
    assert reasons(read(path)) == {1: "bad_time", 2: "bad_time"}


def test_a_row_of_another_branch_than_the_blocks_is_set_aside(tmp_path: Path) -> None:
    rows = [tx("pay", 0), tx("other", 1, block_hash="0x" + txid("uncle"))]
    blocks = save_csv([BLOCK], tmp_path / "blocks.csv")
    found = read(save_csv(rows, tmp_path / "transactions.csv"), blocks)
    assert reasons(found) == {1: "other_branch"}


def test_two_blocks_of_one_height_are_refused(tmp_path: Path) -> None:
    blocks = save_csv([BLOCK, {**BLOCK, "hash": "0x" + txid("uncle")}], tmp_path / "blocks.csv")
    with pytest.raises(FileError, match="two blocks 100"):
        read(save_csv([tx("pay", 0)], tmp_path / "transactions.csv"), blocks)


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("logs", "log_index,transaction_hash,address,data,topics"),
        ("contracts", "address,bytecode,function_sighashes,is_erc20"),
        ("tokens", "address,symbol,name,decimals,total_supply"),
        ("erc721_transfers", "block_number,log_index,erc721,from_address,to_address,token_id"),
    ],
)
def test_other_tables_of_an_export_are_counted(tmp_path: Path, table: str, columns: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(columns + "\n" + ",".join("1" for _ in columns.split(",")) + "\n", "utf-8")
    found = read(path)
    assert (found.transfers, found.idle) == ([], {table: 1})


def test_receipts_alone_are_counted(tmp_path: Path) -> None:
    found = read(save_csv([receipt("pay", 0)], tmp_path / "r.csv"))
    assert (found.transfers, found.idle) == ([], {"receipts": 1})


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ("a,b", "of no table of an EVM chain"),
        ("block_number,transfer_index,from_address,to_address,value", "give the traces instead"),
        ("hash,nonce,from_address,value,gas,block_number,transaction_index", "'to_address'"),
    ],
)
def test_other_tables_are_refused_by_name(tmp_path: Path, columns: str, why: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(columns + "\n", "utf-8")
    with pytest.raises(FileError, match=why):
        read(path)


def test_columns_of_another_type_are_refused(tmp_path: Path) -> None:
    path = save_parquet([{**tx("pay", 0), "value": [1]}], tmp_path / "t.parquet")
    with pytest.raises(ColumnError, match="'value': holds list"):
        read(path)
    path = save_parquet([{**tx("pay", 0), "from_address": 1.5}], tmp_path / "u.parquet")
    with pytest.raises(ColumnError, match="no address"):
        read(path)


def test_json_lines_and_other_chains_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"hash": "0x", "from_address": "0x", "value": 1, "nonce": 1}\n', "utf-8")
    with pytest.raises(FileError, match="CSV or Parquet"):
        read(path)
    path = save_csv([tx("pay", 0)], tmp_path / "t.csv")
    with pytest.raises(FileError, match="bitcoin is neither"):
        read(path, chain=find_chain("bitcoin"))


def test_a_file_that_breaks_off_says_so(tmp_path: Path) -> None:
    path = gzipped(save_csv([tx(f"t{i}", i) for i in range(5000)], tmp_path / "t.csv"))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FileError, match="truncated"):
        read(path)
