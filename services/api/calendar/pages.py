"""Calendar pages: weeks and months, files, and the feed."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.kit import clock
from services.api.brands.documents import BrandDocument
from services.api.calendar import feed
from services.api.calendar import service as calendar
from services.api.calendar.files import MOST_ROWS, import_file
from services.api.calendar.schemas import CalendarQuery, Planned
from services.api.calendar.times import EXAMPLES, Order
from services.api.http.context import Context, ContextDep
from services.api.http.files.sizes import LARGEST_FILE
from services.api.http.files.spreadsheet import exported
from services.api.http.problems import ProblemError
from services.api.http.schemas import Day
from services.api.keys.service import Principal
from services.api.mix.schemas import Post
from services.api.web import forms
from services.api.web.form_fields import BASE, Ref
from services.api.web.forms import FormRoute
from services.api.web.frame import HEADERS, Brand, Cursor, Editor, Visitor, named, page, sentence

router = APIRouter(include_in_schema=False, route_class=FormRoute)

STATUSES = {
    "draft": "Draft", "cancelled": "Cancelled", "waiting": "Waiting for approval", "refused": "Not approved",
    "planned": "Planned", "missing": "Missing", "early": "Published early", "on_time": "Published",
    "late": "Published late",
}  # fmt: skip
MOST_CHOICES = 12
View = Annotated[str, Query(pattern="^(week|month)$")]
AroundDay = Annotated[Day | None, Query()]


@router.get("/brands/{brand}/calendar")
async def calendar_page(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    view: View = "week",
    day: AroundDay = None,
    cursor: Cursor = None,
    removed: str = "",
    added: int | None = None,
    changed: int = 0,
    left: int = 0,
) -> HTMLResponse:
    """The week or the month around a day.

    `removed` is a plan that was just removed and can be brought back. `added`, `changed` and `left` (out) count rows of
    a file that was just imported.
    """
    taken = None if added is None else (added, changed, left)
    gone = await calendar.removed(context.database, brand["_id"], removed) if removed else None
    return await _days(context, brand, who, view=view, day=day, cursor=cursor, gone=gone, taken=taken)


async def _days(
    context: Context,
    brand: BrandDocument,
    who: Principal,
    status: int = 200,
    *,
    view: str = "week",
    day: date | None = None,
    cursor: str | None = None,
    **more: Any,
) -> HTMLResponse:
    now, zone = clock.now(), ZoneInfo(brand["settings"]["timezone"])
    today = now.astimezone(zone).date()
    around = day if day is not None and 1971 < day.year < 9990 else today
    first, last = _span(around, view)
    query = CalendarQuery.model_validate({"from": first, "to": last, "cursor": cursor})
    found = await calendar.days(context.database, brand, query, now)
    entries: dict[date, list[dict[str, Any]]] = {
        first + timedelta(days=number): [] for number in range((last - first).days + 1)
    }
    for planned in found.planned:
        at = planned.planned_at.astimezone(zone)
        entries[at.date()].append({"at": at, "planned": planned, "post": None})
    for post in found.unplanned:
        at = post.published_at.astimezone(zone)
        entries[at.date()].append({"at": at, "planned": None, "post": post})
    for some in entries.values():
        some.sort(key=lambda each: each["at"])
    busy = [each for each, some in entries.items() if some]
    if busy and cursor is not None:
        # The previous page has the days before.
        entries = {each: some for each, some in entries.items() if each >= busy[0]}
    if busy and found.next is not None:
        entries = {each: some for each, some in entries.items() if each <= busy[-1]}
    address = await feed.current(context.database, brand["_id"]) if who.may("write") else None
    shown = {"outcome": None, "wrong": "", "file": "", "taken": None, "stale": "", "gone": None, **more}
    return page(
        "calendar/calendar.html",
        status,
        who=who,
        brand=named(brand),
        view=view,
        days=entries,
        today=today,
        month=around.month,
        title=f"{around:%B %Y}"
        if view == "month"
        else f"Week {around.isocalendar().week}, {around.isocalendar().year}",
        before=(first - timedelta(days=1)) if view == "week" else around.replace(day=1) - timedelta(days=1),
        after=(last + timedelta(days=1)) if view == "week" else _next_month(around),
        around=around,
        statuses=STATUSES,
        choices={each.id: _likely(each, found.planned) for each in found.unplanned},
        following=found.next,
        columns=calendar.COLUMNS,
        examples=EXAMPLES,
        largest=LARGEST_FILE,
        most_rows=MOST_ROWS,
        feed=address,
        feed_version=forms.version_of(address) if address else "",
        base=BASE.get(),
        **shown,
    )


def _likely(post: Post, planned: Sequence[Planned]) -> list[Planned]:
    """The plans that may be the post's: those of its account, first those without a post, then the nearest in time.

    A plan that has a post may have the wrong one.
    """
    of_account = [each for each in planned if each.account == post.account]
    return sorted(of_account, key=lambda each: (each.published is not None, abs(each.planned_at - post.published_at)))[
        :MOST_CHOICES
    ]


def _span(around: date, view: str) -> tuple[date, date]:
    """Whole weeks, from a Monday on."""
    first, last = (
        (around, around) if view == "week" else (around.replace(day=1), _next_month(around) - timedelta(days=1))
    )
    return first - timedelta(days=first.weekday()), last + timedelta(days=6 - last.weekday())


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


@router.get("/brands/{brand}/calendar/-export")
async def export_plans(brand: Brand, context: ContextDep) -> Response:
    """All planned posts as a CSV file that can be imported again."""
    return exported(calendar.export(context.database, brand["_id"]), f"{brand['_id']}-calendar")


@router.post("/brands/{brand}/calendar/match")
async def match_post(
    brand: Brand,
    who: Editor,
    context: ContextDep,
    post: Ref,
    plan: Ref = "",
) -> Response:
    """Sets which plan a post belongs to."""
    found = await calendar.match(context.database, brand["_id"], post, plan or None, who.name, clock.now())
    return back(brand, found.published_at.date())


@router.post("/brands/{brand}/calendar/file")
async def take_file(
    brand: Brand,
    who: Editor,
    context: ContextDep,
    file: UploadFile | None = None,
    dates: Annotated[Order | None, Form()] = None,
    agree: Annotated[bool, Form()] = False,
) -> Response:
    """Imports a file: first a preview of how it is read and what is wrong, then its good rows."""
    raw = await forms.sent_file(file)
    if not raw.strip():
        return await _days(context, brand, who, 422, wrong="Choose a file.")
    try:
        outcome = await import_file(context.database, brand, raw, agree, dates, clock.now())
    except ProblemError as error:
        return await _days(context, brand, who, 422, wrong=sentence(error))
    if agree and outcome.good and not outcome.asks_dates:
        return back(brand, None, added=str(outcome.added), changed=str(outcome.changed), left=str(len(outcome.bad)))
    return await _days(context, brand, who, outcome=outcome, file=forms.kept_file(raw))


@router.post("/brands/{brand}/calendar/feed")
async def renew_feed(brand: Brand, who: Editor, context: ContextDep) -> Response:
    """Creates an address of the feed, or a new one."""
    current = await feed.current(context.database, brand["_id"])
    if forms.stale(forms.version_of(current)):
        return await _days(context, brand, who, 409, stale="Somebody else has just created a new address; here it is.")
    await feed.renew(context.database, brand["_id"], replace=True)
    return RedirectResponse(f"/brands/{brand['_id']}/calendar#feed", 303, headers=HEADERS)


def back(brand: BrandDocument, day: date | None, **more: str) -> Response:
    """Redirects to the week of a day, or of today."""
    query = urlencode({**({} if day is None else {"day": day.isoformat()}), **more})
    return RedirectResponse(f"/brands/{brand['_id']}/calendar?{query}", 303, headers=HEADERS)
