"""Who may ask: every path but `/healthz` needs an API key."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chains.errors import KeyMissing, SilkscreenError
from datasets.records.keys import Caller, find_caller
from datasets.records.store import Records

HEADERS = ("X-API-Key", "Token")
OPEN_PATHS = frozenset({"/healthz"})

Refuse = Callable[[Scope, Receive, Send, Exception], Awaitable[None]]


def utc_now() -> datetime:
    """Return the time as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def read_key(headers: Headers) -> str:
    """Return the key that a request carries. Raises KeyMissing."""
    for name in HEADERS:
        key = headers.get(name)
        if key:
            return key.strip()
    raise KeyMissing


class KeyGate:
    """Lets a request pass with its caller in `scope["state"]["caller"]`, or refuses it."""

    def __init__(self, app: ASGIApp, *, records: Records, refuse: Refuse) -> None:
        """Guard `app`; `refuse` writes the answer of an error."""
        self.app, self.records, self.refuse = app, records, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or refuse one request."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                caller: Caller = find_caller(self.records, read_key(Headers(scope=scope)), now=utc_now())
            except SilkscreenError as error:
                await self.refuse(scope, receive, send, error)
                return
            scope.setdefault("state", {})["caller"] = caller
        await self.app(scope, receive, send)
