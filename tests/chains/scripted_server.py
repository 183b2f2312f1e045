"""An HTTP server on loopback that answers as a test tells it to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Reply:
    """What is sent back. With `cut` the connection ends that many bytes into the body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    chunked: bool = False
    times: int = 1  # how often the body is written, until nobody reads any more


@dataclass
class Server:
    """A running server: its address, and the requests it got."""

    url: str
    asked: list[Any] = field(default_factory=list)  # decoded bodies
    headers: list[dict[str, str]] = field(default_factory=list)
    written: int = 0  # bodies that somebody took


def answer(result: Any, number: Any) -> dict[str, Any]:
    """A JSON-RPC answer with a result."""
    return {"jsonrpc": "2.0", "id": number, "result": result}


def failure(code: int, message: str, number: Any = None, **more: Any) -> dict[str, Any]:
    """A JSON-RPC answer with an error."""
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message, **more}}


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """A reply with a JSON body."""
    return Reply(orjson.dumps(value), status, headers)


@contextmanager
def serve(reply: Callable[[Any, int], Reply]) -> Iterator[Server]:
    """Run a server; `reply` gets each decoded body and how many requests came before it."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(server.asked)
                server.asked.append(body)
                server.headers.append(dict(self.headers.items()))
            self._send(reply(body, number))

        def _send(self, sent: Reply) -> None:
            self.send_response(sent.status)
            for name, value in sent.headers.items():
                self.send_header(name.replace("_", "-"), value)
            if not sent.chunked and "Content-Length" not in sent.headers:
                self.send_header("Content-Length", str(len(sent.body)))
            self.end_headers()
            try:
                for _ in range(sent.times):
                    self.wfile.write(sent.body if sent.cut is None else sent.body[: sent.cut])
                    self.wfile.flush()
                    server.written += 1
            except OSError:
                self.close_connection = True
            if sent.cut is not None or sent.chunked:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
