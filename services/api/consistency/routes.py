"""A brand's consistency."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from rapport.kit import clock
from services.api.consistency import service as consistency
from services.api.consistency.schemas import Consistency, Rhythm
from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.keys.service import ReadBrand, WriteBrand
from services.api.mix.schemas import PeriodQuery

router = APIRouter(prefix="/v1", tags=["consistency"])


@router.get("/brands/{brand}/consistency", responses=responses(403, 404))
async def get_consistency(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> Consistency:
    """How steadily the brand published: rhythm, plan, gaps and score, for the brand and by account."""
    return await consistency.consistency(context.database, request.state.brand, query.from_, query.to, clock.now())


@router.get("/brands/{brand}/consistency/rhythm", responses=responses(403, 404))
async def get_rhythm(brand: str, _tenants: ReadBrand, context: ContextDep) -> Rhythm:
    """How many posts a week the brand wants."""
    return await consistency.rhythm(context.database, brand)


@router.put("/brands/{brand}/consistency/rhythm", responses=responses(403, 404))
async def put_rhythm(brand: str, new: Rhythm, _tenants: WriteBrand, context: ContextDep) -> Rhythm:
    """Replaces the rhythm. Past weeks are measured by it too."""
    return await consistency.set_rhythm(context.database, brand, new)
