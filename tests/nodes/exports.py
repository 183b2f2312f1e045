"""A node's blocks as files: the tables that ethereum-etl and cryo write, made from the node's own answers."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chains.evm.tokens import TRANSFER
from tests.nodes.anvil import Anvil

Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What a node said of all its blocks."""

    blocks: list[Row]
    receipts: list[Row]
    traces: list[Row]


def ask_all(node: Anvil) -> Answers:
    """Read every block, receipt and trace of a node, as it gives them."""
    heights = [hex(height) for height in range(node.height + 1)]
    blocks = [node.call("eth_getBlockByNumber", height, True) for height in heights]
    receipts = [row for height in heights for row in node.call("eth_getBlockReceipts", height)]
    traces = [row for height in heights for row in node.call("trace_block", height)]
    return Answers(blocks, receipts, traces)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text, 16)


def export_etl(answers: Answers, folder: Path) -> dict[str, Path]:
    """Write blocks, transactions, receipts, token transfers and traces as ethereum-etl's CSV."""
    folder.mkdir(exist_ok=True)
    tables = {
        "blocks": [_etl_block(block) for block in answers.blocks],
        "transactions": [
            _etl_transaction(row, block) for block in answers.blocks for row in block["transactions"]
        ],
        "receipts": [_etl_receipt(row) for row in answers.receipts],
        "token_transfers": [
            _etl_transfer(log) for row in answers.receipts for log in row["logs"] if _is_transfer(log)
        ],
        "traces": [_etl_trace(row) for row in answers.traces],
    }
    paths = {}
    for name, rows in tables.items():
        paths[name] = folder / f"{name}.csv"
        with paths[name].open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    return paths


def _etl_block(block: Mapping[str, Any]) -> Row:
    paid = [
        {
            "index": _number(row["index"]),
            "validator_index": _number(row["validatorIndex"]),
            "address": row["address"],
            "amount": _number(row["amount"]),
        }
        for row in block.get("withdrawals", [])
    ]
    return {
        "number": _number(block["number"]),
        "hash": block["hash"],
        "parent_hash": block["parentHash"],
        "miner": block["miner"],
        "gas_used": _number(block["gasUsed"]),
        "timestamp": _number(block["timestamp"]),
        "transaction_count": len(block["transactions"]),
        "base_fee_per_gas": _number(block.get("baseFeePerGas")),
        "withdrawals": paid or "",
    }


def _etl_transaction(row: Mapping[str, Any], block: Mapping[str, Any]) -> Row:
    return {
        "hash": row["hash"],
        "nonce": _number(row["nonce"]),
        "block_hash": row["blockHash"],
        "block_number": _number(row["blockNumber"]),
        "transaction_index": _number(row["transactionIndex"]),
        "from_address": row["from"],
        "to_address": row["to"],
        "value": _number(row["value"]),
        "gas": _number(row["gas"]),
        "gas_price": _number(row["gasPrice"]),
        "input": row["input"],
        "block_timestamp": _number(block["timestamp"]),
        "transaction_type": _number(row["type"]),
    }


def _etl_receipt(row: Mapping[str, Any]) -> Row:
    return {
        "transaction_hash": row["transactionHash"],
        "transaction_index": _number(row["transactionIndex"]),
        "block_hash": row["blockHash"],
        "block_number": _number(row["blockNumber"]),
        "cumulative_gas_used": _number(row["cumulativeGasUsed"]),
        "gas_used": _number(row["gasUsed"]),
        "contract_address": row.get("contractAddress"),
        "root": row.get("root"),
        "status": _number(row.get("status")),
        "effective_gas_price": _number(row.get("effectiveGasPrice")),
        "l1_fee": _number(row.get("l1Fee")),
        "blob_gas_price": _number(row.get("blobGasPrice")),
        "blob_gas_used": _number(row.get("blobGasUsed")),
    }


def _is_transfer(log: Mapping[str, Any]) -> bool:
    words = len(log["topics"]) + (len(log["data"]) - 2) // 64
    return bool(log["topics"] and log["topics"][0] == TRANSFER and words == 4 and len(log["topics"]) < 4)


def _etl_transfer(log: Mapping[str, Any]) -> Row:
    data = log["data"][2:]
    words = [*log["topics"], *("0x" + data[i : i + 64] for i in range(0, len(data), 64))]
    return {
        "token_address": log["address"],
        "from_address": "0x" + words[1][-40:],
        "to_address": "0x" + words[2][-40:],
        "value": _number(words[3]),
        "transaction_hash": log["transactionHash"],
        "log_index": _number(log["logIndex"]),
        "block_number": _number(log["blockNumber"]),
    }


