"""API keys: made once, stored as a hash, looked up at every request."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from chains.errors import InputError, KeyRefused
from datasets.records.store import Records
from datasets.records.tables import ApiKey

PREFIX = "sk_"
SHOWN_LETTERS = 8
NAME_LETTERS = 100
KEY_LETTERS = 200
"""Longer texts are no key and are not even hashed."""


@dataclass(frozen=True)
class Caller:
    """A key as it is stored: everything but the key. Times are naive UTC."""

    id: str
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """Return active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def create_key(
    records: Records, name: str, *, now: datetime, expires_at: datetime | None = None
) -> tuple[str, Caller]:
    """Store a new key under `name` and return it with its record; it cannot be read again.

    The key is 32 random bytes in base64url after "sk_"; such a key needs no slow hash, SHA-256 is enough.
    Raises InputError where the name is empty, too long or not printable, or the expiry is past.
    """
    if not name.strip() or len(name) > NAME_LETTERS or not name.isprintable():
        raise InputError(f"the name of a key must be 1 to {NAME_LETTERS} printable characters")
    if expires_at is not None and expires_at <= now:
        raise InputError(f"the key would have expired already, at {expires_at:%Y-%m-%d %H:%M} UTC")
    key = PREFIX + secrets.token_urlsafe(32)
    caller = Caller("k" + secrets.token_hex(5), name.strip(), key[:SHOWN_LETTERS], now, expires_at, None)
    with records.write() as connection:
        connection.execute(
            insert(ApiKey).values(
                id=caller.id,
                name=caller.name,
                prefix=caller.prefix,
                sha256=_hash(key),
                created_at=caller.created_at,
                expires_at=caller.expires_at,
                revoked_at=None,
            )
        )
    return key, caller


def list_keys(records: Records) -> tuple[Caller, ...]:
    """Return every key ever made, oldest first."""
    with records.read() as connection:
        rows = connection.execute(select(*_COLUMNS).order_by(ApiKey.created_at, ApiKey.id)).all()
    return tuple(Caller(*row) for row in rows)


def revoke_key(records: Records, key_id: str, *, now: datetime) -> Caller:
    """Refuse the key `key_id` from now on; a key revoked before keeps its first date.

    Raises InputError where there is no such key.
    """
    with records.write() as connection:
        connection.execute(
            update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now)
        )
        row = connection.execute(select(*_COLUMNS).where(ApiKey.id == key_id)).one_or_none()
    if row is None:
        raise InputError(f"there is no key {key_id[:40]!r}: `silkscreen keys list` shows their ids")
    return Caller(*row)


def find_caller(records: Records, key: str, *, now: datetime) -> Caller:
    """Return who a key belongs to; raises KeyRefused where it is unknown, expired or revoked."""
    if len(key) > KEY_LETTERS:
        raise KeyRefused(why="it is unknown")
    with records.read() as connection:
        row = connection.execute(select(*_COLUMNS).where(ApiKey.sha256 == _hash(key))).one_or_none()
    if row is None:
        raise KeyRefused(why="it is unknown")
    caller = Caller(*row)
    state = caller.state(now)
    if state != "active":
        at = caller.revoked_at if state == "revoked" else caller.expires_at
        word = "was revoked" if state == "revoked" else "expired"
        raise KeyRefused(why=f"it {word} at {at:%Y-%m-%dT%H:%M:%SZ}", at=at)
    return caller


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


_COLUMNS = (ApiKey.id, ApiKey.name, ApiKey.prefix, ApiKey.created_at, ApiKey.expires_at, ApiKey.revoked_at)
