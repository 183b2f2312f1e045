"""Token transfers, traces and withdrawals in files of EVM chains: each kind, and a near miss beside it."""

from pathlib import Path
from typing import Any

import pytest

from chains.errors import ColumnError, FileError
from tests.chains.evm_tables import (
    BLOCK,
    MINER,
    SECONDS,
    TIME,
    TOKEN,
    TRON,
    ZERO,
    A,
    B,
    C,
    cryo_bytes,
    gzipped,
    keys,
    read,
    save_csv,
    save_parquet,
    trace,
    transfer,
    tx,
)
from tests.chains.legs import legs_of, reasons, txid


def test_token_transfers_mints_and_burns(tmp_path: Path) -> None:
    rows = [
        transfer(3, 0),
        transfer(3, 1, from_address=ZERO),
        transfer(3, 2, to_address=ZERO),
        transfer(3, 3, from_address=ZERO, to_address=ZERO),
        transfer(3, 4, value=0),
        transfer(3, 5, value=str(2**255)),
        transfer(3, None),  # type: ignore[arg-type]
        transfer(3, 7, token_address="0x1"),
        transfer(3, 8, to_address=None),
    ]
    plain = save_csv(rows, tmp_path / "t.csv")
    for path in (plain, gzipped(plain)):
        found = read(path)
        assert keys(found) == [(100, 3, "token", index) for index in (0, 1, 2, 4)]
        assert [legs_of(found, i) for i in range(4)] == [
            [("payer", 0, A, 9), ("payee", 0, B, 9)],
            [("payee", 0, B, 9)],
            [("payer", 0, A, 9)],
            [("payer", 0, A, 0), ("payee", 0, B, 0)],
        ]
        assert found.idle == {"zero_address": 1}
        assert reasons(found) == {5: "too_large", 6: "bad_log_index", 7: "bad_address", 8: "bad_address"}
        assert [asset.listed for asset in found.assets.values()] == [False]


def test_a_token_counts_where_it_is_known_or_named(tmp_path: Path) -> None:
    tether = "0xdac17f958d2ee523a2206206994597c13d831ec7"
    rows = [transfer(3, 0), transfer(3, 1, token_address=tether)]
    path = save_csv(rows, tmp_path / "t.csv")
    found = read(path).assets
    assert found[f"erc20:{tether}"].listed
    assert found[f"erc20:{tether}"].symbol == "USDT"
    assert not found[f"erc20:{TOKEN}"].listed
    assert read(path, listed=(f"erc20:{TOKEN}",)).assets[f"erc20:{TOKEN}"].listed


def test_times_and_places_of_token_transfers_come_from_the_files_beside(tmp_path: Path) -> None:
    row = transfer(None, 5)
    del row["block_timestamp"], row["transaction_index"]
    path = save_csv([row], tmp_path / "token_transfers.csv")
    with pytest.raises(ColumnError, match="give the blocks of the same heights"):
        read(path)
    blocks = save_csv([BLOCK], tmp_path / "blocks.csv")
    found = read(path, blocks)
    assert keys(found) == [(100, None, "token", 5)]
    assert (found.transfers[0]["time"], found.transfers[0]["block_hash"]) == (
        TIME,
        bytes.fromhex(txid("block")),
    )
    transactions = save_csv([tx("pay", 3), tx("other", 4)], tmp_path / "transactions.csv")
    assert keys(read(path, blocks, transactions)) == [(100, 3, "token", 5)]


def test_erc20_transfers_of_cryo(tmp_path: Path) -> None:
    row = {
        "block_number": 100,
        "transaction_index": 3,
        "log_index": 8,
        "transaction_hash": cryo_bytes(txid("pay")),
        "erc20": cryo_bytes(TOKEN),
        "from_address": cryo_bytes(ZERO),
        "to_address": cryo_bytes(B),
        "value_binary": (10**20).to_bytes(32, "big"),
        "chain_id": 1,
        "timestamp": SECONDS,
    }
    short = {**row, "log_index": 9, "to_address": bytes(19)}
    found = read(save_parquet([row, short], tmp_path / "t.parquet"), layout="cryo")
    assert keys(found) == [(100, 3, "token", 8)]
    assert legs_of(found, 0) == [("payee", 0, B, 10**20)]
    assert reasons(found) == {1: "bad_address"}


