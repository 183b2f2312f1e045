"""Which model is in use, and who said so: a challenger promoted by two people, a champion taken back."""

import hashlib
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from chains.errors import InputError, ModelError
from datasets.records.people import read_person, same_person
from models.compare import Comparison, comparison_path, read_comparison
from models.history import (
    Change,
    append_line,
    effective_changes,
    former_version,
    lock_history,
    read_lines,
    show_moment,
)
from models.registry import Model, current_version, is_version, load_model, set_current


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
    with lock_history(models_folder) as file:
        champion = current_version(models_folder)
        if champion is None:
            raise ModelError(f"{models_folder} has no champion to promote over: `silkscreen train` makes one")
        if champion == version:
            raise InputError(f"{version} is the champion already")
        comparison, digest = _require_comparison(models_folder, version, champion)
        change = Change(
            at=show_moment(now),
            event="promoted",
            version=version,
            before=champion,
            by=person,
            approved_by=second,
            verdict=comparison.verdict,
            comparison=digest,
            why="",
            difference=asdict(comparison.difference) if comparison.difference else None,
        )
        append_line(file, change)
        set_current(models_folder, version)
    return change


def rollback(models_folder: Path, *, by: str, now: datetime, why: str = "") -> Change:
    """Put the champion back that the one in use was promoted over; one person is enough.

    Doing it again goes further back. Raises InputError where nothing was promoted that could be taken back,
    ModelMissing and ModelDamaged where the earlier champion is gone or broken.
    """
    person = read_person(by, what="--by")
    with lock_history(models_folder) as file:
        champion = current_version(models_folder)
        changes = read_lines(models_folder)
        former = former_version(changes, champion)
        if champion is None or former is None:
            last = effective_changes(changes, champion)[-1:]
            why_not = "".join(
                f", in place of {one.before or 'the one before'}, which was {one.why}"
                for one in last
                if one.event == "replaced"
            )
            raise InputError(
                f"no promotion stands that could be taken back: {champion or 'nothing'} is in use{why_not}"
            )
        load_model(models_folder / former)
        change = Change(
            at=show_moment(now),
            event="rolled back",
            version=former,
            before=champion,
            by=person,
            approved_by="",
            verdict="",
            comparison="",
            why=" ".join(why.split()),
        )
        append_line(file, change)
        set_current(models_folder, former)
    return change


def read_history(models_folder: Path) -> tuple[Change, ...]:
    """Return the changes that took effect, oldest first.

    Raises FileError where a line in the middle cannot be read.
    """
    return effective_changes(read_lines(models_folder), current_version(models_folder))


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
