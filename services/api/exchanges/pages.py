"""The pages of exchanges and their forms."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.contracts.errands import Deed
from rapport.domain.retention import text_over
from rapport.domain.times import ms
from services.api.brands.documents import BrandDocument
from services.api.errands import service as errands
from services.api.exchanges import decisions
from services.api.exchanges.repository import Exchanges
from services.api.exchanges.schemas import ExchangesQuery
from services.api.exchanges.service import exchange_detail, page_of_exchanges
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError, not_found
from services.api.http.schemas import LONGEST_WHY
from services.api.interactions.documents import InteractionDocument
from services.api.keys.service import Principal
from services.api.storage.tenants import Tenants
from services.api.web import forms, wording
from services.api.web.form_fields import Ref, TypedText
from services.api.web.forms import FormRoute, as_stored
from services.api.web.frame import (
    HEADERS,
    Brand,
    Cursor,
    Editor,
    Visitor,
    named,
    page,
    sentence,
)

router = APIRouter(include_in_schema=False, route_class=FormRoute)

PAGE_SHOWN = 25
COMMENTS_SHOWN = 50
"""Of those that can be answered."""

NO_REPLY_NEEDED, REPLY_NEEDED = "no-reply-needed", "reply-needed"
SHOWN_WITHIN = timedelta(seconds=60)
"""How long the page says that a decision or an answer is on its way. It takes a second or two."""
GONE = "that comment is not there any more; what you typed still is"
_ERRAND = re.compile(r"errand-([0-9a-f]{32})")


@router.get("/brands/{brand}/exchanges/{id}")
async def exchange_page(
    id: str, brand: Brand, who: Visitor, context: ContextDep, noted: str = "", at: int = 0
) -> HTMLResponse:
    """One exchange. `noted` is what was decided or asked for `at` (ms), shown until the exchange shows it."""
    # Clocks of several processes differ; a time far ahead is an address that somebody made up.
    recent = abs(ms(datetime.now(UTC)) - at) <= SHOWN_WITHIN / timedelta(milliseconds=1)
    return await _exchange(context, brand, id, who, noted=noted if recent else "", at=at)


async def _exchange(
    context: Context,
    brand: BrandDocument,
    id: str,
    who: Principal,
    status: int = 200,
    *,
    noted: str = "",
    at: int = 0,
    wrong: str = "",
    why: str = "",
    spam: bool = False,
    unanswered: str = "",
    text: str = "",
    to: str = "",
) -> HTMLResponse:
    """The page. `wrong`: what is wrong with the decision that was sent, with its `why` and `spam`; `unanswered`: what
    is wrong with the answer, with its `text` and the comment that it is `to`.
    """
    zone = brand["settings"]["timezone"]
    tenants = Tenants.one(brand["_id"])
    stored = await Exchanges(context.database, tenants).find(id)
    found = await exchange_detail(context.database, tenants, id, zone, datetime.now(UTC))
    if found is None or stored is None:
        raise not_found("exchange")
    done = await errands.of_exchange(context.database, tenants, id)
    to_come = {NO_REPLY_NEEDED: found.state == "open", REPLY_NEEDED: found.decision is not None}
    if (asked := _ERRAND.fullmatch(noted)) is not None:
        to_come[noted] = not any(each.id == asked[1] and each.state not in ("asked", "sending") for each in done)
    possible = await errands.possible(context.database, tenants, stored)
    return page(
        "exchanges/exchange.html",
        status,
        who=who,
        brand=named(brand),
        exchange=found,
        noted=f"noted={noted}&at={at}" if to_come.get(noted) else "",
        wrong=wrong,
        asked=asked is not None and to_come[noted],
        why=why,
        spam=spam,
        errands=done,
        possible=possible,
        answerable=[{"id": each["object"]["id"], "text": _said(each)} for each in possible.comments[:COMMENTS_SHOWN]],
        longest_answer=possible.longest_answer,
        unanswered=unanswered,
        text=text,
        to=to,
    )


def _said(comment: InteractionDocument) -> str:
    """A comment in the list of those that can be answered. Many have no text, or none that may be kept."""
    return comment.get("text") or (text_over(comment["platform"]) if "heard" in comment else "(no text)")


@router.post("/brands/{brand}/exchanges/{id}/no-reply-needed")
async def decide_that_no_reply_is_needed(
    id: str,
    brand: Brand,
    who: Editor,
    context: ContextDep,
    why: TypedText = "",
    spam: Annotated[bool, Form()] = False,
) -> Response:
    """The form of an exchange's page."""
    reason = forms.reason(why)
    if not reason:
        wrong = "Say in a few words why it needs no reply."
    elif len(reason) > LONGEST_WHY:
        wrong = f"This has {len(reason)} characters; {LONGEST_WHY} is the most."
    else:
        tenants = Tenants.one(brand["_id"])
        try:
            await decisions.no_reply_needed(context, tenants, id, who.name, reason, spam)
        except ProblemError as error:
            return await _refused(context, brand, id, who, error, why=why, spam=spam)
        return _noted(brand, id, NO_REPLY_NEEDED)
    return await _exchange(context, brand, id, who, 422, wrong=wrong, why=why, spam=spam)


