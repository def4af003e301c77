"""Alert routes."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.alerts.schemas import Alert, AlertsQuery
from services.api.alerts.service import page_of_alerts
from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.http.schemas import Page
from services.api.keys.service import ReadBrand

router = APIRouter(prefix="/v1", tags=["alerts"])


@router.get("/brands/{brand}/alerts", responses=responses(403, 404))
async def list_alerts(tenants: ReadBrand, context: ContextDep, query: Annotated[AlertsQuery, Query()]) -> Page[Alert]:
    """A brand's alerts with their deliveries, the latest first."""
    return await page_of_alerts(context.database, tenants, query)
