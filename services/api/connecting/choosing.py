"""The account that somebody chose is connected, or gets a new token."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from rapport.kit import clock
from rapport.kit.sealing import SealedError, Sealer
from rapport.kit.text import is_blank, plain
from services.api.accounts import service as accounts_service
from services.api.accounts.documents import AccountDocument
from services.api.accounts.repository import Accounts, newest
from services.api.accounts.schemas import LONGEST_HANDLE, AccountInput
from services.api.connecting import pushing
from services.api.connecting.documents import AppDocument, AttemptDocument, ChoiceDocument
from services.api.connecting.repository import Attempts, Tokens
from services.api.connecting.service import Connecting, app_of, app_place, ended, place, shown, stamp
from services.api.connecting.tokens import token_document
from services.api.connecting.vendors.table import VENDORS
from services.api.connecting.vendors.vendor import App, Connected, Vendor
from services.api.http.context import Context
from services.api.http.problems import ProblemError, invalid, not_found, unavailable
from services.api.storage.tenants import Tenants

log = logging.getLogger("rapport.api")

OVER_LASTS = timedelta(hours=1)
"""How long it is shown how it ended."""


async def choose(
    context: Context, connecting: Connecting, attempt: AttemptDocument, chosen: str, id: str, more: Mapping[str, str]
) -> str:
    """Connects the account that was chosen, or gives it the new token. The account's id. Raises ProblemError.

    `id` is for an account that is not there yet; `more` has the fields that the vendor does not tell.
    """
    tenants, brand = Tenants.one(attempt["brand"]), attempt["brand"]
    kind = VENDORS[attempt["vendor"]]
    choice = next((each for each in attempt["choices"] if each["id"] == chosen), None)
    if attempt["step"] != "granted" or choice is None:
        raise ProblemError(409, "conflict", "this login has no such account; begin again")
    lacking = [each.permission.scope for each in shown(attempt) if each.permission.needed and not each.granted]
    if lacking:
        raise ProblemError(409, "conflict", f"nothing can be read without {', '.join(lacking)}; ask again")
    vendor = connecting.table.vendor(attempt["vendor"], attempt["service"])
    app = app_of(context, connecting, attempt, vendor)
    try:
        connection = _connection(context.sealer, attempt, kind, choice, more)
    except SealedError as error:
        raise unavailable(f"what the vendor gave cannot be opened: {error}") from error
    known = await _known(context, attempt, choice)
    before = newest(known) if known is not None else None
    if known is not None and before is not None:
        whole = {**accounts_service.without_token(before["connection"]), **connection}
        account = await accounts_service.change(context, tenants, known, {"connection": whole})
    else:
        try:
            new = AccountInput(
                id=id.strip() or await free_id(context, attempt),
                platform=kind.platform,
                handle=_handle(choice),
                connection=connection,
                staff=[],
            )
        except ValidationError:
            raise invalid(
                "id", "use letters, digits and . _ : @ -, beginning with a letter or digit, at most 128 characters"
            ) from None
        account = await accounts_service.connect_account(context, tenants, brand, new)
        # Whoever needs the door's secret gets a new one with `rotate-secret`.
        await Accounts(context.database, tenants).secret_shown(account["_id"])
    missing = [each.permission.scope for each in shown(attempt) if not each.granted]
    resealed = _resealed(context.sealer, attempt, account["_id"], app)
    known_token = token_document(
        account["_id"],
        brand,
        kind,
        connection,
        choice["expires_at"],
        choice["consent_ends_at"],
        missing,
        resealed,
        clock.now(),
    )
    tokens = Tokens(context.database)
    former = (await tokens.of([account["_id"]])).get(account["_id"])
    await tokens.replace({**known_token, "push": pushing.BEGUN if vendor.subscribes else None})
    # Last: ingest knows the account by now, and nothing that a vendor answers can lose it.
    push = await pushing.subscribe(
        connecting.asking(vendor), vendor, app, Connected(connection, frozenset(attempt["scopes"]))
    )
    await tokens.pushed(account["_id"], push)
    if before is not None and former is not None and former.get("push") is not None:
        await pushing.leave(context, connecting.table, connecting.asking, vendor, before, connection)
    its = newest(await accounts_service.found(Accounts(context.database, tenants), brand, account["_id"]))
    if its["disconnected_at"] is not None:
        # Whoever did that meanwhile may have been too early for the vendor.
        await ended(context, connecting, its, told=True)
    over = {
        "step": "connected",
        "connected": account["_id"],
        "replaced": known is not None,
        "push": push,
        "choices": [],
        "app": None,
    }
    await Attempts(context.database, tenants).change(
        attempt["_id"], ("granted",), {**over, "until": clock.now() + OVER_LASTS}
    )
    log.info("an account of %s was connected at %s", brand, attempt["vendor"])
    return account["_id"]


async def renewed_by(context: Context, attempt: AttemptDocument, choice: ChoiceDocument) -> str | None:
    """The id of the account that would get a new token; None where a new one would be connected."""
    with suppress(ProblemError):
        known = await _known(context, attempt, choice)
        return known["_id"] if known is not None else None
    return None


async def free_id(context: Context, attempt: AttemptDocument) -> str:
    """The id that is wanted; else the brand's and the platform's, and a number if the brand has an account of it."""
    if attempt["wanted"] is not None:
        return attempt["wanted"]
    kind = VENDORS[attempt["vendor"]]
    accounts = Accounts(context.database, Tenants.one(attempt["brand"]))
    found = base = f"{attempt['brand']}-{kind.platform}"
    number = 1
    while await accounts.find(attempt["brand"], found) is not None and number < 1_000:
        number += 1
        found = f"{base}-{number}"
    return found


def _handle(choice: ChoiceDocument) -> str:
    """What the account is called, by its vendor's words if people can see anything of them."""
    shown = plain(choice["handle"]).strip()
    return (choice["id"] if is_blank(shown) else shown)[:LONGEST_HANDLE]


