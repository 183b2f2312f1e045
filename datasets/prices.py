"""Daily prices in US dollars, from a CSV file into the ledger."""

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pyarrow as pa

from chains.address import Chain, find_chain
from chains.errors import ColumnError, FileError, UnknownChain
from datasets.store import Ledger, chain_number, registered, transaction

COLUMNS = ("asset", "day", "usd")

_CAIP19 = re.compile(
    r"(?P<chain>[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32})/(?P<asset>[-a-z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128})"
)
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,40})?")
_MOST_MICRO = 2**63 - 1


@dataclass(frozen=True)
class PriceImport:
    """What one price file did: rows read, and of those how many were new or replaced another price."""

    source: str
    rows: int
    added: int
    replaced: int


def import_prices(ledger: Ledger, path: Path) -> PriceImport:
    """Write the prices of a CSV file with the columns asset, day, usd; all of them or none.

    `asset` is a CAIP-19 id (`eip155:1/slip44:60`), `day` an ISO date, `usd` a positive decimal text: US
    dollars for one whole unit, kept to the nearest millionth, ties to even. A price replaces an earlier
    one of the same asset and day. Raises FileError or ColumnError and names the line.
    """
    prices: dict[tuple[str, str, date], int] = {}
    chains: dict[str, Chain] = {}
    rows = 0
    for line, row in _read_rows(path):
        rows += 1
        chain, reference = _read_asset(path, line, row["asset"])
        key = (chain.caip2, reference, _read_day(path, line, row["day"]))
        micro = _read_usd(path, line, row["usd"])
        if prices.setdefault(key, micro) != micro:
            raise FileError(
                path, why=f"line {line} gives another price for an asset and day of an earlier line"
            )
        chains[chain.caip2] = chain
    with transaction(ledger) as connection:
        numbers = {caip2: chain_number(ledger, chains[caip2]) for caip2 in sorted(chains)}
        table = pa.table(
            {
                "chain": pa.array([numbers[caip2] for caip2, _, _ in prices], pa.int16()),
                "reference": pa.array([reference for _, reference, _ in prices], pa.string()),
                "day": pa.array([day for _, _, day in prices], pa.date32()),
                "usd_micro": pa.array(list(prices.values()), pa.int64()),
            }
        )
        with registered(connection, given_price=table):
            replaced, known = connection.execute(
                """
                SELECT count(*) FILTER (price.usd_micro <> given_price.usd_micro), count(*)
                FROM price JOIN given_price USING (chain, reference, day)
                """
            ).fetchall()[0]
            connection.execute(
                """
                INSERT INTO price (chain, reference, day, usd_micro, source)
                SELECT chain, reference, day, usd_micro, $source FROM given_price
                ON CONFLICT DO UPDATE SET usd_micro = excluded.usd_micro, source = excluded.source
                WHERE price.usd_micro <> excluded.usd_micro
                """,
                {"source": f"{path.name} sha256:{_hash(path)}"},
            )
    return PriceImport(path.name, rows, len(prices) - known, replaced)


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and row; the header must name the three columns, others are ignored."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restkey="", restval="")
            for column in COLUMNS:
                if column not in (reader.fieldnames or ()):
                    why = f"is missing; a price file has the columns {', '.join(COLUMNS)}"
                    raise ColumnError(path, column=column, why=why)
            for row in reader:
                yield reader.line_num, {column: row[column].strip() for column in COLUMNS}
    except OSError as error:
        raise FileError(path, why=f"cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise FileError(path, why="is not text in UTF-8") from error
    except csv.Error as error:
        raise FileError(path, why=f"is not a CSV file ({error})") from error


def _read_asset(path: Path, line: int, text: str) -> tuple[Chain, str]:
    found = _CAIP19.fullmatch(text)
    if found is None:
        why = f"line {line}: {_shown(text)} is no asset; write it as eip155:1/slip44:60 (CAIP-19)"
        raise ColumnError(path, column="asset", why=why)
    try:
        chain = find_chain(found["chain"])
    except UnknownChain as error:
        raise ColumnError(path, column="asset", why=f"line {line}: {error}") from error
    reference = found["asset"]
    return chain, reference.lower() if reference.startswith("erc20:") else reference


def _read_day(path: Path, line: int, text: str) -> date:
    try:
        if len(text) != 10:
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError as error:
        why = f"line {line}: {_shown(text)} is no day; write it as 2023-01-31"
        raise ColumnError(path, column="day", why=why) from error


def _read_usd(path: Path, line: int, text: str) -> int:
    """Return micro-USD; a price that is nothing would read as worthless where it is only unknown."""
    micro = 0
    if _DECIMAL.fullmatch(text):
        micro = int((Decimal(text) * 1_000_000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    if not 0 < micro <= _MOST_MICRO:
        why = f"line {line}: {_shown(text)} is no price in dollars, such as 1645.23, of a millionth or more"
        raise ColumnError(path, column="usd", why=why)
    return micro


def _shown(text: str) -> str:
    return repr(text[:60] + "…" if len(text) > 60 else text)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
