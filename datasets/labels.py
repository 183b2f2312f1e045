"""Label files imported: each whole or not at all, every bad entry told by its place.

A claim is never overwritten. A file that was imported before, told by its SHA-256, changes nothing. What
the ledger then says stands in `datasets/label_queries.py`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from chains.errors import FileError, InputError, LabelError
from datasets.label_queries import count_labels, label_rows
from datasets.label_writing import Written, write_actors, write_labels, write_rejections
from datasets.sources import actorpack, csvfile, ftm, ofac, tagpack
from datasets.sources.actorpack import ActorList
from datasets.sources.claims import Label, LabelList, Rejection
from datasets.store import Ledger, next_number, transaction

__all__ = [
    "KINDS",
    "Label",
    "LabelImport",
    "Rejection",
    "StrictError",
    "count_labels",
    "import_label_files",
    "import_labels",
    "label_rows",
]

KINDS = ("ofac", "tagpack", "actorpack", "ftm", "csv")


@dataclass(frozen=True)
class LabelImport:
    """What became of one file: `labels` were added, `known` were there already, `rejected` became none.

    `withdrawn` counts the claims of earlier issues that this one no longer makes. With `already` the file
    had been imported before and nothing changed; the numbers are those of that import. Of an ActorPack
    `actors` were described anew, and `known` as before.
    """

    source: str
    already: bool
    labels: int
    rejected: list[Rejection]
    known: int = 0
    withdrawn: int = 0
    actors: int = 0


class StrictError(LabelError):
    """Bad entries where none may be; `rejected` holds every file that has some, with all of them."""

    def __init__(self, rejected: Sequence[tuple[Path, list[Rejection]]]) -> None:
        self.rejected = tuple(rejected)
        path, entries = self.rejected[0]
        count = sum(len(found) for _, found in self.rejected)
        first = entries[0]
        words = "1 entry" if count == 1 else f"{count} entries"
        files = "" if len(self.rejected) == 1 else f" in {len(self.rejected)} files"
        super().__init__(
            path,
            why=f"{words} would be rejected{files}, the first is {first.position} "
            f"({first.reason}: {first.detail}); nothing was imported",
        )


def import_labels(
    ledger: Ledger,
    kind: str,
    path: Path,
    *,
    recorded_at: datetime,
    strict: bool = False,
    licence: str | None = None,
) -> LabelImport:
    """Import one file of labels in one transaction; `kind` is one of KINDS, `recorded_at` naive UTC.

    With `strict` a single rejected entry refuses the file. `licence` is that of a pack or of FollowTheMoney
    data, or of the rows of a CSV file that name none. Raises FileError and LabelError; then the ledger is
    as it was.
    """
    (done,) = import_label_files(
        ledger, kind, [path], recorded_at=recorded_at, strict=strict, licence=licence
    )
    return done


def import_label_files(
    ledger: Ledger,
    kind: str,
    paths: Sequence[Path],
    *,
    recorded_at: datetime,
    strict: bool = False,
    licence: str | None = None,
) -> list[LabelImport]:
    """Import several files of one kind as one piece: all of them, or the ledger is as it was.

    With `strict` one rejected entry in any of them refuses them all; StrictError tells every one. Raises
    FileError and LabelError for a file that cannot be read as a whole.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of label file: it is one of {', '.join(KINDS)}")
    refused: list[tuple[Path, list[Rejection]]] = []
    done: list[LabelImport] = []
    with transaction(ledger):
        for path in paths:
            digest = _sha256(path)
            before = _earlier_import(ledger, kind, digest)
            if before is not None:
                if strict and before.rejected:
                    refused.append((path, before.rejected))
                done.append(before)
                continue
            found = _read(kind, path, licence=licence, recorded_at=recorded_at)
            if strict and found.rejected:
                refused.append((path, found.rejected))
            if not refused:  # the rest is only read, to tell all that is wrong
                done.append(_write(ledger, kind, path, digest, found, recorded_at=recorded_at))
        if refused:
            raise StrictError(refused)
    return done


