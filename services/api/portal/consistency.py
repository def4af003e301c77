"""The page of consistency: the score and what it is made of, the weeks, the accounts, and the form of the rhythm."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.api import rhythm
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal import forms
from services.api.portal.forms import FormRoute
from services.api.portal.frame import HEADERS, Brand, Visitor, named, page, sentence
from services.api.problems import ProblemError
from services.api.schemas.consistency import MOST_A_WEEK, Rhythm

router = APIRouter(include_in_schema=False, route_class=FormRoute)

PERIODS = {30: "30 days", 90: "90 days", 365: "A year"}
USUAL = 90
ALL = "all"
ACCOUNT = "account."
"""The fields of the form: the brand's, and what those of accounts begin with."""

Days = Annotated[int, Query()]


@router.get("/brands/{brand}/consistency")
async def consistency_page(brand: Brand, who: Visitor, context: ContextDep, days: Days = USUAL) -> HTMLResponse:
    """The last `days`."""
    return await _page(context, brand, who, days=days)


async def _page(
    context: Context,
    brand: dict[str, Any],
    who: Principal,
    status: int = 200,
    *,
    days: int = USUAL,
    sent: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The page, with what is `wrong` about the rhythm that was `sent`."""
    now = datetime.now(UTC)
    days = days if days in PERIODS else USUAL
    first = now.astimezone(ZoneInfo(brand["settings"]["timezone"])).date() - timedelta(days=days - 1)
    wanted = await rhythm.rhythm(context.database, brand["_id"])
    found = await rhythm.consistency(context.database, brand, first, None, now)
    return page(
        "consistency.html",
        status,
        who=who,
        brand=named(brand),
        may_write=who.may("write"),
        periods=PERIODS,
        days=days,
        found=found,
        most=max((max(week.published, week.wanted or 0) for week in found.brand.weeks), default=0),
        fields=[
            (ALL, "The brand"),
            *((ACCOUNT + each.account, f"{each.handle} on {each.platform}") for each in found.accounts),
        ],
        sent=_typed(wanted) if sent is None else sent,
        version=forms.version_of(wanted),
        wrong=wrong or {},
    )


def _typed(wanted: Rhythm) -> dict[str, str]:
    """A rhythm as the form has it."""
    numbers = {ALL: wanted.posts_per_week, **{ACCOUNT + name: number for name, number in wanted.accounts.items()}}
    return {name: f"{number:g}" for name, number in numbers.items() if number is not None}


@router.post("/brands/{brand}/consistency/rhythm")
async def set_rhythm(brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The form; nothing in a field means that nobody wants anything there."""
    require(who, "write")
    sent = {
        name: typed.strip()
        for name, typed in forms.sent()
        if typed.strip() and (name == ALL or name.startswith(ACCOUNT))
    }
    before = await rhythm.rhythm(context.database, brand["_id"])
    if forms.stale(forms.version_of(before)):
        return await _page(context, brand, who, 409, sent=sent, wrong={"": forms.STALE})
    wrong: dict[str, str] = {}
    shown = _typed(before)
    stored = {ALL: before.posts_per_week, **{ACCOUNT + name: number for name, number in before.accounts.items()}}
    # What nobody changed is as exact as it was stored.
    numbers = {
        name: stored[name] if typed == shown.get(name) else _number(name, typed, wrong) for name, typed in sent.items()
    }
    if not wrong:
        wanted = Rhythm(
            posts_per_week=numbers.get(ALL),
            accounts={
                name.removeprefix(ACCOUNT): number
                for name, number in numbers.items()
                if name != ALL and number is not None
            },
        )
        try:
            if wanted != before:
                await rhythm.set_rhythm(context.database, brand["_id"], wanted)
        except ProblemError as error:
            # An account that was disconnected while the form was open: it has no field any more.
            wrong[ALL] = sentence(error)
    if wrong:
        return await _page(context, brand, who, 422, sent=sent, wrong=wrong)
    return RedirectResponse(f"/brands/{brand['_id']}/consistency", 303, headers=HEADERS)


def _number(name: str, typed: str, wrong: dict[str, str]) -> float:
    try:
        number = float(typed.replace(",", "."))
    except ValueError:
        number = 0.0
    if not 0 < number <= MOST_A_WEEK:
        wrong[name] = f"A rhythm is a number above 0 and up to {MOST_A_WEEK}."
    return number
