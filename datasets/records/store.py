"""Open the records store: SQLite in WAL mode, brought up to date by the migrations inside the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from chains.errors import RecordsError

BUSY_SECONDS = 5.0
"""How long a writer waits for another writer."""


class Records:
    """An open records store; a context manager, safe to share between threads."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the store; raises RecordsError where it cannot be read."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise RecordsError(self.path, why=str(error.orig)) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose changes are kept together or not at all; waits for another writer."""
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            raise RecordsError(self.path, why=str(error.orig)) from error

    def __enter__(self) -> "Records":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def open_records(path: Path) -> Records:
    """Open the store at `path`, made and migrated where it is absent or older.

    Raises RecordsError where it cannot be made or read, is no SQLite file, or is of a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise RecordsError(path, why=f"cannot be made ({error.strerror})") from error
    records = Records(path, _make_engine(path))
    try:
        with records.read() as connection:
            current = read_revision(connection, path)
        if current != newest_revision():
            _migrate(records)
    except RecordsError:
        records.close()
        raise
    return records


def check_records(path: Path) -> tuple[str | None, str]:
    """Return the revision of the store at `path` and the newest one, without changing anything.

    The first is None where nothing was migrated yet. Raises RecordsError where it is absent or unreadable.
    """
    if not path.is_file():
        raise RecordsError(path, why="is absent: `silkscreen keys create NAME` makes it")
    engine = create_engine(URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"}))
    try:
        with engine.connect() as connection:
            return read_revision(connection, path), newest_revision()
    except DBAPIError as error:
        raise RecordsError(path, why=str(error.orig)) from error
    finally:
        engine.dispose()


def read_revision(connection: Connection, path: Path) -> str | None:
    """Return the revision that the store is at; raises RecordsError where this version does not know it."""
    found = MigrationContext.configure(connection).get_current_revision()
    known = {step.revision for step in _scripts().walk_revisions()}
    if found is not None and found not in known:
        why = (
            f"is at revision {found}, this version knows up to {newest_revision()}: install the newer version"
        )
        raise RecordsError(path, why=why)
    return found


def newest_revision() -> str:
    """Return the revision that this version of the code works with."""
    newest = _scripts().get_current_head()
    if newest is None:
        raise RecordsError("migrations", why="are missing from the installation: install silkscreen again")
    return newest


def _config() -> Config:
    config = Config()
    folder = str(resources.files("datasets.records") / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _migrate(records: Records) -> None:
    config = _config()
    with records.write() as connection:  # a second process waits here, and then finds nothing left to do
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _make_engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})

    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun below: the driver's own leave DDL out
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine
