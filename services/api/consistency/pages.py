"""The page of consistency: score, weeks, accounts, and the form for the rhythm."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.platforms import platform_name
from rapport.kit import clock
from services.api.brands.documents import BrandDocument
from services.api.consistency import service as consistency
from services.api.consistency.schemas import MOST_A_WEEK, Rhythm
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError
from services.api.keys.service import Principal
from services.api.web import forms
from services.api.web.forms import FormRoute
from services.api.web.frame import HEADERS, Brand, Editor, Visitor, named, page, sentence

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
    brand: BrandDocument,
    who: Principal,
    status: int = 200,
    *,
    days: int = USUAL,
    sent: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The page, with what is `wrong` about the rhythm that was `sent`."""
    now = clock.now()
    days = days if days in PERIODS else USUAL
    first = now.astimezone(ZoneInfo(brand["settings"]["timezone"])).date() - timedelta(days=days - 1)
    wanted = await consistency.rhythm(context.database, brand["_id"])
    found = await consistency.consistency(context.database, brand, first, None, now)
    return page(
        "consistency/consistency.html",
        status,
        who=who,
        brand=named(brand),
        periods=PERIODS,
        days=days,
        found=found,
        most=max((max(week.published, week.wanted or 0) for week in found.brand.weeks), default=0),
        fields=[
            (ALL, "The brand"),
            *((ACCOUNT + each.account, f"{each.handle} on {platform_name(each.platform)}") for each in found.accounts),
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
async def set_rhythm(brand: Brand, who: Editor, context: ContextDep) -> Response:
    """Stores the form. An empty field means no rhythm."""
    sent = {
        name: typed.strip()
        for name, typed in forms.sent()
        if typed.strip() and (name == ALL or name.startswith(ACCOUNT))
    }
    before = await consistency.rhythm(context.database, brand["_id"])
    if forms.stale(forms.version_of(before)):
        return await _page(context, brand, who, 409, sent=sent, wrong={"": forms.STALE})
    wrong: dict[str, str] = {}
    shown = _typed(before)
    stored = {ALL: before.posts_per_week, **{ACCOUNT + name: number for name, number in before.accounts.items()}}
    # An unchanged field keeps the exact stored number.
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
                await consistency.set_rhythm(context.database, brand["_id"], wanted)
        except ProblemError as error:
            # An account was disconnected while the form was open, so its field is gone.
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
        wrong[name] = f"Enter a number above 0 and at most {MOST_A_WEEK}."
    return number
