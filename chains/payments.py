"""Payment files: any CSV, JSON lines or Parquet with a mapping of its columns, one payer and one payee a row."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.address import canonical_address
from chains.amounts import raw_amount, raw_units
from chains.assets import (
    MAX_DECIMALS,
    currency_digits,
    find_asset,
    listed_assets,
    native_asset,
    token_reference,
)
from chains.bulk import canonical_addresses
from chains.errors import AddressError, ColumnError, FileError
from chains.ledger import (
    AMOUNT,
    LEG_SCHEMA,
    REJECT_SCHEMA,
    TRANSFER_SCHEMA,
    Asset,
    Kind,
    LegBatch,
    Side,
)
from chains.registry import Chain
from chains.rows import file_format, file_schema, read_rows

REQUIRED = ("time", "payer", "payee", "amount", "currency")
OPTIONAL = ("reference", "decimals", "symbol")
_CONSTANT = ("currency", "decimals", "symbol")
_UNITS_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_HINTS = {"time": tuple(_UNITS_A_SECOND), "amount": ("units",)}
_MAX_REFERENCE = 256
_LAST_MICROSECOND = 7_258_118_400 * 1_000_000  # the year 2200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HASH = re.compile("(0x)?[0-9a-fA-F]{64}")
_TRC10 = re.compile("[0-9]{7}")


@dataclass(frozen=True)
class PaymentMapping:
    """Which column of a payment file holds which field.

    `columns` has a text for each field: the column's name, with `:s`, `:ms`, `:us` or `:ns` after the one of
    `time` where it counts from 1970, and `:units` after the one of `amount` where it holds raw integers; or
    `@` and a value that holds for every row (`currency`, `decimals` and `symbol` only).
    """

    columns: Mapping[str, str]

    @classmethod
    def parse(cls, items: Sequence[str]) -> "PaymentMapping":
        """Read items such as `time=timestamp:ms`; raises `ColumnError` for an unknown, doubled or missing field."""
        columns: dict[str, str] = {}
        for item in items:
            field, equals, text = item.partition("=")
            field = field.strip()
            if not equals or not text.strip():
                raise _mapping_error(item, "write it as FIELD=COLUMN, for example time=timestamp:ms")
            if field not in (*REQUIRED, *OPTIONAL):
                raise _mapping_error(field, f"is no field; there are {', '.join((*REQUIRED, *OPTIONAL))}")
            if field in columns:
                raise _mapping_error(field, "is given twice")
            if text.startswith("@") and field not in _CONSTANT:
                raise _mapping_error(
                    field, f"must be a column; only {', '.join(_CONSTANT)} may be one value for all"
                )
            columns[field] = text.strip()
        for field in REQUIRED:
            if field not in columns:
                raise _mapping_error(field, f"is missing: give {field}=COLUMN")
        return cls(columns)

    def as_json(self) -> str:
        """The mapping as JSON with sorted keys: one text for one mapping."""
        return json.dumps(dict(self.columns), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def column(self, field: str) -> str | None:
        """Name of the column of a field; None where it has none."""
        text = self.columns.get(field)
        if text is None or text.startswith("@"):
            return None
        name, colon, hint = text.rpartition(":")
        return name if colon and hint in _HINTS.get(field, ()) else text

    def hint(self, field: str) -> str | None:
        """Unit of a field's column; None where none is given."""
        text = self.columns.get(field, "")
        _, colon, hint = text.rpartition(":")
        return hint if colon and hint in _HINTS.get(field, ()) else None

    def constant(self, field: str) -> str | None:
        """Value that holds for every row; None where the field is a column or absent."""
        text = self.columns.get(field, "")
        return text[1:].strip() if text.startswith("@") else None


def _mapping_error(column: str, why: str) -> ColumnError:
    return ColumnError("column mapping", column=column, why=why)


def default_mapping(names: Collection[str]) -> PaymentMapping:
    """The mapping of a file whose columns are called as the fields are."""
    present = [field for field in (*REQUIRED, *OPTIONAL) if field in names or field in REQUIRED]
    return PaymentMapping({field: field for field in present})


