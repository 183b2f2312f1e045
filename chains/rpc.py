"""JSON-RPC over HTTP: one call or many in batches, to nodes that fail, lag or do not keep to the rules.

What can pass is tried again, with pauses of full jitter (a random part of a span that doubles): no
connection, a cut or broken answer, an overloaded node. What cannot is raised at once: refused credentials,
an error of the node's own, an answer to something that was not asked.
Sources: the JSON-RPC 2.0 specification, RFC 9110 (Retry-After), and the RPC documentation of Bitcoin Core.
"""

import re
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

import orjson

from chains.errors import NodeError, NodeUnavailable, RpcError
from chains.rejections import shown
from chains.web import OVERLOADED, HttpClient, Passing, RpcLimits, TooLarge, retry_after

__all__ = ["Call", "Decode", "RpcClient", "RpcLimits", "brief", "is_overload"]

Call = tuple[str, Sequence[Any]]
"""A method and its parameters."""

Decode = Callable[[bytes], Any]
"""What turns the bytes of an answer into objects, and raises ValueError or RecursionError for no JSON."""

_NO_BATCH = frozenset({400, 405, 413, 422})
_WARMING_UP = -28  # Bitcoin Core
_RATE = re.compile(
    r"too many requests|rate.?limit|(request|call)s? (rate|count|per|limit)|throttl|slow down|try again|"
    r"over capacity|compute units|busy|overload",
    re.IGNORECASE,
)
_RANGE = re.compile(r"block range|range (is )?too|more than \d+ (results|logs)|response size", re.IGNORECASE)


class _TooMuch(Exception):
    """The node takes no batch of this size."""


class RpcClient(HttpClient):
    """A connection to one node, held open. Several threads may use it at once.

    `decode` turns the bytes of an answer into objects and raises ValueError (or RecursionError) for what
    is no JSON. Raises InputError for a URL that is none of http or https.
    """

    def __init__(
        self,
        url: str,
        *,
        limits: RpcLimits | None = None,
        decode: Decode = orjson.loads,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url, limits=limits, decode=decode, sleep=sleep)
        self._batch_size = max(1, self.limits.batch_size)
        self._ids = count(1)

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call.

        Raises RpcError, NodeUnavailable, NodeRefused and BadAnswer.
        """
        return self.call_many([(method, params)])[0]

    def call_many(self, calls: Sequence[Call], *, decode: Decode | None = None) -> list[Any]:
        """Return the results of many calls in their order; the first RpcError among them is raised."""
        results = self.call_each(calls, decode=decode)
        for result in results:
            if isinstance(result, RpcError):
                raise result
        return results

    def call_each(self, calls: Sequence[Call], *, decode: Decode | None = None) -> list[Any | RpcError]:
        """Return the result of each call in their order, an RpcError where the node answered with one.

        `decode` stands in for that of the client: what it makes of a `result` is returned as it is.
        """
        decode = decode or self._decode
        results: list[Any | RpcError] = [None] * len(calls)
        places, size, failures = list(range(len(calls))), self._batch_size, 0
        while places:
            size = min(size, self._batch_size)
            asked = places[:size]
            try:
                left, trouble = self._exchange(calls, asked, results, decode)
            except (_TooMuch, TooLarge):
                size = len(asked) // 2
                continue
            except Passing as failure:
                left, trouble = asked, failure
            places[: len(asked)] = left
            if trouble is None:
                failures = 0
                continue
            failures = failures + 1 if len(left) == len(asked) else 1
            if failures >= self.limits.attempts:
                raise self._gone(calls[left[0]][0], trouble, failures)
            if trouble.late:
                size = max(1, len(asked) // 2)
            self._pause(failures, trouble.wait_seconds)
        return results

    def _gone(self, method: str, trouble: Passing, attempts: int) -> NodeError:
        """Return what it means that the last of all attempts has failed."""
        if trouble.broken:
            return self.bad_answer(method, trouble.why)
        return NodeUnavailable(self.shown_url, why=trouble.why, attempts=attempts)

    def _exchange(
        self, calls: Sequence[Call], places: list[int], results: list[Any | RpcError], decode: Decode
    ) -> tuple[list[int], Passing | None]:
        """Ask once for the calls at `places`; return those to be asked again, and why."""
        wanted = {next(self._ids): place for place in places}
        asked = [
            {"jsonrpc": "2.0", "id": number, "method": calls[place][0], "params": list(calls[place][1])}
            for number, place in wanted.items()
        ]
        method = calls[places[0]][0]
        self._wait_turn(len(asked))
        body = orjson.dumps(asked if len(asked) > 1 else asked[0])
        answer = self._post(body, method, decode, calls=len(asked))
        if len(asked) > 1 and not isinstance(answer, list):
            self._one_for_all(answer, method, len(asked))
        answers = answer if len(asked) > 1 else [answer]
        found = self._sort_answers(answers, wanted, method)
        left, trouble = [], None
        for number, place in wanted.items():
            if number not in found:
                left.append(place)
                trouble = trouble or Passing("it left out calls of a batch", broken=True)
                continue
            result = self._result(found[number], calls[place][0])
            if isinstance(result, Passing):
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

    def _result(self, answer: dict[str, Any], method: str) -> Any | RpcError | Passing:
        if answer.get("error") is None:
            if "result" not in answer:
                raise self.bad_answer(method, "neither a result nor an error is in it")
            return answer["result"]
        code, message = _read_error(answer["error"])
        if is_overload(code, message):
            return Passing(self._clean(f"error {code}: {shown(message, 200)}"))
        return RpcError(self.shown_url, method=method, code=code, message=self._clean(message))

    def _one_for_all(self, answer: Any, method: str, calls: int) -> None:
        """Raise what one answer to a whole batch means: the node is overloaded, or takes no such batch."""
        if not isinstance(answer, dict) or answer.get("error") is None:
            raise self.bad_answer(method, f"one answer came to a batch of {calls}")
        code, message = _read_error(answer["error"])
        if is_overload(code, message):
            raise Passing(self._clean(f"error {code}: {shown(message, 200)}"))
        self._shrink_batches(calls)
        raise _TooMuch

    def _shrink_batches(self, refused: int) -> None:
        """Send smaller batches from now on than the one that was refused; 1 is a single call, no batch."""
        self._batch_size = max(1, min(self._batch_size, refused // 2))

    def _post(self, body: bytes, method: str, decode: Decode, *, calls: int) -> Any:
        """Send one request and decode its answer; raises Passing, _TooMuch, NodeRefused and BadAnswer."""
        many = calls > 1
        status, headers, data = self._send("POST", self._address, method, body=body, many=many)
        if status in OVERLOADED:
            raise Passing(f"HTTP status {status}", retry_after(headers.get("Retry-After")))
        answer: Any = None
        try:
            answer = decode(data)
        except (ValueError, RecursionError) as error:
            if status == 200:
                raise Passing(
                    f"its answer of {len(data)} bytes is no JSON, or is cut off", broken=True
                ) from error
        if status == 200 or _is_error(answer) or (many and isinstance(answer, list)):
            return answer
        if status == 500:
            raise Passing("HTTP status 500")
        if many and status in _NO_BATCH:
            self._shrink_batches(calls)
            raise _TooMuch
        raise self.bad_answer(method, f"HTTP status {status}: is the URL's path right?")


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
    except (ValueError, RecursionError):
        return False


def brief(value: object) -> str:
    """Short text of a part of an answer, for a message; what holds others is named by its type alone."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    known = isinstance(value, str | int | float | Decimal | None)
    return shown(value) if known else f"a {type(value).__name__}"
