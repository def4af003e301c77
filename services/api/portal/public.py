"""Pages that take no login: the proof of a draw, and the form of a survey. Only who has the address finds them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse

from rapport.domain.survey import LONGEST_ANSWER
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api import campaign_views, drawing, surveying
from services.api.context import Context, ContextDep
from services.api.portal import verify_draw, wording
from services.api.portal.frame import HEADERS, page, same_origin
from services.api.problems import ProblemError, not_found
from services.api.repositories.brands import Brands
from services.api.repositories.campaigns import Campaigns, Forms
from services.api.repositories.followers import Followers
from services.api.repositories.tenants import Tenants

router = APIRouter(include_in_schema=False)

SCRIPT = Path(verify_draw.__file__).read_text(encoding="utf-8")
MOST_FIELDS = 50

limit = surveying.FormLimit()


@router.get("/proof/{token}.json")
async def proof_document(token: str, context: ContextDep) -> Response:
    """All that a draw can be checked with. It names nobody, unless the agency shows the winners."""
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
        "proof.html",
        owner=owner,
        campaign=campaign_views.campaign(its, datetime.now(UTC)),
        draw=draw,
        standing=drawing.standing(draw) if draw else [],
        handles=named,
        token=token,
        script=SCRIPT,
    )


async def _proof(context: Context, token: str) -> tuple[Document, Document | None]:
    its = await Forms(context.database).proof(token)
    if its is None:
        raise not_found("page")
    return its, await Campaigns(context.database, Tenants.one(its["brand"])).draw(its["brand"], its["campaign"])


async def _owner(context: Context, campaign: Document) -> dict[str, str]:
    found = await Brands(context.database, Tenants.one(campaign["brand"])).find(campaign["brand"])
    if found is None:
        raise not_found("page")
    return {"name": found["settings"]["name"], "timezone": found["settings"]["timezone"]}


async def _handles(context: Context, campaign: Document, draw: Document) -> dict[str, str]:
    """What the winners are called, where the agency shows them."""
    if not draw["show_winners"]:
        return {}
    brand, tenants = campaign["brand"], Tenants.one(campaign["brand"])
    entrants = await Campaigns(context.database, tenants).entrants(brand, campaign["campaign"], drawing.standing(draw))
    ids = {key: f"{brand}/{each['platform']}/{each['follower']}" for key, each in entrants.items()}
    people = await Followers(context.database, tenants).some(ids.values())
    return {
        key: wording.shown_name(None, people[its_id]["handle"] or people[its_id]["name"], people[its_id]["follower"])
        for key, its_id in ids.items()
        if its_id in people
    }


async def _document(context: Context, campaign: Document, draw: Document | None) -> AsyncIterator[str]:
    """As JSON, the entries in parts: there may be a million."""
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
    head |= {name: draw[name] for name in ("seed", "beacon", "digest", "winners", "alternates")}
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
    """Takes the answers. The same form sent twice counts once."""
    same_origin(request)
    found = await Forms(context.database).form(token)
    if found is None:
        raise not_found("page")
    limit.check(token, request.client.host if request.client else "")
    campaign, link = found
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
        sent = {name: value for name, value in form.items() if isinstance(value, str)}
    now = utc(ms(datetime.now(UTC)))
    name = surveying.ticket_name(sent.get("ticket", ""), token, now, context.session_secret)
    asked = {key.removeprefix("q."): value for key, value in sent.items() if key.startswith("q.")}
    if name is None:
        wrong = {"": "This page was open for too long. Send your answers once more."}
        return await _form(context, token, campaign, link, 403, sent=asked, wrong=wrong)
    answers, wrong = surveying.read(campaign, asked, name, now)
    if wrong:
        return await _form(context, token, campaign, link, 422, sent=asked, wrong=wrong)
    if not await surveying.store(context.database, campaign, link, name, answers, now):
        # Between the page and the answer it ended, or the link was used.
        again = await Forms(context.database).form(token)
        return await _form(context, token, *(again or found), 409)
    return await _form(context, token, campaign, link, thanks=True)


async def _form(
    context: Context,
    token: str,
    campaign: Document,
    link: Document | None,
    status: int = 200,
    *,
    sent: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
    thanks: bool = False,
) -> HTMLResponse:
    now = datetime.now(UTC)
    shown = campaign_views.campaign(campaign, now)
    if shown.survey is None:
        raise ProblemError(404, "not-found", "there is no form here")
    return page(
        "form.html",
        status,
        owner=await _owner(context, campaign),
        campaign=shown,
        personal=link is not None,
        used=link is not None and link["used_at"] is not None and not thanks,
        thanks=thanks,
        token=token,
        ticket=surveying.ticket(token, now, context.session_secret),
        sent=sent or {},
        wrong=wrong or {},
        longest=LONGEST_ANSWER,
    )
