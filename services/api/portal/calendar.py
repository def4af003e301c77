"""The pages of the editorial calendar: weeks and months, one planned post, files, and the feed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query, Request, UploadFile
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.mix import LABELS
from rapport.domain.times import ms, utc
from services.api import planning
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal.frame import HEADERS, Brand, Cursor, Visitor, named, page, same_origin, sentence
from services.api.problems import ProblemError
from services.api.repositories.accounts import Accounts
from services.api.repositories.tenants import Tenants
from services.api.routes.communities import exported
from services.api.schemas.calendar import CalendarQuery, Medium, Planned, PlannedInput, PlannedTerms, PlansImported
from services.api.schemas.common import Day
from services.api.schemas.mix import Post
from services.api.schemas.views import LONGEST_WHY

router = APIRouter(include_in_schema=False)

STATUSES = {
    "draft": "Draft", "cancelled": "Cancelled", "waiting": "Waits for approval", "refused": "Not approved",
    "planned": "Planned", "missing": "Missing", "early": "Published early", "on_time": "Published",
    "late": "Published late",
}  # fmt: skip
MOST_CHOICES = 12
FIELDS = ("account", "planned_at", "text", "media", "label", "campaign", "owner", "post", "state")
View = Annotated[str, Query(pattern="^(week|month)$")]
AroundDay = Annotated[Day | None, Query()]


def _now() -> datetime:
    return utc(ms(datetime.now(UTC)))


@router.get("/brands/{brand}/calendar")
async def calendar_page(
    brand: Brand, who: Visitor, context: ContextDep, view: View = "week", day: AroundDay = None, cursor: Cursor = None
) -> HTMLResponse:
    """The week or the month around a day."""
    return await _days(context, brand, who, view=view, day=day, cursor=cursor)


async def _days(
    context: Context,
    brand: dict[str, Any],
    who: Principal,
    status: int = 200,
    *,
    view: str = "week",
    day: date | None = None,
    cursor: str | None = None,
    **more: Any,
) -> HTMLResponse:
    now, zone = _now(), ZoneInfo(brand["settings"]["timezone"])
    today = now.astimezone(zone).date()
    around = day if day is not None and 1971 < day.year < 9990 else today
    first, last = _span(around, view)
    query = CalendarQuery.model_validate({"from": first, "to": last, "cursor": cursor})
    found = await planning.days(context.database, brand, query, now)
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
        # What came before is on the page before.
        entries = {each: some for each, some in entries.items() if each >= busy[0]}
    if busy and found.next is not None:
        entries = {each: some for each, some in entries.items() if each <= busy[-1]}
    shown = {"outcome": None, "wrong": "", "text": "", "feed": None, **more}
    return page(
        "calendar.html",
        status,
        who=who,
        brand=named(brand),
        may_write=who.may("write"),
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
        columns=planning.COLUMNS,
        **shown,
    )


def _likely(post: Post, planned: Sequence[Planned]) -> list[Planned]:
    """The plans that a post is most likely of: of its account, those without a post first, the nearest in time first.

    One that has a post may have the wrong one.
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


@router.get("/brands/{brand}/calendar/-new")
async def new_plan_page(brand: Brand, who: Visitor, context: ContextDep, day: AroundDay = None) -> HTMLResponse:
    """The form of a new planned post."""
    sent = {"planned_at": f"{day.isoformat()}T09:00"} if day is not None else {}
    return await _form(context, brand, who, None, sent=sent)


@router.get("/brands/{brand}/calendar/-export")
async def export_plans(brand: Brand, context: ContextDep) -> Response:
    """All planned posts as a CSV file, as the form below them reads it."""
    return exported(planning.export(context.database, brand["_id"]), f"{brand['_id']}-calendar")


@router.get("/brands/{brand}/calendar/{plan}")
async def plan_page(brand: Brand, plan: str, who: Visitor, context: ContextDep) -> HTMLResponse:
    """One planned post."""
    return await _form(context, brand, who, plan)


