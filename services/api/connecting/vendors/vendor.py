"""What is declared of each way to log in at a vendor, and what is the same for all of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from authlib.oauth2.auth import encode_client_secret_basic, encode_client_secret_post
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from services.api.connecting.vendors.asking import LONGEST_SECRET, Asking, VendorError, seconds, text

MOST_CHOICES = 200
"""Accounts to choose from. An agency's own login may manage many pages; whoever has more gets the first ones."""
_SEPARATORS = re.compile(r"[\s,]+")
_TOKEN = re.compile(r"[\x21-\x7e]+")
INVALID_GRANT = frozenset({"invalid_grant", "invalid_request", "190", "190/463", "190/460", "190/458"})
"""What vendors say when a token or a code is used up, over, or taken back."""


@dataclass(frozen=True)
class Permission:
    """Something that the account's owner is asked for."""

    scope: str
    """As the vendor names it."""
    purpose: str
    """What Rapport does with it, after "to"."""
    remedy: str
    """What to click where it was not given."""
    needed: bool = True
    """Without it the account cannot be connected; else something of it is missing."""


@dataclass(frozen=True)
class App:
    """The agency's application at a vendor, or ours at a Mastodon server."""

    id: str
    secret: str = field(repr=False)
    number: str = ""
    """LinkedIn's number of it; empty where nobody said it."""
    bearer: str = field(default="", repr=False)
    """X's token of the application itself; empty where nobody gave it."""
    webhook: str = ""
    """Where its webhook leads; empty where nobody said it."""


@dataclass(frozen=True)
class Visit:
    """What a vendor is asked with."""

    asking: Asking
    app: App
    now: datetime


@dataclass(frozen=True)
class Code:
    """What the consent was answered with, and what proves that we asked for it."""

    code: str = field(repr=False)
    redirect: str
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class Held:
    """The token of an account that is connected."""

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """What a vendor gave for a consent, or for a token that was renewed."""

    token: str = field(repr=False)
    expires_at: datetime | None = None
    """When the token ends; None if it does not."""
    refresh_token: str = field(default="", repr=False)
    """Empty where there is none, or where the one before stays valid."""
    consent_ends_at: datetime | None = None
    """When somebody has to consent again, however often the token is renewed; None if never."""
    scopes: frozenset[str] | None = None
    """What was granted; None where the answer does not say."""
    account: str = ""
    """The platform's id of who consented, where the answer has it."""


@dataclass(frozen=True)
class Choice:
    """An account that somebody who consented may connect."""

    id: str
    """The platform's."""
    name: str
    handle: str
    connection: Mapping[str, str]
    """Without its secrets."""
    grant: Grant
    lacks: str = ""
    """What this person may not do with it, and what to do about that; empty if nothing."""


@dataclass(frozen=True)
class Connected:
    """An account that is connected."""

    connection: Mapping[str, str] = field(repr=False)
    """With its token open."""
    scopes: frozenset[str] = frozenset()
    """What its owner granted."""

    @property
    def token(self) -> str:
        """The access token."""
        return self.connection.get("token", "")


@dataclass(frozen=True)
class Pushed:
    """What a vendor sends of an account from now on."""

    what: tuple[str, ...]
    """Such as "comments"."""
    why: str = ""
    """Why it sends nothing else, if something is missing."""


