"""What an owner granted at a vendor, and what can be connected with it."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rapport.kit import clock
from rapport.kit.sealing import SealedError, Sealer
from services.api.connecting.documents import At, AttemptDocument, ChoiceDocument
from services.api.connecting.repository import Attempts
from services.api.connecting.service import LASTS, Connecting, app_of, digest, place
from services.api.connecting.vendors.asking import VendorError, scrubbed
from services.api.connecting.vendors.vendor import Choice, Code, Vendor, Visit
from services.api.http.context import Context
from services.api.http.problems import ProblemError
from services.api.storage.tenants import Tenants

log = logging.getLogger("rapport.api")

ALL_SECONDS = 60.0
"""For everything that a vendor is asked after a consent."""
LONGEST_CODE = 2_048
DENIED = {
    "access_denied": "the consent was refused at {login}",
    "user_cancelled_login": "nobody logged in at {login}",
    "user_cancelled_authorize": "the consent was refused at {login}",
    "unauthorized_scope_error": "the app may not ask for all of these permissions; see what the app is approved for",
    "invalid_scope": "the app may not ask for all of these permissions; see what the app is approved for",
    "unauthorized_client": "the app is not allowed to ask for this; see its settings at {login}",
    "temporarily_unavailable": "{login} is not available at the moment",
    "server_error": "{login} had an error of its own",
}
"""What vendors answer instead of a code (RFC 6749, 4.1.2.1, and LinkedIn's)."""
OF_A_CODE = {
    "invalid_client": "{login} does not accept the app's id and secret: compare {settings} with the app's at {login}",
    "invalid_grant": "{login} does not accept its own code any more: it is used up or too old; begin again",
    "redirect_uri_mismatch": "the address {redirect} is not among those that the app allows at {login}",
}
"""What vendors answer to a code (RFC 6749, 5.2, and Google's)."""


async def returned(
    context: Context, connecting: Connecting, tenants: Tenants, vendor: str, query: Mapping[str, str], session: str
) -> AttemptDocument:
    """Takes what a vendor brought back, asks what was granted, and gives the attempt. Raises ProblemError (403)."""
    attempts, now = Attempts(context.database, tenants), clock.now()
    state = query.get("state", "")
    attempt = await attempts.take(vendor, digest(state), session, now) if state else None
    if attempt is None:
        raise ProblemError(
            403,
            "forbidden",
            "this consent was not asked for here: it is used already, older than 10 minutes, or was begun by somebody "
            "else. Begin again at the client's accounts",
        )
    kind = connecting.table.vendor(vendor, attempt["service"])
    try:
        async with asyncio.timeout(ALL_SECONDS):
            changes = await _granted(context, connecting, kind, attempt, query, now)
    except _FailedError as error:
        changes = _failed(error.at, error.why)
    except TimeoutError:
        changes = _failed("token", f"{kind.login} took too long to answer; begin again")
    await attempts.change(attempt["_id"], ("returned",), changes)
    log.info("connecting an account of %s at %s: %s", attempt["brand"], vendor, changes["step"])
    return attempt


class _FailedError(Exception):
    def __init__(self, at: At, why: str) -> None:
        super().__init__(why)
        self.at: At = at
        self.why = why


def _failed(at: At, why: str) -> dict[str, Any]:
    return {"step": "failed", "failed_at": at, "why": why, "choices": [], "verifier": None}


async def _granted(
    context: Context,
    connecting: Connecting,
    vendor: Vendor,
    attempt: AttemptDocument,
    query: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    """What was granted, as changes of the attempt. Raises _FailedError."""
    code = query.get("code") or query.get("auth_code") or ""
    if query.get("error") or not code:
        raise _FailedError("consent", denied(vendor, query))
    if len(code) > LONGEST_CODE:
        raise _FailedError("consent", f"{vendor.login} sent a code that is too long")
    if attempt["service"] and query.get("iss", attempt["service"]).rstrip("/") != attempt["service"]:
        raise _FailedError("consent", "the answer came from another server than the one that was asked")
    at: At = "token"
    try:
        app = app_of(context, connecting, attempt, vendor)
        verifier = context.sealer.open(place(attempt["_id"]), attempt["verifier"] or "")
        visit = Visit(connecting.asking(vendor), app, now)
        grant = await vendor.exchange(visit, Code(code, connecting.redirect(vendor.id), verifier))
        at = "permissions"
        scopes = await vendor.granted_scopes(visit, grant)
        at = "accounts"
        known = {each.scope for each in vendor.permissions}
        choices = await _choices(vendor, visit, grant, scopes)
    except VendorError as error:
        raise _FailedError(at, _why(connecting, vendor, error, at)) from None
    except SealedError as error:
        raise _FailedError("token", f"what was stored of this login cannot be opened: {error}") from None
    if not choices and all(each.scope in scopes for each in vendor.permissions if each.needed):
        raise _FailedError(
            "accounts",
            f"this login manages no {vendor.title}, or none was ticked in {vendor.login}'s window. Log in as somebody "
            f"who manages it, and tick it",
        )
    return {
        "step": "granted",
        "scopes": sorted(known & scopes),
        "choices": [_stored(context.sealer, attempt["_id"], each) for each in choices],
        "verifier": None,
        "until": now + LASTS,
    }


async def _choices(vendor: Vendor, visit: Visit, grant: Any, scopes: frozenset[str]) -> list[Choice]:
    """The accounts to choose from. Where something needed is missing, it may be that they cannot be listed."""
    try:
        return await vendor.choices(visit, grant)
    except VendorError:
        if all(each.scope in scopes for each in vendor.permissions if each.needed):
            raise
        return []


def denied(vendor: type[Vendor] | Vendor, query: Mapping[str, str]) -> str:
    """Why there is no code, in words."""
    error = query.get("error") or query.get("error_code") or ""
    known = DENIED.get(error)
    if known is not None:
        return known.format(login=vendor.login)
    said = scrubbed(query.get("error_description") or query.get("error_message") or error)
    return f"{vendor.login} gave no code" + (f": {said}" if said else "")


def _why(connecting: Connecting, vendor: Vendor, error: VendorError, at: At) -> str:
    known = OF_A_CODE.get(error.code) if at == "token" else None
    if known is None:
        return str(error)
    settings = f"RAPPORT_{vendor.app.upper()}_CLIENT_ID and _SECRET" if vendor.app else "the app"
    return known.format(login=vendor.login, settings=settings, redirect=connecting.redirect(vendor.id))


def _stored(sealer: Sealer, attempt: str, choice: Choice) -> ChoiceDocument:
    where, grant = place(attempt), choice.grant
    return {
        "id": choice.id,
        "name": choice.name,
        "handle": choice.handle,
        "connection": dict(choice.connection),
        "token": sealer.seal(where, grant.token),
        "refresh_token": sealer.seal(where, grant.refresh_token) if grant.refresh_token else "",
        "expires_at": grant.expires_at,
        "consent_ends_at": grant.consent_ends_at,
        "lacks": choice.lacks,
    }
