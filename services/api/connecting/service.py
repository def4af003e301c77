"""Connecting an account: the wish, the way to the vendor, and what is known of accounts' tokens."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from limits import RateLimitItemPerMinute

from rapport.domain.platforms import platform_name
from rapport.kit import clock
from rapport.kit.http.outgoing import Guard, GuardedHttp, NoPublicAddressError, RefusedAddressError, described
from rapport.kit.sealing import SealedError, Sealer
from services.api.accounts import service as accounts_service
from services.api.accounts.documents import AccountDocument, NewestAccount
from services.api.accounts.repository import Accounts, newest
from services.api.connecting import pushing
from services.api.connecting.documents import AppDocument, AttemptDocument, PushDocument
from services.api.connecting.repository import Attempts, Tokens
from services.api.connecting.vendors.asking import Asking, VendorError
from services.api.connecting.vendors.mastodon import Mastodon
from services.api.connecting.vendors.table import VENDORS, Table
from services.api.connecting.vendors.vendor import App, Permission, Vendor
from services.api.http.context import Context
from services.api.http.problems import ProblemError, invalid, not_found, unavailable
from services.api.settings import ApiSettings
from services.api.storage.tenants import Tenants

LASTS = timedelta(hours=1)
"""How long somebody may take, from the wish to the account."""
STATE_LASTS = timedelta(minutes=10)
"""How long a consent may take."""
CALL_SECONDS = 15.0
AGAIN = ("begun", "left", "returned", "granted", "failed")
"""The steps from which somebody may go to the vendor, once more."""
LONGEST_SERVER = 300
"""Characters: a host name has at most 253."""


class Connecting:
    """What connecting accounts needs besides the context. Made once per process."""

    def __init__(self, settings: ApiSettings) -> None:
        self.table = Table(settings)
        self.portal = settings.portal
        self._guard = Guard(allow_private=settings.allow_private)
        self._http = GuardedHttp(self._guard, timeout=CALL_SECONDS)

    async def close(self) -> None:
        """Ends all connections to vendors."""
        await self._http.close()

    def redirect(self, vendor: str) -> str:
        """Where a vendor sends people back to. One for each, so that no vendor's code can be taken for another's."""
        return f"{self.portal}/connect/{vendor}"

    def asking(self, vendor: Vendor) -> Asking:
        """What asks a vendor."""
        return Asking(self._http, vendor.login)

    async def server(self, given: str) -> str:
        """The address of a server that somebody typed. Raises ProblemError (422) for one that is not called."""
        typed = given.strip().removesuffix("/")
        if not typed:
            raise invalid("service", "enter the account's server, such as mastodon.social")
        address = typed if "://" in typed else f"https://{typed}"
        try:
            parts = urlsplit(address)
            if parts.path or parts.query or parts.fragment or "@" in parts.netloc or len(address) > LONGEST_SERVER:
                raise invalid("service", "enter the server alone, such as mastodon.social")
            target = await self._guard.target(address, "https", "http")
        except (RefusedAddressError, NoPublicAddressError) as error:
            raise invalid("service", described(error)) from None
        except ValueError:
            raise invalid("service", "this is not the address of a server") from None
        return target.url.rstrip("/").lower()


def _connecting(request: Request) -> Connecting:
    found: Connecting = request.app.state.connecting
    return found


ConnectingDep = Annotated[Connecting, Depends(_connecting)]
BEGINNINGS = RateLimitItemPerMinute(30, namespace="connecting")
"""Attempts to connect accounts with one key: each may call a server that somebody typed."""


@dataclass(frozen=True)
class Login:
    """What is known of an account's token."""

    vendor: type[Vendor]
    ends_at: datetime | None
    """When the account stops being connected, unless somebody connects it again."""
    why: str | None
    """Why its token cannot be renewed."""
    missing: tuple[Permission, ...]
    renewed_at: datetime
    push: PushDocument | None
    """What came of telling the vendor to send what happens there."""


@dataclass(frozen=True)
class Shown:
    """A permission, and whether it was granted."""

    permission: Permission
    granted: bool


def limit(context: Context, key: str) -> None:
    """Counts an attempt. Raises ProblemError (429) where there were too many."""
    context.rates.take(BEGINNINGS, key, why="too many attempts to connect an account; wait a minute and try again")


def vendor_of(account: AccountDocument | NewestAccount) -> str:
    """The way to log in that an account's token is from."""
    return "instagram-facebook" if account["connection"].get("login") == "facebook" else account["platform"]


async def logins(context: Context, accounts: Sequence[AccountDocument | NewestAccount]) -> dict[str, Login]:
    """What is known of the tokens of some accounts, by id; nothing of those that have none."""
    known = await Tokens(context.database).of([each["_id"] for each in accounts])
    return {
        name: Login(
            VENDORS[each["vendor"]],
            each["ends_at"],
            each["why"],
            tuple(one for one in VENDORS[each["vendor"]].permissions if one.scope in each["missing"]),
            each["obtained_at"],
            each.get("push"),
        )
        for name, each in known.items()
        if each["vendor"] in VENDORS
    }


async def ended(context: Context, connecting: Connecting, account: NewestAccount, *, told: bool = False) -> None:
    """After an account was disconnected: its vendor is told to stop sending, and its token is forgotten.

    The vendor only if Rapport once told it to send: that is stored with the token, or `told` says so.
    """
    kind, tokens = VENDORS.get(vendor_of(account)), Tokens(context.database)
    known = (await tokens.of([account["_id"]])).get(account["_id"])
    if kind is not None and (told or (known is not None and known.get("push") is not None)):
        vendor = connecting.table.vendor(kind.id, account["connection"].get("service", ""))
        await pushing.unsubscribe(context, connecting.table, connecting.asking, vendor, account)
    if known is not None:
        await tokens.forget(known)


