"""Pages without a login: the proof of a draw and the form of a survey. Their addresses are secret."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse

from rapport.domain.campaigns.survey import LONGEST_ANSWER
from rapport.kit import clock
from services.api.brands.repository import Brands
from services.api.campaigns import draws, surveys, verify_draw
from services.api.campaigns import service as campaigns
from services.api.campaigns.documents import CampaignDocument, DrawDocument, GiveawayDocument, SurveyLinkDocument
from services.api.campaigns.repository import Campaigns, Forms
from services.api.followers.repository import Followers
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError, not_found
from services.api.http.rates import address_of
from services.api.storage.tenants import Tenants
from services.api.web import wording
from services.api.web.frame import HEADERS, page, same_origin

router = APIRouter(include_in_schema=False)

SCRIPT = Path(verify_draw.__file__).read_text(encoding="utf-8")
MOST_FIELDS = 50


@router.get("/proof/{token}.json")
async def proof_document(token: str, context: ContextDep) -> Response:
    """Everything needed to check a draw. It names nobody, unless the agency shows the winners."""
    its, draw = await _proof(context, token)
    return StreamingResponse(_document(context, its, draw), media_type="application/json", headers=HEADERS)


@router.get("/proof/{token}/verify.py")
async def proof_script(token: str, context: ContextDep) -> Response:
    """The script that checks the document."""
    await _proof(context, token)
    return PlainTextResponse(SCRIPT, headers=HEADERS)


@router.get("/proof/{token}")
async def proof_page(token: str, context: ContextDep) -> HTMLResponse:
    """The commitment, and after the draw its proof."""
    its, draw = await _proof(context, token)
    owner = await _owner(context, its)
    named = await _handles(context, its, draw) if draw else {}
    return page(
        "campaigns/proof.html",
        owner=owner,
        campaign=campaigns.shown(its, clock.now()),
        draw=draw,
        standing=draws.standing(draw) if draw else [],
        handles=named,
        token=token,
        script=SCRIPT,
    )


async def _proof(context: Context, token: str) -> tuple[GiveawayDocument, DrawDocument | None]:
    its = await Forms(context.database).proof(token)
    if its is None:
        raise not_found("page")
    return its, await Campaigns(context.database, Tenants.one(its["brand"])).draw(its["brand"], its["campaign"])


async def _owner(context: Context, campaign: CampaignDocument | GiveawayDocument) -> dict[str, str]:
    found = await Brands(context.database, Tenants.one(campaign["brand"])).find(campaign["brand"])
    if found is None:
        raise not_found("page")
    return {"name": found["settings"]["name"], "timezone": found["settings"]["timezone"]}


async def _handles(context: Context, campaign: GiveawayDocument, draw: DrawDocument) -> dict[str, str]:
    """The winners' names, if the agency shows them."""
    if not draw["show_winners"]:
        return {}
    brand, tenants = campaign["brand"], Tenants.one(campaign["brand"])
    entrants = await Campaigns(context.database, tenants).entrants(brand, campaign["campaign"], draws.standing(draw))
    ids = {key: f"{brand}/{each['platform']}/{each['follower']}" for key, each in entrants.items()}
    people = await Followers(context.database, tenants).some(ids.values())
    return {
        key: wording.shown_name(None, people[its_id]["handle"] or people[its_id]["name"], people[its_id]["follower"])
        for key, its_id in ids.items()
        if its_id in people
    }


async def _document(context: Context, campaign: GiveawayDocument, draw: DrawDocument | None) -> AsyncIterator[str]:
    """The proof as JSON. The entries come in parts: there may be a million."""
    head: dict[str, Any] = {
        "campaign": campaign["campaign"],
        "name": campaign["name"],
        "ended_at": campaign["until"].isoformat(),
        "committed_at": campaign["created_at"].isoformat(),
        "commitment": campaign["commitment"],
        "drawn_at": draw["at"].isoformat() if draw else None,
    }
    if draw is None:
        yield json.dumps(head)
        return
    head |= {
        "seed": draw["seed"],
        "beacon": draw["beacon"],
        "digest": draw["digest"],
        "winners": draw["winners"],
        "alternates": draw["alternates"],
    }
    head["replaced"] = [
        {"winner": each["winner"], "alternate": each["alternate"], "at": each["at"].isoformat()}
        for each in draw["replaced"]
    ]
    head["handles"] = await _handles(context, campaign, draw)
    yield json.dumps(head)[:-1] + ', "entries": ['
    first = True
    async for hashes in Campaigns(context.database, Tenants.one(draw["brand"])).drawn_from(
        draw["brand"], draw["campaign"]
    ):
        yield ("" if first else ", ") + json.dumps(hashes)[1:-1]
        first = False
    yield "]}"


@router.get("/s/{token}")
async def form_page(token: str, context: ContextDep) -> HTMLResponse:
    """A survey's questions."""
    found = await Forms(context.database).form(token)
    if found is None:
        raise not_found("page")
    return await _form(context, token, *found)


@router.post("/s/{token}")
async def answer_form(token: str, request: Request, context: ContextDep) -> HTMLResponse:
    """Stores the answers. A form that is sent twice counts once."""
    same_origin(request)
    found = await Forms(context.database).form(token)
    if found is None:
        raise not_found("page")
    surveys.limit(context.rates, token, address_of(request))
    campaign, link = found
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
        sent = {name: value for name, value in form.items() if isinstance(value, str)}
    now = clock.now()
    name = surveys.ticket_name(sent.get("ticket", ""), token, context.signing_secret)
    asked = {key.removeprefix("q."): value for key, value in sent.items() if key.startswith("q.")}
    if name is None:
        wrong = {"": "This page was open for too long. Please send your answers again."}
        return await _form(context, token, campaign, link, 403, sent=asked, wrong=wrong)
    answers, wrong = surveys.read(campaign, asked, name, now)
    if wrong:
        return await _form(context, token, campaign, link, 422, sent=asked, wrong=wrong)
    if not await surveys.store(context.database, campaign, link, name, answers, now):
        # The survey ended, or the link was used, since the page was opened.
        again = await Forms(context.database).form(token)
        return await _form(context, token, *(again or found), 409)
    return await _form(context, token, campaign, link, thanks=True)


async def _form(
    context: Context,
    token: str,
    campaign: CampaignDocument,
    link: SurveyLinkDocument | None,
    status: int = 200,
    *,
    sent: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
    thanks: bool = False,
) -> HTMLResponse:
    now = clock.now()
    shown = campaigns.shown(campaign, now)
    if shown.survey is None:
        raise ProblemError(404, "not-found", "there is no form here")
    return page(
        "campaigns/survey.html",
        status,
        owner=await _owner(context, campaign),
        campaign=shown,
        personal=link is not None,
        used=link is not None and link["used_at"] is not None and not thanks,
        thanks=thanks,
        token=token,
        ticket=surveys.ticket(token, context.signing_secret),
        sent=sent or {},
        wrong=wrong or {},
        longest=LONGEST_ANSWER,
    )
