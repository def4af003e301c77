"""What answering does to relationships."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api import answering
from services.api.auth import ReadBrand
from services.api.context import ContextDep
from services.api.periods import period
from services.api.problems import responses
from services.api.schemas.answering import Answering
from services.api.schemas.mix import PeriodQuery

router = APIRouter(prefix="/v1", tags=["relationships"])


@router.get("/brands/{brand}/answering", responses=responses(403, 404))
async def get_answering(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> Answering:
    """How stages moved after answers in time, late ones, and none; by default of the last 90 days that can be told."""
    now = datetime.now(UTC)
    first, last = answering.usual(now)
    zone = request.state.brand["settings"]["timezone"]
    days = period(query.from_ or (first if query.to is None else None), query.to or last, zone, now)
    return await answering.report(context.database, request.state.brand, days)
