"""The HTTP service: its parts put together, and the one table from errors to statuses."""

import gc
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access import KeyGate, utc_now
from api.answers import shown_time, write_json
from api.edge import BodyLimit, RequestEdge
from api.examples import SHAPES
from api.logs import write_logs
from api.routes import addresses, health, screenings
from api.serving import Serving
from api.settings import Settings
from chains.errors import (
    InputError,
    KeyMissing,
    KeyRefused,
    LedgerError,
    ModelError,
    RecordsError,
    SilkscreenError,
    SnapshotError,
)
from datasets.records.store import open_records

log = structlog.get_logger()

STATUSES: dict[type[SilkscreenError], int] = {
    InputError: 422,
    KeyMissing: 401,
    KeyRefused: 403,
    SnapshotError: 503,
    ModelError: 503,
    RecordsError: 503,
    LedgerError: 503,
}
"""Which status an error has; it counts for the errors below it in the tree too. What is not here is a 500."""

MESSAGES = {
    404: "there is nothing at this path: /openapi.json lists what there is",
    405: "this method is not allowed here: the header Allow lists those that are",
    500: "this is a fault of the service; its log has the request id",
}

DESCRIPTION = """Screens virtual-asset addresses for drug-related laundering risk.

Every path but `/healthz` needs an API key in `X-API-Key` (or `Token`). Every answer that is not 2xx has one
shape. Texts of labels come from third parties: escape them before you show them. A score never decides alone.
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the service over the data folder of `settings`; the records are made and migrated.

    It starts without a snapshot too: then `/readyz` and the screenings answer 503 until one is published.
    Raises RecordsError.
    """
    write_logs()
    records = open_records(settings.records)
    serving = Serving(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            served = serving.current()
            log.info("serving", snapshot=served.snapshot.id, model=served.model and served.model.version)
        except SilkscreenError as error:
            log.warning("not_ready", why=str(error))
        gc.freeze()  # what was loaded stays: the collector need not look at it at every round
        yield
        gc.unfreeze()
        records.close()

    app = FastAPI(
        title="Silkscreen",
        version=version("silkscreen"),
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's page loads its scripts from the internet
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.openapi = partial(describe_service, app)  # type: ignore[method-assign]
    app.state.serving = serving
    app.state.settings = settings
    for routes in (health.router, screenings.router, addresses.router):
        app.include_router(routes)
    app.add_exception_handler(Exception, answer_error)
    for kind in (SilkscreenError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer_error)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, refuse=refuse)
    app.add_middleware(KeyGate, records=records, refuse=refuse)
    app.add_middleware(RequestEdge, refuse=refuse)  # the last one added is the outermost
    return app


def describe_service(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the examples whole: FastAPI would leave out what is null in them."""
    document = FastAPI.openapi(app)
    for name, shown in SHAPES.items():
        document["components"]["schemas"][name]["examples"] = shown
    return document


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, RequestValidationError):
        return 422
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return 500


async def answer_error(request: Request, error: Exception) -> Response:
    """Return the one shape of every error."""
    status = status_of(error)
    path = request.scope["path"][:512].encode("utf-8", "replace").decode()
    content = {
        "timestamp": shown_time(utc_now().replace(microsecond=0)),
        "path": path,
        "status": status,
        "error": _word(error, status),
        "message": _message(error, status),
        "request_id": request.scope.get("state", {}).get("request_id", ""),
    }
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == 401:
        headers["WWW-Authenticate"] = 'ApiKey realm="silkscreen", header="X-API-Key"'
    if status == 503:
        headers["Retry-After"] = "30"
    return Response(write_json(content), status, headers, media_type="application/json")


async def refuse(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """Write the answer of an error from outside the routes."""
    response = await answer_error(Request(scope), error)
    await response(scope, receive, send)


def _word(error: Exception, status: int) -> str:
    if isinstance(error, SilkscreenError) and status != 500:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    if isinstance(error, RequestValidationError):
        return "wrong_shape"
    if status == 413:
        return "body_too_large"
    if status == 500:
        return "internal_error"
    return HTTPStatus(status).phrase.lower().replace(" ", "_")


def _message(error: Exception, status: int) -> str:
    if isinstance(error, SilkscreenError) and status != 500:
        return str(error)
    if isinstance(error, RequestValidationError):
        return _describe_shape(error)
    if isinstance(error, HTTPException) and error.detail != HTTPStatus(status).phrase:
        return str(error.detail)
    return MESSAGES.get(status, HTTPStatus(status).phrase)


def _describe_shape(error: RequestValidationError) -> str:
    """Return what is wrong with a request, field by field, without repeating what was sent at length."""
    parts = []
    for problem in error.errors()[:5]:
        if problem["type"] == "json_invalid":
            return f"the body is not JSON: {problem['ctx']['error']} at character {problem['loc'][-1]}"
        where = ".".join(str(step) for step in problem["loc"])
        shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in where[:80])
        parts.append(f"{shown}: {problem['msg']}")
    return "; ".join(parts)
