"""Is everything in place, and what has been read."""

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import typer

from api.commands.common import Dir, Json, clean, read_settings, say, say_json
from chains.errors import (
    LedgerBusy,
    LedgerMissing,
    RecordsError,
    SilkscreenError,
    SnapshotMissing,
)

if TYPE_CHECKING:
    from api.settings import Settings

Found = TypeVar("Found")

MODULES = {
    "pydantic-settings": "pydantic_settings",
    "pyyaml": "yaml",
    "pycryptodome": "Crypto",
    "scikit-learn": "sklearn",
}
"""Packages whose module has another name."""

FOUND_ONLY = frozenset({"bitcoinlib", "web3"})
"""Packages that are found but not imported: bitcoinlib makes folders and files when it is, web3 is slow."""

SCARCE_BYTES = 5 * 10**9
TOO_FEW_BYTES = 5 * 10**8


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: ok, absent (not made yet), warning, or failed."""

    name: str
    state: Literal["ok", "absent", "warning", "failed"]
    text: str


def examine(folder: Dir = None, as_json: Json = False) -> None:
    """Check the installation and the data folder, and change nothing.

    Ends with 1 where something is broken. What was never made (a ledger, a model, a snapshot) is absent.
    """
    settings = read_settings(folder)
    steps: tuple[Callable[[Settings], Iterator[Check]], ...] = (
        _check_python,
        _check_folder,
        _check_packages,
        _check_ledger,
        _check_model,
        _check_snapshot,
        _check_records,
    )
    checks = []
    for step in steps:
        for check in _take(step, settings):
            checks.append(check)
            if not as_json:
                say(f"{check.state:<8} {check.name:<10} {clean(check.text, 500)}")
    if as_json:
        say_json([vars(check) for check in checks])
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def _take(step: "Callable[[Settings], Iterator[Check]]", settings: "Settings") -> Iterator[Check]:
    """Yield what a step finds; what may not even be looked at has failed."""
    try:
        yield from step(settings)
    except OSError as error:
        name = step.__name__.removeprefix("_check_")
        yield Check(name, "failed", f"cannot be looked at: {error.strerror or error} ({error.filename})")


def _check_python(_: "Settings") -> Iterator[Check]:
    found = ".".join(str(part) for part in sys.version_info[:3])
    right = sys.version_info[:2] == (3, 11)
    yield Check("python", "ok" if right else "failed", found if right else f"{found}: Silkscreen needs 3.11")


def _check_packages(_: "Settings") -> Iterator[Check]:
    from importlib.metadata import requires

    pinned = [line.split("==") for line in requires("silkscreen") or () if ";" not in line]
    problems = [problem for name, wanted in pinned if (problem := _check_package(name, wanted)) is not None]
    yield from problems
    if not problems:
        yield Check("packages", "ok", f"{len(pinned)} packages, each at its pinned version")


def _check_package(name: str, wanted: str) -> Check | None:
    from importlib import import_module
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    module = MODULES.get(name, name.replace("-", "_"))
    try:
        found = version(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a package warns its own authors of
            if name not in FOUND_ONLY:
                import_module(module)
            elif find_spec(module) is None:
                raise ModuleNotFoundError(f"No module named {module!r}")
    except PackageNotFoundError:
        return Check(name, "failed", f"is not installed: install {name}=={wanted}")
    except Exception as error:  # noqa: BLE001  (whatever a package's import raises is what is to be told)
        return Check(name, "failed", f"cannot be imported: {type(error).__name__}: {error}")
    if found != wanted:
        return Check(name, "failed", f"is at {found}: install {name}=={wanted}")
    return None


def _check_folder(settings: "Settings") -> Iterator[Check]:
    import os
    import shutil
    from tempfile import TemporaryFile

    folder = settings.dir.absolute()
    existing = folder
    while not os.path.lexists(existing):  # Path.exists raises where a parent may not be entered
        existing = existing.parent
    try:
        # A file without a name leaves no trace. What os.access says does not hold for root.
        with TemporaryFile(dir=existing):
            pass
    except OSError as error:
        why = f"cannot be written to ({error.strerror})"
        yield Check("folder", "failed", f"{existing} {why}: choose another with --dir")
        return
    if existing == folder:
        yield Check("folder", "ok", f"{folder} can be written to")
    else:
        yield Check("folder", "absent", f"{folder}: the first import makes it")
    free = shutil.disk_usage(existing).free
    state: Literal["ok", "warning", "failed"] = "ok"
    if free < SCARCE_BYTES:
        state = "failed" if free < TOO_FEW_BYTES else "warning"
    yield Check("disk", state, f"{free / 1e9:.1f} GB free")


def _check_ledger(settings: "Settings") -> Iterator[Check]:
    from datasets.store import open_ledger

    def look() -> str:
        with open_ledger(settings.ledger, wait_seconds=1.0) as ledger:
            counted = ledger.connection.execute("SELECT count(*) FROM transfer").fetchall()[0][0]
        return f"{counted:,} transfers in {settings.ledger}"

    yield _look("ledger", look, absent=LedgerMissing, warning=LedgerBusy)


def _check_model(settings: "Settings") -> Iterator[Check]:
    from models.registry import current_model

    model: Any = None

    def look() -> str:
        nonlocal model
        model = current_model(settings.models)
        return "" if model is None else f"{model.version}, {len(model.names)} features"

    check = _look("model", look)
    if check.state == "ok" and model is None:
        check = Check("model", "absent", f"none under {settings.models}: `silkscreen train` makes one")
    yield check


def _check_snapshot(settings: "Settings") -> Iterator[Check]:
    from datasets.snapshot import current_snapshot

    def look() -> str:
        snapshot = current_snapshot(settings.dir)
        return f"{snapshot.id}, {len(snapshot):,} addresses, every file has its hash"

    yield _look("snapshot", look, absent=SnapshotMissing)


def _check_records(settings: "Settings") -> Iterator[Check]:
    from datasets.records.store import check_records

    if not settings.records.exists():
        yield Check("records", "absent", f"{settings.records}: `silkscreen keys create NAME` makes them")
        return
    try:
        found, newest = _look_aside(settings.records, check_records)
    except RecordsError as error:
        yield Check("records", "failed", f"the records {settings.records}: {error.why}")
        return
    if found == newest:
        yield Check("records", "ok", f"{settings.records} at revision {found}")
    else:
        yield Check("records", "warning", f"at revision {found}: `silkscreen serve` brings them to {newest}")


def _look_aside(path: Path, look: Callable[[Path], Found]) -> Found:
    """Look at a copy of a SQLite file: whoever opens one in WAL mode, to read too, makes files beside it.

    Where such a file is there already, someone has the store open and the copy would lack what is in it.
    """
    import shutil
    from tempfile import TemporaryDirectory

    if not path.is_file() or path.with_name(path.name + "-wal").exists():
        return look(path)
    with TemporaryDirectory() as spare:
        return look(Path(shutil.copyfile(path, Path(spare, path.name))))


def _look(
    name: str,
    look: Callable[[], str],
    *,
    absent: type[SilkscreenError] | None = None,
    warning: type[SilkscreenError] | None = None,
) -> Check:
    try:
        return Check(name, "ok", look())
    except SilkscreenError as error:
        if absent is not None and isinstance(error, absent):
            return Check(name, "absent", str(error))
        if warning is not None and isinstance(error, warning):
            return Check(name, "warning", str(error))
        return Check(name, "failed", str(error))
