"""Pages of a planned post: its form, the client's approval, and its removal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain import local_times
from rapport.domain.local_times import PAST, TwiceError
from rapport.domain.mix.labels import LABELS
from rapport.domain.platforms import platform_name
from rapport.kit import clock
from services.api.accounts.repository import Accounts
from services.api.brands.documents import BrandDocument
from services.api.calendar import service as calendar
from services.api.calendar.documents import Medium
from services.api.calendar.pages import STATUSES, AroundDay, back
from services.api.calendar.schemas import Planned, PlannedInput, PlannedTerms
from services.api.http.context import Context, ContextDep
from services.api.http.patterns import said
from services.api.http.problems import ProblemError
from services.api.http.schemas import LONGEST_WHY
from services.api.keys.service import Principal
from services.api.storage.tenants import Tenants
from services.api.web import forms
from services.api.web.form_fields import Ref, TypedText
from services.api.web.forms import FormRoute, kept
from services.api.web.frame import EDITORS_ONLY, HEADERS, Brand, Editor, Visitor, as_sentence, named, page, sentence

router = APIRouter(include_in_schema=False, route_class=FormRoute)

LINES = ("campaign", "owner", "post")
Verdict = Literal["approve", "refuse", "remove"]
MOST_TICKED = 20
"""More than there are media."""
FIELDS = ("account", "planned_at", "which", "text", "media", "label", *LINES, "state", "past")


@dataclass
class Sent:
    """A sent form: what the page shows again, and the fields of a plan that it means."""

    shown: Mapping[str, str]
    fields: dict[str, Any]
    wrong: dict[str, str] = field(default_factory=dict)
    asks: frozenset[str] = frozenset()
    """The questions that are open: `which` of two times, and whether the `past` is meant."""


@router.get("/brands/{brand}/calendar/-new")
async def new_plan_page(brand: Brand, who: Visitor, context: ContextDep, day: AroundDay = None) -> HTMLResponse:
    """The form of a new planned post."""
    sent = {"planned_at": f"{day.isoformat()}T09:00"} if day is not None else {}
    return await _form(context, brand, who, None, sent=Sent(sent, {}))


@router.get("/brands/{brand}/calendar/{plan}")
async def plan_page(brand: Brand, plan: str, who: Visitor, context: ContextDep) -> HTMLResponse:
    """One planned post."""
    return await _form(context, brand, who, plan)


async def _form(
    context: Context,
    brand: BrandDocument,
    who: Principal,
    plan: str | None,
    status: int = 200,
    *,
    sent: Sent | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    planned = None if plan is None else calendar.shown(await calendar.existing(context.database, brand["_id"], plan))
    zone = ZoneInfo(brand["settings"]["timezone"])
    known = {} if planned is None else typed(planned, zone)
    connected = await Accounts(context.database, Tenants.one(brand["_id"])).connected(brand["_id"])
    accounts = [(each["_id"], f"{each['handle']} on {platform_name(each['platform'])}") for each in connected]
    if planned is not None and planned.account not in dict(accounts):
        # Otherwise the form would show another account and move the post to it.
        accounts.insert(0, (planned.account, f"{planned.account}, no longer connected"))
    return page(
        "calendar/plan.html",
        status,
        who=who,
        brand=named(brand),
        planned=planned,
        version="" if planned is None else version(planned),
        accounts=accounts,
        media=get_args(Medium),
        labels=LABELS,
        statuses=STATUSES,
        sent={**dict.fromkeys(FIELDS, ""), "state": "planned", **known, **(sent.shown if sent else {})},
        asks=sent.asks if sent else frozenset({"which"} if known.get("which") else ()),
        wrong={**(sent.wrong if sent else {}), **(wrong or {})},
    )


def typed(planned: Planned, zone: ZoneInfo) -> dict[str, str]:
    """A planned post as its form shows it."""
    return {
        **{name: str(getattr(planned, name) or "") for name in ("account", "text", "label", *LINES, "state")},
        "planned_at": local_times.typed(planned.planned_at, zone),
        "which": local_times.which(planned.planned_at, zone),
        "media": " ".join(planned.media),
    }


def version(planned: Planned) -> str:
    """A version of what people decide about a plan, without what became of it."""
    return forms.version_of(
        planned.model_dump(mode="json", exclude={"status", "unconfirmed", "published", "published_at"})
    )


@router.post("/brands/{brand}/calendar/plan")
async def save_plan(
    brand: Brand,
    who: Editor,
    context: ContextDep,
    plan: Ref = "",
    media: Annotated[list[TypedText] | None, Form(max_length=MOST_TICKED)] = None,
) -> Response:
    """Saves the form of a planned post. It is a new one if the form names none."""
    database, its, now = context.database, brand["_id"], clock.now()
    planned = calendar.shown(await calendar.existing(database, its, plan)) if plan else None
    sent = _read(planned, dict(forms.sent()), media or [], ZoneInfo(brand["settings"]["timezone"]), now)
    if planned is not None and forms.stale(version(planned)):
        return await _form(context, brand, who, plan, 409, sent=sent, wrong={"": forms.STALE})
    try:
        if not sent.wrong:
            if planned is None:
                await calendar.add(database, its, PlannedInput.model_validate(sent.fields), now)
            else:
                await calendar.change(database, its, plan, PlannedTerms.model_validate(sent.fields), now)
    except ValidationError as error:
        sent.wrong = {str(each["loc"][0]): as_sentence(said(each)) for each in error.errors()}
    except ProblemError as error:
        sent.wrong = {each.field: as_sentence(each.why) for each in error.errors}
        sent.wrong = sent.wrong or {"text": sentence(error)}
    if sent.wrong:
        return await _form(context, brand, who, plan or None, 422, sent=sent)
    zone = ZoneInfo(brand["settings"]["timezone"])
    return back(brand, sent.fields["planned_at"].astimezone(zone).date())


def _read(planned: Planned | None, pairs: Mapping[str, str], media: list[str], zone: ZoneInfo, now: datetime) -> Sent:
    """What was sent. A field that a browser could not change keeps exactly what is stored."""
    shown = {name: forms.as_stored(pairs.get(name, "")) for name in FIELDS if name != "media"}
    fields: dict[str, Any] = {
        name: kept(shown[name], getattr(planned, name, None), one_line=name != "text")
        for name in ("account", "text", "label", *LINES, "state")
    }
    fields = {name: value for name, value in fields.items() if value}
    fields["media"] = planned.media if planned is not None and set(media) == set(planned.media) else media
    sent = Sent({**shown, "media": " ".join(media)}, fields)
    if planned is not None and _same_time(shown, typed(planned, zone)):
        fields["planned_at"] = planned.planned_at
        sent.asks = frozenset({"which"} if shown["which"] else ())
        return sent
    try:
        fields["planned_at"] = local_times.read(shown["planned_at"], zone, shown["which"])
    except ValueError as error:
        sent.wrong["planned_at"] = str(error)
        sent.asks = frozenset({"which"} if isinstance(error, TwiceError) else ())
        return sent
    asks = {"which"} if local_times.which(fields["planned_at"], zone) else set()
    if fields["planned_at"] < now and fields.get("state") != "cancelled":
        asks.add("past")
        if not shown["past"]:
            sent.wrong["planned_at"] = PAST
    sent.asks = frozenset(asks)
    return sent


def _same_time(sent: Mapping[str, str], before: Mapping[str, str]) -> bool:
    return sent["planned_at"] == before["planned_at"] and sent["which"] in ("", before["which"])


@router.post("/brands/{brand}/calendar/{plan}/verdict")
async def judge_plan(
    brand: Brand,
    plan: str,
    who: Editor,
    context: ContextDep,
    verdict: Annotated[Verdict, Form()],
    why: TypedText = "",
) -> Response:
    """Approves or declines a plan for the client, or removes it."""
    planned = calendar.shown(await calendar.existing(context.database, brand["_id"], plan))
    if forms.stale(version(planned)):
        wrong = {"verdict": "Somebody else changed this plan while you had it open. Read it again, then decide."}
        return await _form(context, brand, who, plan, 409, sent=Sent({"why": why}, {}), wrong=wrong)
    refused = verdict == "refuse"
    reason = forms.reason(why)
    if refused and not 0 < len(reason) <= LONGEST_WHY:
        wrong = {"why": f"Give a reason of at most {LONGEST_WHY} characters."}
        return await _form(context, brand, who, plan, 422, sent=Sent({"why": why}, {}), wrong=wrong)
    if verdict == "remove":
        await calendar.remove(context.database, brand["_id"], plan, clock.now())
        zone = ZoneInfo(brand["settings"]["timezone"])
        return back(brand, planned.planned_at.astimezone(zone).date(), removed=plan)
    await calendar.approve(context.database, brand["_id"], plan, who.name, reason if refused else None, clock.now())
    return _to(brand, plan)


@router.post("/brands/{brand}/calendar/{plan}/restore", dependencies=EDITORS_ONLY)
async def restore_plan(brand: Brand, plan: str, context: ContextDep) -> Response:
    """Brings back a removed plan."""
    await calendar.restore(context.database, brand["_id"], plan, clock.now())
    return _to(brand, plan)


def _to(brand: BrandDocument, plan: str) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/calendar/{quote(plan, safe='')}", 303, headers=HEADERS)
