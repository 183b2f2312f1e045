"""The records store: migrations, keys stored as hashes, refusals."""

import sqlite3
import stat
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from chains.errors import InputError, KeyRefused, RecordsError
from datasets.records.keys import create_key, find_caller, list_keys, revoke_key
from datasets.records.store import check_records, newest_revision, open_records
from datasets.records.tables import Base

NOW = datetime.fromisoformat("2024-06-04T12:00:00")


def test_a_new_store_is_migrated_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.sqlite"
    open_records(path).close()
    assert check_records(path) == (newest_revision(), newest_revision())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    with open_records(tmp_path / "r.sqlite") as records, records.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with open_records(path) as records:
        create_key(records, "bank", now=NOW)
        before = list_keys(records)
    with open_records(path) as records:
        assert list_keys(records) == before


def test_many_openers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    failures: list[Exception] = []

    def open_once() -> None:
        try:
            open_records(path).close()
        except RecordsError as error:
            failures.append(error)

    threads = [threading.Thread(target=open_once) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert check_records(path)[0] == newest_revision()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    open_records(path).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    with pytest.raises(RecordsError, match=r"9999.*install the newer version"):
        open_records(path)


def test_what_is_no_database_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    path.write_text("this is a letter, not a database, and long enough to be looked at as one " * 20)
    before = path.read_bytes()
    with pytest.raises(RecordsError, match=r"r\.sqlite: .*not a database"):
        open_records(path)
    assert path.read_bytes() == before
    with pytest.raises(RecordsError, match="absent"):
        check_records(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()


def test_a_key_is_found_by_itself_and_stored_only_as_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with open_records(path) as records:
        key, caller = create_key(records, "bank", now=NOW)
        other, _ = create_key(records, "bank", now=NOW)
        assert key.startswith("sk_")
        assert len(key) == 3 + 43
        assert key != other
        assert find_caller(records, key, now=NOW) == caller
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert key.encode() not in everything
    assert key[3:].encode() not in everything


@pytest.mark.parametrize("wrong", ["", "sk_", "x" * 10_000, "sk_\x00", "ключ", "\ud800"])
def test_an_unknown_key_is_refused(tmp_path: Path, wrong: str) -> None:
    with open_records(tmp_path / "r.sqlite") as records:
        create_key(records, "bank", now=NOW)
        with pytest.raises(KeyRefused, match="unknown"):
            find_caller(records, wrong, now=NOW)


def test_expired_and_revoked_keys_say_when(tmp_path: Path) -> None:
    with open_records(tmp_path / "r.sqlite") as records:
        key, caller = create_key(records, "bank", now=NOW, expires_at=NOW + timedelta(days=1))
        assert find_caller(records, key, now=NOW + timedelta(hours=23)).name == "bank"
        with pytest.raises(KeyRefused, match="expired at 2024-06-05T12:00:00Z"):
            find_caller(records, key, now=NOW + timedelta(days=1))
        revoke_key(records, caller.id, now=NOW)
        assert revoke_key(records, caller.id, now=NOW + timedelta(hours=1)).revoked_at == NOW
        with pytest.raises(KeyRefused, match="revoked at 2024-06-04T12:00:00Z"):
            find_caller(records, key, now=NOW)


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x1b[31m", "x" * 101])
def test_a_bad_name_makes_no_key(tmp_path: Path, name: str) -> None:
    with open_records(tmp_path / "r.sqlite") as records:
        with pytest.raises(InputError, match="name of a key"):
            create_key(records, name, now=NOW)
        assert list_keys(records) == ()


def test_an_expiry_in_the_past_and_an_unknown_id_are_refused(tmp_path: Path) -> None:
    with open_records(tmp_path / "r.sqlite") as records:
        with pytest.raises(InputError, match="expired already"):
            create_key(records, "bank", now=NOW, expires_at=NOW)
        with pytest.raises(InputError, match="no key 'k0'"):
            revoke_key(records, "k0", now=NOW)
