"""The page of new relationships and outreach."""

from datetime import UTC, date, datetime

from fastapi import APIRouter
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from services.api.brands.documents import BrandDocument
from services.api.http.context import Context, ContextDep
from services.api.http.schemas import Day, PageQuery
from services.api.keys.service import Principal
from services.api.new_relationships import service as new_relationships
from services.api.new_relationships.schemas import NewGoal
from services.api.outreach import service as outreach
from services.api.storage.tenants import Tenants
from services.api.web import forms
from services.api.web.form_fields import TypedText
from services.api.web.forms import FormRoute
from services.api.web.frame import HEADERS, Brand, Cursor, Editor, Visitor, named, page

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
    """New relationships of today, or of another `day`."""
    return await _page(context, brand, who, day=day, cursor=cursor)


async def _page(
    context: Context,
    brand: BrandDocument,
    who: Principal,
    status: int = 200,
    *,
    day: date | None = None,
    cursor: str | None = None,
    goal: str | None = None,
    wrong: str = "",
    notice: str = "",
) -> HTMLResponse:
    """The page. `wrong`: what is wrong with the `goal` that was sent."""
    now = datetime.now(UTC)
    database, tenants = context.database, Tenants.one(brand["_id"])
    days = await new_relationships.days(database, brand, None, None, now)
    shown = day or days.today
    query = PageQuery(cursor=cursor, limit=PEOPLE_SHOWN)
    wanted = await new_relationships.goal(database, brand["_id"])
    return page(
        "new_relationships/new_relationships.html",
        status,
        who=who,
        brand=named(brand),
        days=days,
        today=days.days[-1],
        day=shown,
        people=await new_relationships.of_day(database, brand, shown, query, now),
        suggested=await outreach.today(database, brand, now),
        done=await outreach.done(database, tenants, PageQuery(limit=DONE_SHOWN)),
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
"""What the brand did, without whom it reached."""


@router.get("/brands/{brand}/new/chart")
async def new_chart(brand: Brand, context: ContextDep) -> Response:
    """How many relationships began on each of the last days, and the goal."""
    found = await new_relationships.days(context.database, brand, None, None, datetime.now(UTC))
    content = {
        "days": [each.day.isoformat() for each in found.days],
        "counts": [each.count for each in found.days],
        "goal": found.days[-1].goal,
    }
    return JSONResponse(content, headers=HEADERS)


@router.post("/brands/{brand}/new/goal")
async def set_goal(brand: Brand, who: Editor, context: ContextDep, goal: TypedText = "") -> Response:
    """The form for the goal; empty means none. Goals for single platforms stay."""
    typed = goal.strip()
    before = await new_relationships.goal(context.database, brand["_id"])
    if forms.stale(forms.version_of(before)):
        return await _page(context, brand, who, 409, goal=goal, notice=forms.STALE)
    try:
        wanted = NewGoal(goal=int(typed) if typed else None, platforms=before.platforms)
    except ValueError:
        wrong = "A goal is a whole number from 1 to 1,000,000."
        return await _page(context, brand, who, 422, goal=goal, wrong=wrong)
    if wanted != before:
        await new_relationships.set_goal(context.database, brand["_id"], wanted)
    return RedirectResponse(f"/brands/{brand['_id']}/new", 303, headers=HEADERS)
