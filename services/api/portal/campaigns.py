"""The pages of campaigns: all of them, one, and a new one."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.times import ms, utc
from services.api import campaign_views, campaigning, drawing
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.local_times import PAST, TWICE
from services.api.portal import campaign_forms, forms
from services.api.portal.campaign_forms import KINDS, QUESTIONS, Typed
from services.api.portal.form_fields import TypedText
from services.api.portal.forms import FormRoute
from services.api.portal.frame import HEADERS, Brand, Visitor, named, page, sentence
from services.api.problems import ProblemError, not_found
from services.api.repositories.accounts import Accounts
from services.api.repositories.tenants import Tenants
from services.api.schemas.campaigns import CampaignsQuery, DrawInput, EntriesQuery
from services.api.schemas.views import LONGEST_WHY

router = APIRouter(include_in_schema=False, route_class=FormRoute)

PAGE_SHOWN = 25
GROUP_SHOWN = 50

REASONS = {
    "bot": "is a bot",
    "staff": "works for the brand",
    "blocked": "is blocked",
    "too_new": "did not know the brand before the start",
    "too_early": "came before the start",
    "too_late": "came after the end",
    "taken_back": "was deleted, hidden or undone",
    "word_missing": "does not have the word",
    "no_comment": "did not comment",
    "not_shared": "did not share",
    "not_following": "does not follow",
    "no_entry": "did not enter",
}
"""Why an entry is refused."""


def _now() -> datetime:
    return utc(ms(datetime.now(UTC)))


@router.get("/brands/{brand}/campaigns")
async def campaigns_page(
    brand: Brand, who: Visitor, context: ContextDep, cursor: Annotated[str | None, Query(max_length=2048)] = None
) -> HTMLResponse:
    """What runs, what is planned, and, page by page, what has ended."""
    now, tenants = _now(), Tenants.one(brand["_id"])
    shown: dict[str, Any] = {}
    for state in ("running", "planned"):
        query = CampaignsQuery.model_validate({"state": state, "limit": GROUP_SHOWN})
        shown[state] = (await campaign_views.campaigns(context.database, tenants, query, now)).items
    ended = await campaign_views.campaigns(
        context.database, tenants, CampaignsQuery(state="ended", cursor=cursor, limit=PAGE_SHOWN), now
    )
    return page("campaigns.html", who=who, brand=named(brand), may_write=who.may("write"), **shown, ended=ended)


@router.get("/brands/{brand}/campaigns/-new")
async def new_page(brand: Brand, who: Visitor, context: ContextDep, kind: str = "giveaway") -> HTMLResponse:
    """The form of a new campaign. No campaign has its address: an id begins with a letter or a digit."""
    require(who, "write")
    begun = [("winners", "1"), ("alternates", "3"), ("match", "all"), ("form", "true")]
    return await _new(context, brand, who, Typed(kind if kind in KINDS else "giveaway", begun))


@router.post("/brands/{brand}/campaigns/-new")
async def create(brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """Makes a campaign, or says beside each field what is wrong and keeps what was typed."""
    require(who, "write")
    pairs = forms.sent()
    kind = dict(pairs).get("kind", "")
    typed = Typed(kind if kind in KINDS else "giveaway", pairs)
    new, wrong = campaign_forms.read(typed, brand["settings"]["timezone"], _now())
    status = 422
    if new is not None:
        try:
            made = await campaigning.create(
                context.database, Tenants.one(brand["_id"]), brand["_id"], new, who.name, _now()
            )
            return _to(brand, made["campaign"])
        except ProblemError as error:
            status = error.status
            wrong = campaign_forms.problems(error.errors, typed)
            if status == 409:
                wrong["id"] = "There is a campaign with this id already. Choose another one."
    return await _new(context, brand, who, typed, status, wrong)


async def _new(
    context: Context,
    brand: dict[str, Any],
    who: Principal,
    typed: Typed,
    status: int = 200,
    wrong: dict[str, str] | None = None,
) -> HTMLResponse:
    accounts = await Accounts(context.database, Tenants.one(brand["_id"])).connected(brand["_id"])
    return page(
        "campaign_new.html",
        status,
        who=who,
        brand=named(brand),
        typed=typed,
        accounts=accounts,
        wrong=wrong or {},
        twice=TWICE,
        past=PAST,
        kinds=KINDS,
        questions=QUESTIONS,
    )


@router.get("/brands/{brand}/campaigns/{id}")
async def campaign_page(
    id: str,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    entries: str = "valid",
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> HTMLResponse:
    """One campaign: entries and draw, or answers; and what came of it."""
    return await _page(context, brand, id, who, valid=entries != "refused", cursor=cursor)


async def _page(
    context: Context,
    brand: dict[str, Any],
    id: str,
    who: Principal,
    status: int = 200,
    *,
    valid: bool = True,
    cursor: str | None = None,
    wrong: dict[str, str] | None = None,
    beacon: str = "",
    why: str = "",
) -> HTMLResponse:
    """The page, with what is `wrong` about a draw or a replacement that was sent."""
    now, tenants, database = _now(), Tenants.one(brand["_id"]), context.database
    found = campaign_views.campaign(await campaigning.existing(database, tenants, brand["_id"], id), now)
    entries = draw = None
    if found.kind == "giveaway":
        query = EntriesQuery(valid=valid, cursor=cursor, limit=PAGE_SHOWN)
        entries = await campaign_views.entries(database, tenants, brand["_id"], id, query, now)
        draw = await campaign_views.draw(database, tenants, brand["_id"], id, now)
    effect = await campaign_views.effect(database, tenants, brand["_id"], id)
    after = zip(effect.campaign_started.after, effect.otherwise.after, strict=True)
    return page(
        "campaign.html",
        status,
        who=who,
        brand=named(brand),
        campaign=found,
        results=await campaign_views.results(database, tenants, brand["_id"], id, now),
        effect=effect,
        after=[(ours, others, list(zip(ours.stages, others.stages, strict=True))) for ours, others in after],
        entries=entries,
        draw=draw,
        valid=valid,
        may_write=who.may("write"),
        reasons=REASONS,
        wrong=wrong or {},
        beacon=beacon,
        why=why,
    )


@router.post("/brands/{brand}/campaigns/{id}/draw")
async def make_draw(
    id: str,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    beacon: Annotated[str, Form(max_length=500)] = "",
    show_winners: Annotated[bool, Form()] = False,
    sure: Annotated[bool, Form()] = False,
) -> Response:
    """The button that draws, with the tick that somebody meant it."""
    require(who, "write")
    if not sure:
        wrong = {"sure": "Tick that it can be drawn once only, and draw again."}
        return await _page(context, brand, id, who, 422, wrong=wrong, beacon=beacon)
    said = DrawInput(beacon=beacon.strip() or None, show_winners=show_winners)
    try:
        await drawing.draw(context.database, Tenants.one(brand["_id"]), brand["_id"], id, said, who.name, _now())
    except ProblemError as error:
        return await _refused(context, brand, id, who, error, "draw", beacon=beacon)
    return _to(brand, id, "draw-title")


@router.post("/brands/{brand}/campaigns/{id}/replace")
async def replace(
    id: str,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    winner: Annotated[str, Form(max_length=64)] = "",
    why: TypedText = "",
) -> Response:
    """The form that gives a winner's place to the next alternate."""
    require(who, "write")
    reason = why.replace("\r\n", "\n").strip()
    if not 0 < len(reason) <= LONGEST_WHY:
        sentence = "Say in a few words why." if not reason else f"{LONGEST_WHY} characters are the most."
        return await _page(context, brand, id, who, 422, wrong={winner: sentence}, why=why)
    tenants, now = Tenants.one(brand["_id"]), _now()
    try:
        await drawing.replace(context.database, tenants, brand["_id"], id, winner, reason, who.name, now)
    except ProblemError as error:
        return await _refused(context, brand, id, who, error, winner, why=why)
    return _to(brand, id, "draw-title")


