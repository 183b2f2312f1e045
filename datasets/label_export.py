"""Labels and actors that leave the installation: what may, in a file that others can read.

Only claims with `may_export` go out; how many are held back is told. A file is there as a whole or not at
all, and none is overwritten unasked.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chains.errors import FileError, InputError
from datasets.label_queries import label_rows
from datasets.sources.csvfile import write_rows
from datasets.sources.packwriter import PackCounts, write_actorpack, write_tagpack
from datasets.store import Ledger

FORMATS = ("tagpack", "actorpack", "csv")

MAKER = "Silkscreen"
"""Creator of a pack whose claims are of several sources."""


@dataclass(frozen=True)
class LabelExport:
    """What went out: `written` entries of the `held_back` and others that were asked for.

    `merged` claims differ from a written one in nothing that the format can say; `unfit` ones have no place
    in it.
    """

    format: str
    file: str
    written: int
    held_back: int
    merged: int
    unfit: int


def export_labels(
    ledger: Ledger,
    form: str,
    path: Path,
    *,
    sources: Sequence[str] = (),
    categories: Sequence[str] = (),
    chains: Sequence[str] = (),
    force: bool = False,
    title: str | None = None,
    creator: str | None = None,
) -> LabelExport:
    """Write the claims that hold and may leave, or the actors, to a file of one of FORMATS.

    `sources`, `categories` and `chains` (CAIP-2) choose; actors have no chain. `force` lets the file be
    replaced; `title` and `creator` are a pack's. Raises InputError where nothing is left to write and
    FileError where the file cannot be made; then whatever stood there still does.
    """
    if form not in FORMATS:
        raise InputError(f"{form!r} is no format to write labels in: it is one of {', '.join(FORMATS)}")
    if form == "actorpack":
        if chains:
            raise InputError("actors stand on no chain: choose them by source and category")
        rows = actor_rows(ledger, sources=sources, categories=categories)
    else:
        chosen = label_rows(ledger, sources=sources, categories=categories, chains=chains)
        rows = chosen.to_pylist()
    free = [row for row in rows if row["may_export"]]
    held_back = len(rows) - len(free)
    thing = "actor" if form == "actorpack" else "claim"
    if not free:
        why = f"{_count(held_back, thing)} may not leave the installation" if held_back else "there is none"
        raise InputError(f"nothing to write: {why}")

    def write(file: IO[str]) -> PackCounts:
        if form == "csv":
            return PackCounts(write_rows(file, free))
        said = {row["source"] for row in free}
        only = min(said) if len(said) == 1 else ""
        names = {
            "title": (title or "").strip() or f"{MAKER} {thing}s",
            "creator": (creator or "").strip() or only or MAKER,
            "description": _describe(free),
        }
        done = (write_actorpack if form == "actorpack" else write_tagpack)(file, free, **names)
        if not done.written:
            raise InputError(f"nothing to write: none of {_count(len(free), thing)} has a place in a {form}")
        return done

    done = _write_whole(path, write, force=force)
    return LabelExport(form, str(path), done.written, held_back, done.merged, done.unfit)


def _count(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def actor_rows(
    ledger: Ledger, *, sources: Sequence[str] = (), categories: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the actors as they were last described, by id: the columns of the table `actor`."""
    found: list[dict[str, Any]] = (
        ledger.connection.sql(
            """
            SELECT actor, name, category, categories, uri, jurisdictions, aliases, context, source,
                   published_at, recorded_at, licence, may_export, may_train
            FROM actor
            QUALIFY row_number() OVER (
                PARTITION BY actor
                ORDER BY coalesce(published_at, recorded_at) DESC, recorded_at DESC, source, name, position
            ) = 1
            ORDER BY actor
            """
        )
        .to_arrow_table()
        .to_pylist()
    )
    return [
        row
        for row in found
        if (not sources or row["source"] in sources) and (not categories or row["category"] in categories)
    ]


def _describe(rows: Sequence[dict[str, Any]]) -> str:
    """Return what a pack has no field for: under which licences its entries are."""
    licences = Counter(row["licence"] for row in rows)
    return "Licences: " + ", ".join(f"{name} ({licences[name]})" for name in sorted(licences))


def _write_whole(path: Path, write: Callable[[IO[str]], PackCounts], *, force: bool) -> PackCounts:
    """Write beside the file's place, and put it there in one step."""
    if path.is_dir() or (path.exists() and not force):
        why = "a folder" if path.is_dir() else "it is there already: give --force to replace it"
        raise FileError(path, why=why)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8", newline="") as file:
            done = write(file)
            file.flush()
            os.fsync(file.fileno())
        if force or not _link(part, path):
            part.replace(path)
    except FileExistsError as error:
        raise FileError(path, why="it is there already: give --force to replace it") from error
    except OSError as error:
        raise FileError(path, why=f"cannot be written ({error.strerror or type(error).__name__})") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return done


def _link(part: Path, path: Path) -> bool:
    """Put a file in its place unless something appeared there meanwhile; False where links are not known."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True
