"""The portal: what waits for an answer, what became of the rest, and the people it was about."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI, Form, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from services.api import listening, numbers, reading
from services.api.auth import principal_of
from services.api.channels import by_knowledge
from services.api.context import ContextDep
from services.api.periods import midnight
from services.api.portal import (
    calendar,
    campaigns,
    communities,
    consistency,
    exchange,
    follower,
    forms,
    identities,
    mix,
    movers,
    new,
    plans,
    public,
    wording,
)
from services.api.portal.form_fields import LONGEST_NEXT, TypedText
from services.api.portal.forms import LARGEST_DRAFT
from services.api.portal.frame import (
    COOKIE,
    HEADERS,
    STATIC,
    Brand,
    Cursor,
    NotLoggedInError,
    Visitor,
    named,
    own_path,
    page,
    same_origin,
)
from services.api.repositories.abilities import lacks_mail_server
from services.api.repositories.brands import Brands
from services.api.repositories.overview import Overviews
from services.api.repositories.sessions import LIFETIME, Sessions
from services.api.repositories.tenants import Tenants
from services.api.schemas.views import AlertsQuery, ExchangesQuery, FollowersQuery

router = APIRouter(include_in_schema=False)

MODULES = (
    calendar,
    consistency,
    exchange,
    follower,
    identities,
    movers,
    mix,
    new,
    campaigns,
    communities,
    plans,
    public,
)
"""Where else pages are."""
CHART_DAYS = 14
PAGE_SHOWN = 25
WAITING_SHOWN = 12
ALERTS_SHOWN = 8
FOLLOWERS_SHOWN = 8


@router.get("/login")
async def login_page(next: str = "/") -> HTMLResponse:
    """The form that asks for a key."""
    return page("login.html", next=own_path(next), wrong=False, typed="", ended=False)


@router.post("/login")
async def login(
    request: Request,
    context: ContextDep,
    key: TypedText,
    next: Annotated[str, Form(max_length=LONGEST_NEXT)] = "/",
    typed: Annotated[str, Form(max_length=LARGEST_DRAFT)] = "",
) -> Response:
    """Opens a session for a key that may read. What was `typed` before the last one ended is in its form again."""
    same_origin(request)
    who = await principal_of(key.strip(), context)
    if who is None or not who.may("read"):
        context.rates.failed(request)
        return page("login.html", 401, next=own_path(next), wrong=True, typed=typed, ended=bool(typed))
    leads_to = own_path(next)
    if typed:
        leads_to = await forms.keep_draft(context, who.key, leads_to, typed)
    response = RedirectResponse(leads_to, 303, headers=HEADERS)
    response.set_cookie(
        COOKIE,
        await Sessions(context.database).begin(who.key, datetime.now(UTC)),
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        # Strict would leave it out when somebody follows a link in a mail. Forms of other sites are refused by
        # `same_origin`, and no GET changes anything.
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def logout(request: Request, context: ContextDep) -> Response:
    """Ends the session, wherever its cookie may have been copied to."""
    same_origin(request)
    await Sessions(context.database).end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303, headers=HEADERS)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return response


@router.get("/")
async def brands_page(who: Visitor, context: ContextDep) -> HTMLResponse:
    """Every brand that the key may see."""
    brands = await Brands(context.database, who.tenants).all()
    across = await numbers.overview(context.database, who.tenants, brands, datetime.now(UTC))
    ranked = sorted(across.brands, key=lambda each: (-each.overdue, -each.due_soon, -each.open, each.name))
    return page("brands.html", who=who, across=across, brands=ranked)


@router.get("/brands/{brand}")
async def brand_page(brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """One brand's day."""
    by_mail = any(channel["type"] == "mail" for channel in by_knowledge(brand["settings"]["channels"])[0])
    no_mail = by_mail and await lacks_mail_server(context.database)
    return page("brand.html", who=who, brand=named(brand), no_mail=no_mail, **await _live(context, brand))


