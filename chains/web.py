"""HTTP to a node or an indexer: patient with what can pass, bounded in size and time, silent about keys.

What can pass (no connection, a time limit, a cut body, an overloaded server) is raised as `Passing`, for the
caller to try again after a pause of full jitter: a random part of a span that doubles. Redirects are not
followed, no setting of the environment is read, and neither logs nor messages ever hold a key or password.
Source: RFC 9110 (status codes, Retry-After).
"""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import orjson

from chains.errors import BadAnswer, InputError, NodeRefused
from chains.held import HeldOpen
from chains.rejections import shown

# At its level INFO httpx writes down every URL, and with it the keys that providers put into their paths.
logging.getLogger("httpx").setLevel(logging.WARNING)

OVERLOADED = frozenset({429, 502, 503, 504})
REFUSED = frozenset({401, 402, 403})
_KEY = re.compile(r"[A-Za-z0-9_\-.~%]{20,}|(?=[^/]*\d)[A-Za-z0-9_\-]{12,}")
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f]")
_SLOWEST = 10  # a whole answer may take this many times as long as the wait for its next piece


@dataclass(frozen=True)
class RpcLimits:
    """How patient a client is, and how much it asks for at once."""

    timeout_seconds: float = 30.0  # for a connection, and for the next piece of an answer
    attempts: int = 6
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    requests_per_second: float | None = None  # calls, those of a batch counted singly
    batch_size: int = 20
    largest_answer_bytes: int = 256 * 2**20


class Passing(Exception):
    """A failure that may pass: why, how long the server asks to wait, and what it was.

    `late`: it took too long, and less should be asked for at once. `broken`: an answer came, of no use.
    """

    def __init__(
        self, why: str, wait_seconds: float = 0.0, *, late: bool = False, broken: bool = False
    ) -> None:
        self.why, self.wait_seconds, self.late, self.broken = why, wait_seconds, late, broken
        super().__init__(why)


class TooLarge(Exception):
    """An answer to several questions at once is larger than a client takes."""


class HttpClient(HeldOpen):
    """A connection to one server, held open. Several threads may use it at once.

    `decode` turns the bytes of an answer into objects and raises ValueError (or RecursionError) for what
    is no JSON. Raises InputError for a URL that is none of http or https.
    """

    def __init__(
        self,
        url: str,
        *,
        limits: RpcLimits | None = None,
        decode: Callable[[bytes], Any] = orjson.loads,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limits = limits or RpcLimits()
        self._address, self._login, self.shown_url, self._secrets = _read_url(url)
        self._decode, self._sleep = decode, sleep
        self._turn, self._next_turn = Lock(), 0.0
        self._http = httpx.Client(
            auth=self._login,
            follow_redirects=False,
            trust_env=False,
            headers={"Content-Type": "application/json", "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(self.limits.timeout_seconds),
        )

    def bad_answer(self, method: str, why: str) -> BadAnswer:
        """Return the error of an answer that cannot be right, without this node's secrets in it."""
        return BadAnswer(self.shown_url, method=method, why=self._clean(why))

    def close(self) -> None:
        """Let go of the connections; closing twice is harmless."""
        self._http.close()

    def _pause(self, failures: int, wait_seconds: float) -> None:
        longest = self.limits.longest_pause_seconds
        span = min(longest, self.limits.first_pause_seconds * 2 ** (failures - 1))
        jitter = random.uniform(0, span)  # noqa: S311  (spreads load, hides nothing)
        self._sleep(min(longest, max(wait_seconds, jitter)))

    def _send(
        self, verb: str, url: str, method: str, *, body: bytes | None = None, many: bool = False
    ) -> tuple[int, httpx.Headers, bytes]:
        """Return status, headers and body of an answer.

        `many` says that several things are asked at once. Raises Passing, TooLarge, BadAnswer where it
        redirects, and NodeRefused.
        """
        try:
            with self._http.stream(verb, url, content=body) as response:
                status = response.status_code
                if status in REFUSED:
                    raise NodeRefused(self.shown_url, why=f"HTTP status {status}")
                if 300 <= status < 400:
                    why = f"it redirects (HTTP status {status}): give the URL that it leads to"
                    raise self.bad_answer(method, why)
                return status, response.headers, self._read_body(response, method, many=many)
        except httpx.TimeoutException as error:
            raise Passing(self._why(error), late=True) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Passing(self._why(error)) from error

    def _read_body(self, response: httpx.Response, method: str, *, many: bool) -> bytes:
        largest = self.limits.largest_answer_bytes
        end = time.monotonic() + _SLOWEST * self.limits.timeout_seconds
        said = response.headers.get("Content-Length", "")
        pieces: list[bytes] = []
        size = int(said) if said.isascii() and said.isdigit() and len(said) < 19 else 0
        if size <= largest:
            size = 0
            for piece in response.iter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > largest:
                    break
                if time.monotonic() > end:
                    raise Passing(
                        f"its answer was not complete after {_SLOWEST} times the timeout", late=True
                    )
        if size <= largest:
            return b"".join(pieces)
        if many:
            raise TooLarge
        raise self.bad_answer(method, f"the answer is larger than {largest} bytes")

    def _wait_turn(self, calls: int) -> None:
        """Wait until the rate limit allows this many calls."""
        if not self.limits.requests_per_second:
            return
        with self._turn:
            now = time.monotonic()
            start = max(now, self._next_turn)
            self._next_turn = start + calls / self.limits.requests_per_second
        if start > now:
            self._sleep(start - now)

    def _why(self, error: Exception) -> str:
        words = str(error) or type(error).__name__
        return self._clean(shown(words, 200)[1:-1])

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def retry_after(text: str | None) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date; 0 where it says nothing usable."""
    if text is None:
        return 0.0
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _read_url(url: str) -> tuple[str, tuple[str, str] | None, str, tuple[str, ...]]:
    """The URL without its login, the login, the URL as it may be shown, and what must never be."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        (parts.hostname or "").encode("idna")
        httpx.URL(url.strip())
    except (ValueError, httpx.InvalidURL):
        raise InputError("the node's URL has a host, port or path that cannot be one") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or _UNFIT.search(url.strip()):
        raise InputError("a node's URL starts with http:// or https:// and has a host: http://127.0.0.1:8332")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{parts.scheme}://{host}{f':{port}' if port else ''}"
    login = None
    if parts.username is not None:
        login = (unquote(parts.username), unquote(parts.password or ""))
    query = f"?{parts.query}" if parts.query else ""
    path = "/".join("…" if _KEY.fullmatch(piece) else piece for piece in parts.path.split("/"))
    names = "&".join(
        f"{shown(name, 30)[1:-1]}=…" for name, _ in parse_qsl(parts.query, keep_blank_values=True)
    )
    hidden = set(_secrets(parts.path, parts.query))
    if login is not None:
        hidden |= {login[1], parts.password or ""}
    longest_first = tuple(sorted((word for word in hidden if len(word) >= 4), key=lambda w: (-len(w), w)))
    return (
        f"{place}{parts.path or '/'}{query}",
        login,
        f"{place}{path}{'?' + names if names else ''}",
        longest_first,
    )


def _secrets(path: str, query: str) -> Iterator[str]:
    """Pieces of a path and values of a query that may be keys, as written and as they read."""
    for piece in path.split("/"):
        if _KEY.fullmatch(piece):
            yield from (piece, unquote(piece))
    for _, value in parse_qsl(query):
        yield value
