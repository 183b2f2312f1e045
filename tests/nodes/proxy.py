"""A proxy in front of a node that injects faults, by chance and by seed.

    with run_proxy(node.url, Faults(cut=0.1, too_many=0.2, shuffle=1.0), seed=7) as proxy:
        proxy.url                  # give this to the reader
        proxy.faults = NONE        # other faults from now on
        proxy.counts["cut"]        # how often each was injected; proxy.requests: how many requests came
        proxy.before = function    # called with (number of the request, its methods) before it is passed on

The chances of `Faults` are each of one request (0 to 1); of those that end a request at most one happens.
`chain`, `lag` and `lie` hold always. A test can be exact with `before`, and with `lie`: a function of a
call's method, parameters and result that returns another result. Numbers with a point are in the result as
`orjson.Fragment`s, so that what is passed on has the digits that the node wrote.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import orjson

from tests.nodes.rpc_server import LoopbackServer, serving

Lie = Callable[[str, Any, Any], Any]


@dataclass(frozen=True)
class Faults:
    """Chances of faults, and what is always wrong."""

    drop: float = 0.0  # the connection ends without an answer
    cut: float = 0.0  # it ends in the middle of the body
    truncate: float = 0.0  # the body is whole for HTTP, and half an answer
    too_many: float = 0.0  # 429 with Retry-After
    broken: float = 0.0  # 500, 502, 503 or 504
    warming: float = 0.0  # the node's own error -28: it is still starting
    delay: float = 0.0  # the answer comes late, by up to `delay_seconds`
    shuffle: float = 0.0  # the answers of a batch come in another order
    repeat: float = 0.0  # an answer of a batch comes twice
    lose: float = 0.0  # an answer of a batch is missing
    stale: float = 0.0  # it says that its head is `stale_blocks` lower, but knows all blocks
    delay_seconds: float = 0.05
    retry_after_seconds: float = 0.01
    stale_blocks: int = 3
    lag: int = 0  # always: it knows nothing of the newest blocks
    no_batches: bool = False  # always: a batch is refused as a whole
    chain: str | int | None = None  # always: hash of block 0 (text), or chain id (number)
    lie: Lie | None = None  # always


NONE = Faults()
ROUGH = Faults(
    drop=0.04, cut=0.04, truncate=0.04, too_many=0.04, broken=0.04, warming=0.02,
    delay=0.1, delay_seconds=0.02, shuffle=0.5, repeat=0.1, lose=0.1, stale=0.1,
)  # fmt: skip
"""About every fifth request fails; what arrives is the truth."""

_FATAL = ("drop", "cut", "truncate", "too_many", "broken", "warming")


class Proxy:
    """A running proxy. Made by `run_proxy`."""

    def __init__(self, target: str, faults: Faults, seed: int) -> None:
        self.url = ""
        self.target = target
        self.faults = faults
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self.before: Callable[[int, list[str]], None] | None = None
        self._random = random.Random(seed)  # noqa: S311  (repeatable on purpose)
        self._guard = threading.Lock()
        self._client = httpx.Client(timeout=60, trust_env=False)
        self._asking = 0
        self._idle = threading.Condition()
        self._closed = False

    def close(self) -> None:
        """Let go of the node, once what is being asked has its answer: else a connection would stay open."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: not self._asking, timeout=60)
        self._client.close()

    def _post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        with self._idle:
            if self._closed:
                return httpx.Response(503)
            self._asking += 1
        try:
            return self._client.post(self.target, content=body, headers=headers)
        finally:
            with self._idle:
                self._asking -= 1
                self._idle.notify_all()

    def choose(self) -> tuple[str, set[str], float]:
        """Return the fault that ends this request ('' for none), the others, and the delay in seconds."""
        faults = self.faults
        with self._guard:
            draw = self._random.random()
            fatal = ""
            for name in _FATAL:
                draw -= getattr(faults, name)
                if draw < 0:
                    fatal = name
                    break
            mild = {
                name
                for name in ("shuffle", "repeat", "lose", "stale")
                if self._random.random() < getattr(faults, name)
            }
            late = self._random.random() < faults.delay
            pause = self._random.random() * faults.delay_seconds if late else 0.0
        self.count(fatal, "delay" if late else "")
        return fatal, mild, pause

    def count(self, *names: str) -> None:
        """Count injected faults."""
        with self._guard:
            self.counts.update(name for name in names if name)

    def pick(self, among: int) -> int:
        """Return a random number below `among`."""
        with self._guard:
            return self._random.randrange(among)

    def forward(self, body: bytes, headers: dict[str, str], mild: set[str]) -> tuple[int, bytes]:
        """Ask the node and return its answer, with the milder faults in it."""
        request = orjson.loads(body)
        calls = request if isinstance(request, list) else [request]
        with self._guard:
            self.requests += 1
            number = self.requests
        if self.before is not None:
            self.before(number, [str(call.get("method")) for call in calls])
        if isinstance(request, list) and self.faults.no_batches:
            self.count("no_batches")
            error = {"code": -32600, "message": "batch requests are not supported"}
            return 200, orjson.dumps({"jsonrpc": "2.0", "id": None, "error": error})
        answer = self._post(body, headers)
        try:
            said = json.loads(answer.content, parse_float=_exact)
        except json.JSONDecodeError:
            return answer.status_code, answer.content
        by_id = {call.get("id"): call for call in calls}
        answers = said if isinstance(said, list) else [said]
        changed = False
        for each in answers:
            changed |= self._distort(by_id.get(each.get("id"), {}), each, mild)
        if isinstance(said, list):
            changed |= self._jumble(said, mild)
        return answer.status_code, _written(said, answer.content, changed=changed)

    def _jumble(self, answers: list[Any], mild: set[str]) -> bool:
        before = list(answers)
        for name in ("repeat", "lose", "shuffle"):
            if name not in mild or len(answers) < 2:
                continue
            place = self.pick(len(answers))
            if name == "repeat":
                answers.append(answers[place])
            elif name == "lose":
                del answers[place]
            else:
                order = list(range(len(answers)))
                while order == sorted(order):
                    with self._guard:
                        self._random.shuffle(order)
                answers[:] = [answers[index] for index in order]
            self.count(name)
        return answers != before

    def _distort(self, call: dict[str, Any], answer: dict[str, Any], mild: set[str]) -> bool:
        """Put what is always wrong, and a stale head, into one answer; return whether it changed."""
        method, params = call.get("method", ""), call.get("params") or []
        faults, result = self.faults, answer.get("result")
        if result is None:
            return False
        other = result
        if faults.chain is not None:
            other = _other_chain(faults.chain, method, params, other)
        lag = faults.lag + (faults.stale_blocks if "stale" in mild else 0)
        if lag:
            other = self._lagging(lag, method, params, other)
        if faults.lie is not None:
            other = faults.lie(method, params, other)
        if other is result:
            return False
        self.count("stale" if "stale" in mild else "changed")
        if isinstance(other, RpcRefusal) and not other.code:
            answer["result"] = None
        elif isinstance(other, RpcRefusal):
            answer.pop("result", None)
            answer["error"] = {"code": other.code, "message": other.message}
        else:
            answer["result"] = other
        return True

    def _lagging(self, lag: int, method: str, params: Any, result: Any) -> Any:
        """Answer as a node whose newest blocks are missing: its head, and what is asked by height."""
        if method == "getblockcount":
            return max(result - lag, 0)
        if method == "getblockchaininfo":
            height = max(result["blocks"] - lag, 0)
            tip = self._ask("getblockhash", height)
            return result | {"blocks": height, "headers": height, "bestblockhash": tip}
        if method == "eth_blockNumber":
            return hex(max(int(result, 16) - lag, 0))
        if method == "eth_getBlockByNumber" and params[0] in ("latest", "safe", "finalized"):
            height = max(int(result["number"], 16) - (lag if params[0] == "latest" else 0), 0)
            return self._ask(method, hex(height), params[1])
        return self._hidden(method, params, result) if self.faults.lag else result

    def _hidden(self, method: str, params: Any, result: Any) -> Any:
        """Answer by height as a node that does not have its newest `lag` blocks yet."""
        if method == "getblockhash" and params[0] > self._ask("getblockcount") - self.faults.lag:
            return RpcRefusal(-8, "Block height out of range")
        if method == "eth_getBlockByNumber" and params[0].startswith("0x"):
            head = int(self._ask("eth_blockNumber"), 16) - self.faults.lag
            return RpcRefusal(0, "") if int(params[0], 16) > head else result
        return result

    def _ask(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._post(orjson.dumps(request), {"Content-Type": "application/json"})
        return json.loads(answer.content, parse_float=_exact)["result"]


@dataclass(frozen=True)
class RpcRefusal:
    """What stands for an error of the node, or with code 0 for a null, where a result is distorted."""

    code: int
    message: str


def _other_chain(chain: str | int, method: str, params: Any, result: Any) -> Any:
    if method == "getblockhash" and params[:1] == [0]:
        return chain
    if method == "eth_chainId":
        return hex(int(chain))
    if method == "net_version":
        return str(chain)
    return result


def _exact(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _written(said: Any, original: bytes, *, changed: bool) -> bytes:
    """Return the answer as it came, or written anew where it was changed."""
    return orjson.dumps(said) if changed else original


@contextmanager
def run_proxy(target: str, faults: Faults = NONE, *, seed: int = 1) -> Iterator[Proxy]:
    """Stand in front of the node at a URL for the length of a `with` block."""
    proxy = Proxy(target, faults, seed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fatal, mild, pause = proxy.choose()
            time.sleep(pause)
            if fatal == "drop":
                self.close_connection = True
            elif fatal == "too_many":
                self._send(429, b"slow down", {"Retry-After": str(proxy.faults.retry_after_seconds)})
            elif fatal == "broken":
                self._send((500, 502, 503, 504)[proxy.pick(4)], b"<html>gateway</html>", {})
            elif fatal == "warming":
                said = b'{"result":null,"error":{"code":-28,"message":"Loading block index"},"id":null}'
                self._send(500, said, {})
            else:
                copied = {"Content-Type": "application/json"}
                if "Authorization" in self.headers:
                    copied["Authorization"] = self.headers["Authorization"]
                try:
                    status, reply = proxy.forward(body, copied, mild)
                except httpx.TransportError:
                    self._send(502, b"no node", {})
                    return
                if fatal == "truncate":
                    reply = reply[: len(reply) // 2]
                self._send(status, reply, {}, cut=fatal == "cut")

        def _send(self, status: int, reply: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply[: len(reply) // 2] if cut else reply)
            self.wfile.flush()
            self.close_connection |= cut

        def log_message(self, *words: Any) -> None:
            """Say nothing: `counts` says it."""

    try:
        with serving(LoopbackServer(0, Handler)) as server:
            proxy.url = server.url
            yield proxy
    finally:
        proxy.close()
