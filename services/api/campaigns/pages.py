"""Campaign pages."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.local_times import PAST, TWICE
from rapport.kit import clock
from services.api.accounts.repository import Accounts
from services.api.brands.documents import BrandDocument
from services.api.campaigns import changes, draws
from services.api.campaigns import service as campaigns
from services.api.campaigns.forms import KINDS, QUESTIONS, Typed, blank, problems, read
from services.api.campaigns.schemas import CampaignsQuery, DrawInput, EntriesQuery
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError, not_found
from services.api.http.schemas import LONGEST_WHY
from services.api.keys.service import Principal
from services.api.storage.tenants import Tenants
from services.api.web import forms
from services.api.web.form_fields import TypedText
from services.api.web.forms import FormRoute
from services.api.web.frame import EDITORS_ONLY, HEADERS, Brand, Editor, Visitor, named, page, sentence

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


@router.get("/brands/{brand}/campaigns")
async def campaigns_page(
    brand: Brand, who: Visitor, context: ContextDep, cursor: Annotated[str | None, Query(max_length=2048)] = None
) -> HTMLResponse:
    """What runs, what is planned, and, page by page, what has ended."""
    now, tenants = clock.now(), Tenants.one(brand["_id"])
    shown: dict[str, Any] = {}
    for state in ("running", "planned"):
        query = CampaignsQuery.model_validate({"state": state, "limit": GROUP_SHOWN})
        shown[state] = (await campaigns.listed(context.database, tenants, query, now)).items
    ended = await campaigns.listed(
        context.database, tenants, CampaignsQuery(state="ended", cursor=cursor, limit=PAGE_SHOWN), now
    )
    return page("campaigns/campaigns.html", who=who, brand=named(brand), **shown, ended=ended)


@router.get("/brands/{brand}/campaigns/-new")
async def new_page(brand: Brand, who: Editor, context: ContextDep, kind: str = "giveaway") -> HTMLResponse:
    """The form of a new campaign. No campaign can have its address: ids begin with a letter or a digit."""
    return await _new(context, brand, who, blank(kind if kind in KINDS else "giveaway"))


@router.post("/brands/{brand}/campaigns/-new")
async def create(brand: Brand, who: Editor, context: ContextDep) -> Response:
    """Creates a campaign, or says beside each field what is wrong and keeps what was typed."""
    pairs = forms.sent()
    kind = dict(pairs).get("kind", "")
    typed = Typed(kind if kind in KINDS else "giveaway", pairs)
    new, wrong = read(typed, brand["settings"]["timezone"], clock.now())
    status = 422
    if new is not None:
        try:
            made = await changes.create(
                context.database, Tenants.one(brand["_id"]), brand["_id"], new, who.name, clock.now()
            )
            return _to(brand, made["campaign"])
        except ProblemError as error:
            status = error.status
            wrong = problems(error.errors, typed)
            if status == 409:
                wrong["id"] = "Another campaign has this ID. Choose a different one."
    return await _new(context, brand, who, typed, status, wrong)


async def _new(
    context: Context,
    brand: BrandDocument,
    who: Principal,
    typed: Typed,
    status: int = 200,
    wrong: dict[str, str] | None = None,
) -> HTMLResponse:
    accounts = await Accounts(context.database, Tenants.one(brand["_id"])).connected(brand["_id"])
    return page(
        "campaigns/new.html",
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
    """One campaign: entries and draw, or answers; and its results."""
    return await _page(context, brand, id, who, valid=entries != "refused", cursor=cursor)


async def _page(
    context: Context,
    brand: BrandDocument,
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
    """A campaign's page, with what is `wrong` with a draw or a replacement that was sent."""
    now, tenants, database = clock.now(), Tenants.one(brand["_id"]), context.database
    found = campaigns.shown(await changes.existing(database, tenants, brand["_id"], id), now)
    entries = draw = None
    if found.kind == "giveaway":
        query = EntriesQuery(valid=valid, cursor=cursor, limit=PAGE_SHOWN)
        entries = await campaigns.entries(database, tenants, brand["_id"], id, query, now)
        draw = await campaigns.draw(database, tenants, brand["_id"], id, now)
    effect = await campaigns.effect(database, tenants, brand["_id"], id)
    after = zip(effect.campaign_started.after, effect.otherwise.after, strict=True)
    return page(
        "campaigns/campaign.html",
        status,
        who=who,
        brand=named(brand),
        campaign=found,
        results=await campaigns.results(database, tenants, brand["_id"], id, now),
        effect=effect,
        after=[(ours, others, list(zip(ours.stages, others.stages, strict=True))) for ours, others in after],
        entries=entries,
        draw=draw,
        valid=valid,
        reasons=REASONS,
        wrong=wrong or {},
        beacon=beacon,
        why=why,
    )


