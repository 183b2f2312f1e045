"""JSON-RPC over HTTP: one call or many in batches, to nodes that fail, lag or do not keep to the rules.

What can pass is tried again, with pauses of full jitter (a random part of a span that doubles): no
connection, a cut or broken answer, an overloaded node. What cannot is raised at once: refused credentials,
an error of the node's own, an answer to something that was not asked.
Sources: the JSON-RPC 2.0 specification, RFC 9110 (Retry-After), and the RPC documentation of Bitcoin Core.
"""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from itertools import count
from threading import Lock
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import orjson

from chains.errors import BadAnswer, InputError, NodeRefused, NodeUnavailable, RpcError
from chains.rejections import shown

# At its level INFO httpx writes down every URL, and with it the keys that providers put into their paths.
logging.getLogger("httpx").setLevel(logging.WARNING)

Call = tuple[str, Sequence[Any]]
"""A method and its parameters."""

_OVERLOADED = frozenset({429, 502, 503, 504})
_REFUSED = frozenset({401, 402, 403})
_NO_BATCH = frozenset({400, 405, 413, 422})
_WARMING_UP = -28  # Bitcoin Core
_RATE = re.compile(
    r"too many requests|rate.?limit|(request|call)s? (rate|count|per|limit)|throttl|slow down|try again|"
    r"over capacity|compute units|busy|overload",
    re.IGNORECASE,
)
_RANGE = re.compile(r"block range|range (is )?too|more than \d+ (results|logs)|response size", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z0-9_\-.~%]{20,}|(?=[^/]*\d)[A-Za-z0-9_\-]{12,}")
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


class _Pass(Exception):
    """A failure that may pass: why, how long the node asks to wait, and whether to ask for less at once."""

    def __init__(self, why: str, wait_seconds: float = 0.0, *, late: bool = False) -> None:
        self.why, self.wait_seconds, self.late = why, wait_seconds, late
        super().__init__(why)


class _TooMuch(Exception):
    """The node takes no batch of this size, or its answer is too large."""


