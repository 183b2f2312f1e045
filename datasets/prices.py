"""Daily prices and exchange rates in US dollars, from CSV files into the ledger."""

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from chains.address import Chain, find_chain
from chains.assets import currency_digits
from chains.errors import ColumnError, FileError, UnknownChain
from datasets.store import Ledger, chain_number, registered, transaction

COLUMNS = ("asset", "day", "usd")
OPTIONAL = ("until", "per_usd")

_CAIP19 = re.compile(
    r"((?P<chain>[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32})/)?(?P<asset>[-a-z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128})"
)
_COIN = re.compile(r"slip44:(0|[1-9][0-9]{0,9})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,40})?")
_EXACT = Context(prec=120)
_DIGITS = 9
_MOST_MICRO = 2**63 - 1
_FINEST = 12
_LONGEST = 3_700
"""Days that one row may stand for: a currency may be tied to the dollar for years."""

Key = tuple[str | None, str, date]
"""Chain (CAIP-2; None: every chain), reference, day."""


@dataclass(frozen=True)
class PriceImport:
    """What one price file did: rows read, and how many prices of a day were new or replaced another."""

    source: str
    rows: int
    added: int
    replaced: int


def import_prices(ledger: Ledger, path: Path) -> PriceImport:
    """Write the prices of a CSV file with the columns asset, day, usd; all of them or none.

    `asset` is a CAIP-19 id (`eip155:1/slip44:60`) or, for every chain, a currency or native coin alone
    (`iso4217:KZT`, `slip44:60`). `day` is an ISO date, `until` (optional) the last day on which the price
    still stands. `usd` is a positive decimal text: US dollars for one whole unit; `per_usd` may stand in its
    place: units for one US dollar. Kept to nine significant digits or a millionth, whichever is finer, ties
    to even. A price replaces an earlier one of the same asset and day. Raises FileError or ColumnError and
    names the line.
    """
    prices: dict[Key, tuple[int, int]] = {}
    chains: dict[str, Chain] = {}
    rows = 0
    for line, row in _read_rows(path):
        rows += 1
        chain, reference = _read_asset(path, line, row["asset"])
        price = _read_price(path, line, row)
        if reference == "iso4217:USD" and price != (1_000_000, 1):
            why = f"line {line}: a US dollar is worth one US dollar"
            raise ColumnError(path, column="usd", why=why)
        caip2 = None if chain is None else chain.caip2
        for day in _read_days(path, line, row):
            if prices.setdefault((caip2, reference, day), price) != price:
                raise FileError(
                    path, why=f"line {line} gives another price for an asset and day of an earlier line"
                )
        if chain is not None:
            chains[chain.caip2] = chain
    source = f"{path.name} sha256:{_hash(path)}"
    with transaction(ledger) as connection:
        numbers = {caip2: chain_number(ledger, chains[caip2]) for caip2 in sorted(chains)}
        table = pa.table(
            {
                "chain": pa.array([numbers.get(caip2 or "") for caip2, _, _ in prices], pa.int16()),
                "reference": pa.array([reference for _, reference, _ in prices], pa.string()),
                "day": pa.array([day for _, _, day in prices], pa.date32()),
                "usd_micro": pa.array([micro for micro, _ in prices.values()], pa.int64()),
                "units": pa.array([units for _, units in prices.values()], pa.int64()),
            }
        )
        own = _write(connection, "price", "chain, reference, day", table, source)
        every = _write(connection, "rate", "reference, day", table, source)
    return PriceImport(path.name, rows, own[0] + every[0], own[1] + every[1])


