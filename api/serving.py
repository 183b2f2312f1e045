"""The snapshot in use and its model, held open and swapped while requests are answered."""

import threading
from dataclasses import dataclass

from api.settings import Settings
from chains.errors import SilkscreenError
from datasets.snapshot import CURRENT, SNAPSHOTS, Snapshot, current_snapshot
from models.registry import Model, load_model

Mark = tuple[int, int] | None


@dataclass(frozen=True)
class Served:
    """One snapshot with the model that it was scored with, or None."""

    snapshot: Snapshot
    model: Model | None


def open_served(settings: Settings) -> Served:
    """Open what `snapshots/CURRENT` names. Raises SnapshotError and ModelError."""
    snapshot = current_snapshot(settings.dir, verify=settings.verify_snapshot)
    if snapshot.model_folder is None:
        return Served(snapshot, None)
    model = load_model(snapshot.model_folder)
    model.require(snapshot.feature_names)
    return Served(snapshot, model)


class Serving:
    """Whatever snapshot is current; a new one is taken up at the next request, and a damaged one is not."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._pointer = settings.dir / SNAPSHOTS / CURRENT
        self._served: Served | None = None
        self._mark: Mark = None
        self._error: SilkscreenError | None = None
        self._lock = threading.Lock()

    def current(self) -> Served:
        """Return the newest that could be opened. Raises SnapshotError and ModelError where none could."""
        mark = self._read_mark()
        # While one request opens a new snapshot the others are answered from the old one.
        if self._is_new(mark) and self._lock.acquire(blocking=self._served is None):
            try:
                if self._is_new(mark):
                    self._take_up(mark)
            finally:
                self._lock.release()
        if self._served is not None:
            return self._served
        assert self._error is not None  # noqa: S101  (one of the two is set by taking up)
        raise self._error.with_traceback(None)

    def problem(self) -> str | None:
        """Return why the newest snapshot is not in use, or None."""
        return None if self._error is None else str(self._error)

    def _is_new(self, mark: Mark) -> bool:
        return mark != self._mark or (self._served is None and self._error is None)

    def _take_up(self, mark: Mark) -> None:
        try:
            self._served = open_served(self._settings)
            self._error = None
        except SilkscreenError as error:
            self._error = error
        self._mark = mark

    def _read_mark(self) -> Mark:
        try:
            found = self._pointer.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
