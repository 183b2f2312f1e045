"""Small good files of every layout and format, as tables that can be changed before they are written."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chains.encoding import encode_base58check, encode_segwit
from chains.files.layouts import PaymentMapping
from chains.registry import Chain, find_chain

BITCOIN, ETHEREUM, BANK = find_chain("bitcoin"), find_chain("ethereum"), find_chain("payments:bank")
START = 1_700_000_000
MAPPING = PaymentMapping.parse(
    ["time=when", "payer=from", "payee=to", "amount=sum", "currency=unit", "reference=note"]
)


Row = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A good file: its rows, and how they are written."""

    layout: str
    suffix: str  # of the file's name; tells the format
    chain: Chain
    rows: pa.Table
    mapping: PaymentMapping | None = None
    table: str = ""  # where the file only stands beside another, which it completes: its table…
    main: "Sample | None" = None  # …and that other


def samples(layout: str) -> list[Sample]:
    """Return the good files of a layout, one for each table and format that it is read from."""
    formats: tuple[str, ...]
    if layout in ("bitcoin-etl", "aws-btc"):
        formats = (".parquet", ".jsonl", ".jsonl.gz")
        return [Sample(layout, suffix, BITCOIN, _bitcoin(layout)) for suffix in formats]
    if layout == "payments":
        formats = (".csv", ".csv.gz", ".tsv", ".parquet")
        return [Sample(layout, suffix, BANK, _payments(), MAPPING) for suffix in formats]
    if layout == "genesis":
        return [Sample(layout, ".json", ETHEREUM, _genesis())]
    if layout == "beside":
        return [
            Sample("ethereum-etl", suffix, ETHEREUM, rows, table=table, main=main)
            for table, rows, main in _completing()
            for suffix in (".csv", ".parquet")
        ]
    formats = (".csv", ".csv.gz", ".parquet") if layout != "aws-eth" else (".parquet",)
    tables = [make(layout) for make in (_transactions, _token_transfers, _traces, _blocks)]
    return [Sample(layout, suffix, ETHEREUM, rows) for rows in tables for suffix in formats]


