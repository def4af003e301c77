"""Headline numbers, of one brand or across."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request

from services.api import numbers
from services.api.auth import ReadBrand, Reader
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.repositories.brands import Brands
from services.api.schemas.views import Overview, OverviewAcross

router = APIRouter(prefix="/v1", tags=["overview"])


@router.get("/brands/{brand}/overview", responses=responses(403, 404))
async def get_overview(tenants: ReadBrand, context: ContextDep, request: Request) -> Overview:
    """A brand's headline numbers as of now."""
    across = await numbers.overview(context.database, tenants, [request.state.brand], datetime.now(UTC))
    return across.brands[0]


@router.get("/overview", responses=responses(403))
async def get_overview_across(who: Reader, context: ContextDep) -> OverviewAcross:
    """The headline numbers of every brand that the key may see, in all and by brand."""
    brands = await Brands(context.database, who.tenants).all()
    return await numbers.overview(context.database, who.tenants, brands, datetime.now(UTC))
