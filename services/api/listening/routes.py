"""Routes of how late platforms tell."""

from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import APIRouter, Query

from services.api.http.context import ContextDep
from services.api.http.periods import period
from services.api.http.problems import responses
from services.api.keys.service import ReadBrand
from services.api.listening import service as listening
from services.api.listening.schemas import LagQuery, PlatformLag, PlatformLags

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get("/brands/{brand}/platform-lag", responses=responses(403, 404))
async def get_platform_lag(
    brand: str, _tenants: ReadBrand, context: ContextDep, query: Annotated[LagQuery, Query()]
) -> PlatformLags:
    """How long platforms took to tell, apart from what the brand took to answer; by platform and by account."""
    days = [date.fromisoformat(day) for day in period(query.from_, query.to, "UTC", datetime.now(UTC))]
    first, last = (datetime.combine(day, time(), UTC) for day in days)
    found = await listening.lags(context.database, brand, first, last)
    return PlatformLags(
        from_=days[0],
        to=days[1],
        items=[
            PlatformLag(
                platform=each.platform,
                account=each.account,
                median_seconds=each.median,
                p95_seconds=each.p95,
                minutes=each.minutes,
            )
            for each in found
        ],
    )
