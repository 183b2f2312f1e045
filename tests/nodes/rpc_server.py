"""A small JSON-RPC server over HTTP with Bitcoin Core's manners: statuses, envelopes, batches, Basic auth.

Answers are made by a function `answer(method, params)`, which raises `RpcFault` for an error of the protocol.
"""

import base64
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Answer = Callable[[str, Sequence[Any]], Any]


class RpcFault(Exception):
    """An answer that is an error; `status` is what HTTP says for a single call in the older envelope."""

    def __init__(self, code: int, message: str, *, status: int = 500) -> None:
        self.code, self.message, self.status = code, message, status
        super().__init__(message)


class LoopbackServer(ThreadingHTTPServer):
    """An HTTP server on loopback that drops its open connections when it ends."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self._open: set[Any] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients come and go in these tests: a cut connection is no news."""

    def drop_connections(self) -> None:
        """Cut every open connection."""
        with self._guard:
            cut = list(self._open)
        for request in cut:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(server: LoopbackServer) -> Iterator[LoopbackServer]:
    """Serve in a thread for the length of a `with` block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.drop_connections()
        server.server_close()


@contextmanager
def serve_rpc(answer: Answer, *, user: str | None = None, port: int = 0) -> Iterator[str]:
    """Serve JSON-RPC for the length of a `with` block; gives its URL, with `user` (name:password) in it."""
    expected = "Basic " + base64.b64encode(user.encode()).decode() if user else None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if expected is not None and self.headers.get("Authorization") != expected:
                self._send(401, b"", {"WWW-Authenticate": 'Basic realm="jsonrpc"'})
                return
            status, reply = handle(answer, body)
            self._send(status, reply, {"Content-Type": "application/json"})

        def do_GET(self) -> None:
            self._send(405, b"JSONRPC server handles only POST requests", {})

        def _send(self, status: int, reply: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)
            self.wfile.flush()

        def log_message(self, *words: Any) -> None:
            """Say nothing: tests read what they ask for."""

    with serving(LoopbackServer(port, Handler)) as server:
        yield server.url.replace("://", f"://{user}@") if user else server.url


def handle(answer: Answer, body: bytes) -> tuple[int, bytes]:
    """Return the HTTP status and body of the answer to a request's body."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 500, orjson.dumps(_envelope(None, error=(-32700, "Parse error"), modern=False))
    if isinstance(request, list):
        return 200, orjson.dumps([_answer_one(answer, each)[1] for each in request])
    status, reply = _answer_one(answer, request)
    return status, orjson.dumps(reply)


def _answer_one(answer: Answer, request: Any) -> tuple[int, dict[str, Any]]:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return 400, _envelope(None, error=(-32600, "Invalid Request object"), modern=False)
    modern = request.get("jsonrpc") == "2.0"
    number = request.get("id")
    params = request.get("params") or []
    try:
        result = answer(request["method"], params if isinstance(params, list) else [])
    except RpcFault as fault:
        status = 200 if modern else fault.status
        return status, _envelope(number, error=(fault.code, fault.message), modern=modern)
    return 200, _envelope(number, result=result, modern=modern)


def _envelope(
    number: Any, *, result: Any = None, error: tuple[int, str] | None = None, modern: bool
) -> dict[str, Any]:
    failed = {"code": error[0], "message": error[1]} if error else None
    if modern:
        said = {"error": failed} if failed else {"result": result}
        return {"jsonrpc": "2.0", **said, "id": number}
    return {"result": result, "error": failed, "id": number}
