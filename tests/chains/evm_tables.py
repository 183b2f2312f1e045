"""Rows of the tables of EVM files, written by hand, and files of them."""

import csv
import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chains.files.beside import find_beside
from chains.files.layouts import read_layout
from chains.registry import Chain, find_chain
from tests.chains.legs import Read, gather, txid

ETHEREUM, TRON = find_chain("ethereum"), find_chain("tron")
A, B, C, MINER = ("0x" + digit * 40 for digit in "abcd")
ZERO = "0x" + "0" * 40
TOKEN = "0x" + "70" * 20
NATIVE = "slip44:60"
SECONDS = 1_700_000_000
TIME = datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001  (times in the ledger are UTC without a zone)


def tx(name: str, position: int, **more: Any) -> dict[str, Any]:
    return {
        "hash": "0x" + txid(name),
        "nonce": 7,
        "block_hash": "0x" + txid("block"),
        "block_number": 100,
        "transaction_index": position,
        "from_address": A,
        "to_address": B,
        "value": 5,
        "gas": 50_000,
        "gas_price": 12,
        "block_timestamp": SECONDS,
        "transaction_type": 2,
        **more,
    }


def receipt(name: str, position: int, **more: Any) -> dict[str, Any]:
    return {
        "transaction_hash": "0x" + txid(name),
        "transaction_index": position,
        "block_number": 100,
        "cumulative_gas_used": 21_000,
        "gas_used": 21_000,
        "contract_address": None,
        "root": None,
        "status": 1,
        "effective_gas_price": 12,
        **more,
    }


BLOCK = {
    "number": 100,
    "hash": "0x" + txid("block"),
    "parent_hash": "0x" + txid("parent"),
    "miner": MINER,
    "timestamp": SECONDS,
    "transaction_count": 9,
    "base_fee_per_gas": 10,
    "withdrawals": None,
}


def transfer(position: int | None, index: int, **more: Any) -> dict[str, Any]:
    return {
        "token_address": TOKEN,
        "from_address": A,
        "to_address": B,
        "value": 9,
        "transaction_hash": "0x" + txid("pay"),
        "transaction_index": position,
        "log_index": index,
        "block_number": 100,
        "block_timestamp": SECONDS,
        **more,
    }


def trace(path: str, **more: Any) -> dict[str, Any]:
    return {
        "block_number": 100,
        "transaction_hash": "0x" + txid("pay"),
        "transaction_index": 3,
        "from_address": A,
        "to_address": B,
        "value": 5,
        "trace_type": "call",
        "call_type": "call",
        "trace_address": path,
        "error": None,
        "status": 1,
        "block_timestamp": SECONDS,
        **more,
    }


def save_csv(rows: list[dict[str, Any]], path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def save_parquet(rows: list[dict[str, Any]], path: Path, types: dict[str, pa.DataType] | None = None) -> Path:
    table = pa.table(
        {name: pa.array([row[name] for row in rows], (types or {}).get(name)) for name in rows[0]}
    )
    pq.write_table(table, path)
    return path


def read(
    path: Path,
    *others: Path,
    layout: str = "ethereum-etl",
    chain: Chain = ETHEREUM,
    rows_per_batch: int = 1000,
    listed: tuple[str, ...] = (),
) -> Read:
    with find_beside(layout, [path, *others], chain) as beside:
        found = gather(
            read_layout(
                layout, path, chain=chain, beside=beside, rows_per_batch=rows_per_batch, listed=listed
            )
        )
    rows = {row["row"] for row in found.transfers} | {row["row"] for row in found.rejected}
    assert len(rows) + sum(found.unmoved.values()) == found.counts[1], "a row is in no count, or in two"
    return found


def keys(found: Read) -> list[tuple[int, int | None, str, int]]:
    return [(t["height"], t["position"], t["kind"], t["part"]) for t in found.transfers]


def gzipped(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def cryo_bytes(name: str) -> bytes:
    return bytes.fromhex(name.removeprefix("0x"))
