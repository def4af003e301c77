"""A brand's consistency."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api import rhythm
from services.api.auth import ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.schemas.consistency import Consistency, Rhythm
from services.api.schemas.mix import PeriodQuery

router = APIRouter(prefix="/v1", tags=["consistency"])


@router.get("/brands/{brand}/consistency", responses=responses(403, 404))
async def get_consistency(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> Consistency:
    """How steadily the brand published: rhythm, plan, gaps and the score, in all and by account."""
    return await rhythm.consistency(context.database, request.state.brand, query.from_, query.to, datetime.now(UTC))


@router.get("/brands/{brand}/consistency/rhythm", responses=responses(403, 404))
async def get_rhythm(brand: str, _tenants: ReadBrand, context: ContextDep) -> Rhythm:
    """How many posts a week the brand wants."""
    return await rhythm.rhythm(context.database, brand)


@router.put("/brands/{brand}/consistency/rhythm", responses=responses(403, 404))
async def put_rhythm(brand: str, new: Rhythm, _tenants: WriteBrand, context: ContextDep) -> Rhythm:
    """Replaces it. It holds for the time before, too."""
    return await rhythm.set_rhythm(context.database, brand, new)
