"""Payment files: any CSV or Parquet with a mapping of its columns, one payer and one payee a row."""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chains.address import canonical_address
from chains.amounts import raw_amount, raw_units
from chains.assets import MAX_DECIMALS, asset_reference, find_asset, is_token, listed_assets
from chains.bulk import canonical_addresses, utc_times
from chains.errors import AddressError, ColumnError, FileError
from chains.files.mapping import UNITS_A_SECOND, PaymentMapping, default_mapping
from chains.files.rows import file_format, file_schema, read_rows
from chains.ledger import (
    AMOUNT,
    LEG_SCHEMA,
    TRANSFER_SCHEMA,
    Asset,
    Kind,
    LegBatch,
    Side,
)
from chains.registry import Chain
from chains.rejections import Rejections, shown, value_at

_MAX_REFERENCE = 256
_LAST_MICROSECOND = 7_258_118_400 * 1_000_000  # the year 2200
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HASH = re.compile("(0x)?[0-9a-fA-F]{64}")
_COUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_NOTHING = Asset("", "", 0, listed=False)
_FAULTS = {
    "bad_amount": "is no amount: it must be a number, not negative",
    "too_large": "has more than 38 digits",
}


def read_payments(
    path: Path,
    *,
    chain: Chain,
    mapping: PaymentMapping | None = None,
    listed: Collection[str] = (),
    rows_per_batch: int,
) -> Iterator[LegBatch]:
    """Read a payment file; errors of the file and its mapping are raised before the first batch.

    Without a mapping the columns must be called as the fields are.
    """
    if chain.utxo:
        raise FileError(
            path,
            why=f"payments do not say which outputs they spend on {chain.name}: use bitcoin-etl or aws-btc",
        )
    schema = file_schema(path)
    if file_format(path) == "json":
        raise FileError(path, why="payments are read from CSV or Parquet")
    mapping = mapping or default_mapping(schema.names)
    _check_columns(path, schema, mapping)
    reader = _PaymentReader(chain, mapping, listed)
    constant = mapping.constant("currency")
    if constant is not None:
        found = reader.asset_of(constant, mapping.constant("symbol"), mapping.constant("decimals") or "0")
        if isinstance(found, str):
            raise ColumnError(path, column=f"currency=@{constant}", why=found)
        reader.assets.clear()
    columns = sorted({name for field in mapping.columns if (name := mapping.column(field)) is not None})
    if mapping.hint("time") is None and _counts(path, mapping.column("time")):
        raise ColumnError(
            path,
            column=mapping.columns["time"],
            why="holds numbers: say of what, as time=COLUMN:s or time=COLUMN:ms",
        )
    return reader.batches(read_rows(path, columns, rows_per_batch=rows_per_batch))


def _check_columns(path: Path, schema: pa.Schema, mapping: PaymentMapping) -> None:
    for field in mapping.columns:
        name = mapping.column(field)
        if name is None:
            continue
        if name not in schema.names:
            have = ", ".join(shown(n, 40)[1:-1] for n in schema.names[:20])
            raise ColumnError(path, column=name, why=f"is not there ({field}); the file has {have}")
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
            raise ColumnError(path, column=name, why=f"holds {kind}, which no {field} is written as")
        if field in ("payer", "payee", "currency", "reference") and pa.types.is_floating(kind):
            raise ColumnError(
                path, column=name, why=f"holds doubles: a {field} must be text or whole numbers"
            )


def _counts(path: Path, column: str | None) -> bool:
    """Whether the first time of the file is a bare number."""
    rows = read_rows(path, [column or ""], rows_per_batch=1)
    first = next(rows, None)
    rows.close()
    value = first.column(0)[0].as_py() if first is not None else None
    return isinstance(value, (int, float, Decimal)) or (isinstance(value, str) and value.strip().isdigit())