class RpcClient:
    """A connection to one node, held open. Several threads may use it at once.

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
        self._batch_size = max(1, self.limits.batch_size)
        self._ids = count(1)
        self._turn, self._next_turn = Lock(), 0.0
        self._http = httpx.Client(
            auth=self._login,
            follow_redirects=False,
            trust_env=False,
            headers={"Content-Type": "application/json", "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(self.limits.timeout_seconds),
        )

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call.

        Raises RpcError, NodeUnavailable, NodeRefused and BadAnswer.
        """
        return self.call_many([(method, params)])[0]

    def call_many(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of many calls in their order; the first RpcError among them is raised."""
        results = self.call_each(calls)
        for result in results:
            if isinstance(result, RpcError):
                raise result
        return results

    def call_each(self, calls: Sequence[Call]) -> list[Any | RpcError]:
        """Return the result of each call in their order, an RpcError where the node answered with one."""
        results: list[Any | RpcError] = [None] * len(calls)
        start = 0
        while start < len(calls):
            end = min(start + self._batch_size, len(calls))
            self._fetch(calls, list(range(start, end)), results)
            start = end
        return results

    def bad_answer(self, method: str, why: str) -> BadAnswer:
        """Return the error of an answer that cannot be right, without this node's secrets in it."""
        return BadAnswer(self.shown_url, method=method, why=self._clean(why))

    def close(self) -> None:
        """Let go of the connections; closing twice is harmless."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return the open client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _fetch(self, calls: Sequence[Call], places: list[int], results: list[Any | RpcError]) -> None:
        """Fill in the results at `places`: again what has no answer yet, by halves what is too much."""
        failures = 0
        while places:
            try:
                left, trouble = self._exchange(calls, places, results)
            except _TooMuch:
                half = len(places) // 2
                self._fetch(calls, places[:half], results)
                self._fetch(calls, places[half:], results)
                return
            except _Pass as failure:
                left, trouble = places, failure
            if trouble is None:
                return
            failures = failures + 1 if len(left) == len(places) else 1
            if failures >= self.limits.attempts:
                raise NodeUnavailable(self.shown_url, why=trouble.why, attempts=failures)
            self._pause(failures, trouble.wait_seconds)
            if trouble.late and len(left) > 1:
                half = len(left) // 2
                self._fetch(calls, left[:half], results)
                self._fetch(calls, left[half:], results)
                return
            places = left

    def _pause(self, failures: int, wait_seconds: float) -> None:
        longest = self.limits.longest_pause_seconds
        span = min(longest, self.limits.first_pause_seconds * 2 ** (failures - 1))
        jitter = random.uniform(0, span)  # noqa: S311  (spreads load, hides nothing)
        self._sleep(min(longest, max(wait_seconds, jitter)))

    def _exchange(
        self, calls: Sequence[Call], places: list[int], results: list[Any | RpcError]
    ) -> tuple[list[int], _Pass | None]:
        """Ask once for the calls at `places`; return those to be asked again, and why."""
        wanted = {next(self._ids): place for place in places}
        asked = [
            {"jsonrpc": "2.0", "id": number, "method": calls[place][0], "params": list(calls[place][1])}
            for number, place in wanted.items()
        ]
        method = calls[places[0]][0]
        self._wait_turn(len(asked))
        answer = self._post(orjson.dumps(asked if len(asked) > 1 else asked[0]), method, calls=len(asked))
        if len(asked) > 1 and not isinstance(answer, list):
            self._one_for_all(answer, method, len(asked))
        answers = answer if len(asked) > 1 else [answer]
        found = self._sort_answers(answers, wanted, method)
        left, trouble = [], None
        for number, place in wanted.items():
            if number not in found:
                left.append(place)
                trouble = trouble or _Pass("it left out calls of a batch")
                continue
            result = self._result(found[number], calls[place][0])
            if isinstance(result, _Pass):
                left.append(place)
                trouble = result
            else:
                results[place] = result
        return left, trouble

    def _sort_answers(
        self, answers: list[Any], wanted: dict[int, int], method: str
    ) -> dict[int, dict[str, Any]]:
        """Answers by their id, in whatever order and however often they came."""
        found: dict[int, dict[str, Any]] = {}
        for answer in answers:
            if not isinstance(answer, dict):
                raise self.bad_answer(method, f"{brief(answer)} is no JSON-RPC answer")
            number = answer.get("id")
            if number is None and answer.get("error") is not None and len(wanted) == 1:
                number = next(iter(wanted))  # an error found before the id was read
            if type(number) is not int or number not in wanted:
                raise self.bad_answer(method, f"it answers call {brief(number)}, which was not asked")
            if number in found and not _same(found[number], answer):
                raise self.bad_answer(method, "it gives two different answers to one call")
            found[number] = answer
        return found

    def _result(self, answer: dict[str, Any], method: str) -> Any | RpcError | _Pass:
        if answer.get("error") is None:
            if "result" not in answer:
                raise self.bad_answer(method, "neither a result nor an error is in it")
            return answer["result"]
        code, message = _read_error(answer["error"])
        if is_overload(code, message):
            return _Pass(self._clean(f"error {code}: {shown(message, 200)}"))
        return RpcError(self.shown_url, method=method, code=code, message=self._clean(message))

    def _one_for_all(self, answer: Any, method: str, calls: int) -> None:
        """Raise what one answer to a whole batch means: the node is overloaded, or takes no such batch."""
        if not isinstance(answer, dict) or answer.get("error") is None:
            raise self.bad_answer(method, f"one answer came to a batch of {calls}")
        code, message = _read_error(answer["error"])
        if is_overload(code, message):
            raise _Pass(self._clean(f"error {code}: {shown(message, 200)}"))
        self._shrink_batches(calls)
        raise _TooMuch

    def _shrink_batches(self, refused: int) -> None:
        """Send smaller batches from now on than the one that was refused; 1 is a single call, no batch."""
        self._batch_size = max(1, min(self._batch_size, refused // 2))

    def _post(self, body: bytes, method: str, *, calls: int) -> Any:
        """Send one request and decode its answer; raises _Pass, _TooMuch, NodeRefused and BadAnswer."""
        many = calls > 1
        try:
            with self._http.stream("POST", self._address, content=body) as response:
                status, headers = response.status_code, response.headers
                if status in _REFUSED:
                    raise NodeRefused(self.shown_url, why=f"HTTP status {status}")
                if 300 <= status < 400:
                    raise self.bad_answer(
                        method, f"it redirects (HTTP status {status}): give the URL it leads to"
                    )
                data = self._read_body(response, method, many=many)
        except httpx.TimeoutException as error:
            raise _Pass(self._why(error) or "it took too long", late=True) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _Pass(self._why(error)) from error
        if status in _OVERLOADED:
            raise _Pass(f"HTTP status {status}", _retry_after(headers.get("Retry-After")))
        answer: Any = None
        try:
            answer = self._decode(data)
        except (ValueError, RecursionError) as error:
            if status == 200:
                raise _Pass(f"its answer of {len(data)} bytes is no JSON, or is cut off") from error
        if status == 200 or _is_error(answer) or (many and isinstance(answer, list)):
            return answer
        if status == 500:
            raise _Pass("HTTP status 500")
        if many and status in _NO_BATCH:
            self._shrink_batches(calls)
            raise _TooMuch
        raise self.bad_answer(method, f"HTTP status {status}: is the URL's path right?")

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
                    raise _Pass(f"its answer was not complete after {_SLOWEST} times the timeout", late=True)
        if size <= largest:
            return b"".join(pieces)
        if many:
            raise _TooMuch
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


def is_overload(code: int, message: str) -> bool:
    """Whether an error of a node means that it is too busy now, and not that the call is wrong.

    −32005 is a rate limit with some nodes; with others it is a range or an answer that is too large.
    """
    if code in (_WARMING_UP, 429):
        return True
    return -32099 <= code <= -32000 and bool(_RATE.search(message)) and not _RANGE.search(message)


def _is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)


def _read_error(error: Any) -> tuple[int, str]:
    """Code and message of an error object, whatever a node puts there."""
    if not isinstance(error, dict):
        return 0, brief(error)
    code, message = error.get("code"), error.get("message")
    data = error.get("data")
    words = message if isinstance(message, str) else brief(message)
    if isinstance(data, str) and data not in words:
        words = f"{words}: {data}"
    return code if type(code) is int and abs(code) < 2**31 else 0, words[:1000]


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except RecursionError:
        return False


def brief(value: object) -> str:
    """Short text of a part of an answer, for a message; what holds others is named by its type alone."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    known = isinstance(value, str | int | float | Decimal | None)
    return shown(value) if known else f"a {type(value).__name__}"


def _retry_after(text: str | None) -> float:
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
    except ValueError:
        raise InputError("the node's URL has a host or port that cannot be one") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.strip().isprintable():
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
