"""Routes of new relationships."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.http.schemas import Day, Page, PageQuery
from services.api.keys.service import ReadBrand, WriteBrand
from services.api.mix.schemas import PeriodQuery
from services.api.new_relationships import service as new_relationships
from services.api.new_relationships.schemas import NewDays, NewGoal, NewRelationship

router = APIRouter(prefix="/v1", tags=["relationships"])


@router.get("/brands/{brand}/new", responses=responses(403, 404))
async def list_new_days(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> NewDays:
    """How many relationships began on each day in the brand's time zone, by platform, and the goal."""
    return await new_relationships.days(context.database, request.state.brand, query.from_, query.to, datetime.now(UTC))


@router.get("/brands/{brand}/new/goal", responses=responses(403, 404))
async def get_new_goal(brand: str, _tenants: ReadBrand, context: ContextDep) -> NewGoal:
    """How many new relationships the brand wants each day."""
    return await new_relationships.goal(context.database, brand)


@router.put("/brands/{brand}/new/goal", responses=responses(403, 404))
async def put_new_goal(brand: str, new: NewGoal, _tenants: WriteBrand, context: ContextDep) -> NewGoal:
    """Replaces the goal, for all days."""
    return await new_relationships.set_goal(context.database, brand, new)


@router.get("/brands/{brand}/new/{day}", responses=responses(403, 404))
async def list_new_of_day(
    day: Day, _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PageQuery, Query()]
) -> Page[NewRelationship]:
    """The relationships that began on a day in the brand's time zone, the latest first, and how each began."""
    return await new_relationships.of_day(context.database, request.state.brand, day, query, datetime.now(UTC))
