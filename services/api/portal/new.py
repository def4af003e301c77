"""The page of new relationships: today against the goal, the last days, who began with what; whom to reach out to."""

from datetime import UTC, date, datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from services.api import newcomers, outreaching
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal import forms
from services.api.portal.form_fields import TypedText
from services.api.portal.forms import FormRoute
from services.api.portal.frame import HEADERS, Brand, Cursor, Visitor, named, page
from services.api.repositories.tenants import Tenants
from services.api.schemas.common import Day, PageQuery
from services.api.schemas.new import NewGoal

router = APIRouter(include_in_schema=False, route_class=FormRoute)

PEOPLE_SHOWN = 15
DONE_SHOWN = 8


@router.get("/brands/{brand}/new")
async def new_page(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    day: Day | None = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Today's, or those of another `day`."""
    return await _page(context, brand, who, day=day, cursor=cursor)


async def _page(
    context: Context,
    brand: dict[str, Any],
    who: Principal,
    status: int = 200,
    *,
    day: date | None = None,
    cursor: str | None = None,
    goal: str | None = None,
    wrong: str = "",
    notice: str = "",
) -> HTMLResponse:
    """The page, with what is `wrong` about the `goal` that was sent."""
    now = datetime.now(UTC)
    database, tenants = context.database, Tenants.one(brand["_id"])
    days = await newcomers.days(database, brand, None, None, now)
    shown = day or days.today
    query = PageQuery(cursor=cursor, limit=PEOPLE_SHOWN)
    wanted = await newcomers.goal(database, brand["_id"])
    return page(
        "new.html",
        status,
        who=who,
        brand=named(brand),
        may_write=who.may("write"),
        days=days,
        today=days.days[-1],
        day=shown,
        people=await newcomers.of_day(database, brand, shown, query, now),
        suggested=await outreaching.today(database, brand, now),
        done=await outreaching.done(database, tenants, PageQuery(limit=DONE_SHOWN)),
        goal=str(wanted.goal or "") if goal is None else goal,
        version=forms.version_of(wanted),
        notice=notice,
        wrong=wrong,
        acts=ACTS,
    )


ACTS = {
    "reaction": "liked something of",
    "follow": "followed",
    "comment": "commented on something of",
    "mention": "mentioned",
    "message": "wrote to",
    "share": "shared something of",
}
"""What the brand did, up to whom it was to."""


@router.get("/brands/{brand}/new/chart")
async def new_chart(brand: Brand, context: ContextDep) -> Response:
    """The last days with how many began on each, and the goal."""
    found = await newcomers.days(context.database, brand, None, None, datetime.now(UTC))
    content = {
        "days": [each.day.isoformat() for each in found.days],
        "counts": [each.count for each in found.days],
        "goal": found.days[-1].goal,
    }
    return JSONResponse(content, headers=HEADERS)


@router.post("/brands/{brand}/new/goal")
async def set_goal(brand: Brand, who: Visitor, context: ContextDep, goal: TypedText = "") -> Response:
    """The form of the goal; nothing in it means none. Goals of single platforms stay."""
    require(who, "write")
    typed = goal.strip()
    before = await newcomers.goal(context.database, brand["_id"])
    if forms.stale(forms.version_of(before)):
        return await _page(context, brand, who, 409, goal=goal, notice=forms.STALE)
    try:
        wanted = NewGoal(goal=int(typed) if typed else None, platforms=before.platforms)
    except ValueError:
        wrong = "A goal is a whole number from 1 to 1,000,000."
        return await _page(context, brand, who, 422, goal=goal, wrong=wrong)
    if wanted != before:
        await newcomers.set_goal(context.database, brand["_id"], wanted)
    return RedirectResponse(f"/brands/{brand['_id']}/new", 303, headers=HEADERS)