@router.post("/brands/{brand}/campaigns/{id}/show-winners")
async def show_winners(
    id: str, brand: Brand, who: Visitor, context: ContextDep, shown: Annotated[bool, Form()] = False
) -> Response:
    """The button that names the winners in the proof, or no longer."""
    require(who, "write")
    tenants = Tenants.one(brand["_id"])
    found = await drawing.drawn(context.database, tenants, brand["_id"], id)
    await drawing.show_winners(context.database, tenants, found, shown)
    return _to(brand, id, "draw-title")


@router.post("/brands/{brand}/campaigns/{id}/end")
async def end(id: str, brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The button that ends a campaign now."""
    require(who, "write")
    await campaigning.end(context.database, Tenants.one(brand["_id"]), brand["_id"], id, _now())
    return _to(brand, id)


async def _refused(
    context: Context, brand: dict[str, Any], id: str, who: Principal, error: ProblemError, beside: str, **sent: Any
) -> HTMLResponse:
    if error.status == 404:
        raise not_found("campaign")
    field = "beacon" if error.errors and error.errors[0].field == "beacon" else beside
    return await _page(context, brand, id, who, error.status, wrong={field: sentence(error)}, **sent)


def _to(brand: dict[str, Any], id: str, place: str = "") -> Response:
    path = f"/brands/{brand['_id']}/campaigns/{quote(id, safe='')}{f'#{place}' if place else ''}"
    return RedirectResponse(path, 303, headers=HEADERS)