@router.get("/brands/{brand}/live")
async def brand_live(brand: Brand, context: ContextDep, seen: str = "") -> Response:
    """The part of the brand's page that changes; 204 where it is as the page has `seen` it."""
    found = await _live(context, brand)
    if found["seen"] == seen:
        answer = Response(status_code=204, headers=HEADERS)
    else:
        answer = page("_live.html", brand=named(brand), **found)
    # Should this be the last answer, the page says since when by the clocks of the brand.
    answer.headers["X-Clock"] = wording.clock(datetime.now(UTC), brand["settings"]["timezone"])
    return answer


async def _live(context: ContextDep, brand: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    database, tenants = context.database, Tenants.one(brand["_id"])
    headline = (await numbers.overview(database, tenants, [brand], now)).brands[0]
    live = ExchangesQuery(state="open", backfilled=False, limit=WAITING_SHOWN)
    waiting = await reading.exchanges(database, tenants, live, now)
    before = await reading.exchanges(database, tenants, ExchangesQuery(state="open", backfilled=True, limit=1), now)
    raised = await reading.alerts(database, tenants, AlertsQuery(limit=ALERTS_SHOWN))
    people = await reading.followers(database, tenants, FollowersQuery(sort="last_seen", limit=FOLLOWERS_SHOWN), now)
    why_not = wording.hearing(await listening.heard(database, brand["_id"], now), brand["settings"]["timezone"])
    parts = (part.model_dump_json() for part in (waiting, raised, people))
    said = "\n".join((why_not, headline.model_dump_json(exclude={"at"}), *parts))
    return {
        "why_not_live": why_not,
        "headline": headline,
        "waiting": waiting,
        "before": bool(before.items),
        "alerts": raised.items,
        "people": people.items,
        "seen": hashlib.sha256(said.encode()).hexdigest()[:16],
    }


@router.get("/brands/{brand}/chart")
async def brand_chart(brand: Brand, context: ContextDep) -> Response:
    """Exchanges by the day they were opened on: answered in time, late, and open."""
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


@router.get("/brands/{brand}/exchanges")
async def exchanges_page(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    state: str = "",
    backfilled: bool | None = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """All exchanges of a brand, or those in one state; from before the account was connected or from after."""
    query = ExchangesQuery.model_validate(
        {
            "state": state if state in wording.STATES else None,
            "backfilled": backfilled,
            "cursor": cursor,
            "limit": PAGE_SHOWN,
        }
    )
    found = await reading.exchanges(context.database, Tenants.one(brand["_id"]), query, datetime.now(UTC))
    return page(
        "exchanges.html", who=who, brand=named(brand), found=found, state=query.state or "", backfilled=backfilled
    )


@router.get("/brands/{brand}/followers")
async def followers_page(
    brand: Brand, who: Visitor, context: ContextDep, sort: str = "last_seen", stage: str = "", cursor: Cursor = None
) -> HTMLResponse:
    """All relationships of a brand, or those in one stage."""
    query = FollowersQuery.model_validate(
        {
            "sort": sort if sort in ("know", "like", "trust", "last_seen") else "last_seen",
            "stage": stage if stage in wording.STAGES else None,
            "cursor": cursor,
            "limit": PAGE_SHOWN,
        }
    )
    found = await reading.followers(context.database, Tenants.one(brand["_id"]), query, datetime.now(UTC))
    return page("followers.html", who=who, brand=named(brand), found=found, sort=query.sort, stage=query.stage or "")


def install(app: FastAPI) -> None:
    """Adds the portal to the application."""

    @app.exception_handler(NotLoggedInError)
    async def _login_first(request: Request, _error: Exception) -> Response:
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={**HEADERS, "HX-Redirect": "/login"})
        # What was sent cannot be gone on to.
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        wanted = wanted if request.method == "GET" else "/"
        return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted)}", 303, headers=HEADERS)

    app.include_router(router)
    for module in MODULES:
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.state.problem_page = lambda error: page("problem.html", error.status, error=error)