def read_payments(
    path: Path,
    *,
    chain: Chain,
    mapping: PaymentMapping | None = None,
    listed: Collection[str] = (),
    rows_per_batch: int,
) -> Iterator[LegBatch]:
    """Read a payment file; errors of file and mapping are raised here, before the first batch is asked for."""
    if chain.utxo:
        raise FileError(
            path,
            why=f"payments cannot say which outputs they spend on {chain.name}: use bitcoin-etl or aws-btc",
        )
    schema = file_schema(path)
    mapping = mapping or default_mapping(schema.names)
    _check_columns(path, schema, mapping)
    reader = _PaymentReader(path, chain, mapping, frozenset(listed))
    constant = mapping.constant("currency")
    if constant is not None and isinstance(found := reader.asset_of(constant, None, None), str):
        raise ColumnError(path, column=f"@{constant}", why=f"is no currency of {chain.name}: {found}")
    columns = sorted({name for field in mapping.columns if (name := mapping.column(field)) is not None})
    types = pa.schema([(name, pa.string()) for name in columns])
    first = read_rows(path, columns, rows_per_batch=1, types=types)
    if mapping.hint("time") is None and _counts(next(first, None), mapping):
        raise ColumnError(
            path,
            column=mapping.columns["time"],
            why="holds numbers: say of what, as time=COLUMN:s or time=COLUMN:ms",
        )
    first.close()  # type: ignore[attr-defined]
    return reader.batches(read_rows(path, columns, rows_per_batch=rows_per_batch, types=types))


def _check_columns(path: Path, schema: pa.Schema, mapping: PaymentMapping) -> None:
    for field in mapping.columns:
        name = mapping.column(field)
        if name is None:
            continue
        if name not in schema.names:
            have = ", ".join(repr(n)[1:-1][:40] for n in schema.names[:20])
            raise ColumnError(path, column=name, why=f"is not there ({field}); the file has {have}")
        if file_format(path) != "parquet":
            continue
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
            raise ColumnError(path, column=name, why=f"holds {kind}, which no {field} is written as")
        if field in ("payer", "payee", "currency", "reference") and pa.types.is_floating(kind):
            raise ColumnError(
                path, column=name, why=f"holds doubles: a {field} must be text or whole numbers"
            )


def _counts(batch: pa.RecordBatch | None, mapping: PaymentMapping) -> bool:
    if batch is None or batch.num_rows == 0:
        return False
    value = batch.column(mapping.column("time"))[0].as_py()
    return isinstance(value, (int, float, Decimal)) or (isinstance(value, str) and value.strip().isdigit())