def test_tokens_of_tron_are_written_its_way(tmp_path: Path) -> None:
    usdt = "0xa614f803b6fd780986a42c78ec9c7f77e6ded13c"
    path = save_csv([transfer(3, 0, token_address=usdt)], tmp_path / "t.csv")
    found = read(path, chain=TRON)
    assert [asset.symbol for asset in found.assets.values()] == ["USDT"]
    assert found.transfers[0]["asset"] == "trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
    assert all(account.startswith("T") for _, _, account, _ in legs_of(found, 0))
    mint = save_csv([transfer(3, 0, token_address=usdt, from_address=ZERO)], tmp_path / "m.csv")
    assert [leg[0] for leg in legs_of(read(mint, chain=TRON), 0)] == ["payee"]
    with pytest.raises(FileError, match="TRX"):
        read(save_csv([tx("pay", 0)], tmp_path / "x.csv"), chain=TRON)


def test_inner_calls_in_the_order_of_their_tree(tmp_path: Path) -> None:
    rows = [
        trace("1,0", from_address=C, to_address=A, value=3),  # ordinal 5
        trace("", value=50),
        trace("0", call_type="delegatecall"),  # 1
        trace("0,0", to_address=C, value=2),  # 2
        trace("0,1", value=0),  # 3
        trace("1", to_address=C, value=9),  # 4
        trace("2", value=8, error="Reverted", status=0),  # 6
        trace("2,0", from_address=B, to_address=C, value=8, status=0),  # 7
        trace("3", trace_type="create", call_type=None, to_address=MINER, value=4),  # 8
        trace("4", call_type="staticcall", value=0),  # 9
        trace("5", call_type="callcode", value=1),  # 10
        trace("6", to_address=C, value=10**38),  # 11
        trace("7", to_address=C, value=7),  # 12
        trace("0", call_type="call", value=1),
        trace("x"),
        trace("8", trace_type="cat", call_type="call"),
        trace("", transaction_hash="0x" + txid("simple"), transaction_index=4),
    ]
    path = save_csv(rows, tmp_path / "traces.csv")
    for size in (1, 3, 1000):
        found = read(path, rows_per_batch=size)
        assert [(t["row"], t["part"]) for t in found.transfers] == [(0, 5), (3, 2), (5, 4), (8, 8), (12, 12)]
        assert legs_of(found, 0) == [("payer", 0, C, 3), ("payee", 0, A, 3)]
        assert legs_of(found, 3) == [("payer", 0, A, 4), ("payee", 0, MINER, 4)]
        assert {key[:3] for key in keys(found)} == {(100, 3, "internal")}
        assert found.idle == {"root_call": 2, "no_value": 4, "failed": 2}
        assert reasons(found) == {11: "too_large", 13: "repeated_trace", 14: "bad_trace", 15: "bad_trace"}


def test_a_failed_transaction_moves_nothing_inside(tmp_path: Path) -> None:
    rows = [trace("", status=0, error="out of gas"), trace("0", to_address=C, status=0)]
    found = read(save_csv(rows, tmp_path / "t.csv"))
    assert (found.transfers, found.idle) == ([], {"root_call": 1, "failed": 1})
    unpropagated = [{**row, "status": None} for row in rows]
    assert read(save_csv(unpropagated, tmp_path / "u.csv")).transfers == []


def test_calls_without_the_ones_above_them_are_set_aside(tmp_path: Path) -> None:
    rows = [trace("0", to_address=C), trace("1,0", to_address=C), trace("1", value=0)]
    found = read(save_csv(rows, tmp_path / "t.csv"))
    assert found.transfers == []
    assert reasons(found) == {0: "broken_trace", 1: "broken_trace"}


