"""The tables of EVM files and their columns: ethereum-etl, the AWS public blockchain data and cryo.

The three write the same few tables under names that never contradict each other, so a table is recognised by
its columns, and a field by the first of its names that is there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from chains.errors import ColumnError, FileError
from chains.files.evm_values import is_bytes, is_text
from chains.files.rows import file_format, file_schema, read_rows
from chains.rejections import shown

LAYOUTS = ("ethereum-etl", "aws-eth", "cryo")

_VALUE = ("value", "value_binary", "value_string", "value_decimal128", "value_f64")
_ACTION_VALUE = tuple(f"action_{name}" for name in _VALUE)
_HASH, _ACCOUNT, _AMOUNT, _WHOLE, _TIME, _TEXT, _ANY = (
    *("hash", "account", "amount", "whole", "time", "text", "any"),
)


@dataclass(frozen=True)
class Field:
    """One thing that a table says: the names that writers give its column, and what that must hold."""

    names: tuple[str, ...]
    holds: str
    needed: bool = False


def _field(holds: str, *names: str, needed: bool = False) -> Field:
    return Field(names, holds, needed)


_RECEIPT = {
    "status": _field(_ANY, "receipt_status", "status", "success"),
    "gas_used": _field(_WHOLE, "receipt_gas_used", "gas_used"),
    "effective": _field(_AMOUNT, "receipt_effective_gas_price", "effective_gas_price"),
    "contract": _field(_ACCOUNT, "receipt_contract_address", "contract_address"),
    "blob_gas": _field(_WHOLE, "receipt_blob_gas_used", "blob_gas_used"),
    "blob_price": _field(_AMOUNT, "receipt_blob_gas_price", "blob_gas_price"),
    "l1_fee": _field(_AMOUNT, "receipt_l1_fee", "l1_fee"),
}

TABLES: Mapping[str, Mapping[str, Field]] = {
    "transactions": {
        "hash": _field(_HASH, "hash", "transaction_hash", needed=True),
        "height": _field(_WHOLE, "block_number", needed=True),
        "position": _field(_WHOLE, "transaction_index", needed=True),
        "block_hash": _field(_HASH, "block_hash"),
        "time": _field(_TIME, "block_timestamp", "timestamp"),
        "payer": _field(_ACCOUNT, "from_address", needed=True),
        "payee": _field(_ACCOUNT, "to_address", needed=True),
        "value": _field(_AMOUNT, *_VALUE, needed=True),
        "nonce": _field(_WHOLE, "nonce"),
        "gas": _field(_WHOLE, "gas", "gas_limit"),
        "price": _field(_AMOUNT, "gas_price"),
        "type": _field(_WHOLE, "transaction_type"),
        **_RECEIPT,
    },
    "token_transfers": {
        "token": _field(_ACCOUNT, "token_address", "erc20", needed=True),
        "hash": _field(_HASH, "transaction_hash", needed=True),
        "height": _field(_WHOLE, "block_number", needed=True),
        "position": _field(_WHOLE, "transaction_index"),
        "part": _field(_WHOLE, "log_index", needed=True),
        "block_hash": _field(_HASH, "block_hash"),
        "time": _field(_TIME, "block_timestamp", "timestamp"),
        "payer": _field(_ACCOUNT, "from_address", needed=True),
        "payee": _field(_ACCOUNT, "to_address", needed=True),
        "value": _field(_AMOUNT, *_VALUE, needed=True),
    },
    "traces": {
        "hash": _field(_HASH, "transaction_hash", needed=True),
        "height": _field(_WHOLE, "block_number", needed=True),
        "position": _field(_WHOLE, "transaction_index", needed=True),
        "block_hash": _field(_HASH, "block_hash"),
        "time": _field(_TIME, "block_timestamp", "timestamp"),
        "payer": _field(_ACCOUNT, "from_address", "action_from", needed=True),
        "payee": _field(_ACCOUNT, "to_address", "action_to", needed=True),
        "created": _field(_ACCOUNT, "result_address"),
        "value": _field(_AMOUNT, *_VALUE, *_ACTION_VALUE, needed=True),
        "type": _field(_TEXT, "trace_type", "action_type", needed=True),
        "call": _field(_TEXT, "call_type", "action_call_type", needed=True),
        "path": _field(_ANY, "trace_address", needed=True),
        "error": _field(_TEXT, "error"),
        "status": _field(_ANY, "status"),
    },
    "blocks": {
        "height": _field(_WHOLE, "number", "block_number", needed=True),
        "time": _field(_TIME, "timestamp", "block_timestamp", needed=True),
        "block_hash": _field(_HASH, "hash", "block_hash"),
        "miner": _field(_ACCOUNT, "miner", "author"),
        "base_fee": _field(_AMOUNT, "base_fee_per_gas"),
        "count": _field(_WHOLE, "transaction_count"),
        "withdrawals": _field(_ANY, "withdrawals"),
    },
    "receipts": {
        "hash": _field(_HASH, "transaction_hash", needed=True),
        "height": _field(_WHOLE, "block_number", needed=True),
        "position": _field(_WHOLE, "transaction_index"),
        **_RECEIPT,
    },
}
"""The tables that are read, with every field by the word that is used for it here."""

COUNTED = ("receipts", "logs", "contracts", "tokens", "erc721_transfers")
"""Tables of an export whose rows make no transfers: they are counted, each under its table's name."""