def _write(
    connection: duckdb.DuckDBPyConnection, name: str, key: str, table: pa.Table, source: str
) -> tuple[int, int]:
    """Write the prices that belong into one table; return how many are new, and how many replaced another."""
    given = table.filter(table["chain"].is_valid() if name == "price" else table["chain"].is_null())
    with registered(connection, given_price=given):
        replaced, known = connection.execute(
            f"""
            SELECT count(*) FILTER ((t.usd_micro, t.units) <> (g.usd_micro, g.units)), count(*)
            FROM {name} AS t JOIN given_price AS g USING ({key})
            """  # noqa: S608  (the tables and keys above)
        ).fetchall()[0]
        connection.execute(
            f"""
            INSERT INTO {name} ({key}, usd_micro, units, source)
            SELECT {key}, usd_micro, units, $source FROM given_price
            ON CONFLICT DO UPDATE
            SET usd_micro = excluded.usd_micro, units = excluded.units, source = excluded.source
            WHERE ({name}.usd_micro, {name}.units) <> (excluded.usd_micro, excluded.units)
            """,  # noqa: S608  (the tables and keys above)
            {"source": source},
        )
    return given.num_rows - known, replaced


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and row; the header must name the three columns, unknown ones are passed over."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restkey="", restval="")
            names = list(reader.fieldnames or ())
            for column in COLUMNS:
                if column not in names and not (column == "usd" and "per_usd" in names):
                    why = f"is missing; a price file has the columns {', '.join(COLUMNS)}"
                    raise ColumnError(path, column=column, why=why)
            for column in (*COLUMNS, *OPTIONAL):
                if names.count(column) > 1:
                    raise ColumnError(path, column=column, why="is there twice: which one counts?")
            for row in reader:
                yield (
                    reader.line_num,
                    {column: (row.get(column) or "").strip() for column in (*COLUMNS, *OPTIONAL)},
                )
    except OSError as error:
        raise FileError(path, why=f"cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise FileError(path, why="is not text in UTF-8") from error
    except csv.Error as error:
        raise FileError(path, why=f"is not a CSV file ({error})") from error


def _read_asset(path: Path, line: int, text: str) -> tuple[Chain | None, str]:
    found = _CAIP19.fullmatch(text)
    if found is None:
        why = f"line {line}: {_shown(text)} is no asset; write it as eip155:1/slip44:60 (CAIP-19)"
        raise ColumnError(path, column="asset", why=why)
    reference = found["asset"]
    if found["chain"] is None:
        _require_everywhere(path, line, reference)
        return None, reference
    try:
        chain = find_chain(found["chain"])
    except UnknownChain as error:
        raise ColumnError(path, column="asset", why=f"line {line}: {error}") from error
    return chain, reference.lower() if reference.startswith("erc20:") else reference


def _require_everywhere(path: Path, line: int, reference: str) -> None:
    """Refuse what is not the same on every chain: tokens, own units, and the coin of all test networks."""
    namespace, _, code = reference.partition(":")
    if namespace == "iso4217" and code in currency_digits():
        return
    if _COIN.fullmatch(reference) and code != "1":
        return
    why = (
        f"line {line}: {_shown(reference)} is no currency of ISO 4217 and no native coin, "
        "which alone are the same on every chain: write the chain before it, as in eip155:1/erc20:0x…"
    )
    raise ColumnError(path, column="asset", why=why)


def _read_days(path: Path, line: int, row: dict[str, str]) -> Iterator[date]:
    """Yield each day for which a row stands: nothing is carried on that the file does not say."""
    first = _read_day(path, line, "day", row["day"])
    last = _read_day(path, line, "until", row["until"]) if row["until"] else first
    days = (last - first).days + 1
    if not 1 <= days <= _LONGEST:
        why = f"line {line}: from {first} until {last} are not 1 to {_LONGEST:,} days"
        raise ColumnError(path, column="until", why=why)
    for day in range(days):
        yield first + timedelta(days=day)


def _read_day(path: Path, line: int, column: str, text: str) -> date:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError as error:
        why = f"line {line}: {_shown(text)} is no day; write it as 2023-01-31"
        raise ColumnError(path, column=column, why=why) from error


def _read_price(path: Path, line: int, row: dict[str, str]) -> tuple[int, int]:
    """Return micro-USD and for how many whole units. No price is nothing: that would not be unknown."""
    if row["usd"] and row["per_usd"]:
        why = f"line {line} gives usd and per_usd: one of them says it all"
        raise ColumnError(path, column="per_usd", why=why)
    column = "per_usd" if row["per_usd"] else "usd"
    text = row[column]
    price = Decimal(text) if _DECIMAL.fullmatch(text) else Decimal(0)
    if column == "per_usd" and price > 0:
        price = _EXACT.divide(Decimal(1), price)
    for finer in range(_FINEST + 1):
        micro = price.scaleb(6 + finer, _EXACT)
        if micro >= 10**_DIGITS or micro == micro.to_integral_value(context=_EXACT):
            break
    found = int(micro.quantize(Decimal(1), rounding=ROUND_HALF_EVEN, context=_EXACT))
    if not 0 < found <= _MOST_MICRO:
        what = "price in dollars, such as 1645.23" if column == "usd" else "rate, such as 449.5 to the dollar"
        raise ColumnError(path, column=column, why=f"line {line}: {_shown(text)} is no {what}")
    return found, 10**finer


def _shown(text: str) -> str:
    return repr(text[:60] + "…" if len(text) > 60 else text)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
