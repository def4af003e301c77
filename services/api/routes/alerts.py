"""Alerts and where they went."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.api import reading
from services.api.auth import ReadBrand
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.schemas.common import Page
from services.api.schemas.views import Alert, AlertsQuery

router = APIRouter(prefix="/v1", tags=["alerts"])


@router.get("/brands/{brand}/alerts", responses=responses(403, 404))
async def list_alerts(tenants: ReadBrand, context: ContextDep, query: Annotated[AlertsQuery, Query()]) -> Page[Alert]:
    """A brand's alerts with their deliveries, the latest first."""
    return await reading.alerts(context.database, tenants, query)
