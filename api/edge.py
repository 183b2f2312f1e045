"""What every request passes first, as plain ASGI: its id, the last net for faults, the limit of its body."""

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import Refuse

log = structlog.get_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestEdge:
    """Gives each request an id, logs its answer, and turns what nobody caught into a 500."""

    def __init__(self, app: ASGIApp, *, refuse: Refuse) -> None:
        """Wrap `app`; `refuse` writes the answer of an error."""
        self.app, self.refuse = app, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cache-Control"] = "no-store"
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                _log_answer(scope, status, started)  # first written down, then sent
            await send(message)

        try:
            await self.app(scope, receive, send_marked)
        except Exception as error:  # the edge of the process: a fault ends in one answer, and in the log
            log.exception("fault", request_id=request_id, path=scope["path"])
            if status:
                raise  # the answer has begun: only breaking the connection tells the caller
            await self.refuse(scope, receive, send_marked, error)


def _log_answer(scope: Scope, status: int, started: float) -> None:
    caller = scope["state"].get("caller")
    log.info(
        "answered",
        request_id=scope["state"]["request_id"],
        method=scope["method"],
        path=scope["path"],
        status=status,
        caller=None if caller is None else caller.id,
        milliseconds=round(1000 * (time.perf_counter() - started), 2),
    )


class BodyLimit:
    """Refuses a body of more than `limit` bytes, whether its length was announced or not."""

    def __init__(self, app: ASGIApp, *, limit: int, refuse: Refuse) -> None:
        """Guard `app`; `refuse` writes the answer of an error."""
        self.app, self.limit, self.refuse = app, limit, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, as far as allowed, and pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        body = b""
        more = True
        too_large = announced.isdecimal() and int(announced[:20]) > self.limit
        while more and not too_large:
            message = await receive()
            if message["type"] != "http.request":  # the caller has gone
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            too_large = len(body) > self.limit
        if too_large:
            await self.refuse(
                scope, receive, send, HTTPException(413, f"the body is larger than {self.limit} bytes")
            )
            return
        sent = False

        async def receive_again() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive_again, send)