async def _form(
    context: Context,
    brand: dict[str, Any],
    who: Principal,
    plan: str | None,
    status: int = 200,
    *,
    sent: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    planned = None if plan is None else planning.shown(await planning.existing(context.database, brand["_id"], plan))
    zone = ZoneInfo(brand["settings"]["timezone"])
    known: dict[str, str] = {}
    if planned is not None:
        known = {name: str(getattr(planned, name) or "") for name in FIELDS if name not in ("media", "planned_at")}
        known |= {
            "planned_at": f"{planned.planned_at.astimezone(zone):%Y-%m-%dT%H:%M}",
            "media": " ".join(planned.media),
        }
    accounts = await Accounts(context.database, Tenants.one(brand["_id"])).connected(brand["_id"])
    return page(
        "calendar_plan.html",
        status,
        who=who,
        brand=named(brand),
        may_write=who.may("write"),
        planned=planned,
        accounts=[(each["_id"], each["handle"], each["platform"]) for each in accounts],
        media=get_args(Medium),
        labels=LABELS,
        statuses=STATUSES,
        sent={**dict.fromkeys(FIELDS, ""), "state": "planned", **known, **(sent or {})},
        wrong=wrong or {},
    )


@router.post("/brands/{brand}/calendar/plan")
async def save_plan(request: Request, brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The form of a planned post, new where it names none."""
    same_origin(request)
    require(who, "write")
    form = await request.form()
    plan = str(form.get("plan", "")) or None
    sent = {name: str(form.get(name, "")).strip() for name in FIELDS if name != "media"}
    media = [str(each) for each in form.getlist("media")]
    wrong: dict[str, str] = {}
    fields: dict[str, Any] = {name: value for name, value in sent.items() if value} | {"media": media}
    try:
        local = datetime.fromisoformat(sent["planned_at"])
        fields["planned_at"] = local.replace(tzinfo=ZoneInfo(brand["settings"]["timezone"]))
    except ValueError:
        wrong["planned_at"] = "Say when, as a day and a time."
    try:
        if not wrong:
            if plan is None:
                await planning.add(context.database, brand["_id"], PlannedInput.model_validate(fields), _now())
            else:
                terms = PlannedTerms.model_validate(fields)
                await planning.change(context.database, brand["_id"], plan, terms, _now())
    except ValidationError as error:
        wrong = {str(each["loc"][0]): f"{each['msg'].removeprefix('Value error, ')}." for each in error.errors()}
    except ProblemError as error:
        wrong = {each.field: f"{each.why[:1].upper()}{each.why[1:]}." for each in error.errors}
        wrong = wrong or {"text": sentence(error)}
    if wrong:
        shown = {**sent, "media": " ".join(media)}
        return await _form(context, brand, who, plan, 422, sent=shown, wrong=wrong)
    return _back(brand, fields["planned_at"].date())


@router.post("/brands/{brand}/calendar/{plan}/verdict")
async def judge_plan(
    request: Request,
    brand: Brand,
    plan: str,
    who: Visitor,
    context: ContextDep,
    verdict: Annotated[str, Form()],
    why: Annotated[str, Form()] = "",
) -> Response:
    """The buttons with which the client approves or refuses, and the one that removes a plan."""
    same_origin(request)
    require(who, "write")
    refused = verdict == "refuse"
    if refused and not 0 < len(why.strip()) <= LONGEST_WHY:
        wrong = {"why": f"Say in at most {LONGEST_WHY} characters why."}
        return await _form(context, brand, who, plan, 422, wrong=wrong)
    at = (await planning.existing(context.database, brand["_id"], plan))["planned_at"]
    if verdict == "remove":
        await planning.remove(context.database, brand["_id"], plan, _now())
        return _back(brand, at.date())
    said = why.strip() if refused else None
    await planning.approve(context.database, brand["_id"], plan, who.name, said, _now())
    return RedirectResponse(f"/brands/{brand['_id']}/calendar/{quote(plan, safe='')}", 303, headers=HEADERS)


@router.post("/brands/{brand}/calendar/match")
async def match_post(
    request: Request,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    post: Annotated[str, Form()],
    plan: Annotated[str, Form()] = "",
) -> Response:
    """The form that says which plan a post belongs to."""
    same_origin(request)
    require(who, "write")
    found = await planning.match(context.database, brand["_id"], post, plan or None, who.name, _now())
    return _back(brand, found.published_at.date())


@router.post("/brands/{brand}/calendar/file")
async def take_file(
    request: Request,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    file: UploadFile | None = None,
    text: Annotated[str, Form()] = "",
    agree: Annotated[bool, Form()] = False,
) -> Response:
    """The form of a file: what is wrong with it first, and its good rows once that is agreed to."""
    same_origin(request)
    require(who, "write")
    if file is not None and file.filename:
        try:
            text = (await file.read()).decode("utf-8")
        except UnicodeDecodeError as error:
            wrong = f"This file is not UTF-8, from its byte {error.start} on."
            return await _days(context, brand, who, 422, wrong=wrong)
    if not text.strip():
        return await _days(context, brand, who, 422, wrong="Choose a file.")
    try:
        outcome: PlansImported = await planning.take_file(context.database, brand["_id"], text, agree, _now())
    except ProblemError as error:
        return await _days(context, brand, who, 422, wrong=sentence(error))
    return await _days(context, brand, who, outcome=outcome, text=text)


@router.post("/brands/{brand}/calendar/feed")
async def renew_feed(request: Request, brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The button that makes a new address of the feed."""
    same_origin(request)
    require(who, "write")
    feed = await planning.renew_feed(context.database, brand["_id"])
    return await _days(context, brand, who, feed=f"{str(request.base_url).rstrip('/')}{feed.path}")


def _back(brand: dict[str, Any], day: date) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/calendar?day={day.isoformat()}", 303, headers=HEADERS)