@router.post("/brands/{brand}/campaigns/{id}/draw")
async def make_draw(
    id: str,
    brand: Brand,
    who: Editor,
    context: ContextDep,
    beacon: Annotated[str, Form(max_length=500)] = "",
    show_winners: Annotated[bool, Form()] = False,
    sure: Annotated[bool, Form()] = False,
) -> Response:
    """Draws, if somebody confirmed it."""
    if not sure:
        wrong = {"sure": "Confirm that this draw is final, then draw again."}
        return await _page(context, brand, id, who, 422, wrong=wrong, beacon=beacon)
    said = DrawInput(beacon=beacon.strip() or None, show_winners=show_winners)
    try:
        await draws.draw(context.database, Tenants.one(brand["_id"]), brand["_id"], id, said, who.name, clock.now())
    except ProblemError as error:
        return await _refused(context, brand, id, who, error, "draw", beacon=beacon)
    return _to(brand, id, "draw-title")


@router.post("/brands/{brand}/campaigns/{id}/replace")
async def replace(
    id: str,
    brand: Brand,
    who: Editor,
    context: ContextDep,
    winner: Annotated[str, Form(max_length=64)] = "",
    why: TypedText = "",
) -> Response:
    """Replaces a winner with the next alternate."""
    reason = forms.reason(why)
    if not 0 < len(reason) <= LONGEST_WHY:
        sentence = "Give a reason." if not reason else f"Use at most {LONGEST_WHY} characters."
        return await _page(context, brand, id, who, 422, wrong={winner: sentence}, why=why)
    tenants, now = Tenants.one(brand["_id"]), clock.now()
    try:
        await draws.replace(context.database, tenants, brand["_id"], id, winner, reason, who.name, now)
    except ProblemError as error:
        return await _refused(context, brand, id, who, error, winner, why=why)
    return _to(brand, id, "draw-title")


@router.post("/brands/{brand}/campaigns/{id}/show-winners", dependencies=EDITORS_ONLY)
async def show_winners(id: str, brand: Brand, context: ContextDep, shown: Annotated[bool, Form()] = False) -> Response:
    """Names the winners in the proof, or no longer."""
    tenants = Tenants.one(brand["_id"])
    found = await draws.drawn(context.database, tenants, brand["_id"], id)
    await draws.show_winners(context.database, tenants, found, shown)
    return _to(brand, id, "draw-title")


@router.post("/brands/{brand}/campaigns/{id}/end", dependencies=EDITORS_ONLY)
async def end(id: str, brand: Brand, context: ContextDep) -> Response:
    """Ends a campaign now."""
    await changes.end(context.database, Tenants.one(brand["_id"]), brand["_id"], id, clock.now())
    return _to(brand, id)


async def _refused(
    context: Context, brand: BrandDocument, id: str, who: Principal, error: ProblemError, beside: str, **sent: Any
) -> HTMLResponse:
    if error.status == 404:
        raise not_found("campaign")
    field = "beacon" if error.errors and error.errors[0].field == "beacon" else beside
    return await _page(context, brand, id, who, error.status, wrong={field: sentence(error)}, **sent)


def _to(brand: BrandDocument, id: str, place: str = "") -> Response:
    path = f"/brands/{brand['_id']}/campaigns/{quote(id, safe='')}{f'#{place}' if place else ''}"
    return RedirectResponse(path, 303, headers=HEADERS)
