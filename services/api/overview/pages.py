"""The pages of all brands and of one brand."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.responses import HTMLResponse, JSONResponse, Response

from services.api.alerts.schemas import AlertsQuery
from services.api.alerts.service import page_of_alerts
from services.api.brands.documents import BrandDocument
from services.api.brands.repository import Brands
from services.api.channels.repository import lacks_mail_server
from services.api.channels.service import by_knowledge
from services.api.exchanges.schemas import ExchangesQuery
from services.api.exchanges.service import page_of_exchanges
from services.api.followers.schemas import FollowersQuery
from services.api.followers.service import page_of_followers
from services.api.http.context import ContextDep
from services.api.http.periods import midnight
from services.api.listening import service as listening
from services.api.overview import service as overview
from services.api.overview.repository import Overviews
from services.api.storage.tenants import Tenants
from services.api.web import wording
from services.api.web.frame import (
    HEADERS,
    Brand,
    Visitor,
    named,
    page,
)

router = APIRouter(include_in_schema=False)

CHART_DAYS = 14
WAITING_SHOWN = 12
ALERTS_SHOWN = 8
FOLLOWERS_SHOWN = 8


@router.get("/")
async def brands_page(who: Visitor, context: ContextDep) -> HTMLResponse:
    """Every brand that the key may see."""
    brands = await Brands(context.database, who.tenants).all()
    across = await overview.overview(context.database, who.tenants, brands, datetime.now(UTC))
    ranked = sorted(across.brands, key=lambda each: (-each.overdue, -each.due_soon, -each.open, each.name))
    return page("overview/brands.html", who=who, across=across, brands=ranked)


@router.get("/brands/{brand}")
async def brand_page(brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """One brand's day."""
    by_mail = any(channel["type"] == "mail" for channel in by_knowledge(brand["settings"]["channels"])[0])
    no_mail = by_mail and await lacks_mail_server(context.database)
    return page("overview/brand.html", who=who, brand=named(brand), no_mail=no_mail, **await _live(context, brand))


@router.get("/brands/{brand}/live")
async def brand_live(brand: Brand, context: ContextDep, seen: str = "") -> Response:
    """The part of the brand's page that changes; 204 if it is still as `seen`."""
    found = await _live(context, brand)
    if found["seen"] == seen:
        answer = Response(status_code=204, headers=HEADERS)
    else:
        answer = page("overview/live.html", brand=named(brand), **found)
    # If this is the last answer, the page says since when, in the brand's time zone.
    answer.headers["X-Clock"] = wording.clock(datetime.now(UTC), brand["settings"]["timezone"])
    return answer


async def _live(context: ContextDep, brand: BrandDocument) -> dict[str, Any]:
    now = datetime.now(UTC)
    database, tenants = context.database, Tenants.one(brand["_id"])
    headline = (await overview.overview(database, tenants, [brand], now)).brands[0]
    live = ExchangesQuery(state="open", backfilled=False, limit=WAITING_SHOWN)
    waiting = await page_of_exchanges(database, tenants, live, now)
    before = await page_of_exchanges(database, tenants, ExchangesQuery(state="open", backfilled=True, limit=1), now)
    raised = await page_of_alerts(database, tenants, AlertsQuery(limit=ALERTS_SHOWN))
    people = await page_of_followers(database, tenants, FollowersQuery(sort="last_seen", limit=FOLLOWERS_SHOWN), now)
    zone = brand["settings"]["timezone"]
    heard = await listening.heard(database, brand["_id"], zone, now)
    why_not, quiet = wording.hearing(heard, zone), wording.quiet(heard, zone)
    parts = (part.model_dump_json() for part in (waiting, raised, people))
    said = "\n".join((why_not, quiet, headline.model_dump_json(exclude={"at"}), *parts))
    return {
        "why_not_live": why_not,
        "quiet": quiet,
        "headline": headline,
        "waiting": waiting,
        "before": bool(before.items),
        "alerts": raised.items,
        "people": people.items,
        "seen": hashlib.sha256(said.encode()).hexdigest()[:16],
    }


@router.get("/brands/{brand}/chart")
async def brand_chart(brand: Brand, context: ContextDep) -> Response:
    """Exchanges by the day on which they were opened: answered in time, late, and open."""
    zone = ZoneInfo(brand["settings"]["timezone"])
    today = datetime.now(UTC).astimezone(zone).date()
    days = [today - timedelta(days=CHART_DAYS - 1 - index) for index in range(CHART_DAYS)]
    midnights = [midnight(day, zone) for day in (*days, today + timedelta(days=1))]
    found = await Overviews(context.database, Tenants.one(brand["_id"])).daily(brand["_id"], midnights)
    series = {
        state: [found.get(begun, {}).get(state, 0) for begun in midnights[:-1]]
        for state in ("answered", "answered_late", "open")
    }
    return JSONResponse({"days": [day.isoformat() for day in days], **series}, headers=HEADERS)