class _PaymentReader:
    """What is held over the batches of one file: the assets met so far, each as its first row describes it."""

    def __init__(self, path: Path, chain: Chain, mapping: PaymentMapping, listed: frozenset[str]) -> None:
        self.path, self.chain, self.mapping = path, chain, mapping
        self.listed = {_plain_reference(text) for text in listed}
        self.assets: dict[str, Asset | str] = {}
        self.symbols = {asset.symbol: asset for asset in listed_assets(chain)}

    def batches(self, source: Iterator[pa.RecordBatch]) -> Iterator[LegBatch]:
        """Legs of each batch of rows."""
        row = 0
        for rows in source:
            yield self._batch(rows, row)
            row += rows.num_rows

    def _batch(self, rows: pa.RecordBatch, first_row: int) -> LegBatch:
        mapping, count = self.mapping, rows.num_rows
        rejected = _Rejections(count)
        times = self._times(rows, rejected)
        payers = self._accounts(rows, "payer", rejected)
        payees = self._accounts(rows, "payee", rejected)
        assets = self._assets(rows, rejected)
        amounts, lossy = self._amounts(rows, assets, rejected)
        hashes = self._hashes(rows, rejected)
        keep = [i for i in range(count) if rejected.reasons[i] is None]
        numbers = np.arange(len(keep), dtype=np.int64)
        token = self.chain.family != "payments"
        kept = [assets[i] for i in keep]
        transfers = pa.table(
            {
                "transfer": numbers,
                "row": np.asarray(keep, np.int64) + first_row,
                "height": pa.nulls(len(keep), pa.int64()),
                "position": pa.nulls(len(keep), pa.int32()),
                "kind": [Kind.TOKEN.value if token and _is_token(a) else Kind.NATIVE.value for a in kept],
                "part": np.zeros(len(keep), np.int32),
                "time": pa.array([times[i] for i in keep], pa.int64()).cast(pa.timestamp("us")),
                "hash": pa.array([hashes[i] for i in keep], pa.binary()),
                "asset": pa.array([asset.reference for asset in kept], pa.string()),
                "block_hash": pa.nulls(len(keep), pa.binary()),
                "lossy": pa.array([lossy[i] for i in keep], pa.bool_()),
            },
            schema=TRANSFER_SCHEMA,
        )
        both = pa.array(np.column_stack([keep, keep]).ravel().astype(np.int64) if keep else [], pa.int64())
        odd = np.arange(2 * len(keep)) % 2 == 1
        accounts = pc.if_else(pa.array(odd), payees.take(both), payers.take(both))
        legs = pa.table(
            {
                "transfer": np.repeat(numbers, 2),
                "side": pa.array(np.where(odd, Side.PAYEE.value, Side.PAYER.value).tolist(), pa.string()),
                "index": np.zeros(2 * len(keep), np.int32),
                "account": accounts,
                "amount": pa.array([amounts[i] for i in keep for _ in (0, 1)], AMOUNT),
                "spent_hash": pa.nulls(2 * len(keep), pa.binary()),
                "spent_index": pa.nulls(2 * len(keep), pa.int32()),
            },
            schema=LEG_SCHEMA,
        )
        used = {asset.reference: asset for asset in kept}
        return LegBatch(
            transfers, legs, rejected.table(first_row), tuple(used[reference] for reference in sorted(used))
        )

    def _column(self, rows: pa.RecordBatch, field: str) -> pa.Array | None:
        name = self.mapping.column(field)
        return None if name is None else rows.column(name)

    def _times(self, rows: pa.RecordBatch, rejected: "_Rejections") -> list[int]:
        column = self._column(rows, "time")
        unit = _UNITS_A_SECOND.get(self.mapping.hint("time") or "")
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        times = []
        for i, value in enumerate(column.to_pylist()):
            micros = _micros(value, unit)
            if micros is None or not 0 <= micros < _LAST_MICROSECOND:
                rejected.add(
                    i, "bad_time", "there is no time" if value is None else f"{_shown(value)} is no time"
                )
            times.append(micros or 0)
        return times

    def _accounts(self, rows: pa.RecordBatch, field: str, rejected: "_Rejections") -> pa.Array:
        column = self._column(rows, field).cast(pa.string())
        accounts, broken = canonical_addresses(column, self.chain)
        for i in np.flatnonzero(broken):
            rejected.add(int(i), "bad_address", _address_fault(column[int(i)].as_py(), self.chain, field))
        for i in np.flatnonzero(np.asarray(column.is_null())):
            rejected.add(int(i), "bad_address", f"there is no {field}")
        return accounts

    def _assets(self, rows: pa.RecordBatch, rejected: "_Rejections") -> list[Asset]:
        count = rows.num_rows
        texts = _values(self._column(rows, "currency"), self.mapping.constant("currency"), count)
        symbols = _values(self._column(rows, "symbol"), self.mapping.constant("symbol"), count)
        digits = _values(self._column(rows, "decimals"), self.mapping.constant("decimals"), count)
        assets = []
        nothing = Asset("", "", 0, listed=False)
        for i, text in enumerate(texts):
            if rejected.reasons[i] is not None:
                assets.append(nothing)  # a rejected row does not describe an asset
                continue
            found = self.asset_of(text, symbols[i], digits[i])
            if isinstance(found, str):
                rejected.add(i, "bad_currency", found)
                found = nothing
            assets.append(found)
        return assets

    def asset_of(self, text: str | None, symbol: str | None, decimals: str | None) -> Asset | str:
        """Asset of a currency's text, as the first row that names it describes it; or why it is none."""
        word = (text or "").strip()
        if word not in self.assets:
            found = self._new_asset(word, symbol, decimals)
            if isinstance(found, str):
                return found
            self.assets[word] = found
        return self.assets[word]

    def _new_asset(self, word: str, symbol: str | None, decimals: str | None) -> Asset | str:
        reference = _reference(word, self.chain)
        if reference is None and word and word == self.mapping.constant("currency") and word in self.symbols:
            return self.symbols[word]
        if reference is None:
            if not word:
                return "there is no currency"
            hint = "" if self.chain.family == "payments" else " (name a token by its contract)"
            return f"{_shown(word)} is neither a currency code nor an asset of this chain{hint}"
        digits = int(decimals) if decimals and re.fullmatch("[0-9]{1,2}", decimals.strip()) else None
        listed = _plain_reference(reference) in self.listed
        asset = find_asset(self.chain, reference, symbol=symbol, decimals=digits, listed=listed)
        known = asset == find_asset(self.chain, reference) and asset.listed
        if not known and self.mapping.hint("amount") != "units" and (digits is None or digits > MAX_DECIMALS):
            return f"nobody says how many decimals {_shown(word)} has: map decimals=COLUMN or amount=COLUMN:units"
        return asset

    def _amounts(
        self, rows: pa.RecordBatch, assets: list[Asset], rejected: "_Rejections"
    ) -> tuple[list[int], list[bool]]:
        units = self.mapping.hint("amount") == "units"
        amounts, lossy = [], []
        for i, value in enumerate(self._column(rows, "amount").to_pylist()):
            found = raw_units(value) if units else raw_amount(value, assets[i].decimals)
            if isinstance(found, str):
                rejected.add(
                    i, found, "there is no amount" if value is None else f"{_shown(value)} {_FAULTS[found]}"
                )
                found = (0, False)
            amounts.append(found[0])
            lossy.append(found[1])
        return amounts, lossy

    def _hashes(self, rows: pa.RecordBatch, rejected: "_Rejections") -> list[bytes | None]:
        """Transaction hashes of chains as their bytes; references of payments as UTF-8."""
        chain_hashes = self.chain.family != "payments"
        hashes: list[bytes | None] = []
        for i, text in enumerate(_values(self._column(rows, "reference"), None, rows.num_rows)):
            if text is None:
                hashes.append(None)
            elif chain_hashes and _HASH.fullmatch(text):
                hashes.append(bytes.fromhex(text[-64:]))
            else:
                hashes.append(text.encode())
                if len(text) > _MAX_REFERENCE:
                    rejected.add(i, "bad_reference", f"a reference of {len(text)} characters is too long")
        return hashes


