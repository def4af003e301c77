"""An exchange's page, and the forms on it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.times import ms
from services.api import deciding, reading
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal.form_fields import TypedText
from services.api.portal.forms import FormRoute
from services.api.portal.frame import HEADERS, Brand, Visitor, named, page, sentence
from services.api.problems import ProblemError, not_found
from services.api.repositories.tenants import Tenants
from services.api.schemas.views import LONGEST_WHY

router = APIRouter(include_in_schema=False, route_class=FormRoute)

NO_REPLY_NEEDED, REPLY_NEEDED = "no-reply-needed", "reply-needed"
SHOWN_WITHIN = timedelta(seconds=60)
"""So long the page says that a decision is on its way; it takes a second or two."""


@router.get("/brands/{brand}/exchanges/{id}")
async def exchange_page(
    id: str, brand: Brand, who: Visitor, context: ContextDep, noted: str = "", at: int = 0
) -> HTMLResponse:
    """One exchange. `noted` says what was decided `at` (ms), which shows until the exchange does."""
    recent = at > ms(datetime.now(UTC) - SHOWN_WITHIN)
    return await _exchange(context, brand, id, who, noted=noted if recent else "", at=at)


async def _exchange(
    context: Context,
    brand: dict[str, Any],
    id: str,
    who: Principal,
    status: int = 200,
    *,
    noted: str = "",
    at: int = 0,
    wrong: str = "",
    why: str = "",
    spam: bool = False,
) -> HTMLResponse:
    """The page, with what is `wrong` about the decision that was sent with `why` and `spam`."""
    zone = brand["settings"]["timezone"]
    found = await reading.exchange(context.database, Tenants.one(brand["_id"]), id, zone, datetime.now(UTC))
    if found is None:
        raise not_found("exchange")
    to_come = {NO_REPLY_NEEDED: found.state == "open", REPLY_NEEDED: found.decision is not None}
    return page(
        "exchange.html",
        status,
        who=who,
        brand=named(brand),
        exchange=found,
        may_write=who.may("write"),
        noted=f"noted={noted}&at={at}" if to_come.get(noted) else "",
        wrong=wrong,
        why=why,
        spam=spam,
    )


@router.post("/brands/{brand}/exchanges/{id}/no-reply-needed")
async def decide_that_no_reply_is_needed(
    id: str,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    why: TypedText = "",
    spam: Annotated[bool, Form()] = False,
) -> Response:
    """The form of an exchange's page."""
    require(who, "write")
    reason = why.replace("\r\n", "\n").strip()
    if not reason:
        wrong = "Say in a few words why it needs no reply."
    elif len(reason) > LONGEST_WHY:
        wrong = f"This has {len(reason)} characters; {LONGEST_WHY} is the most."
    else:
        tenants = Tenants.one(brand["_id"])
        try:
            await deciding.no_reply_needed(context, tenants, id, who.name, reason, spam)
        except ProblemError as error:
            return await _refused(context, brand, id, who, error, why=why, spam=spam)
        return _noted(brand, id, NO_REPLY_NEEDED)
    return await _exchange(context, brand, id, who, 422, wrong=wrong, why=why, spam=spam)


@router.post("/brands/{brand}/exchanges/{id}/reply-needed")
async def decide_that_a_reply_is_needed(id: str, brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The button that takes a decision back."""
    require(who, "write")
    try:
        await deciding.reply_needed(context, Tenants.one(brand["_id"]), id, who.name)
    except ProblemError as error:
        return await _refused(context, brand, id, who, error)
    return _noted(brand, id, REPLY_NEEDED)


async def _refused(
    context: Context, brand: dict[str, Any], id: str, who: Principal, error: ProblemError, **sent: Any
) -> HTMLResponse:
    if error.status == 404:
        raise error
    return await _exchange(context, brand, id, who, error.status, wrong=sentence(error), **sent)


def _noted(brand: dict[str, Any], id: str, what: str) -> Response:
    path = f"/brands/{brand['_id']}/exchanges/{quote(id, safe='')}"
    return RedirectResponse(f"{path}?noted={what}&at={ms(datetime.now(UTC))}", 303, headers=HEADERS)