class _PaymentReader:
    """What is held over the batches of a file: the assets met so far, each as its first row describes it."""

    def __init__(self, chain: Chain, mapping: PaymentMapping, listed: Collection[str]) -> None:
        self.chain, self.mapping = chain, mapping
        self.listed = {asset_reference(text.strip(), chain) for text in listed}
        self.assets: dict[str, Asset] = {}
        self.symbols = {asset.symbol: asset for asset in listed_assets(chain)}

    def batches(self, source: Iterator[pa.RecordBatch]) -> Iterator[LegBatch]:
        """Legs of each batch of rows."""
        row = 0
        for rows in source:
            yield self._batch(rows, row)
            row += rows.num_rows

    def _batch(self, rows: pa.RecordBatch, first_row: int) -> LegBatch:
        rejected = Rejections(rows.num_rows)
        times = self._times(rows, rejected)
        payers = self._accounts(rows, "payer", rejected)
        payees = self._accounts(rows, "payee", rejected)
        assets = self._assets(rows, rejected)
        amounts, lossy = self._amounts(rows, assets, rejected)
        hashes = self._hashes(rows, rejected)
        kept = rejected.kept()
        keep, places = pa.array(kept), np.flatnonzero(kept)
        count = len(places)
        moved = [assets[i] for i in places]
        transfers = pa.table(
            {
                "transfer": np.arange(count, dtype=np.int64),
                "row": places + first_row,
                "height": pa.nulls(count, pa.int64()),
                "position": pa.nulls(count, pa.int32()),
                "kind": pa.array([self._kind(asset) for asset in moved], pa.string()),
                "part": np.zeros(count, np.int32),
                "time": times.filter(keep),
                "hash": hashes.filter(keep),
                "asset": pa.array([asset.reference for asset in moved], pa.string()),
                "block_hash": pa.nulls(count, pa.binary()),
                "lossy": pa.array(lossy, pa.bool_()).filter(keep),
            },
            schema=TRANSFER_SCHEMA,
        )
        twice = pa.array(np.repeat(np.arange(count), 2))
        payee = pa.array(np.arange(2 * count) % 2 == 1)
        legs = pa.table(
            {
                "transfer": twice,
                "side": pc.if_else(payee, Side.PAYEE.value, Side.PAYER.value),
                "index": np.zeros(2 * count, np.int32),
                "account": pc.if_else(
                    payee, payees.filter(keep).take(twice), payers.filter(keep).take(twice)
                ),
                "amount": pa.array(amounts, AMOUNT).filter(keep).take(twice),
                "spent_hash": pa.nulls(2 * count, pa.binary()),
                "spent_index": pa.nulls(2 * count, pa.int32()),
            },
            schema=LEG_SCHEMA,
        )
        used = {asset.reference: asset for asset in moved}
        return LegBatch(
            transfers, legs, rejected.table(first_row), tuple(used[name] for name in sorted(used))
        )

    def _kind(self, asset: Asset) -> str:
        token = self.chain.family != "payments" and is_token(asset.reference)
        return Kind.TOKEN.value if token else Kind.NATIVE.value

    def _column(self, rows: pa.RecordBatch, field: str) -> pa.Array:
        column = rows.column(self.mapping.column(field))
        binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
        return _decoded(column) if binary else column

    def _texts(self, rows: pa.RecordBatch, field: str) -> list[str | None]:
        """The texts of a field that may be a column, one value for all, or nothing."""
        if self.mapping.column(field) is None:
            return [self.mapping.constant(field)] * rows.num_rows
        texts: list[str | None] = self._column(rows, field).cast(pa.string()).to_pylist()
        return texts

    def _times(self, rows: pa.RecordBatch, rejected: Rejections) -> pa.Array:
        column = self._column(rows, "time")
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            times, _ = utc_times(column)
        else:
            unit = UNITS_A_SECOND.get(self.mapping.hint("time") or "")
            micros = pa.array([_micros(value, unit) for value in column.to_pylist()], pa.int64())
            times = micros.cast(pa.timestamp("us"))
        for i in np.flatnonzero(np.asarray(times.is_null())):
            value = value_at(column, int(i))
            rejected.add(
                int(i), "bad_time", "there is no time" if value is None else f"{shown(value)} is no time"
            )
        return times

    def _accounts(self, rows: pa.RecordBatch, field: str, rejected: Rejections) -> pa.Array:
        column = self._column(rows, field).cast(pa.string())
        accounts, _ = canonical_addresses(column, self.chain)
        for i in np.flatnonzero(np.asarray(accounts.is_null())):
            rejected.add(int(i), "bad_address", _address_fault(column[int(i)].as_py(), self.chain, field))
        return accounts

    def _assets(self, rows: pa.RecordBatch, rejected: Rejections) -> list[Asset]:
        columns = [self._texts(rows, field) for field in ("currency", "symbol", "decimals")]
        assets = []
        for i, (text, symbol, decimals) in enumerate(zip(*columns, strict=True)):
            # A rejected row describes no asset, so that it cannot name one first.
            found = self.asset_of(text, symbol, decimals) if not rejected.has(i) else _NOTHING
            if isinstance(found, str):
                rejected.add(i, "bad_currency", found)
                found = _NOTHING
            assets.append(found)
        return assets

    def asset_of(self, text: str | None, symbol: str | None, decimals: str | None) -> Asset | str:
        """Asset of a currency's text, as the first row that names it describes it; or why it is none."""
        word = (text or "").strip()
        found = self.assets.get(word) or self._new_asset(word, symbol, decimals)
        if isinstance(found, Asset):
            self.assets[word] = found
        return found

    def _new_asset(self, word: str, symbol: str | None, decimals: str | None) -> Asset | str:
        reference = asset_reference(word, self.chain)
        if reference is None and word == self.mapping.constant("currency") and word in self.symbols:
            return self.symbols[word]  # the user's own word, not that of whoever issued a token
        if not word:
            return "there is no currency"
        if reference is None:
            hint = " (name a token by its contract)" if self.chain.family != "payments" else ""
            return f"{shown(word)} is neither a currency code nor an asset of {self.chain.name}{hint}"
        known = find_asset(self.chain, reference)
        if known.listed:
            return known
        digits = int(decimals) if decimals and re.fullmatch("[0-9]{1,2}", decimals.strip()) else None
        if self.mapping.hint("amount") != "units" and (digits is None or digits > MAX_DECIMALS):
            return (
                f"nobody says how many decimals {shown(word)} has: map decimals=COLUMN or amount=COLUMN:units"
            )
        listed = reference in self.listed
        return find_asset(self.chain, reference, symbol=symbol, decimals=digits, listed=listed)

    def _amounts(
        self, rows: pa.RecordBatch, assets: list[Asset], rejected: Rejections
    ) -> tuple[list[int], list[bool]]:
        units = self.mapping.hint("amount") == "units"
        amounts, lossy = [], []
        for i, value in enumerate(self._column(rows, "amount").to_pylist()):
            found = raw_units(value) if units else raw_amount(value, assets[i].decimals)
            if isinstance(found, str):
                text = "there is no amount" if value is None else f"{shown(value)} {_FAULTS[found]}"
                rejected.add(i, found, text)
                found = (0, False)
            amounts.append(found[0])
            lossy.append(found[1])
        return amounts, lossy

    def _hashes(self, rows: pa.RecordBatch, rejected: Rejections) -> pa.Array:
        """Transaction hashes of chains as their bytes; references of payments as UTF-8."""
        on_chain = self.chain.family != "payments"
        hashes: list[bytes | None] = []
        for i, text in enumerate(self._texts(rows, "reference")):
            if text is not None and on_chain and _HASH.fullmatch(text):
                hashes.append(bytes.fromhex(text[-64:]))
            else:
                hashes.append(text.encode() if text is not None else None)
            if text is not None and len(text) > _MAX_REFERENCE:
                rejected.add(i, "bad_reference", f"a reference of {len(text)} characters is too long")
        return pa.array(hashes, pa.binary())


def _decoded(column: pa.Array) -> pa.Array:
    """Text that a writer stored as plain bytes; null where it is not UTF-8."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_decode(value) for value in column.to_pylist()], pa.string())


def _decode(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def _address_fault(text: str | None, chain: Chain, field: str) -> str:
    if text is None:
        return f"there is no {field}"
    try:
        canonical_address(text.strip(), chain)
    except AddressError as error:
        return f"{field}: {error}"
    return f"{field}: {shown(text)}"


def _micros(value: object, units_a_second: int | None) -> int | None:
    """Microseconds since 1970 UTC of a time within 1970 to 2199; a time without a zone is UTC."""
    micros: int | None = None
    if units_a_second is not None:
        word = repr(value) if isinstance(value, float) else str(value).strip()
        micros = int(Decimal(word) * 1_000_000 / units_a_second) if _COUNT.fullmatch(word) else None
    elif isinstance(value, str) and not value.strip().isdigit():
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        micros = (aware - _EPOCH) // _MICROSECOND
    return micros if micros is not None and 0 <= micros < _LAST_MICROSECOND else None
