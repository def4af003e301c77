"""Exchange routes."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api.exchanges import decisions
from services.api.exchanges.schemas import DecisionInput, DecisionTaken, Exchange, ExchangeDetail, ExchangesQuery
from services.api.exchanges.service import decision_shown, exchange_detail, page_of_exchanges
from services.api.http.context import ContextDep
from services.api.http.problems import not_found, responses
from services.api.http.schemas import Page
from services.api.keys.service import PrincipalDep, ReadBrand, Reader, WriteBrand

router = APIRouter(prefix="/v1", tags=["exchanges"])


@router.get("/exchanges", responses=responses(403))
async def list_exchanges_across(
    who: Reader, context: ContextDep, query: Annotated[ExchangesQuery, Query()]
) -> Page[Exchange]:
    """The exchanges of all brands that the key may see."""
    return await page_of_exchanges(context.database, who.tenants, query, datetime.now(UTC))


@router.get("/brands/{brand}/exchanges", responses=responses(403, 404))
async def list_exchanges(
    tenants: ReadBrand, context: ContextDep, query: Annotated[ExchangesQuery, Query()]
) -> Page[Exchange]:
    """A brand's exchanges. Superseded ones only if asked for."""
    return await page_of_exchanges(context.database, tenants, query, datetime.now(UTC))


@router.get("/brands/{brand}/exchanges/{id}", responses=responses(403, 404))
async def get_exchange(id: str, tenants: ReadBrand, context: ContextDep, request: Request) -> ExchangeDetail:
    """One exchange, with why it is due when it is, and what happened."""
    zone = request.state.brand["settings"]["timezone"]
    found = await exchange_detail(context.database, tenants, id, zone, datetime.now(UTC))
    if found is None:
        raise not_found("exchange")
    return found


@router.post("/brands/{brand}/exchanges/{id}/no-reply-needed", status_code=202, responses=responses(403, 404, 409, 503))
async def decide_that_no_reply_is_needed(
    id: str, said: DecisionInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> DecisionTaken:
    """Ends an open exchange without an answer. The exchange shows it once the scorer has read the decision."""
    return decision_shown(await decisions.no_reply_needed(context, tenants, id, who.name, said.why, said.spam))


@router.delete(
    "/brands/{brand}/exchanges/{id}/no-reply-needed", status_code=202, responses=responses(403, 404, 409, 503)
)
async def decide_that_a_reply_is_needed(
    id: str, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> DecisionTaken:
    """Undoes the decision that no reply is needed or that it is spam. The clock runs as if it had not been made."""
    return decision_shown(await decisions.reply_needed(context, tenants, id, who.name))
