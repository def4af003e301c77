"""Exchanges: what waits for an answer, and what became of the rest."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from services.api import reading
from services.api.auth import ReadBrand, Reader
from services.api.context import ContextDep
from services.api.problems import not_found, responses
from services.api.schemas.common import Page
from services.api.schemas.views import Exchange, ExchangeDetail, ExchangesQuery

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
async def get_exchange(id: str, tenants: ReadBrand, context: ContextDep) -> ExchangeDetail:
    """One exchange with why it is due when it is, and what happened."""
    found = await reading.exchange(context.database, tenants, id, datetime.now(UTC))
    if found is None:
        raise not_found("exchange")
    return found
