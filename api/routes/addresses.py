"""Look at one address: facts, no level."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.exceptions import HTTPException

from api.answers import describe_address, write_json
from api.examples import REQUESTS
from api.routes.common import KEY_SCHEMES, CallerId, JsonBytes, ServingNow, describe_errors
from api.schemas import AddressAnswer
from api.screening import screen

router = APIRouter(prefix="/v1", tags=["look closer"], dependencies=KEY_SCHEMES)

Account = Annotated[
    str,
    Path(
        max_length=300,
        description="a CAIP-10 id, or a bare address where unambiguous; percent-encode it as one segment",
        examples=[REQUESTS[0]["address"]],
    ),
]
Chain = Annotated[
    str | None, Query(min_length=1, max_length=80, description="name or CAIP-2 id of a bare address's chain")
]
Limit = Annotated[int, Query(ge=0, le=100, description="how many of the newest transfers to return")]


@router.get(
    "/addresses/{account:path}",
    response_model=AddressAnswer,
    responses=describe_errors(401, 403, 404, 405, 422, 500, 503),
    summary="What is known of an address",
)
def answer_address(
    account: Account, serving: ServingNow, caller: CallerId, chain: Chain = None, transfers: Limit = 20
) -> JsonBytes:
    """Return totals, entity, labels, exposures and the newest transfers of an address.

    404 where neither the ledger nor any label knows it.
    """
    served = serving.current()
    found = screen(account, served.snapshot, served.model, chain=chain, caller=caller)
    if not found.in_ledger and not found.labels and not found.sanctions:
        raise HTTPException(404, f"{found.account.caip10} is in no transfer and no label of this snapshot")
    row = served.snapshot.find(found.account.caip10)
    lines = () if row is None else served.snapshot.transfers(row, transfers)
    return JsonBytes(write_json(describe_address(found, lines)))
