"""Outreach routes."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.http.schemas import Page, PageQuery
from services.api.keys.service import ReadBrand
from services.api.outreach import service as outreach
from services.api.outreach.schemas import Outreach, OutreachToday

router = APIRouter(prefix="/v1", tags=["relationships"])


@router.get("/brands/{brand}/outreach", responses=responses(403, 404))
async def list_outreach(
    tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[Outreach]:
    """What the brand did to others of its own accord, the latest first."""
    return await outreach.done(context.database, tenants, query)


@router.get("/brands/{brand}/outreach/today", responses=responses(403, 404))
async def list_whom_to_reach(_tenants: ReadBrand, context: ContextDep, request: Request) -> OutreachToday:
    """Whom to reach out to today in the brand's time zone, and why."""
    return await outreach.today(context.database, request.state.brand, datetime.now(UTC))