_FAULTS = {
    "bad_amount": "is no amount: it must be a number, not negative",
    "too_large": "has more than 38 digits",
}


class _Rejections:
    """The rows of one batch that make no transfer, each with the first reason found."""

    def __init__(self, count: int) -> None:
        self.reasons: list[tuple[str, str] | None] = [None] * count

    def add(self, row: int, reason: str, detail: str) -> None:
        """Reject a row, unless it is already."""
        if self.reasons[row] is None:
            self.reasons[row] = (reason, detail)

    def table(self, first_row: int) -> pa.Table:
        """The rejected rows, by row of the file."""
        found = [(first_row + i, *reason) for i, reason in enumerate(self.reasons) if reason is not None]
        columns = [list(column) for column in zip(*found, strict=True)] if found else [[], [], []]
        return pa.table(dict(zip(REJECT_SCHEMA.names, columns, strict=True)), schema=REJECT_SCHEMA)


def _reference(word: str, chain: Chain) -> str | None:
    """Reference of the asset that a currency's text names; None where it names none."""
    native = native_asset(chain)
    namespace, colon, rest = word.partition(":")
    if colon and namespace in ("erc20", "trc20", "trc10", "iso4217", "slip44", "currency"):
        plain = _reference(rest, chain) if namespace != "slip44" else word
        return plain if plain is not None and plain.partition(":")[0] == namespace else None
    if native is not None and word in (
        native.symbol,
        native.reference,
        "_" if chain.family == "tron" else "",
    ):
        return native.reference
    if word.upper() in currency_digits():
        return f"iso4217:{word.upper()}"
    if chain.family in ("evm", "tron"):
        if chain.family == "tron" and _TRC10.fullmatch(word):
            return f"trc10:{word}"
        try:
            return token_reference(chain, canonical_address(word, chain))
        except AddressError:
            return None
    if chain.family == "payments" and word.isprintable():
        coded = quote(word, safe="").replace("_", "%5F").replace("~", "%7E")
        return f"currency:{coded}" if 1 <= len(coded) <= 128 else None
    return None


def _plain_reference(text: str) -> str:
    """An asset's reference without its namespace, EVM contracts in lower case."""
    rest = text.strip().rpartition(":")[2]
    return rest.lower() if rest.lower().startswith("0x") else rest


def _is_token(asset: Asset) -> bool:
    return asset.reference.partition(":")[0] in ("erc20", "trc20", "trc10")


def _address_fault(text: str, chain: Chain, field: str) -> str:
    try:
        canonical_address(text.strip(), chain)
    except AddressError as error:
        return f"{field}: {error}"
    return f"{field}: {_shown(text)}"


def _values(column: pa.Array | None, constant: str | None, count: int) -> list[str | None]:
    if column is None:
        return [constant] * count
    texts: list[str | None] = column.cast(pa.string()).to_pylist()
    return texts


def _micros(value: object, units_a_second: int | None) -> int | None:
    """Microseconds since 1970 UTC of a time; None where it is none. A time without a zone is UTC."""
    if isinstance(value, str):
        word = value.strip()
        if units_a_second is not None:
            return _micros_of_count(word, units_a_second)
        try:
            value = None if word.isdigit() else datetime.fromisoformat(word)
        except ValueError:
            return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MICROSECOND
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day, tzinfo=UTC) - _EPOCH) // _MICROSECOND
    if isinstance(value, (int, float, Decimal)) and units_a_second is not None:
        return _micros_of_count(repr(value) if isinstance(value, float) else str(value), units_a_second)
    return None


def _micros_of_count(word: str, units_a_second: int) -> int | None:
    if not re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", word):
        return None
    return int(Decimal(word) * 1_000_000 / units_a_second)


def _shown(value: object, limit: int = 60) -> str:
    """Quote a value for a message: control characters escaped, cut at `limit` characters."""
    text = str(value)
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "'" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut) + "'"