_REFUSED = {
    "native_transfers": "does not say which calls failed or moved nothing: give the traces instead",
}
"""Tables that are known and cannot be read right, and why."""


def recognise(path: Path) -> str:
    """Name of the table in a file, by its columns; raises `FileError` where it is none of an EVM chain."""
    found = _table_of(path, file_schema(path).names)
    if file_format(path) == "json":
        raise FileError(
            path, why="tables of EVM chains are read from CSV or Parquet: export it as one of them"
        )
    return found


def _table_of(path: Path, columns: list[str]) -> str:
    names = set(columns)
    value = names.intersection(_VALUE)
    tests = {
        "traces": "trace_address" in names and names & {"trace_type", "action_type"},
        "native_transfers": "transfer_index" in names and value,
        "token_transfers": "log_index" in names and names & {"token_address", "erc20"} and value,
        "erc721_transfers": "erc721" in names,
        "logs": "log_index" in names and names & {"topics", "topic0"},
        "transactions": "from_address" in names and value and names & {"nonce", "gas", "gas_limit", "input"},
        "receipts": "transaction_hash" in names and names & {"cumulative_gas_used", "gas_used"},
        "blocks": names & {"timestamp", "block_timestamp"} and names & {"miner", "author", "parent_hash"},
        "contracts": names & {"bytecode", "is_erc20"},
        "tokens": "decimals" in names and "symbol" in names,
    }
    found = next((table for table, holds in tests.items() if holds), None)
    if found is None:
        have = ", ".join(shown(name, 40)[1:-1] for name in columns[:20])
        raise FileError(path, why=f"its columns are of no table of an EVM chain; it has {have}")
    return found


def find_fields(path: Path, table: str, layout: str) -> dict[str, str]:
    """Column of each field that a file has; raises `FileError` for a table that is not read, `ColumnError`
    for a column that is missing or cannot hold its field."""
    if table in _REFUSED:
        raise FileError(path, why=f"holds {table}: {_REFUSED[table]}")
    schema = file_schema(path)
    found: dict[str, str] = {}
    if table not in TABLES:
        return {"row": schema.names[0]}
    for word, field in TABLES[table].items():
        name = next((name for name in field.names if name in schema.names), None)
        if name is not None:
            _check_type(path, name, field.holds, schema.field(name).type)
            found[word] = name
        elif field.needed:
            have = ", ".join(shown(n, 40)[1:-1] for n in schema.names[:20])
            why = f"is not there; {table} of the layout {layout} need it; the file has {have}"
            raise ColumnError(path, column=field.names[0], why=why)
    return found


def read_fields(
    path: Path, fields: Mapping[str, str], *, rows_per_batch: int
) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """Number of rows and the columns by field, batch after batch."""
    for rows in read_rows(path, sorted(set(fields.values())), rows_per_batch=rows_per_batch):
        yield rows.num_rows, {word: rows.column(name) for word, name in fields.items()}


def _check_type(path: Path, name: str, holds: str, kind: pa.DataType) -> None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = is_text(kind)
    number = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind)
    fits = {
        _HASH: text or is_bytes(kind),
        _ACCOUNT: text or is_bytes(kind),
        _AMOUNT: text or is_bytes(kind) or number,
        _WHOLE: text or number,
        _TIME: text or number or pa.types.is_timestamp(kind) or pa.types.is_date(kind),
        _TEXT: text,
        _ANY: True,
    }[holds]
    if not fits and not pa.types.is_null(kind):
        raise ColumnError(path, column=name, why=f"holds {kind}, which is no {_SAID.get(holds, holds)}")


_SAID = {_ACCOUNT: "address", _WHOLE: "whole number", _TIME: "time or seconds since 1970"}
