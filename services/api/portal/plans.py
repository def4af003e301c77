"""The pages of one planned post: its form, what the client says of it, and its removal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.mix import LABELS
from rapport.domain.times import ms, utc
from services.api import local_times, planning
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.local_times import PAST, TwiceError
from services.api.patterns import said
from services.api.portal import forms
from services.api.portal.calendar import STATUSES, AroundDay, back
from services.api.portal.form_fields import Ref, TypedText
from services.api.portal.forms import FormRoute, kept
from services.api.portal.frame import HEADERS, Brand, Visitor, as_sentence, named, page, sentence
from services.api.problems import ProblemError
from services.api.repositories.accounts import Accounts
from services.api.repositories.tenants import Tenants
from services.api.schemas.calendar import Medium, Planned, PlannedInput, PlannedTerms
from services.api.schemas.views import LONGEST_WHY

router = APIRouter(include_in_schema=False, route_class=FormRoute)

LINES = ("campaign", "owner", "post")
Verdict = Literal["approve", "refuse", "remove"]
MOST_TICKED = 20
"""More than there are media."""
FIELDS = ("account", "planned_at", "which", "text", "media", "label", *LINES, "state", "past")


@dataclass
class Sent:
    """What was sent with the form, as the page shows it again, and what the fields of a plan are by that."""

    shown: Mapping[str, str]
    fields: dict[str, Any]
    wrong: dict[str, str] = field(default_factory=dict)
    asks: frozenset[str] = frozenset()
    """The questions that are to be answered: `which` of two times, and whether the `past` is meant."""


def _now() -> datetime:
    return utc(ms(datetime.now(UTC)))


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
    brand: dict[str, Any],
    who: Principal,
    plan: str | None,
    status: int = 200,
    *,
    sent: Sent | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    planned = None if plan is None else planning.shown(await planning.existing(context.database, brand["_id"], plan))
    zone = ZoneInfo(brand["settings"]["timezone"])
    known = {} if planned is None else typed(planned, zone)
    connected = await Accounts(context.database, Tenants.one(brand["_id"])).connected(brand["_id"])
    accounts = [(each["_id"], f"{each['handle']} on {each['platform']}") for each in connected]
    if planned is not None and planned.account not in dict(accounts):
        # Otherwise the form would show another account, and move the post to it.
        accounts.insert(0, (planned.account, f"{planned.account}, which is not connected any more"))
    return page(
        "calendar_plan.html",
        status,
        who=who,
        brand=named(brand),
        may_write=who.may("write"),
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
    """A planned post as its form has it."""
    return {
        **{name: str(getattr(planned, name) or "") for name in ("account", "text", "label", *LINES, "state")},
        "planned_at": local_times.typed(planned.planned_at, zone),
        "which": local_times.which(planned.planned_at, zone),
        "media": " ".join(planned.media),
    }


def version(planned: Planned) -> str:
    """Of what people decide about a plan; not of what became of it since."""
    return forms.version_of(planned.model_dump(mode="json", exclude={"status", "published", "published_at"}))


@router.post("/brands/{brand}/calendar/plan")
async def save_plan(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    plan: Ref = "",
    media: Annotated[list[TypedText] | None, Form(max_length=MOST_TICKED)] = None,
) -> Response:
    """The form of a planned post, new where it names none."""
    require(who, "write")
    database, its, now = context.database, brand["_id"], _now()
    planned = planning.shown(await planning.existing(database, its, plan)) if plan else None
    sent = _read(planned, dict(forms.sent()), media or [], ZoneInfo(brand["settings"]["timezone"]), now)
    if planned is not None and forms.stale(version(planned)):
        return await _form(context, brand, who, plan, 409, sent=sent, wrong={"": forms.STALE})
    try:
        if not sent.wrong:
            if planned is None:
                await planning.add(database, its, PlannedInput.model_validate(sent.fields), now)
            else:
                await planning.change(database, its, plan, PlannedTerms.model_validate(sent.fields), now)
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
    """What was sent; where it says what is stored, as far as a browser can say that, it is what is stored."""
    shown = {name: forms.as_sent(pairs.get(name, "")) for name in FIELDS if name != "media"}
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
    who: Visitor,
    context: ContextDep,
    verdict: Annotated[Verdict, Form()],
    why: TypedText = "",
) -> Response:
    """The buttons with which the client approves or declines, and the one that removes a plan."""
    require(who, "write")
    planned = planning.shown(await planning.existing(context.database, brand["_id"], plan))
    if forms.stale(version(planned)):
        wrong = {"verdict": "Somebody else changed this plan while you had it open. Read it again, then decide."}
        return await _form(context, brand, who, plan, 409, sent=Sent({"why": why}, {}), wrong=wrong)
    refused = verdict == "refuse"
    reason = forms.as_sent(why).strip()
    if refused and not 0 < len(reason) <= LONGEST_WHY:
        wrong = {"why": f"Say in at most {LONGEST_WHY} characters why."}
        return await _form(context, brand, who, plan, 422, sent=Sent({"why": why}, {}), wrong=wrong)
    if verdict == "remove":
        await planning.remove(context.database, brand["_id"], plan, _now())
        zone = ZoneInfo(brand["settings"]["timezone"])
        return back(brand, planned.planned_at.astimezone(zone).date(), removed=plan)
    await planning.approve(context.database, brand["_id"], plan, who.name, reason if refused else None, _now())
    return _to(brand, plan)


@router.post("/brands/{brand}/calendar/{plan}/restore")
async def restore_plan(brand: Brand, plan: str, who: Visitor, context: ContextDep) -> Response:
    """The button that brings back a plan that was removed."""
    require(who, "write")
    await planning.restore(context.database, brand["_id"], plan, _now())
    return _to(brand, plan)


def _to(brand: dict[str, Any], plan: str) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/calendar/{quote(plan, safe='')}", 303, headers=HEADERS)
