"""Exchanges: what waits for an answer, and what became of the rest."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api import deciding, reading, shapes
from services.api.auth import PrincipalDep, ReadBrand, Reader, WriteBrand
from services.api.context import ContextDep
from services.api.problems import not_found, responses
from services.api.schemas.common import Page
from services.api.schemas.views import DecisionInput, DecisionTaken, Exchange, ExchangeDetail, ExchangesQuery

router = APIRouter(prefix="/v1", tags=["exchanges"])


@router.get("/exchanges", responses=responses(403))
async def list_exchanges_across(
    who: Reader, context: ContextDep, query: Annotated[ExchangesQuery, Query()]
) -> Page[Exchange]:
    """The exchanges of every brand that the key may see."""
    return await reading.exchanges(context.database, who.tenants, query, datetime.now(UTC))


@router.get("/brands/{brand}/exchanges", responses=responses(403, 404))
async def list_exchanges(
    tenants: ReadBrand, context: ContextDep, query: Annotated[ExchangesQuery, Query()]
) -> Page[Exchange]:
    """A brand's exchanges. Superseded ones only where asked for."""
    return await reading.exchanges(context.database, tenants, query, datetime.now(UTC))


@router.get("/brands/{brand}/exchanges/{id}", responses=responses(403, 404))
async def get_exchange(id: str, tenants: ReadBrand, context: ContextDep, request: Request) -> ExchangeDetail:
    """One exchange with why it is due when it is, and what happened."""
    zone = request.state.brand["settings"]["timezone"]
    found = await reading.exchange(context.database, tenants, id, zone, datetime.now(UTC))
    if found is None:
        raise not_found("exchange")
    return found


@router.post("/brands/{brand}/exchanges/{id}/no-reply-needed", status_code=202, responses=responses(403, 404, 409, 503))
async def decide_that_no_reply_is_needed(
    id: str, said: DecisionInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> DecisionTaken:
    """Ends an open exchange without an answer. The exchange shows it as soon as the scorer has read it."""
    return shapes.decision(await deciding.no_reply_needed(context, tenants, id, who.name, said.why, said.spam))


@router.delete(
    "/brands/{brand}/exchanges/{id}/no-reply-needed", status_code=202, responses=responses(403, 404, 409, 503)
)
async def decide_that_a_reply_is_needed(
    id: str, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> DecisionTaken:
    """Takes back that no reply is needed, or that it is spam: the clock runs as if nobody had said so."""
    return shapes.decision(await deciding.reply_needed(context, tenants, id, who.name))