def write_sample(sample: Sample, rows: Sequence[Row], names: Sequence[str] | None = None) -> bytes:
    """Return the bytes of a file of a sample's format with these rows, and the columns `names` in this order.

    Values may be of any type. What a format cannot hold is written as text.
    """
    names = sample.rows.schema.names if names is None else names
    if sample.layout == "genesis":
        return _write_genesis(rows)
    plain = sample.suffix.removesuffix(".gz")
    if plain == ".parquet":
        data = _write_parquet(sample, rows, names)
    elif plain == ".jsonl":
        lines = ({name: row[name] for name in names if name in row} for row in rows)
        data = b"".join(json.dumps(line, default=str).encode() + b"\n" for line in lines)
    else:
        text = io.StringIO()
        writer = csv.writer(text, delimiter="\t" if plain == ".tsv" else ",", lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
        data = text.getvalue().encode()
    return gzip.compress(data, 1) if sample.suffix.endswith(".gz") else data


def _write_genesis(rows: Sequence[Row]) -> bytes:
    alloc = {str(row.get("account")): {k: v for k, v in row.items() if k != "account"} for row in rows}
    content = {"config": {"chainId": 1}, "timestamp": "0x5", "alloc": alloc}
    return json.dumps(content, default=str).encode()


def _write_parquet(sample: Sample, rows: Sequence[Row], names: Sequence[str]) -> bytes:
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        place = sample.rows.schema.get_field_index(name)
        columns.append(_column(values, sample.rows.schema.types[place] if place >= 0 else None))
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, list(names)), sink)
    return sink.getvalue()


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    for wanted in (kind, None):
        try:
            column = pa.array(values, wanted)
            if _fits_parquet(column.type):
                return column
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            continue
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _fits_parquet(kind: pa.DataType) -> bool:
    """Parquet has no record without a field."""
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_fits_parquet(kind.field(i).type) for i in range(kind.num_fields))
    return not pa.types.is_list(kind) or _fits_parquet(kind.value_type)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _bitcoin(layout: str) -> pa.Table:
    places = [
        encode_base58check(b"\0" + bytes([n]) * 20) if n % 2 else encode_segwit("bc", 0, bytes([n]) * 20)
        for n in range(1, 9)
    ]

    def value(sat: int) -> int | float:
        return sat if layout == "bitcoin-etl" else sat / 1e8

    def party(place: str | None) -> dict[str, Any]:
        if layout == "bitcoin-etl":
            return {"addresses": [place] if place else []}
        return {"address": place}

    rows = []
    for n in range(8):
        coinbase = n % 4 == 0
        outputs = [
            {
                "index": i,
                "script_hex": "51" if i else "0014" + f"{n + 1:02x}" * 20,
                "value": value(10**8 // (i + 1)),
            }
            | party(None if i else places[n])
            for i in range(2)
        ]
        inputs = [
            {
                "index": 0,
                "spent_transaction_hash": _hash(layout, n - 1),
                "spent_output_index": 0,
                "value": value(2 * 10**8),
            }
            | party(places[n - 1])
        ]
        rows.append(
            {
                "hash": _hash(layout, n),
                "block_hash": _hash("block", n // 4),
                "block_number": 800_000 + n // 4,
                "block_timestamp": START + 600 * (n // 4),
                "index": n % 4,
                "is_coinbase": coinbase,
                "inputs": [] if coinbase else inputs,
                "outputs": outputs,
            }
        )
    text, whole = pa.string(), pa.int64()
    who = ("addresses", pa.list_(text)) if layout == "bitcoin-etl" else ("address", text)
    amount = ("value", whole if layout == "bitcoin-etl" else pa.float64())
    spent = [("index", whole), ("spent_transaction_hash", text), ("spent_output_index", whole)]
    schema = pa.schema(
        [
            *(("hash", text), ("block_hash", text), ("block_number", whole), ("block_timestamp", whole)),
            *(("index", whole), ("is_coinbase", pa.bool_())),
            ("inputs", pa.list_(pa.struct([*spent, who, amount]))),
            ("outputs", pa.list_(pa.struct([("index", whole), ("script_hex", text), who, amount]))),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def _payments() -> pa.Table:
    count = 12
    begin = datetime(2023, 1, 1)  # noqa: DTZ001  (written without a zone, as files are)
    return pa.table(
        {
            "when": [(begin + timedelta(hours=n // 2)).isoformat() for n in range(count)],
            "from": [f"payer {n % 5}" for n in range(count)],
            "to": [f"payee {n % 3}" for n in range(count)],
            "sum": [f"{n % 4}.5" for n in range(count)],
            "unit": ["EUR" if n % 3 else "USD" for n in range(count)],
            "note": [f"note {n}" if n % 2 else None for n in range(count)],
        }
    )


def _genesis() -> pa.Table:
    return pa.table(
        {
            "account": [f"{'0x' if n % 2 else ''}{n + 1:040x}" for n in range(8)],
            "balance": ["0x10" if n % 2 else str(10**n) for n in range(8)],
            "code": ["0x6000"] * 8,
            "nonce": ["0x1"] * 8,
        }
    )


def _place(n: int, layout: str) -> dict[str, Any]:
    """Columns that say where a row stands."""
    height = 15_000_000 + n // 3
    time = START + 12 * (n // 3)
    block: dict[str, Any] = {"block_number": height, "block_timestamp": time}
    if layout == "cryo":
        return {"block_number": height, "timestamp": time, "transaction_index": n % 3}
    extra = {"block_hash": "0x" + _hash("block", n // 3), "transaction_index": n % 3}
    if layout == "aws-eth":
        block["block_timestamp"] = datetime(2023, 1, 1) + timedelta(seconds=time - START)  # noqa: DTZ001
    return block | extra


def _account(n: int, layout: str) -> Any:
    return bytes([n + 1]) * 20 if layout == "cryo" else "0x" + f"{n + 1:02x}" * 20


def _tx(n: int, layout: str) -> Any:
    text = _hash("tx", n)
    return bytes.fromhex(text) if layout == "cryo" else "0x" + text


def _units(n: int, layout: str) -> Any:
    return float(10**15 * n) if layout == "aws-eth" else str(10**15 * n)


def _transactions(layout: str) -> pa.Table:
    names = ("transaction_hash", "gas_limit") if layout == "cryo" else ("hash", "gas")
    rows = [
        {
            names[0]: _tx(n, layout),
            **_place(n, layout),
            "nonce": n,
            "from_address": _account(n, layout),
            "to_address": _account(n + 1, layout),
            "value": _units(n, layout),
            names[1]: 50_000,
            "gas_price": 30_000_000_000,
            "input": "0x" if layout != "cryo" else b"",
            "transaction_type": n % 3,
        }
        | (
            {"gas_used": 21_000, "success": n != 4}
            if layout == "cryo"
            else {
                "receipt_gas_used": 21_000,
                "receipt_status": int(n != 4),
                "receipt_effective_gas_price": 30_000_000_000,
            }
            if layout == "aws-eth"
            else {}
        )
        for n in range(9)
    ]
    return pa.Table.from_pylist(rows)


def _token_transfers(layout: str) -> pa.Table:
    token = "erc20" if layout == "cryo" else "token_address"
    rows = [
        {
            token: _account(60 + n % 2, layout),
            "from_address": _account(n, layout)
            if n
            else (bytes(20) if layout == "cryo" else "0x" + "0" * 40),
            "to_address": _account(n + 1, layout),
            "value": str(10**6 * n),
            "transaction_hash": _tx(n, layout),
            "log_index": n % 3,
            **_place(n, layout),
        }
        for n in range(9)
    ]
    return pa.Table.from_pylist(rows)


def _traces(layout: str) -> pa.Table:
    cryo = layout == "cryo"
    rows = []
    for n in range(9):
        row = {"transaction_hash": _tx(n // 3 * 3, layout), **_place(n // 3 * 3, layout)}
        kind = ("call", "call", "create")[n % 3]
        path = "" if n % 3 == 0 else str(n % 3 - 1)
        row |= {
            "action_from" if cryo else "from_address": _account(n, layout),
            "action_to" if cryo else "to_address": _account(n + 1, layout) if kind == "call" else None,
            "action_value" if cryo else "value": str(10**9 * n),
            "action_type" if cryo else "trace_type": kind,
            "action_call_type" if cryo else "call_type": "call" if kind == "call" else None,
            "trace_address": path.replace(",", "_") if cryo else path,
            "error": None,
        }
        created = _account(90 + n, layout) if kind == "create" else None
        if cryo:
            row["result_address"] = created
        elif created is not None:
            row["to_address"] = created
        rows.append(row)
    kinds = pa.Table.from_pylist(rows).schema
    return pa.Table.from_pylist(
        rows, kinds.set(kinds.get_field_index("error"), pa.field("error", pa.string()))
    )


def _blocks(layout: str) -> pa.Table:
    cryo = layout == "cryo"
    rows = [
        {
            "block_number" if cryo else "number": 17_100_000 + n,
            "block_hash" if cryo else "hash": _tx(500 + n, layout),
            "parent_hash": _tx(499 + n, layout),
            "author" if cryo else "miner": _account(n, layout),
            "timestamp": START + 12 * n,
            "base_fee_per_gas": 10**9,
            "transaction_count": n,
            "withdrawals": [
                {
                    "index": 5 * n + i,
                    "validator_index": i,
                    "address": "0x" + f"{i + 1:02x}" * 20,
                    "amount": "0x5f5e100",
                }
                for i in range(2)
            ],
        }
        for n in range(4)
    ]
    return pa.Table.from_pylist(rows)


def _completing() -> list[tuple[str, pa.Table, Sample]]:
    """Tables that complete others: blocks tell times of token transfers, receipts how transactions ended."""
    layout = "ethereum-etl"
    tokens = _token_transfers(layout).drop_columns(["block_timestamp"])
    heights = sorted(set(tokens["block_number"].to_pylist()))
    blocks = _blocks(layout).slice(0, len(heights)).set_column(0, "number", pa.array(heights))
    transactions = _transactions(layout)
    receipts = pa.Table.from_pylist(
        [
            {
                "transaction_hash": row["hash"],
                "transaction_index": row["transaction_index"],
                "block_number": row["block_number"],
                "gas_used": 21_000,
                "cumulative_gas_used": 21_000,
                "effective_gas_price": 30_000_000_000,
                "status": 1,
                "contract_address": None,
            }
            for row in transactions.to_pylist()
        ],
        schema=pa.schema(
            [
                *(("transaction_hash", pa.string()), ("transaction_index", pa.int64())),
                *(
                    ("block_number", pa.int64()),
                    ("gas_used", pa.int64()),
                    ("cumulative_gas_used", pa.int64()),
                ),
                *(
                    ("effective_gas_price", pa.int64()),
                    ("status", pa.int64()),
                    ("contract_address", pa.string()),
                ),
            ]
        ),
    )
    return [
        ("blocks", blocks, Sample(layout, ".csv", ETHEREUM, tokens)),
        ("receipts", receipts, Sample(layout, ".csv", ETHEREUM, transactions)),
    ]


LAYOUTS: Sequence[str] = ("bitcoin-etl", "aws-btc", "payments", "ethereum-etl", "aws-eth", "cryo", "genesis")
