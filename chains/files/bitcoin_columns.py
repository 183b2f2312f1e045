"""The columns of the two layouts of Bitcoin transactions, and what each must hold."""

from pathlib import Path

import pyarrow as pa

from chains.errors import ColumnError, FileError
from chains.files.rows import file_format, file_schema
from chains.rejections import shown

_REQUIRED = ("hash", "block_timestamp", "inputs", "outputs")
_OPTIONAL = ("block_number", "block_hash", "index", "is_coinbase")
_FIELDS = {
    "inputs": ("index", "spent_transaction_hash", "spent_output_index", "value"),
    "outputs": ("index", "script_hex", "value"),
}
_OPTIONAL_FIELDS = ("index", "script_hex")
_OTHER = {"bitcoin-etl": "aws-btc", "aws-btc": "bitcoin-etl"}


def found_columns(layout: str, path: Path) -> frozenset[str]:
    """Dotted names of the columns of a layout that a file has.

    Raises `ColumnError` where one is missing or holds something else. Of JSON lines the first tells the
    names; the types are found out while reading.
    """
    schema = file_schema(path)
    if file_format(path) == "csv":
        raise FileError(
            path, why=f"the layout {layout} nests inputs in rows: give it as Parquet or JSON lines"
        )
    for name in _REQUIRED:
        if name not in schema.names:
            have = ", ".join(shown(n, 40)[1:-1] for n in schema.names[:20])
            raise ColumnError(
                path, column=name, why=f"is not there; the layout {layout} needs it; the file has {have}"
            )
    typed = file_format(path) != "json"
    wanted = [name for name in (*_REQUIRED[:2], *_OPTIONAL) if name in schema.names]
    for name in wanted:
        if typed:
            _check_type(path, layout, name, schema.field(name).type)
    for side in _FIELDS:
        wanted += _found_fields(layout, path, side, schema.field(side).type, typed=typed)
    return frozenset(wanted)


def json_types(layout: str, columns: frozenset[str]) -> pa.Schema:
    """Types to read the columns of JSON lines as."""
    text, whole = pa.string(), pa.int64()
    address = ("addresses", pa.list_(text)) if layout == "bitcoin-etl" else ("address", text)
    value = ("value", whole if layout == "bitcoin-etl" else pa.float64())
    spent = [("spent_transaction_hash", text), ("spent_output_index", whole)]
    top = {"hash": text, "block_timestamp": whole, "block_number": whole, "block_hash": text, "index": whole}
    top["is_coinbase"] = pa.bool_()
    return pa.schema(
        [(name, kind) for name, kind in top.items() if name in columns]
        + [("inputs", pa.list_(pa.struct([("index", whole), *spent, address, value])))]
        + [("outputs", pa.list_(pa.struct([("index", whole), ("script_hex", text), address, value])))]
    )


def _found_fields(layout: str, path: Path, side: str, kind: pa.DataType, *, typed: bool) -> list[str]:
    fields = [*_FIELDS[side], "addresses" if layout == "bitcoin-etl" else "address"]
    record = kind.value_type if _is_list(kind) else kind
    if not typed and pa.types.is_null(record):
        return [f"{side}.{field}" for field in fields]  # an empty list in the first line tells nothing
    if not _is_list(kind) or not pa.types.is_struct(record):
        raise ColumnError(path, column=side, why=f"must be a list of records, and holds {kind}")
    found = []
    for field in fields:
        name = f"{side}.{field}"
        if not typed and field in _OPTIONAL_FIELDS:
            found.append(name)  # a later line may have it
        elif record.get_field_index(field) >= 0:
            if typed:
                _check_type(path, layout, name, record.field(field).type)
            found.append(name)
        elif field not in _OPTIONAL_FIELDS:
            hint = f"; the layout {_OTHER[layout]} may fit" if field.startswith("address") else ""
            raise ColumnError(path, column=name, why=f"is not there; the layout {layout} needs it{hint}")
    return found


def _check_type(path: Path, layout: str, name: str, kind: pa.DataType) -> None:
    field = name.rpartition(".")[2]
    if field == "value":
        fits = pa.types.is_integer(kind) if layout == "bitcoin-etl" else pa.types.is_floating(kind)
        wanted = "whole satoshi" if layout == "bitcoin-etl" else "doubles of BTC"
    elif field == "addresses":
        fits, wanted = _is_list(kind), "a list of addresses"
    elif field in ("index", "spent_output_index", "block_number"):
        fits, wanted = pa.types.is_integer(kind), "whole numbers"
    elif field == "block_timestamp":
        fits, wanted = (
            pa.types.is_integer(kind) or pa.types.is_timestamp(kind),
            "seconds since 1970 or timestamps",
        )
    elif field == "is_coinbase":
        fits, wanted = pa.types.is_boolean(kind), "true or false"
    else:
        fits, wanted = pa.types.is_string(kind) or pa.types.is_large_string(kind), "text"
    if not fits and not pa.types.is_null(kind):
        hint = f"; the layout {_OTHER[layout]} may fit" if field == "value" else ""
        raise ColumnError(
            path, column=name, why=f"must hold {wanted} in the layout {layout}, and holds {kind}{hint}"
        )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
