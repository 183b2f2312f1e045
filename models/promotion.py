"""Which model is in use, and who said so: a challenger promoted by two people, a champion taken back.

`HISTORY` has one line of JSON a change, only ever appended and synced before `CURRENT` is swapped. So a line
whose swap never came (the process died between the two) is known by the next line, or by `CURRENT`: its
version is not where they start from. A last line that was cut short was never acknowledged, and counts for
nothing.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal

from chains.errors import FileError, InputError, ModelError
from datasets.records.people import read_person, same_person
from models.compare import Comparison, comparison_path, read_comparison
from models.registry import Model, current_version, is_version, load_model, set_current

HISTORY = "HISTORY"


@dataclass(frozen=True)
class Change:
    """One change of the model in use. `at` is ISO 8601 with Z.

    `comparison` is the SHA-256 of the file that a promotion rested on, `verdict` what it says; '' of what was
    taken back.
    """

    at: str
    event: Literal["promoted", "rolled back"]
    version: str
    before: str
    by: str
    approved_by: str
    verdict: str
    comparison: str
    why: str


def promote(models_folder: Path, version: str, *, by: str, approved_by: str, now: datetime) -> Change:
    """Make a challenger the champion; two people answer for it, and a comparison with the champion.

    Raises InputError where there is no such model, it is the champion already or the two are one person;
    ModelError where it was not compared with the champion, or is worse; ModelDamaged where it is broken.
    """
    person = read_person(by, what="--by")
    second = read_person(approved_by, what="--approved-by")
    if same_person(person, second):
        raise InputError(f"{person} cannot approve what {second} asks for: another person must agree")
    find_model(models_folder, version)
    with _locked(models_folder) as file:
        champion = current_version(models_folder)
        if champion is None:
            raise ModelError(f"{models_folder} has no champion to promote over: `silkscreen train` makes one")
        if champion == version:
            raise InputError(f"{version} is the champion already")
        comparison, digest = _require_comparison(models_folder, version, champion)
        change = Change(
            at=_shown(now),
            event="promoted",
            version=version,
            before=champion,
            by=person,
            approved_by=second,
            verdict=comparison.verdict,
            comparison=digest,
            why="",
        )
        _append(file, change)
        set_current(models_folder, version)
    return change


def rollback(models_folder: Path, *, by: str, now: datetime, why: str = "") -> Change:
    """Put the champion back that the one in use was promoted over; one person is enough.

    Doing it again goes further back. Raises InputError where nothing was promoted that could be taken back,
    ModelMissing and ModelDamaged where the earlier champion is gone or broken.
    """
    person = read_person(by, what="--by")
    with _locked(models_folder) as file:
        champion = current_version(models_folder)
        former = _former(_read(models_folder), champion)
        if champion is None or former is None:
            raise InputError(
                f"no promotion stands that could be taken back: {champion or 'nothing'} is in use"
            )
        load_model(models_folder / former)
        change = Change(
            at=_shown(now),
            event="rolled back",
            version=former,
            before=champion,
            by=person,
            approved_by="",
            verdict="",
            comparison="",
            why=" ".join(why.split()),
        )
        _append(file, change)
        set_current(models_folder, former)
    return change


def read_history(models_folder: Path) -> tuple[Change, ...]:
    """Return the changes that took effect, oldest first.

    Raises FileError where a line in the middle cannot be read.
    """
    return _effective(_read(models_folder), current_version(models_folder))


def find_model(models_folder: Path, version: str) -> Model:
    """Return a model by its version; InputError where there is none, ModelDamaged where it is broken."""
    if not is_version(models_folder, version):
        raise InputError(f"there is no model {version[:40]!r}: `silkscreen models list` shows them all")
    return load_model(models_folder / version)


def _require_comparison(models_folder: Path, version: str, champion: str) -> tuple[Comparison, str]:
    command = f"silkscreen evaluate --model {version} --against {champion}"
    found = read_comparison(models_folder, challenger=version, champion=champion)
    if found is None:
        raise ModelError(f"{version} was not compared with {champion}, which is in use: run `{command}`")
    if found.verdict == "worse":
        low, high = (found.difference.low, found.difference.high) if found.difference else (None, None)
        span = "" if low is None else f" (difference of PR-AUC {low:+.3f} to {high:+.3f})"
        raise ModelError(f"{version} is worse than {champion} on the same rows{span}: it is not promoted")
    path = comparison_path(models_folder, challenger=version, champion=champion)
    return found, hashlib.sha256(path.read_bytes()).hexdigest()


def _former(changes: list[Change], champion: str | None) -> str | None:
    """Return the champion before the one in use: promotions stack up, and taking back unstacks them."""
    stack: list[str] = []
    for change in _effective(changes, champion):
        if change.event == "promoted":
            stack.append(change.before)
        elif stack:
            stack.pop()
    return stack[-1] if stack else None


def _effective(changes: list[Change], champion: str | None) -> tuple[Change, ...]:
    """Return the changes whose swap came: the next line, or `CURRENT`, starts from their version."""
    starts = [change.before for change in changes[1:]] + [champion]
    return (
        tuple(change for change, start in zip(changes, starts, strict=True) if change.version == start)
        if changes
        else ()
    )


def _read(models_folder: Path) -> list[Change]:
    path = models_folder / HISTORY
    if not path.is_file():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    changes = []
    for number, line in enumerate(lines, start=1):
        try:
            changes.append(Change(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise FileError(path, why=f"line {number} cannot be read: restore a copy of the file") from error
    return changes


@contextmanager
def _locked(models_folder: Path) -> Iterator[BinaryIO]:
    """Hold the history open for one change; a second process waits."""
    if not models_folder.is_dir():
        raise ModelError(f"there is no model under {models_folder}: `silkscreen train` makes one")
    with (models_folder / HISTORY).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _append(file: BinaryIO, change: Change) -> None:
    """Write one line and sync it; what a process that died left of its line is cut off first."""
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(whole)
    line = json.dumps(asdict(change), sort_keys=True, ensure_ascii=False) + "\n"
    file.write(line.encode())
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(Path(file.name).parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
