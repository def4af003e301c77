"""Vendors are told to send what happens on an account once it is connected, and to stop once it is not.

Neither undoes anything: an account whose vendor refuses stays connected, and one that was disconnected stays so.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from pymongo.errors import PyMongoError

from rapport.domain.figures import listed
from rapport.domain.platforms import platform_name
from rapport.kit import clock
from rapport.kit.log import pseudonym
from rapport.kit.sealing import SealedError
from services.api.accounts import service as accounts_service
from services.api.accounts.documents import NewestAccount
from services.api.accounts.repository import Accounts
from services.api.connecting.documents import PushDocument
from services.api.connecting.vendors.asking import Asking, VendorError
from services.api.connecting.vendors.table import Table
from services.api.connecting.vendors.vendor import App, Connected, Vendor, Visit
from services.api.http.context import Context
from services.api.storage.tenants import Tenants

log = logging.getLogger("rapport.api")

ALL_SECONDS = 45.0
"""For everything that a vendor is asked: somebody waits for the page."""
END_SECONDS = 20.0
"""The same for an end: whoever disconnects an account waits, and is told nothing of it."""
WAIT = "Wait a few minutes, and connect again."
BEGUN: PushDocument = {
    "what": [],
    "why": "Rapport has not heard yet what came of it",
    "remedy": "If this still stands here in a minute, connect it again.",
}
"""Noted before a vendor is told: whoever disconnects the account has to know that, whatever happens in between."""


async def subscribe(asking: Asking, vendor: Vendor, app: App, connected: Connected) -> PushDocument | None:
    """Has a vendor send what happens on an account. What came of it; None where the vendor needs no telling."""
    if not vendor.subscribes:
        return None
    try:
        async with asyncio.timeout(ALL_SECONDS):
            found = await vendor.subscribe(Visit(asking, app, clock.now()), connected)
        remedy = vendor.subscribe_remedy if found.why else None
        return {"what": list(found.what), "why": found.why or None, "remedy": remedy}
    except VendorError as error:
        again = WAIT if error.again else vendor.subscribe_remedy
        why, remedy = str(error), error.remedy or again
    except TimeoutError:
        why, remedy = f"{vendor.login} took too long to answer", WAIT
    except Exception:  # the account is connected, whatever a vendor answers
        log.exception("an account at %s was not subscribed", vendor.id)
        why, remedy = "it went wrong here; the log says how", WAIT
    log.warning("an account at %s was not subscribed: %s", vendor.id, why)
    return {"what": [], "why": why, "remedy": f"{vendor.meanwhile} {remedy}"}


def sends(platform: str, push: PushDocument) -> str:
    """What a platform sends from now on, as a sentence; empty if nothing."""
    what = push["what"]
    return f"{platform_name(platform)} sends {listed(what, most=len(what))} from now on." if what else ""


async def unsubscribe(
    context: Context, table: Table, asking: Callable[[Vendor], Asking], vendor: Vendor, account: NewestAccount
) -> None:
    """Has a vendor send no more of an account that was disconnected.

    Not while another account needs the same; and of what another one rests on, only what that one does not need. Where
    it fails the log says so, and ingest ignores what is sent.
    """
    name = account["_id"]
    if not vendor.unsubscribes:
        return
    try:
        token = accounts_service.opened(context.sealer, name, account["connection"], "token")
        app, accounts = table.app(vendor), Accounts(context.database, Tenants(None))
        if not token or app is None or await accounts.shared(name, _same(vendor, account)):
            return
        resting = _resting(vendor, account)
        end = vendor.lessen if resting and await accounts.shared(name, resting) else vendor.unsubscribe
        visit = Visit(asking(vendor), app, clock.now())
        async with asyncio.timeout(END_SECONDS):
            await end(visit, Connected({**account["connection"], "token": token}))
    except (VendorError, SealedError, PyMongoError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        log.warning("%s still sends what happens on %s: %s", vendor.login, pseudonym(name), why)
    except Exception:  # the account is disconnected, whatever a vendor answers
        log.exception("%s still sends what happens on %s", vendor.login, pseudonym(name))


async def leave(
    context: Context,
    table: Table,
    asking: Callable[[Vendor], Asking],
    vendor: Vendor,
    before: NewestAccount,
    connection: Mapping[str, str],
) -> None:
    """Has a vendor send no more for the person who connected an account before, where somebody else does so now."""
    person = before["connection"].get(vendor.made_for)
    if person and person != connection.get(vendor.made_for):
        await unsubscribe(context, table, asking, vendor, before)


def _same(vendor: Vendor, account: NewestAccount) -> dict[str, dict[str, Any]]:
    """The accounts that need the same subscription: by platform, conditions on fields of their connections."""
    if vendor.login == "Facebook":
        page = {"facebook": {"page": account["connection"].get("page")}}
        return page if vendor.platform == "facebook" else page | _instagram(account)
    field, spellings = accounts_service.known_by(account)
    return {vendor.platform: {field: {"$in": spellings}}}


def _resting(vendor: Vendor, account: NewestAccount) -> dict[str, dict[str, Any]]:
    """The accounts that need less of the same subscription, as above."""
    return _instagram(account) if vendor.id == "facebook" else {}


def _instagram(account: NewestAccount) -> dict[str, dict[str, Any]]:
    """The Instagram accounts of a page. Which page an account belongs to was not kept at first."""
    return {"instagram": {"login": "facebook", "page": {"$in": [account["connection"].get("page"), None]}}}