async def begin(
    context: Context,
    connecting: Connecting,
    brand: str,
    by: str,
    vendor: str,
    service: str,
    account: str | None,
    wanted: str | None = None,
) -> AttemptDocument:
    """Begins to connect an account of a brand, or gives `account` a new token. Raises ProblemError.

    `service` is the account's server, for Mastodon; `wanted` the id for a new account, if it is to have a certain one.
    """
    kind = VENDORS.get(vendor)
    if kind is None:
        raise invalid("vendor", f"there is no such way to log in; use one of {', '.join(sorted(VENDORS))}")
    if not connecting.table.usable(kind):
        names = f"RAPPORT_{kind.app.upper()}_CLIENT_ID and RAPPORT_{kind.app.upper()}_CLIENT_SECRET"
        raise ProblemError(409, "conflict", f"no application at {kind.login} is set up: the API needs {names}")
    now = clock.now()
    if account is not None:
        known = newest(await accounts_service.found(Accounts(context.database, Tenants.one(brand)), brand, account))
        if known["disconnected_at"] is not None:
            raise not_found("account")
        if known["platform"] != kind.platform:
            raise invalid("account", f"{account} is on {platform_name(known['platform'])}")
        if not kind.app:
            service = service or known["connection"].get("service", "")
    app: AppDocument | None = None
    name = secrets.token_urlsafe(18)
    if not kind.app:
        service = await connecting.server(service)
        app = await _registered(connecting, service, context.sealer, name)
    attempt: AttemptDocument = {
        "_id": name,
        "brand": brand,
        "by": by,
        "vendor": vendor,
        "service": service if not kind.app else "",
        "account": account,
        "wanted": wanted,
        "app": app,
        "step": "begun",
        "failed_at": None,
        "why": None,
        "times": 0,
        "state": None,
        "session": None,
        "verifier": None,
        "state_until": None,
        "scopes": [],
        "choices": [],
        "connected": None,
        "replaced": False,
        "until": now + LASTS,
    }
    await Attempts(context.database, Tenants.one(brand)).add(attempt)
    return attempt


async def existing(context: Context, brand: str, id: str) -> AttemptDocument:
    """An attempt of a brand. Raises ProblemError (404)."""
    found = await Attempts(context.database, Tenants.one(brand)).find(brand, id, clock.now())
    if found is None:
        raise ProblemError(404, "not-found", "this attempt to connect an account is over, or never was: begin again")
    return found


async def leave(context: Context, connecting: Connecting, attempt: AttemptDocument, session: str) -> str:
    """The vendor's address, for whoever has this session (SHA-256 of its cookie). Raises ProblemError."""
    vendor = connecting.table.vendor(attempt["vendor"], attempt["service"])
    state, verifier, now = secrets.token_urlsafe(32), secrets.token_urlsafe(48), clock.now()
    changes = {
        "state": digest(state),
        "session": session,
        "verifier": context.sealer.seal(place(attempt["_id"]), verifier),
        "state_until": now + STATE_LASTS,
        "choices": [],
        "scopes": [],
        "why": None,
        "failed_at": None,
        "until": now + LASTS,
    }
    if not await Attempts(context.database, Tenants.one(attempt["brand"])).left(attempt["_id"], AGAIN, changes):
        raise ProblemError(409, "conflict", "this account is connected already; begin again to give it another token")
    app = app_of(context, connecting, attempt, vendor)
    return vendor.consent_at(app, connecting.redirect(vendor.id), state, verifier, again=attempt["times"] > 0)


def shown(attempt: AttemptDocument) -> list[Shown]:
    """Permission by permission, what was granted."""
    return [Shown(each, each.scope in attempt["scopes"]) for each in VENDORS[attempt["vendor"]].permissions]


def digest(secret: str) -> str:
    """What is stored of a secret that somebody has to bring back."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def place(attempt: str) -> str:
    """What the secrets of an attempt are sealed for."""
    return f"connecting/{attempt}"


def stamp(at: datetime) -> str:
    """A time as connections have it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def app_of(context: Context, connecting: Connecting, attempt: AttemptDocument, vendor: Vendor) -> App:
    """The application that an attempt goes through. Raises ProblemError."""
    if attempt["app"] is not None:
        stored = attempt["app"]
        try:
            return App(stored["id"], context.sealer.open(place(attempt["_id"]), stored["secret"]))
        except SealedError as error:
            raise unavailable(f"the application on the account's server cannot be opened: {error}") from error
    found = connecting.table.app(vendor)
    if found is None:
        raise ProblemError(409, "conflict", f"no application at {vendor.login} is set up any more")
    return found


async def _registered(connecting: Connecting, service: str, sealer: Sealer, attempt: str) -> AppDocument:
    """An application of our own on a server. Raises ProblemError (422)."""
    vendor = Mastodon(service)
    try:
        app = await vendor.register(connecting.asking(vendor), connecting.redirect(vendor.id), connecting.portal)
    except VendorError as error:
        raise invalid("service", f"no application could be registered there: {error}") from None
    return {"id": app.id, "secret": sealer.seal(place(attempt), app.secret)}


def app_place(account: str) -> str:
    """What the secret of an account's own application is sealed for."""
    return f"app/{account}"