@router.post("/brands/{brand}/exchanges/{id}/reply-needed")
async def decide_that_a_reply_is_needed(id: str, brand: Brand, who: Editor, context: ContextDep) -> Response:
    """The button that undoes a decision."""
    try:
        await decisions.reply_needed(context, Tenants.one(brand["_id"]), id, who.name)
    except ProblemError as error:
        return await _refused(context, brand, id, who, error)
    return _noted(brand, id, REPLY_NEEDED)


@router.post("/brands/{brand}/exchanges/{id}/{deed}")
async def do_on_the_platform(
    id: str, deed: Deed, brand: Brand, who: Editor, context: ContextDep, text: TypedText = "", comment: Ref = ""
) -> Response:
    """The forms that answer, hide, show again and like."""
    tenants = Tenants.one(brand["_id"])
    said = as_stored(text).strip() if deed == "answer" else None
    before = await errands.of_exchange(context.database, tenants, id)
    key = errands.typed_key(before, who.key, deed, comment or None, said)
    try:
        errand = await errands.ask(context, tenants, id, deed, who.name, key, comment=comment or None, text=said)
    except ProblemError as error:
        # An exchange that is not there is said by the page itself.
        gone = ProblemError(409, "conflict", GONE) if error.status == 404 else error
        return await _refused(context, brand, id, who, gone, into="unanswered", text=text, to=comment)
    return _noted(brand, id, f"errand-{errand.id}")


async def _refused(
    context: Context, brand: BrandDocument, id: str, who: Principal, error: ProblemError, into: str = "wrong",
    **sent: Any,
) -> HTMLResponse:  # fmt: skip
    if error.status == 404:
        raise error
    told: dict[str, Any] = {into: sentence(error), **sent}
    return await _exchange(context, brand, id, who, error.status, **told)


def _noted(brand: BrandDocument, id: str, what: str) -> Response:
    path = f"/brands/{brand['_id']}/exchanges/{quote(id, safe='')}"
    return RedirectResponse(f"{path}?noted={what}&at={ms(datetime.now(UTC))}", 303, headers=HEADERS)


@router.get("/brands/{brand}/exchanges")
async def exchanges_page(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    state: str = "",
    backfilled: bool | None = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Exchanges of a brand: all, those in one state, or those from before or after the account was connected."""
    query = ExchangesQuery.model_validate(
        {
            "state": state if state in wording.STATES else None,
            "backfilled": backfilled,
            "cursor": cursor,
            "limit": PAGE_SHOWN,
        }
    )
    found = await page_of_exchanges(context.database, Tenants.one(brand["_id"]), query, datetime.now(UTC))
    return page(
        "exchanges/exchanges.html",
        who=who,
        brand=named(brand),
        found=found,
        state=query.state or "",
        backfilled=backfilled,
    )
