"""The accounts page, and the pages on which an account is connected."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.arrivals.minutes import day_of
from rapport.domain.charges import CHARGING, READ_ON, money
from services.api.accounts.repository import Accounts
from services.api.brands.documents import BrandDocument
from services.api.charges import service as charges
from services.api.connecting import choosing, consent, pushing
from services.api.connecting import service as connecting
from services.api.connecting.documents import AttemptDocument
from services.api.connecting.service import Connecting, ConnectingDep
from services.api.connecting.vendors.table import VENDORS
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError
from services.api.keys.service import Principal, principal_by_id
from services.api.listening import service as listening
from services.api.storage.tenants import Tenants
from services.api.web import forms
from services.api.web.form_fields import TypedText
from services.api.web.forms import FormRoute
from services.api.web.frame import (
    COOKIE,
    HEADERS,
    Administrator,
    Brand,
    Visitor,
    key_of,
    named,
    page,
    same_origin,
    sentence,
)

router = APIRouter(include_in_schema=False, route_class=FormRoute)

Short = Annotated[str, Form(max_length=512)]
Typed = Annotated[str, Query(max_length=40)]
LAG_SHOWN = timedelta(days=6)
"""Before today: a week in all."""
MISSED = {"consent": "the consent", "token": "the token", "permissions": "the permissions",
          "accounts": "the list of accounts", "account": "the account"}  # fmt: skip


@router.get("/brands/{brand}/accounts")
async def accounts_page(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    with_: ConnectingDep,
    followers: Typed = "",
    mentions: Typed = "",
) -> HTMLResponse:
    """A brand's accounts, how each of them stands, and the ways to connect one.

    `followers` and `mentions` are what somebody typed of an X account, to learn what it may cost.
    """
    return await _accounts(context, with_, brand, who, known={"followers": followers, "mentions": mentions})


async def _accounts(
    context: Context,
    with_: Connecting,
    brand: BrandDocument,
    who: Principal,
    status: int = 200,
    *,
    wrong: dict[str, str] | None = None,
    typed: str = "",
    known: dict[str, str] | None = None,
) -> HTMLResponse:
    now = datetime.now(UTC)
    found = await Accounts(context.database, Tenants.one(brand["_id"])).connected(brand["_id"])
    # What X costs is between it and the agency.
    costs = await _costs(context, brand["_id"], now, known or {}) if who.may("admin") else {}
    wrong = {**(costs.get("wrong") or {}), **(wrong or {})}
    return page(
        "connecting/accounts.html",
        status,
        who=who,
        brand=named(brand),
        accounts=found,
        stands=await listening.standings(context.database, found, brand["settings"]["timezone"], now),
        lags={
            each.account: each
            for each in await listening.lags(context.database, brand["_id"], day_of(now) - LAG_SHOWN, day_of(now))
        },
        logins=await connecting.logins(context, found),
        ways=[each for each in VENDORS.values() if with_.table.usable(each)],
        others=[each for each in VENDORS.values() if not with_.table.usable(each)],
        vendor_of=connecting.vendor_of,
        wrong=wrong,
        typed=typed,
        costs=costs,
        money=money,
    )


async def _costs(context: Context, brand: str, now: datetime, typed: dict[str, str]) -> dict[str, Any]:
    """What the brand's accounts on X have cost this month, and what another one may cost."""
    tenants = Tenants.one(brand)
    known: dict[str, int | None] = {}
    wrong: dict[str, str] = {}
    for name, text in typed.items():
        try:
            known[name] = charges.typed_number(text)
        except ValueError as error:
            wrong[name] = str(error)
    return {
        "bills": charges.by_account(await charges.of_brand(context.database, tenants, brand, context.pricing, now)),
        "expected": await charges.expected(
            context.database, tenants, brand, context.pricing, now, known.get("followers"), known.get("mentions")
        ),
        "typed": typed,
        "wrong": wrong,
        "read_on": READ_ON,
    }


def _costs_something(attempt: AttemptDocument) -> bool:
    """Whether the account that is about to be connected will cost money."""
    return attempt["step"] == "granted" and VENDORS[attempt["vendor"]].platform in CHARGING


