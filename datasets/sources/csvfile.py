"""Labels in a CSV file: the way for an office's own lists, and for closed cases of another system.

Comma-separated UTF-8 with a header line. `account` and `category` are required, the other columns may be
left out; docs/labels.md describes each. A column of another name is an error: it may be a misspelt one.

A cell that a spreadsheet would take for a formula is written with an apostrophe before it, and read without:
so a text that somebody chose stays a text wherever the file is opened.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from chains.address import Account, parse_account
from chains.errors import AddressError, AmbiguousAddress, ColumnError, LabelError, UnknownChain
from datasets.sources.claims import (
    Label,
    LabelList,
    RefusedError,
    Rejection,
    clean_text,
    is_open_licence,
    read_time,
    shown,
)
from datasets.sources.tickers import refuse_nobody
from datasets.substances import load_substances
from datasets.taxonomy import load_taxonomy

REQUIRED = ("account", "category")
OPTIONAL = (
    "entity",
    "name",
    "source",
    "reference",
    "confidence",
    "published_at",
    "licence",
    "may_export",
    "may_train",
    "cluster_definer",
    "substances",
)
DEFAULT_CONFIDENCE = 0.5
OWN = "own"
"""Licence of rows that name none: labels of one's own making, learnt from and not passed on."""

_FORMULA = re.compile(r"[=+\-@'\t\r]")
_KEPT = re.compile(r"'(?=[=+\-@'\t\r])")

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_labels(path: Path, *, licence: str | None = None) -> LabelList:
    """Return the claims of a CSV file; each row is a label or a rejection under its number, from 1.

    `licence` holds for rows that name none. Raises ColumnError for a missing, unknown or repeated column
    and LabelError, which names the line, when the file is not UTF-8 text or not a CSV file.
    """
    labels: list[Label] = []
    rejected: list[Rejection] = []
    read = 0  # lines
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = _read_header(path, next(reader, []))
            read = reader.line_num
            for number, cells in enumerate(reader, start=1):
                read = reader.line_num
                if not any(cells):
                    continue
                try:
                    labels.append(_read_row(header, cells, f"row {number}", licence or OWN))
                except RefusedError as refused:
                    rejected.append(Rejection(f"row {number}", refused.reason, refused.detail))
    except csv.Error as error:
        raise LabelError(path, why=f"line {read + 1} is not readable as CSV ({shown(error, 150)})") from error
    except UnicodeDecodeError as error:
        why = f"line {_undecodable(path)} is not text in UTF-8 ({error.reason}): save the file as UTF-8"
        raise LabelError(path, why=why) from error
    except OSError as error:
        raise LabelError(path, why=f"not readable as CSV in UTF-8 ({shown(error, 150)})") from error
    return LabelList(labels, rejected)


def _undecodable(path: Path) -> int:
    """Return the first line that is not UTF-8: the reader decodes ahead of the rows that it gives."""
    good = 0
    with path.open("rb") as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError:
                break
            good += 1
    return good + 1


def _read_header(path: Path, cells: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    for column in REQUIRED:
        if column not in header:
            raise ColumnError(path, column=column, why="missing; the first line must name the columns")
    for place, column in enumerate(header):
        if column not in (*REQUIRED, *OPTIONAL):
            known = ", ".join((*REQUIRED, *OPTIONAL))
            raise ColumnError(path, column=column, why=f"no column of a label file; they are {known}")
        if column in header[:place]:
            raise ColumnError(path, column=column, why="stands there twice")
    return header


def _read_row(header: list[str], cells: list[str], position: str, default_licence: str) -> Label:
    if len(cells) != len(header):
        raise RefusedError("bad_row", f"it has {len(cells)} cells, the header {len(header)}")
    row = {
        column: clean_text(_KEPT.sub("", cell, count=1) if _KEPT.match(cell) else cell, column)
        for column, cell in zip(header, cells, strict=True)
    }
    category = row["category"].lower()
    known = load_taxonomy().by_id.get(category)
    if known is None:
        raise RefusedError("unknown_category", f"{shown(row['category'])} is not in the taxonomy")
    if not known.importable:
        raise RefusedError("unknown_category", f"{category} is found by structure only: no file may say it")
    licence = row.get("licence") or default_licence
    open_licence = is_open_licence(licence)
    return Label(
        position=position,
        account=_read_account(row["account"]),
        category=category,
        entity=row.get("entity", ""),
        name=row.get("name", ""),
        source=row.get("source", ""),
        reference=row.get("reference", ""),
        confidence=_read_confidence(row.get("confidence", "")),
        published_at=read_time(row.get("published_at", ""), "published_at"),
        licence=licence,
        may_export=_read_boolean(row, "may_export", default=open_licence),
        may_train=_read_boolean(row, "may_train", default=open_licence or licence == OWN),
        cluster_definer=_read_boolean(row, "cluster_definer", default=False),
        substances=_read_substances(row.get("substances", "")),
    )


def write_rows(file: IO[str], rows: Iterable[dict[str, Any]]) -> int:
    """Write labels, rows with the columns of `datasets.label_queries.label_rows`; return how many.

    What `read_labels` makes of the file is what was written: all columns but those of sanctions.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_WRITTEN)
    count = 0
    for row in rows:
        writer.writerow(_cells(row))
        count += 1
    return count


_WRITTEN = ("account", *REQUIRED[1:], *OPTIONAL)


def _cells(row: dict[str, Any]) -> Iterator[str]:
    for column in _WRITTEN:
        value = row["caip10" if column == "account" else column]
        if value is None:
            text = ""
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif column == "published_at":
            text = value.isoformat() + "Z"
        elif column == "substances":
            text = ";".join(value)
        else:
            text = str(value)
        yield "'" + text if _FORMULA.match(text) else text


def _read_substances(text: str) -> tuple[str, ...]:
    """Return the ids in alphabetical order, each once; RefusedError for one of no known substance."""
    known = load_substances().by_id
    found = set()
    for word in text.split(";"):
        substance = word.strip().lower()
        if substance and substance not in known:
            raise RefusedError(
                "unknown_substance", f"{shown(word.strip())} is not in the vocabulary of substances"
            )
        if substance:
            found.add(substance)
    return tuple(sorted(found))


def _read_account(text: str) -> Account:
    try:
        return refuse_nobody(parse_account(text))
    except AmbiguousAddress as error:
        raise RefusedError("ambiguous_address", str(error)) from error
    except UnknownChain as error:
        raise RefusedError("unknown_chain", str(error)) from error
    except AddressError as error:
        raise RefusedError("bad_address", str(error)) from error


def _read_confidence(text: str) -> float:
    if not text:
        return DEFAULT_CONFIDENCE
    try:
        confidence = float(text)
    except ValueError:
        confidence = -1.0
    if not 0 <= confidence <= 1:
        raise RefusedError("bad_confidence", f"{shown(text)} is not a number from 0 to 1")
    return confidence


def _read_boolean(row: dict[str, str], column: str, *, default: bool) -> bool:
    text = row.get(column, "").lower()
    if not text:
        return default
    if text not in _BOOLEANS:
        raise RefusedError("bad_boolean", f"{column} is {shown(text)}: write true or false")
    return _BOOLEANS[text]