def _etl_trace(row: Mapping[str, Any]) -> Row:
    action, result = row["action"], row.get("result") or {}
    suicide = row["type"] == "suicide"
    value = action["balance"] if suicide else action["value"]
    return {
        "block_number": row["blockNumber"],
        "transaction_hash": row["transactionHash"],
        "transaction_index": row["transactionPosition"],
        "from_address": action["address"] if suicide else action["from"],
        "to_address": action["refundAddress"] if suicide else action.get("to") or result.get("address"),
        "value": _number(value),
        "trace_type": row["type"],
        "call_type": action.get("callType"),
        "reward_type": None,
        "subtraces": row["subtraces"],
        "trace_address": ",".join(str(step) for step in row["traceAddress"]),
        "error": row.get("error"),
    }


def export_cryo(answers: Answers, folder: Path) -> dict[str, Path]:
    """Write blocks, transactions, ERC-20 transfers and traces as cryo's Parquet: hashes are binary."""
    folder.mkdir(exist_ok=True)
    ends = {row["transactionHash"]: row for row in answers.receipts}
    tables = {
        "blocks": [_cryo_block(block) for block in answers.blocks],
        "transactions": [
            _cryo_transaction(row, ends[row["hash"]])
            for block in answers.blocks
            for row in block["transactions"]
        ],
        "erc20_transfers": [
            _cryo_transfer(log)
            for row in answers.receipts
            for log in row["logs"]
            if len(log["topics"]) == 3 and log["topics"][0] == TRANSFER and len(log["data"]) == 66
        ],
        "traces": [_cryo_trace(row) for row in answers.traces],
    }
    paths = {}
    for name, rows in tables.items():
        paths[name] = folder / f"network_31337__{name}__00000000_to_00000200.parquet"
        pq.write_table(pa.table({column: [row[column] for row in rows] for column in rows[0]}), paths[name])
    return paths


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text[2:])


def _u256(text: str) -> bytes:
    return int(text, 16).to_bytes(32, "big")


def _cryo_block(block: Mapping[str, Any]) -> Row:
    return {
        "block_hash": _bytes(block["hash"]),
        "author": _bytes(block["miner"]),
        "block_number": _number(block["number"]),
        "gas_used": _number(block["gasUsed"]),
        "timestamp": _number(block["timestamp"]),
        "base_fee_per_gas": _number(block.get("baseFeePerGas")),
        "chain_id": 31337,
    }


def _cryo_transaction(row: Mapping[str, Any], end: Mapping[str, Any]) -> Row:
    return {
        "block_number": _number(row["blockNumber"]),
        "transaction_index": _number(row["transactionIndex"]),
        "transaction_hash": _bytes(row["hash"]),
        "nonce": _number(row["nonce"]),
        "from_address": _bytes(row["from"]),
        "to_address": _bytes(row["to"]),
        "value_binary": _u256(row["value"]),
        "value_string": str(_number(row["value"])),
        "value_f64": float(int(row["value"], 16)),
        "gas_limit": _number(row["gas"]),
        "gas_used": _number(end["gasUsed"]),
        "gas_price": _number(row["gasPrice"]),
        "transaction_type": _number(row["type"]),
        "success": end["status"] == "0x1",
        "chain_id": 31337,
    }


def _cryo_transfer(log: Mapping[str, Any]) -> Row:
    return {
        "block_number": _number(log["blockNumber"]),
        "transaction_index": _number(log["transactionIndex"]),
        "log_index": _number(log["logIndex"]),
        "transaction_hash": _bytes(log["transactionHash"]),
        "erc20": _bytes(log["address"]),
        "from_address": bytes.fromhex(log["topics"][1][-40:]),
        "to_address": bytes.fromhex(log["topics"][2][-40:]),
        "value_binary": _u256(log["data"]),
        "chain_id": 31337,
    }


def _cryo_trace(row: Mapping[str, Any]) -> Row:
    action, result = row["action"], row.get("result") or {}
    suicide = row["type"] == "suicide"
    named = {"delegatecall": "delegate_call", "staticcall": "static_call", "callcode": "call_code"}
    call = action.get("callType")
    return {
        "action_from": _bytes(action["address"] if suicide else action["from"]),
        "action_to": _bytes(action["refundAddress"] if suicide else action.get("to")),
        "action_value": str(_number(action["balance"] if suicide else action["value"])),
        "action_call_type": named.get(call, call),
        "action_type": row["type"],
        "result_address": _bytes(result.get("address")),
        "trace_address": "_".join(str(step) for step in row["traceAddress"]),
        "subtraces": row["subtraces"],
        "transaction_index": row["transactionPosition"],
        "transaction_hash": _bytes(row["transactionHash"]),
        "block_number": row["blockNumber"],
        "block_hash": _bytes(row["blockHash"]),
        "error": row.get("error"),
        "chain_id": 31337,
    }