@router.post("/brands/{brand}/connect")
async def begin(
    brand: Brand,
    who: Administrator,
    context: ContextDep,
    with_: ConnectingDep,
    vendor: Short = "",
    service: TypedText = "",
    account: Short = "",
) -> Response:
    """Begins to connect an account."""
    connecting.limit(context, who.key)
    try:
        made = await connecting.begin(context, with_, brand["_id"], who.name, vendor, service, account or None)
    except ProblemError as error:
        if error.status not in (409, 422):
            raise
        field = error.errors[0].field if error.errors else "vendor"
        wrong = {field if field == "service" else "vendor": sentence(error)}
        return await _accounts(context, with_, brand, who, error.status, wrong=wrong, typed=service)
    return _to(brand, made["_id"])


@router.get("/brands/{brand}/connect/{id}")
async def attempt_page(
    id: str, brand: Brand, who: Administrator, context: ContextDep, with_: ConnectingDep
) -> HTMLResponse:
    """What is asked for, what was granted, which account is to be connected, or what went wrong."""
    return await _attempt(context, with_, brand, id, who)


async def _attempt(
    context: Context,
    with_: Connecting,
    brand: BrandDocument,
    id: str,
    who: Principal,
    status: int = 200,
    *,
    wrong: dict[str, str] | None = None,
) -> HTMLResponse:
    found = await connecting.existing(context, brand["_id"], id)
    shown = connecting.shown(found)
    renewed: dict[str, Any] = {each["id"]: await choosing.renewed_by(context, found, each) for each in found["choices"]}
    return page(
        "connecting/attempt.html",
        status,
        who=who,
        brand=named(brand),
        attempt=found,
        vendor=VENDORS[found["vendor"]],
        redirect=with_.redirect(found["vendor"]),
        permissions=shown,
        lacking=[each for each in shown if not each.granted],
        blocked=any(each.permission.needed and not each.granted for each in shown),
        renewed=renewed,
        suggested=await choosing.free_id(context, found) if found["step"] == "granted" else "",
        missed=MISSED,
        costs=await _costs(context, brand["_id"], datetime.now(UTC), {}) if _costs_something(found) else {},
        money=money,
        sends=pushing.sends,
        wrong=wrong or {},
        sent=dict(forms.sent()),
    )


@router.get("/brands/{brand}/connect/{id}/leave")
async def leave(
    id: str, request: Request, brand: Brand, _who: Administrator, context: ContextDep, with_: ConnectingDep
) -> Response:
    """Sends the visitor to the vendor. Only their own session can come back from there."""
    same_origin(request)
    found = await connecting.existing(context, brand["_id"], id)
    address = await connecting.leave(context, with_, found, _session(request))
    return RedirectResponse(address, 303, headers=HEADERS)


@router.post("/brands/{brand}/connect/{id}/choose")
async def choose(
    id: str,
    brand: Brand,
    who: Administrator,
    context: ContextDep,
    with_: ConnectingDep,
    choice: Short = "",
    account: Short = "",
    identifier: Short = "",
) -> Response:
    """Connects the account that was chosen."""
    found = await connecting.existing(context, brand["_id"], id)
    try:
        await choosing.choose(context, with_, found, choice, account, {"identifier": identifier})
    except ProblemError as error:
        if error.status not in (409, 422):
            raise
        field = error.errors[0].field if error.errors else "choice"
        wrong = {field if field == "id" else "choice": sentence(error)}
        return await _attempt(context, with_, brand, id, who, error.status, wrong=wrong)
    return _to(brand, id)


@router.get("/connect/{vendor}")
async def returned(vendor: str, request: Request, context: ContextDep, with_: ConnectingDep) -> Response:
    """Where a vendor sends people back to.

    It changes something although it is a GET: what protects it is the `state`, which is random, valid once and for ten
    minutes, and bound to the vendor and to the session of the administrator who was given it. Whoever is not logged in
    is not sent to the login: the code would go along in the address.
    """
    key = await key_of(request, context)
    who = await principal_by_id(key, context) if key else None
    if who is None:
        raise ProblemError(
            401,
            "unauthorized",
            "nobody is logged in here: your session has ended, or you began at another address of the portal than "
            f"{with_.portal}. Log in there, and begin again at the client's accounts",
        )
    query = dict(request.query_params)
    found = await consent.returned(context, with_, who.tenants, vendor, query, _session(request))
    return RedirectResponse(f"/brands/{found['brand']}/connect/{found['_id']}", 303, headers=HEADERS)


def _session(request: Request) -> str:
    return connecting.digest(request.cookies.get(COOKIE, ""))


def _to(brand: BrandDocument, id: str) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/connect/{id}", 303, headers=HEADERS)