def _connection(
    sealer: Sealer, attempt: AttemptDocument, kind: type[Vendor], choice: ChoiceDocument, more: Mapping[str, str]
) -> dict[str, str]:
    """The whole connection, with its secrets open. Raises SealedError."""
    where = place(attempt["_id"])
    found = {**choice["connection"], "token": sealer.open(where, choice["token"])}
    if choice["refresh_token"]:
        found["refresh_token"] = sealer.open(where, choice["refresh_token"])
    if choice["expires_at"] is not None:
        found["token_expires_at"] = stamp(choice["expires_at"])
    return found | {name: more[name].strip() for name in kind.asks if more.get(name, "").strip()}


async def _known(context: Context, attempt: AttemptDocument, choice: ChoiceDocument) -> AccountDocument | None:
    """The brand's account that was chosen, if it is connected. Raises ProblemError where it is another one's turn."""
    accounts = Accounts(context.database, Tenants.one(attempt["brand"]))
    kind = VENDORS[attempt["vendor"]]
    if attempt["account"] is None:
        for each in await accounts.of_brand(attempt["brand"]):
            its = newest(each)
            if its["disconnected_at"] is None and its["platform"] == kind.platform and _same(its, choice) is True:
                return each
        return None
    known = await accounts_service.found(accounts, attempt["brand"], attempt["account"])
    its = newest(known)
    if its["disconnected_at"] is not None:
        raise not_found("account")
    if _same(its, choice) is False:
        handle = plain(its["handle"])
        raise ProblemError(
            409,
            "conflict",
            f"{attempt['account']} is {handle}, and this login is for {plain(choice['handle'])}: an account keeps its "
            f"history, so it cannot become another one. Log in as {handle}, or connect this one as a new account",
        )
    return known


def _same(account: Any, choice: ChoiceDocument) -> bool | None:
    """Whether an account is the one that was chosen; None where nothing says so."""
    its = accounts_service.itself(account)
    server = choice["connection"].get("service")
    if server is not None and account["connection"].get("service", "").rstrip("/").lower() != server:
        return False
    if its is None:
        # From before the id was kept: its handle says who it is.
        if not account["connection"]:
            return None
        return _bare(account["handle"], server) == _bare(choice["handle"], server)
    return its.rpartition(":")[2] == choice["id"].rpartition(":")[2]


def _bare(handle: str, server: str | None) -> str:
    host = urlsplit(server or "").netloc
    return handle.strip().lower().removeprefix("@").removesuffix(f"@{host}")


def _resealed(sealer: Sealer, attempt: AttemptDocument, account: str, app: App) -> AppDocument | None:
    """The application, sealed for the account that goes on using it; None where it is the agency's."""
    if attempt["app"] is None:
        return None
    return {"id": app.id, "secret": sealer.seal(app_place(account), app.secret)}
