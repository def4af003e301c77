"""A brand's editorial calendar."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from rapport.domain.times import ms, utc
from services.api import plan_files, planning
from services.api.auth import PrincipalDep, ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.plan_times import Order
from services.api.problems import responses
from services.api.routes.communities import CSV, exported
from services.api.schemas.calendar import (
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
from services.api.schemas.mix import Post

router = APIRouter(prefix="/v1", tags=["calendar"])
ICAL = "text/calendar"


def _now() -> datetime:
    return utc(ms(datetime.now(UTC)))


@router.get("/brands/{brand}/calendar", responses=responses(403, 404))
async def get_calendar(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[CalendarQuery, Query()]
) -> CalendarDays:
    """What is planned on some days and what became of it, and what was published that nobody planned."""
    return await planning.days(context.database, request.state.brand, query, _now())


@router.post("/brands/{brand}/calendar/posts", status_code=201, responses=responses(403, 404, 409))
async def plan_post(brand: str, new: PlannedInput, _tenants: WriteBrand, context: ContextDep) -> Planned:
    """Plans a post."""
    return await planning.add(context.database, brand, new, _now())


@router.get("/brands/{brand}/calendar/posts/{plan}", responses=responses(403, 404))
async def get_planned(brand: str, plan: str, _tenants: ReadBrand, context: ContextDep) -> Planned:
    """One planned post."""
    return planning.shown(await planning.existing(context.database, brand, plan))


@router.put("/brands/{brand}/calendar/posts/{plan}", responses=responses(403, 404, 409))
async def change_planned(
    brand: str, plan: str, new: PlannedTerms, _tenants: WriteBrand, context: ContextDep
) -> Planned:
    """Changes a planned post. What the client approved before is to be approved anew."""
    return await planning.change(context.database, brand, plan, new, _now())


@router.delete("/brands/{brand}/calendar/posts/{plan}", status_code=204, responses=responses(403, 404))
async def remove_planned(brand: str, plan: str, _tenants: WriteBrand, context: ContextDep) -> None:
    """Removes a planned post. For 7 days `restore` brings it back."""
    await planning.remove(context.database, brand, plan, _now())


@router.post("/brands/{brand}/calendar/posts/{plan}/restore", responses=responses(403, 404, 409))
async def restore_planned(brand: str, plan: str, _tenants: WriteBrand, context: ContextDep) -> Planned:
    """Brings back a planned post that was removed in the last 7 days."""
    return await planning.restore(context.database, brand, plan, _now())


@router.post("/brands/{brand}/calendar/posts/{plan}/approve", responses=responses(403, 404, 409))
async def approve_planned(
    brand: str, plan: str, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Planned:
    """Notes, by the key's name, that the client approves."""
    return await planning.approve(context.database, brand, plan, who.name, None, _now())


@router.post("/brands/{brand}/calendar/posts/{plan}/refuse", responses=responses(403, 404, 409))
async def refuse_planned(
    brand: str, plan: str, said: Refusal, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Planned:
    """Notes that the client does not want it so, and why."""
    return await planning.approve(context.database, brand, plan, who.name, said.why, _now())


@router.put("/brands/{brand}/calendar/matches/{post}", responses=responses(403, 404))
async def match_post(
    brand: str, post: str, said: MatchInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Post:
    """Says by hand which plan a post belongs to, or that it belongs to none. It shows within seconds."""
    return await planning.match(context.database, brand, post, said.plan, who.name, _now())


@router.delete("/brands/{brand}/calendar/matches/{post}", responses=responses(403, 404))
async def unmatch_post(brand: str, post: str, _tenants: WriteBrand, context: ContextDep) -> Post:
    """Takes back what was said by hand: time and text say it again."""
    return await planning.unmatch(context.database, brand, post, _now())


@router.get("/brands/{brand}/calendar/settings", responses=responses(403, 404))
async def get_calendar_settings(brand: str, _tenants: ReadBrand, context: ContextDep) -> CalendarSettings:
    """When a planned post is missing, and the like."""
    return await planning.settings(context.database, brand)


@router.put("/brands/{brand}/calendar/settings", responses=responses(403, 404))
async def put_calendar_settings(
    brand: str, new: CalendarSettings, _tenants: WriteBrand, context: ContextDep
) -> CalendarSettings:
    """Replaces them. They hold for what is planned or changed from then on."""
    return await planning.set_settings(context.database, brand, new)


@router.post(
    "/brands/{brand}/calendar/import",
    responses=responses(403, 404),
    openapi_extra={"requestBody": {"required": True, "content": {CSV: {"schema": {"type": "string"}}}}},
)
async def import_plans(
    request: Request, _tenants: WriteBrand, context: ContextDep, agree: bool = False, dates: Order | None = None
) -> PlansImported:
    """Reads a CSV file of planned posts; a row whose id is known changes that one.

    Cells are separated by commas, semicolons or tabs; times are RFC 3339, or local ones of the brand such as
    `2026-12-31 09:00`, `31.12.2026 09:00` and `12/31/2026 9:00 AM`. Says how it reads them and where each bad row is
    bad, and takes nothing until the same file is sent with `agree=true`. Where it cannot tell whether the day or the
    month comes first, it asks for `dates`.
    """
    return await plan_files.take(context.database, request.state.brand, await request.body(), agree, dates, _now())


@router.get(
    "/brands/{brand}/calendar/export",
    response_class=StreamingResponse,
    responses={**responses(403, 404), 200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def export_plans(brand: str, _tenants: ReadBrand, context: ContextDep) -> StreamingResponse:
    """All planned posts as CSV, which can be imported again."""
    return exported(planning.export(context.database, brand), f"{brand}-calendar")


@router.get("/brands/{brand}/calendar/feed", responses=responses(403, 404))
async def get_feed_address(brand: str, _tenants: WriteBrand, context: ContextDep) -> CurrentFeed:
    """The address of the calendar as iCalendar. It takes a key that may write: whoever has the address can read."""
    return await planning.current_feed(context.database, brand)


@router.post("/brands/{brand}/calendar/feed", responses=responses(403, 404, 409))
async def renew_feed(brand: str, _tenants: WriteBrand, context: ContextDep, replace: bool = False) -> Feed:
    """Makes the address of the calendar as iCalendar; with `replace=true` a new one, which ends the one before."""
    return await planning.renew_feed(context.database, brand, replace=replace)


@router.get(
    "/calendar/{token}.ics",
    response_class=Response,
    responses={**responses(404), 200: {"content": {ICAL: {"schema": {"type": "string"}}}}},
)
async def get_feed(token: str, context: ContextDep) -> Response:
    """The calendar as iCalendar, for whoever has its address."""
    return Response(
        await planning.feed(context.database, token, _now()), media_type=ICAL, headers={"Cache-Control": "no-store"}
    )
