"""Calendar routes."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from rapport.kit import clock
from services.api.calendar import feed
from services.api.calendar import service as calendar
from services.api.calendar.files import import_file
from services.api.calendar.schemas import (
    CalendarDays,
    CalendarQuery,
    CalendarSettings,
    CurrentFeed,
    Feed,
    MatchInput,
    Planned,
    PlannedInput,
    PlannedTerms,
    PlansImported,
    Refusal,
)
from services.api.calendar.times import Order
from services.api.http.context import ContextDep
from services.api.http.files.spreadsheet import CSV, exported
from services.api.http.problems import responses
from services.api.keys.service import PrincipalDep, ReadBrand, WriteBrand
from services.api.mix.schemas import Post

router = APIRouter(prefix="/v1", tags=["calendar"])
ICAL = "text/calendar"


@router.get("/brands/{brand}/calendar", responses=responses(403, 404))
async def get_calendar(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[CalendarQuery, Query()]
) -> CalendarDays:
    """Planned posts with what became of them, and published posts that nobody planned."""
    return await calendar.days(context.database, request.state.brand, query, clock.now())


@router.post("/brands/{brand}/calendar/posts", status_code=201, responses=responses(403, 404, 409))
async def plan_post(brand: str, new: PlannedInput, _tenants: WriteBrand, context: ContextDep) -> Planned:
    """Plans a post."""
    return await calendar.add(context.database, brand, new, clock.now())


@router.get("/brands/{brand}/calendar/posts/{plan}", responses=responses(403, 404))
async def get_planned(brand: str, plan: str, _tenants: ReadBrand, context: ContextDep) -> Planned:
    """One planned post."""
    return calendar.shown(await calendar.existing(context.database, brand, plan))


@router.put("/brands/{brand}/calendar/posts/{plan}", responses=responses(403, 404, 409))
async def change_planned(
    brand: str, plan: str, new: PlannedTerms, _tenants: WriteBrand, context: ContextDep
) -> Planned:
    """Changes a planned post. Changed content needs the client's approval again."""
    return await calendar.change(context.database, brand, plan, new, clock.now())


@router.delete("/brands/{brand}/calendar/posts/{plan}", status_code=204, responses=responses(403, 404))
async def remove_planned(brand: str, plan: str, _tenants: WriteBrand, context: ContextDep) -> None:
    """Removes a planned post. `restore` can bring it back for 7 days."""
    await calendar.remove(context.database, brand, plan, clock.now())


@router.post("/brands/{brand}/calendar/posts/{plan}/restore", responses=responses(403, 404, 409))
async def restore_planned(brand: str, plan: str, _tenants: WriteBrand, context: ContextDep) -> Planned:
    """Brings back a planned post that was removed in the last 7 days."""
    return await calendar.restore(context.database, brand, plan, clock.now())


@router.post("/brands/{brand}/calendar/posts/{plan}/approve", responses=responses(403, 404, 409))
async def approve_planned(
    brand: str, plan: str, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Planned:
    """Notes that the client approves, under the key's name."""
    return await calendar.approve(context.database, brand, plan, who.name, None, clock.now())


@router.post("/brands/{brand}/calendar/posts/{plan}/refuse", responses=responses(403, 404, 409))
async def refuse_planned(
    brand: str, plan: str, said: Refusal, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Planned:
    """Notes that the client declines, and why."""
    return await calendar.approve(context.database, brand, plan, who.name, said.why, clock.now())


@router.put("/brands/{brand}/calendar/matches/{post}", responses=responses(403, 404))
async def match_post(
    brand: str, post: str, said: MatchInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Post:
    """Sets by hand which plan a post belongs to, or that it belongs to none. It shows within seconds."""
    return await calendar.match(context.database, brand, post, said.plan, who.name, clock.now())


@router.delete("/brands/{brand}/calendar/matches/{post}", responses=responses(403, 404))
async def unmatch_post(brand: str, post: str, _tenants: WriteBrand, context: ContextDep) -> Post:
    """Takes back what was set by hand. Time and text decide again."""
    return await calendar.unmatch(context.database, brand, post, clock.now())


@router.get("/brands/{brand}/calendar/settings", responses=responses(403, 404))
async def get_calendar_settings(brand: str, _tenants: ReadBrand, context: ContextDep) -> CalendarSettings:
    """The settings of the calendar."""
    return await calendar.settings(context.database, brand)


@router.put("/brands/{brand}/calendar/settings", responses=responses(403, 404))
async def put_calendar_settings(
    brand: str, new: CalendarSettings, _tenants: WriteBrand, context: ContextDep
) -> CalendarSettings:
    """Replaces the settings. They apply to what is planned or changed from then on."""
    return await calendar.set_settings(context.database, brand, new)


@router.post(
    "/brands/{brand}/calendar/import",
    responses=responses(403, 404),
    openapi_extra={"requestBody": {"required": True, "content": {CSV: {"schema": {"type": "string"}}}}},
)
async def import_plans(
    request: Request, _tenants: WriteBrand, context: ContextDep, agree: bool = False, dates: Order | None = None
) -> PlansImported:
    """Imports planned posts from a CSV file. A row whose id is known changes that post.

    Cells are separated by commas, semicolons or tabs; times are RFC 3339, or local times of the brand such as
    `2026-12-31 09:00`, `31.12.2026 09:00` and `12/31/2026 9:00 AM`. The answer says how they are
    read and what is wrong with each bad row. Nothing is imported until the same file is sent with `agree=true`. If it
    is unclear whether the day or the month comes first, `dates` must say so.
    """
    return await import_file(context.database, request.state.brand, await request.body(), agree, dates, clock.now())


@router.get(
    "/brands/{brand}/calendar/export",
    response_class=StreamingResponse,
    responses={**responses(403, 404), 200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def export_plans(brand: str, _tenants: ReadBrand, context: ContextDep) -> StreamingResponse:
    """All planned posts as CSV. The file can be imported again."""
    return exported(calendar.export(context.database, brand), f"{brand}-calendar")


@router.get("/brands/{brand}/calendar/feed", responses=responses(403, 404))
async def get_feed_address(brand: str, _tenants: WriteBrand, context: ContextDep) -> CurrentFeed:
    """The address of the iCalendar feed. Needs a key that may write: anyone with the address can read."""
    return await feed.current(context.database, brand)


@router.post("/brands/{brand}/calendar/feed", responses=responses(403, 404, 409))
async def renew_feed(brand: str, _tenants: WriteBrand, context: ContextDep, replace: bool = False) -> Feed:
    """Creates the address of the iCalendar feed. With `replace=true` a new address ends the old one."""
    return await feed.renew(context.database, brand, replace=replace)


@router.get(
    "/calendar/{token}.ics",
    response_class=Response,
    responses={**responses(404), 200: {"content": {ICAL: {"schema": {"type": "string"}}}}},
)
async def get_feed(token: str, context: ContextDep) -> Response:
    """The calendar as iCalendar, for anyone with its address."""
    return Response(
        await feed.read(context.database, token, clock.now()),
        media_type=ICAL,
        headers={"Cache-Control": "no-store"},
    )
