"""Mover routes."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.keys.service import ReadBrand
from services.api.movers import service as movers
from services.api.movers.schemas import Movers, MoversQuery

router = APIRouter(prefix="/v1", tags=["relationships"])


@router.get("/brands/{brand}/movers", responses=responses(403, 404))
async def get_movers(tenants: ReadBrand, context: ContextDep, query: Annotated[MoversQuery, Query()]) -> Movers:
    """Who is warming, who is cooling, who was lost, and which buyers have gone quiet."""
    return await movers.movers(context.database, tenants, query.limit, datetime.now(UTC))
