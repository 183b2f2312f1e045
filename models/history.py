"""The file `HISTORY` of a models folder: each change of the model in use, one line of JSON.

It is only ever appended, and synced before `CURRENT` is swapped. So a line whose swap never came (the process
died between the two) is known by the next line, or by `CURRENT`: its version is not where they start from. A
last line that was cut short was never acknowledged, and counts for nothing.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal

from chains.errors import FileError, ModelError

HISTORY = "HISTORY"


@dataclass(frozen=True)
class Change:
    """One change of the model in use. `at` is ISO 8601 with Z.

    `replaced` is a champion that could not be used, by the next model that was trained or taken over: nobody
    did it, `why` says what was wrong, and `before` is '' where `CURRENT` named no model. `comparison` is the
    SHA-256 of the file that a promotion rested on, `verdict` what it says; '' of every other change.
    """

    at: str
    event: Literal["promoted", "rolled back", "replaced"]
    version: str
    before: str
    by: str
    approved_by: str
    verdict: str
    comparison: str
    why: str
    difference: dict[str, float] | None = None
    """Of PR-AUC, challenger less champion: `value`, `low` and `high` (95%). None where it is not known."""


def former_version(changes: list[Change], champion: str | None) -> str | None:
    """Return the champion before the one in use: promotions stack up, and taking back unstacks them.

    One that replaced a champion stands where that stood, so what is before it stays the same.
    """
    stack: list[str] = []
    for change in effective_changes(changes, champion):
        if change.event == "promoted":
            stack.append(change.before)
        elif change.event == "rolled back" and stack:
            stack.pop()
        while stack and stack[-1] == change.version:
            stack.pop()
    return stack[-1] if stack else None


def effective_changes(changes: list[Change], champion: str | None) -> tuple[Change, ...]:
    """Return the changes whose swap came: the next line, or `CURRENT`, starts from their version.

    A line that starts from '' says nothing of the one before, which is then taken to have come.
    """
    starts = [change.before for change in changes[1:]] + [champion]
    return (
        tuple(c for c, start in zip(changes, starts, strict=True) if start in {c.version, ""})
        if changes
        else ()
    )


def read_lines(models_folder: Path) -> list[Change]:
    """Return every whole line, oldest first; FileError where one cannot be read."""
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
def lock_history(models_folder: Path) -> Iterator[BinaryIO]:
    """Hold the history open for one change; a second process waits."""
    if not models_folder.is_dir():
        raise ModelError(f"there is no model under {models_folder}: `silkscreen train` makes one")
    with (models_folder / HISTORY).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def append_line(file: BinaryIO, change: Change) -> None:
    """Write one line and sync it; what a process that died left of its line is cut off first."""
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(whole)
    known = {name: value for name, value in asdict(change).items() if value is not None}
    line = json.dumps(known, sort_keys=True, ensure_ascii=False) + "\n"
    file.write(line.encode())
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(Path(file.name).parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def show_moment(moment: datetime) -> str:
    """Return a naive UTC moment as ISO 8601 with Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
