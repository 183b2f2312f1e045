"""Plain HTTP requests to indexers (Esplora, Blockscout, Etherscan), as patient as the JSON-RPC client.

The rules are those of `chains/rpc.py`: what can pass is tried again with jitter, what cannot is raised at
once, redirects are not followed, an answer has a largest size, and no key is ever in a message.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson

from chains.errors import NodeRefused, NodeUnavailable, RpcError
from chains.rejections import shown
from chains.rpc import _OVERLOADED, _REFUSED, RpcClient, RpcLimits, _Pass, _retry_after

Verdict = Callable[[Any], str | None]
"""Says of an answer why it may pass (a rate limit told with status 200); None where it counts."""


class RestClient(RpcClient):
    """A connection to one indexer, held open. Several threads may use it at once.

    `url` is what every path is put behind; `key` is sent as the query's `apikey`. Raises InputError for a URL
    that is none of http or https.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        limits: RpcLimits | None = None,
        decode: Callable[[bytes], Any] = orjson.loads,
        **more: Any,
    ) -> None:
        super().__init__(url, limits=limits, decode=decode, **more)
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
        failures = 0
        while True:
            try:
                answer = self._ask(path, query or {}, plain=plain)
                why = verdict(answer) if verdict is not None else None
                if why is None:
                    return answer
                trouble = _Pass(self._clean(why))
            except _Pass as failure:
                trouble = failure
            failures += 1
            if failures >= self.limits.attempts:
                raise NodeUnavailable(self.shown_url, why=trouble.why, attempts=failures)
            self._pause(failures, trouble.wait_seconds)

    def error(self, method: str, message: str, *, code: int = 0) -> RpcError:
        """Return the error that the indexer itself gave, without secrets in it."""
        return RpcError(self.shown_url, method=method, code=code, message=self._clean(message)[:1000])

    def _ask(self, path: str, query: Mapping[str, str | int], *, plain: bool) -> Any:
        """Send one request and decode its answer; raises _Pass, RpcError, NodeRefused and BadAnswer."""
        method = path or f"{query.get('module', '')}/{query.get('action', '')}"
        self._wait_turn(1)
        words = dict(query) | ({"apikey": self._key} if self._key else {})
        asked = "&".join(part for part in (self._query, urlencode(words)) if part)
        url = f"{self._place.rstrip('/')}{path}{'?' + asked if asked else ''}"
        try:
            with self._http.stream("GET", url, headers={"Accept": "application/json"}) as response:
                status, headers = response.status_code, response.headers
                if status in _REFUSED:
                    raise NodeRefused(self.shown_url, why=f"HTTP status {status}")
                if 300 <= status < 400:
                    raise self.bad_answer(
                        method, f"it redirects (HTTP status {status}): give the URL it leads to"
                    )
                data = self._read_body(response, method, many=False)
        except httpx.TimeoutException as error:
            raise _Pass(self._why(error) or "it took too long", late=True) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _Pass(self._why(error)) from error
        if status in _OVERLOADED:
            raise _Pass(f"HTTP status {status}", _retry_after(headers.get("Retry-After")))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _Pass(f"HTTP status {status}")
        if status != HTTPStatus.OK:
            text = data[:300].decode("utf-8", errors="replace").strip()
            raise self.error(method, text or f"HTTP status {status}", code=status)
        if plain:
            return data[:1000].decode("utf-8", errors="replace").strip()
        try:
            return self._decode(data)
        except (ValueError, RecursionError) as error:
            raise _Pass(f"its answer of {len(data)} bytes is no JSON, or is cut off") from error


def brief(value: Any) -> str:
    """Short text of a part of an answer, for a message."""
    return shown(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