def _write(
    ledger: Ledger, kind: str, path: Path, digest: str, found: LabelList | ActorList, *, recorded_at: datetime
) -> LabelImport:
    connection = ledger.connection
    number = next_number(connection, "label_file")
    issued_at: datetime | None = None
    covers: tuple[str, ...] = ()
    if isinstance(found, ActorList):
        written = write_actors(ledger, number=number, actors=found.actors, recorded_at=recorded_at)
    else:
        written = write_labels(ledger, path, kind, number=number, claims=found, recorded_at=recorded_at)
        issued_at, covers = found.issued_at, found.covers
    write_rejections(connection, number, found.rejected)
    connection.execute(
        """
        INSERT INTO label_file
            (label_file, kind, source, sha256, issued_at, labels, rejected, recorded_at, covers)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        [
            number,
            kind,
            path.name,
            digest,
            issued_at,
            written.added,
            len(found.rejected),
            recorded_at,
            list(covers),
        ],
    )
    return _result(kind, path.name, written, found.rejected, already=False)


def _result(
    kind: str, source: str, written: Written, rejected: list[Rejection], *, already: bool
) -> LabelImport:
    actors = written.added if kind == "actorpack" else 0
    labels = written.added - actors
    return LabelImport(source, already, labels, rejected, written.known, written.withdrawn, actors)


def _read(kind: str, path: Path, *, licence: str | None, recorded_at: datetime) -> LabelList | ActorList:
    """Return what a file holds; LabelError where that is nothing at all."""
    if kind == "actorpack":
        pack = actorpack.read_actors(path, licence=licence)
        settled = [replace(a, published_at=_not_after(a.published_at, recorded_at)) for a in pack.actors]
        if not settled and not pack.rejected:
            raise LabelError(path, why="it holds no actor")
        return ActorList(settled, pack.rejected)
    if kind == "ofac":
        found = ofac.read_labels(path)
    elif kind == "tagpack":
        found = tagpack.read_labels(path, licence=licence)
    elif kind == "ftm":
        found = ftm.read_labels(path, licence=licence)
    else:
        found = csvfile.read_labels(path, licence=licence)
    if not found.labels and not found.rejected:
        raise LabelError(path, why="it holds no label")
    return _settle_dates(kind, found, recorded_at)


def _settle_dates(kind: str, claims: LabelList, recorded_at: datetime) -> LabelList:
    """Let nothing be published after it was recorded.

    In a CSV file that is an error of the row; elsewhere the world knew at the moment of recording.
    """
    labels, rejected = [], list(claims.rejected)
    for label in claims.labels:
        published_at = _not_after(label.published_at, recorded_at)
        if published_at == label.published_at:
            labels.append(label)
        elif kind == "csv" and label.published_at and label.published_at > recorded_at + timedelta(days=1):
            found = f"published_at is {label.published_at:%Y-%m-%d}, which has not come yet"
            rejected.append(Rejection(label.position, "future_date", found))
        else:
            labels.append(replace(label, published_at=published_at))
    return replace(claims, labels=labels, rejected=rejected)


def _not_after(published_at: datetime | None, recorded_at: datetime) -> datetime | None:
    return None if published_at is None else min(published_at, recorded_at)


def _earlier_import(ledger: Ledger, kind: str, digest: str) -> LabelImport | None:
    rows = ledger.connection.execute(
        "SELECT label_file, source, labels FROM label_file WHERE kind = $1 AND sha256 = $2", [kind, digest]
    ).fetchall()
    if not rows:
        return None
    number, source, added = rows[0]
    rejected = ledger.connection.execute(
        "SELECT position, reason, detail FROM label_rejection WHERE label_file = $1 ORDER BY rowid", [number]
    ).fetchall()
    return _result(kind, source, Written(int(added), 0), [Rejection(*row) for row in rejected], already=True)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(path, why=f"cannot be read ({error.strerror or type(error).__name__})") from error
