"""Plain HTTP requests to indexers (Esplora, Blockscout, Etherscan), as patient as the JSON-RPC client."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from chains.errors import NodeUnavailable, RpcError
from chains.rejections import shown
from chains.web import OVERLOADED, HttpClient, Passing, RpcLimits, retry_after

Verdict = Callable[[Any], str | None]
"""Says of an answer why it may pass (a rate limit told with status 200); None where it counts."""

_LONGEST_TEXT = 1000


class RestClient(HttpClient):
    """A connection to one indexer, held open. Several threads may use it at once.

    `url` is what every path is put behind; `key` is sent as the query's `apikey`. Raises InputError for a URL
    that is none of http or https.
    """

    def __init__(self, url: str, *, key: str | None = None, limits: RpcLimits | None = None) -> None:
        super().__init__(url, limits=limits)
        self._place, _, self._query = self._address.partition("?")
        self._key = key
        if key:
            self._secrets = (key, quote(key, safe=""), *self._secrets)

    def get(
        self,
        path: str = "",
        query: Mapping[str, str | int] | None = None,
        *,
        plain: bool = False,
        verdict: Verdict | None = None,
    ) -> Any:
        """Return the decoded answer to one request; with `plain` its bare text.

        Raises RpcError (with the HTTP status as its code, or 0) where the indexer answers with an error,
        NodeUnavailable, NodeRefused and BadAnswer.
        """
        method = path or f"{(query or {}).get('module', '')}/{(query or {}).get('action', '')}"
        failures = 0
        while True:
            try:
                answer = self._ask(method, path, query or {}, plain=plain)
                why = verdict(answer) if verdict is not None else None
                if why is None:
                    return answer
                trouble = Passing(self._clean(shown(why, 200)))
            except Passing as failure:
                trouble = failure
            failures += 1
            if failures >= self.limits.attempts and trouble.broken:
                raise self.bad_answer(method, trouble.why)
            if failures >= self.limits.attempts:
                raise NodeUnavailable(self.shown_url, why=trouble.why, attempts=failures)
            self._pause(failures, trouble.wait_seconds)

    def error(self, method: str, message: str, *, code: int = 0) -> RpcError:
        """Return the error that the indexer itself gave, without secrets in it."""
        words = self._clean(message)[:_LONGEST_TEXT]
        return RpcError(self.shown_url, method=method, code=code, message=words)

    def _ask(self, method: str, path: str, query: Mapping[str, str | int], *, plain: bool) -> Any:
        """Send one request and decode its answer; raises Passing, RpcError, NodeRefused and BadAnswer."""
        self._wait_turn(1)
        words = dict(query) | ({"apikey": self._key} if self._key else {})
        asked = "&".join(part for part in (self._query, urlencode(words)) if part)
        url = f"{self._place.rstrip('/')}{path}{'?' + asked if asked else ''}"
        status, headers, data = self._send("GET", url, method)
        if status in OVERLOADED or status >= 500:
            raise Passing(f"HTTP status {status}", retry_after(headers.get("Retry-After")))
        if status != 200 or plain:
            text = data[:_LONGEST_TEXT].decode("utf-8", errors="replace").strip()
            if status != 200:
                raise self.error(method, text or f"HTTP status {status}", code=status)
            return text
        try:
            return self._decode(data)
        except (ValueError, RecursionError) as error:
            why = f"its answer of {len(data)} bytes is no JSON, or is cut off"
            raise Passing(why, broken=True) from error


def brief(value: Any) -> str:
    """Short text of a part of an answer, for a message."""
    return shown(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
