"""Screen one address."""

import structlog
from fastapi import APIRouter

from api.answers import answer_screening
from api.routes.common import (
    KEY_SCHEMES,
    AskedLanguage,
    CallerId,
    JsonBytes,
    JsonRoute,
    ServingNow,
    describe_errors,
)
from api.schemas import ScreeningAnswer, ScreeningRequest
from api.screening import screen
from features.words.languages import ENGLISH

log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["screen"], route_class=JsonRoute, dependencies=KEY_SCHEMES)


@router.post(
    "/screenings",
    response_model=ScreeningAnswer,
    responses=describe_errors(401, 403, 405, 413, 415, 422, 500, 503),
    summary="Screen an address",
)
def answer_screenings(
    request: ScreeningRequest, serving: ServingNow, caller: CallerId, language: AskedLanguage
) -> JsonBytes:
    """Return the level of an address, who decided it, why, and what is not known.

    An address that the ledger never saw is answered too: sanctions and labels need no ledger. Asking twice
    gives the same answer under the same `screening_id`, until a new snapshot is published. `text` of the
    reasons is in the language that is asked for, all else in English.
    """
    served = serving.current()
    screening = screen(
        request.address,
        served.snapshot,
        served.model,
        chain=request.chain,
        caller=caller,
        language=language,
    )
    log.info("screened", screening=screening.screening_id, caller=caller, level=screening.risk_level.value)
    languages = ", ".join(dict.fromkeys((ENGLISH, language)))
    headers = {"Content-Language": languages, "Vary": "Accept-Language"}
    return JsonBytes(answer_screening(screening), headers=headers)
