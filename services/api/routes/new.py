"""New relationships a day, and outreach."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api import newcomers, outreaching
from services.api.auth import ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.schemas.common import Day, Page, PageQuery
from services.api.schemas.mix import PeriodQuery
from services.api.schemas.new import NewDays, NewGoal, NewRelationship, Outreach, OutreachToday

router = APIRouter(prefix="/v1", tags=["relationships"])


@router.get("/brands/{brand}/new", responses=responses(403, 404))
async def list_new_days(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> NewDays:
    """How many relationships began on each day in the brand's zone, by platform, against the goal."""
    return await newcomers.days(context.database, request.state.brand, query.from_, query.to, datetime.now(UTC))


@router.get("/brands/{brand}/new/goal", responses=responses(403, 404))
async def get_new_goal(brand: str, _tenants: ReadBrand, context: ContextDep) -> NewGoal:
    """How many new relationships the brand wants each day."""
    return await newcomers.goal(context.database, brand)


@router.put("/brands/{brand}/new/goal", responses=responses(403, 404))
async def put_new_goal(brand: str, new: NewGoal, _tenants: WriteBrand, context: ContextDep) -> NewGoal:
    """Replaces the goal, for all days."""
    return await newcomers.set_goal(context.database, brand, new)


@router.get("/brands/{brand}/new/{day}", responses=responses(403, 404))
async def list_new_of_day(
    day: Day, _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PageQuery, Query()]
) -> Page[NewRelationship]:
    """Who began on a day in the brand's zone, the latest first, and with what."""
    return await newcomers.of_day(context.database, request.state.brand, day, query, datetime.now(UTC))


@router.get("/brands/{brand}/outreach", responses=responses(403, 404))
async def list_outreach(
    tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[Outreach]:
    """What the brand did to others of its own accord, the latest first."""
    return await outreaching.done(context.database, tenants, query)


@router.get("/brands/{brand}/outreach/today", responses=responses(403, 404))
async def list_whom_to_reach(_tenants: ReadBrand, context: ContextDep, request: Request) -> OutreachToday:
    """Whom to reach out to today in the brand's zone, and why."""
    return await outreaching.today(context.database, request.state.brand, datetime.now(UTC))
