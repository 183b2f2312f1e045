"""Is the process alive, and can it answer."""

from fastapi import APIRouter

from api.answers import shown_time, write_json
from api.routes.common import KEY_SCHEMES, JsonBytes, ServingNow, describe_errors
from api.schemas import Health, Readiness
from api.serving import Served
from chains.errors import SilkscreenError

router = APIRouter(tags=["operate"])


@router.get("/healthz", response_model=Health, summary="Is the process alive")
async def answer_health() -> JsonBytes:
    """Answer as long as the process does; needs no key."""
    return JsonBytes(write_json({"status": "ok"}))


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "not ready"}, **describe_errors(401, 403)},
    dependencies=KEY_SCHEMES,
    summary="Can screenings be answered, and from what",
)
def answer_readiness(serving: ServingNow) -> JsonBytes:
    """Answer 200 where there is a snapshot to answer from, else 503; `problems` says what is wrong."""
    try:
        served = serving.current()
    except SilkscreenError as error:
        return _describe(None, str(error))
    return _describe(served, serving.problem())


def _describe(served: Served | None, problem: str | None) -> JsonBytes:
    model = None if served is None else served.model
    content = {
        "ready": served is not None,
        "snapshot": None if served is None else served.snapshot.id,
        "as_of": None if served is None else shown_time(served.snapshot.as_of),
        "model": None if model is None else model.version,
        "problems": [] if problem is None else [problem],
    }
    return JsonBytes(write_json(content), 503 if served is None else 200)