def test_self_destructs_rewards_and_the_first_allocation(tmp_path: Path) -> None:
    block = {"transaction_hash": None, "transaction_index": None, "call_type": None, "trace_address": None}
    rows = [
        trace("", value=0, to_address=C),
        trace("0", trace_type="suicide", call_type=None, from_address=C, to_address=B, value=6),
        {**trace(""), **block, "trace_type": "reward", "from_address": None, "to_address": MINER},
        {**trace(""), **block, "trace_type": "reward", "from_address": None, "to_address": A, "value": 1},
        {**trace(""), **block, "trace_type": "genesis", "from_address": None, "block_number": 0},
        {**trace(""), **block, "trace_type": "daofork", "block_number": 1_920_000},
    ]
    found = read(save_csv(rows, tmp_path / "t.csv"))
    assert keys(found) == [
        (100, 3, "internal", 1),
        (100, 4, "reward", 0),
        (100, 4, "reward", 1),
        (0, 0, "genesis", 0),
        (1_920_000, 0, "genesis", 0),
    ]
    assert legs_of(found, 0) == [("payer", 0, C, 6), ("payee", 0, B, 6)]
    assert legs_of(found, 1) == [("payee", 0, MINER, 5)]
    assert legs_of(found, 3) == [("payee", 0, B, 5)]
    assert legs_of(found, 4) == [("payer", 0, A, 5), ("payee", 0, B, 5)]
    assert [t["hash"] for t in found.transfers[1:]] == [None] * 4


def test_traces_of_cryo(tmp_path: Path) -> None:
    def call(path: str, **more: Any) -> dict[str, Any]:
        return {
            "action_from": cryo_bytes(A),
            "action_to": cryo_bytes(B),
            "action_value": "5",
            "action_call_type": "call",
            "action_type": "call",
            "result_address": None,
            "trace_address": path,
            "transaction_index": 3,
            "transaction_hash": cryo_bytes(txid("pay")),
            "block_number": 100,
            "error": None,
            "timestamp": SECONDS,
            **more,
        }

    rows = [
        call(""),
        call("0", action_to=None, action_type="create", action_call_type=None, result_address=cryo_bytes(C)),
        call("0_0", action_call_type="delegate_call"),
        call("1", action_from=cryo_bytes(B), action_to=cryo_bytes(C), action_value="4"),
    ]
    reward = call("", transaction_index=None, transaction_hash=None, action_to=None, action_type="reward")
    reward["action_call_type"] = None
    reward["action_from"] = cryo_bytes(MINER)
    found = read(save_parquet([*rows, reward], tmp_path / "t.parquet"), layout="cryo")
    assert keys(found) == [(100, 3, "internal", 1), (100, 3, "internal", 3), (100, 4, "reward", 0)]
    assert legs_of(found, 0) == [("payer", 0, A, 5), ("payee", 0, C, 5)]
    assert legs_of(found, 1) == [("payer", 0, B, 4), ("payee", 0, C, 4)]
    assert legs_of(found, 2) == [("payee", 0, MINER, 5)]


@pytest.mark.parametrize(
    "written",
    [
        "[{'index': 1, 'address': '%s', 'amount': 3}, {'index': 2, 'address': '%s', 'amount': 0}]",
        '[{"index": "0x1", "address": "%s", "amount": "0x3"}, {"address": "%s", "amount": "0"}]',
    ],
)
def test_withdrawals_in_blocks(tmp_path: Path, written: str) -> None:
    rows = [
        {**BLOCK, "withdrawals": written % (A, B)},
        {**BLOCK, "number": 101},
        {**BLOCK, "number": 102, "withdrawals": "[{'address': 'x', 'amount': 1}]"},
        {**BLOCK, "number": 103, "withdrawals": "[" * 500},
        {**BLOCK, "number": 104, "withdrawals": "[]"},
        {**BLOCK, "number": 105, "withdrawals": written % (A, B), "transaction_count": None},
    ]
    for i, row in enumerate(rows):
        row["hash"] = "0x" + txid(f"block {i}")
    found = read(save_csv(rows, tmp_path / "blocks.csv"))
    assert keys(found) == [(100, 9, "withdrawal", 0)]
    assert legs_of(found, 0) == [("payee", 0, A, 3 * 10**9)]
    assert found.transfers[0]["hash"] is None
    assert reasons(found) == {2: "bad_withdrawal", 3: "bad_withdrawal", 5: "bad_position"}
    assert found.idle == {"no_withdrawals": 2}


def test_withdrawals_as_a_column_of_lists(tmp_path: Path) -> None:
    paid = [{"index": 1, "validator_index": 5, "address": B, "amount": 2.0}]
    found = read(save_parquet([{**BLOCK, "withdrawals": paid}], tmp_path / "b.parquet"), layout="aws-eth")
    assert legs_of(found, 0) == [("payee", 0, B, 2 * 10**9)]
