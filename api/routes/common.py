"""What the routes share: where the snapshot is, who asks, the errors of OpenAPI, bodies that must be JSON."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from api.access import HEADERS
from api.examples import ERRORS
from api.schemas import ErrorAnswer
from api.serving import Serving
from features.words.languages import Language, choose_language

KEY_SCHEMES = [
    Security(
        APIKeyHeader(
            name=name, scheme_name=name, description="made by `silkscreen keys create`", auto_error=False
        )
    )
    for name in HEADERS
]
"""For OpenAPI: the keys themselves are checked before any route (`api/access.py`)."""


def describe_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the errors that a route may answer with."""
    return {
        status: {
            "model": ErrorAnswer,
            "description": ERRORS[status]["error"],
            "content": {"application/json": {"example": ERRORS[status]}},
        }
        for status in statuses
    }


def get_serving(request: Request) -> Serving:
    """Return the holder of the snapshot; a route opens it once the request has been found right."""
    serving: Serving = request.app.state.serving
    return serving


def get_caller_id(request: Request) -> str:
    """Return the id of the key that the request came with."""
    caller_id: str = request.state.caller.id
    return caller_id


def get_language(
    language: Annotated[
        Language | None,
        Query(description="language of the reasons' `text`; by default Accept-Language decides"),
    ] = None,
    accept_language: Annotated[
        str, Header(description="counts where there is no `language`; English where it names none of these")
    ] = "",
) -> Language:
    """Return the language that the request asks for."""
    return language or choose_language(accept_language)


ServingNow = Annotated[Serving, Depends(get_serving)]
CallerId = Annotated[str, Depends(get_caller_id)]
AskedLanguage = Annotated[Language, Depends(get_language)]


class JsonRoute(APIRoute):
    """A route whose body, if it has one, must be said to be JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Check the header Content-Type before anything else."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            is_json = kind == "application/json" or (
                kind.startswith("application/") and kind.endswith("+json")
            )
            if self.body_field is not None and not is_json:
                raise HTTPException(415, "send the body as Content-Type: application/json")
            return await handle(request)

        return handle_json


class JsonBytes(Response):
    """An answer that is written as JSON already."""

    media_type = "application/json"
