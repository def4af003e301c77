"""Answers and favourites for one account.

Source: https://docs.joinmastodon.org/methods/statuses/
"""

import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode, urlsplit

import httpx
from msgspec import Struct

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.kit.http.outgoing import GuardedHttp
from rapport.kit.text import web_address
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.mastodon import PLATFORM
from services.ingest.connectors.mastodon.connector import ANSWERED_SECONDS, usable
from services.ingest.connectors.mastodon.text import plain
from services.ingest.errands.listed import may_be, when
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker, UntoldError
from services.ingest.errands.words import GONE, read, refusal, same_text
from services.ingest.hooks.delivery import Id, iso_time_of
from services.ingest.polling.api import Api, AttentionError, Budget, RefusedError, Turns

BUDGET, BUDGET_SECONDS = 25, 300.0
"""Requests. What a server allows a user in this time is mostly needed for reading."""
VISIBILITIES = ("public", "unlisted", "private", "direct")
_SHOWN_DIFFERENTLY = re.compile(r"://|www\.|[*_~`<>\[\]$&#\\|=]|:\w+:|^\s*([-+]|\d+[.)])[\s-]", re.MULTILINE)
"""Addresses are shortened when they are shown, and some servers understand marks, such as Markdown's."""
_NAMED = re.compile(r"@[\w.-]+(@[\w.-]+(:\d+)?)?")


def speakers(shared: Shared) -> MakeSpeaker:
    """What speaks for accounts of this platform."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()

    def make(account: Account) -> Speaker | None:
        return MastodonSpeaker(account, http, turns, shared) if usable(account) else None

    return make


class _Itself(Struct):
    id: Id


class _Author(Struct):
    id: Id
    acct: str = ""


class _Status(Struct):
    id: Id
    account: _Author
    content: str = ""
    visibility: str = "public"
    spoiler_text: str = ""
    in_reply_to_id: Id | None = None
    url: str | None = None
    uri: str | None = None
    created_at: str | None = None


class _Source(Struct):
    text: str


class _Context(Struct):
    descendants: Sequence[_Status] = ()


class _Error(Struct):
    error: str | None = None


class MastodonSpeaker:
    """A Speaker."""

    def __init__(self, account: Account, http: GuardedHttp, turns: Turns, shared: Shared) -> None:
        try:
            parts = urlsplit(account.connection["service"])
        except ValueError:
            parts = urlsplit("")  # asking says what is wrong with it
        self._host = parts.netloc.rpartition("@")[2].lower()
        token = {"Authorization": f"Bearer {account.connection['token']}"}
        base = f"{parts.scheme}://{self._host}"
        self._api = Api(
            http, PLATFORM, base, token, Budget(BUDGET, BUDGET_SECONDS), turns, shared.now, refused=_refused
        )

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        mine = str(read(await self._api.get("/api/v1/accounts/verify_credentials"), _Itself).id)
        thing = self._bare(errand)
        context = read(await self._api.get(f"/api/v1/statuses/{thing}/context"), _Context)
        answers = [
            one
            for one in context.descendants
            if str(one.account.id) == mine and str(one.in_reply_to_id or "") == thing and may_be(_time(one), errand)
        ]
        for one in answers:
            if _is_said(plain(one.content)[0], errand):
                return self._answer(one)
        if _SHOWN_DIFFERENTLY.search(errand.text or ""):
            for one in answers:
                if _is_said(await self._source(one), errand):
                    return self._answer(one)
        return None

    async def _source(self, status: _Status) -> str:
        """Its text as it was sent. Raises UntoldError where the server does not give it."""
        if not str(status.id).isalnum():
            raise UntoldError
        try:
            return read(await self._api.get(f"/api/v1/statuses/{status.id}/source"), _Source).text
        except RefusedError:
            raise UntoldError from None

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        thing = self._bare(errand)
        if errand.deed == "like":
            await self._api.post(f"/api/v1/statuses/{thing}/favourite")
            return Done()
        their = read(await self._api.get(f"/api/v1/statuses/{thing}"), _Status)
        text = errand.text or ""
        named = f"@{their.account.acct}"
        # Who is not named is not told. Other servers' software may take any text for a name, which is not repeated.
        if _NAMED.fullmatch(named) and not _names(text, named):
            text = f"{named} {text}"
        said = {
            "status": text,
            "in_reply_to_id": thing,
            # As public as what it answers, and no more.
            "visibility": their.visibility if their.visibility in VISIBILITIES else "unlisted",
            **({"spoiler_text": their.spoiler_text} if their.spoiler_text else {}),
        }
        headers = {"Idempotency-Key": errand.id}
        return self._answer(
            read(await self._api.post("/api/v1/statuses", urlencode(said).encode(), headers=headers), _Status)
        )

    def _bare(self, errand: Errand) -> str:
        """The status's id on the account's server."""
        bare, _, host = errand.thing.rpartition("@")
        if host != self._host or not bare.isalnum():
            raise RefusedError("it was written to an account on another server")
        return bare

    def _answer(self, status: _Status) -> Done:
        return Done(f"{status.id}@{self._host}", web_address(status.url or status.uri))


def _time(one: _Status) -> datetime | None:
    return when(lambda: iso_time_of(one.created_at))


def _is_said(text: str, errand: Errand) -> bool:
    return same_text(_NAMED.sub("", text), _NAMED.sub("", errand.text or ""))


def _names(text: str, named: str) -> bool:
    """Whether a text names somebody: `@ada` is not named by `@adam`, nor by `@ada@another.example`."""
    return re.search(rf"(?<![\w@/]){re.escape(named)}(?![\w@])(?!-\w)(?!\.\w)", text, re.IGNORECASE) is not None


def _refused(status: int, body: bytes) -> Exception | None:
    if status == httpx.codes.NOT_FOUND:
        return RefusedError(GONE)
    if status == httpx.codes.FORBIDDEN:
        said = refusal(body, _Error, lambda found: found.error)
        if "scope" in said:
            return AttentionError("its token may not write; it needs the scopes write:statuses and write:favourites")
        return RefusedError(said)
    if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        return RefusedError(refusal(body, _Error, lambda found: found.error))
    return None
