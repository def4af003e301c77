"""Answering routes."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api.answering import service as answering
from services.api.answering.schemas import Answering
from services.api.http.context import ContextDep
from services.api.http.periods import period
from services.api.http.problems import responses
from services.api.keys.service import ReadBrand
from services.api.mix.schemas import PeriodQuery

router = APIRouter(prefix="/v1", tags=["relationships"])


@router.get("/brands/{brand}/answering", responses=responses(403, 404))
async def get_answering(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> Answering:
    """How stages changed after answers in time, late answers and none; by default for the last 90 days with results."""
    now = datetime.now(UTC)
    first, last = answering.usual(now)
    zone = request.state.brand["settings"]["timezone"]
    days = period(query.from_ or (first if query.to is None else None), query.to or last, zone, now)
    return await answering.report(context.database, request.state.brand, days)