class Vendor:
    """One way to log in. Subclasses declare what differs; see the module `table` for all of them."""

    id: ClassVar[str]
    platform: ClassVar[str]
    title: ClassVar[str]
    """What is connected, in words."""
    login: ClassVar[str]
    """Where people log in, in words."""
    app: ClassVar[str]
    """The settings `<app>_client_id` and `<app>_client_secret`; empty if an application is registered by itself."""
    authorize_at: ClassVar[str]
    token_at: ClassVar[str]
    permissions: ClassVar[tuple[Permission, ...]]
    pkce: ClassVar[bool] = False
    """Whether the vendor documents PKCE for web applications with a secret."""
    separator: ClassVar[str] = " "
    """Between scopes."""
    client_name: ClassVar[str] = "client_id"
    basic: ClassVar[bool] = False
    """The application shows its secret in a header instead of the form."""
    more: ClassVar[Mapping[str, str]] = {}
    """Further parameters of the authorise address."""
    asked_again: ClassVar[Mapping[str, str]] = {}
    """The same, where something was refused before."""
    asks: ClassVar[Mapping[str, str]] = {}
    """Fields of the connection that the vendor does not tell, with what to say about them."""
    renewable: ClassVar[bool] = False
    """Whether tokens are renewed without a person."""
    by_refresh_token: ClassVar[bool] = True
    """Whether that takes a refresh token, which not everybody is given."""
    rotates: ClassVar[bool] = False
    """Whether a refresh token is valid once: an answer that is lost costs the account."""
    revoked_at: ClassVar[str]
    """Where the account's owner sees and ends the connection."""
    subscribes: ClassVar[bool] = False
    """Whether the vendor has to be told of each account that its news are to be sent; `subscribe` does that."""
    unsubscribes: ClassVar[bool] = False
    """Whether it can be told that they are not to be sent any more; `unsubscribe` does that."""
    made_for: ClassVar[str] = ""
    """The field of the connection with the person for whom it is told, where each person of an account has their own;
    else empty."""
    meanwhile: ClassVar[str] = ""
    """What becomes of an account whose news are not sent, as a sentence."""
    subscribe_remedy: ClassVar[str] = ""
    """What to do where the vendor refuses to send them, in sentences."""

    def __init__(self, base: str = "") -> None:
        """`base` stands in for scheme and host of all addresses; tests set it, and a Mastodon server has its own."""
        self._base = base.rstrip("/")

    def at(self, url: str) -> str:
        """Where an address of the vendor is."""
        return f"{self._base}{urlsplit(url).path}" if self._base else url

    def consent_at(self, app: App, redirect: str, state: str, verifier: str, *, again: bool) -> str:
        """The address at which the account's owner consents."""
        more: dict[str, str] = {**self.more, **(self.asked_again if again else {})}
        if self.pkce:
            more |= {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
        scope = self.separator.join(each.scope for each in self.permissions)
        found = prepare_grant_uri(
            self.at(self.authorize_at), app.id, "code", redirect_uri=redirect, scope=scope, state=state, **more
        )
        # Some vendors call it otherwise.
        return cast("str", found).replace("client_id=", f"{self.client_name}=", 1)

    async def exchange(self, visit: Visit, code: Code, /) -> Grant:
        """What the vendor gives for a code. Raises VendorError."""
        more = {"code_verifier": code.verifier} if self.pkce else {}
        fields = prepare_token_request("authorization_code", redirect_uri=code.redirect, code=code.code, **more)
        found = await self._token(visit, fields, secrets=(code.code, code.verifier))
        return granted(found, visit.now)

    async def granted_scopes(self, _visit: Visit, grant: Grant, /) -> frozenset[str]:
        """What was really granted. Raises VendorError."""
        return grant.scopes if grant.scopes is not None else frozenset()

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The accounts that may be connected with it. Raises VendorError."""
        raise NotImplementedError

    async def renew(self, visit: Visit, held: Held, /) -> Grant:
        """A new token. Raises VendorError."""
        fields = prepare_token_request("refresh_token", refresh_token=held.refresh_token)
        return granted(await self._token(visit, fields, secrets=(held.refresh_token,)), visit.now)

    async def subscribe(self, visit: Visit, connected: Connected, /) -> Pushed:
        """Has the vendor send what happens on an account. Doing it again changes nothing. Raises VendorError."""
        raise NotImplementedError

    async def unsubscribe(self, visit: Visit, connected: Connected, /) -> None:
        """Has the vendor send no more of it. Raises VendorError."""
        raise NotImplementedError

    async def lessen(self, visit: Visit, connected: Connected, /) -> None:
        """Has the vendor send no more of it than what another account needs that rests on it. Raises VendorError."""
        raise NotImplementedError

    async def _token(self, visit: Visit, fields: str, secrets: Sequence[str]) -> dict[str, Any]:
        headers: dict[str, str] = {}
        show = encode_client_secret_basic if self.basic else encode_client_secret_post
        _, headers, fields = show(_Client(visit.app), "POST", self.at(self.token_at), headers, fields)
        if self.basic:
            # X wants the id in the form too.
            fields = f"{fields}&client_id={visit.app.id}"
        return await visit.asking.form(self.at(self.token_at), fields, headers, secrets=[visit.app.secret, *secrets])


class _Client:
    """What Authlib takes for a client."""

    def __init__(self, app: App) -> None:
        self.client_id, self.client_secret = app.id, app.secret


def token_of(found: Any) -> str:
    """The access token in an answer. Raises VendorError."""
    token = text(found, "access_token", LONGEST_SECRET)
    if not _TOKEN.fullmatch(token):
        raise VendorError("the vendor's answer has no token that can be used", lost=True)
    return token


def granted(found: Any, now: datetime) -> Grant:
    """A token answer as RFC 6749 writes it, and what vendors commonly add. Raises VendorError."""
    refresh_token = text(found, "refresh_token", LONGEST_SECRET)
    ends = seconds(found, "refresh_token_expires_in") or seconds(found, "refresh_expires_in")
    return Grant(
        token=token_of(found),
        expires_at=after(now, seconds(found, "expires_in")),
        refresh_token=refresh_token if _TOKEN.fullmatch(refresh_token) else "",
        consent_ends_at=after(now, ends),
        scopes=scopes_in(found.get("scope")),
        account=text(found, "open_id") or text(found, "user_id"),
    )


def after(now: datetime, lasts: float | None) -> datetime | None:
    """When something ends that lasts so many seconds, in whole seconds."""
    return None if lasts is None else (now + timedelta(seconds=lasts)).replace(microsecond=0)


def scopes_in(said: Any) -> frozenset[str] | None:
    """Scopes, separated by blanks or commas, or a list of them; None if it is neither."""
    if isinstance(said, str):
        return frozenset(each for each in _SEPARATORS.split(said) if each)
    if isinstance(said, list):
        return frozenset(each for each in said if isinstance(each, str))
    return None
