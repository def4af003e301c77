"""Routes of the headline numbers."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request

from services.api.brands.repository import Brands
from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.keys.service import ReadBrand, Reader
from services.api.overview import service as overview
from services.api.overview.schemas import Overview, OverviewAcross

router = APIRouter(prefix="/v1", tags=["overview"])


@router.get("/brands/{brand}/overview", responses=responses(403, 404))
async def get_overview(tenants: ReadBrand, context: ContextDep, request: Request) -> Overview:
    """A brand's headline numbers as of now."""
    across = await overview.overview(context.database, tenants, [request.state.brand], datetime.now(UTC))
    return across.brands[0]


@router.get("/overview", responses=responses(403))
async def get_overview_across(who: Reader, context: ContextDep) -> OverviewAcross:
    """The headline numbers of all brands that the key may see, in total and by brand."""
    brands = await Brands(context.database, who.tenants).all()
    return await overview.overview(context.database, who.tenants, brands, datetime.now(UTC))
