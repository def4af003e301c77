"""Answers and likes for a LinkedIn organization.

Source: https://learn.microsoft.com/linkedin/marketing/community-management/shares/comments-api and …/reactions-api
"""

import contextlib
from collections.abc import Sequence
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.linkedin import PLATFORM
from services.ingest.connectors.linkedin.normalise import urn_of
from services.ingest.connectors.linkedin.settings import LinkedInSettings
from services.ingest.errands.listed import Own, Page, look, when
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.errands.words import GONE, read, refusal
from services.ingest.hooks.delivery import time_of
from services.ingest.polling.api import Api, AttentionError, Budget, RefusedError, Turns

ANSWERED_SECONDS = 20.0
BUDGET, BUDGET_SECONDS = 60, 3_600.0
VERSION = "202610"
"""Of the interface. LinkedIn keeps each for at least a year."""
AT_ONCE = "50"


def speakers(settings: LinkedInSettings, shared: Shared) -> MakeSpeaker:
    """What speaks for organizations that have a token."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()

    def make(account: Account) -> Speaker | None:
        token = account.connection.get("token")
        if not token:
            return None
        headers = {
            "Authorization": f"Bearer {token}",
            "LinkedIn-Version": VERSION,
            "X-Restli-Protocol-Version": "2.0.0",
        }
        budget = Budget(BUDGET, BUDGET_SECONDS)
        api = Api(http, PLATFORM, settings.linkedin_api, headers, budget, turns, shared.now, refused=_refused)
        return LinkedInSpeaker(api, account.connection["organization"])

    return make


class _Message(Struct, frozen=True):
    text: str = ""


class _Created(Struct, frozen=True):
    time: float | None = None
    """In milliseconds."""


class _Comment(Struct, rename={"urn": "commentUrn"}):
    id: str | int = ""
    urn: str | None = None
    actor: str = ""
    object: str = ""
    message: _Message = _Message()
    created: _Created = _Created()


class _Link(Struct, frozen=True):
    rel: str = ""


class _Paging(Struct, frozen=True):
    links: Sequence[_Link] = ()
    total: int = 0


class _Comments(Struct):
    elements: Sequence[_Comment] = ()
    paging: _Paging = _Paging()


class _Refusal(Struct):
    message: str | None = None


class _ThereError(RefusedError):
    """It is there already."""


class LinkedInSpeaker:
    """A Speaker."""

    def __init__(self, api: Api, organization: str) -> None:
        self._api = api
        self._actor = urn_of(organization.strip())

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        path = f"/rest/socialActions/{quote(errand.thing, safe='')}/comments"

        async def page(place: str | None) -> Page:
            found = read(await self._api.get(path, {"count": AT_ONCE, "start": place or "0"}), _Comments)
            own = [_own(one) for one in found.elements if urn_of(one.actor) == self._actor]
            after = int(place or "0") + len(found.elements)
            # It may give fewer at once than were asked for.
            more = found.elements and (
                found.paging.total > after or any(one.rel == "next" for one in found.paging.links)
            )
            return Page(own, str(after) if more else None)

        return await look(errand, page)

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        thing = errand.thing
        if not thing.startswith("urn:li:"):
            raise RefusedError(GONE)
        match errand.deed:
            case "answer":
                body: dict[str, object] = {
                    "actor": self._actor,
                    "object": errand.post or thing,
                    "message": {"text": errand.text or ""},
                }
                if thing.startswith("urn:li:comment:"):
                    body["parentComment"] = thing
                path = f"/rest/socialActions/{quote(thing, safe='')}/comments"
                return Done(_urn(read(await self._sent(path, body), _Comment)))
            case "like":
                query = {"actor": self._actor}
                with contextlib.suppress(_ThereError):
                    await self._sent("/rest/reactions", {"root": thing, "reactionType": "LIKE"}, query)
                return Done()
        raise RefusedError("LinkedIn has no way to hide a comment from here")

    async def _sent(self, path: str, body: object, query: dict[str, str] | None = None) -> bytes:
        return await self._api.post(path, msgspec.json.encode(body), query, kind="application/json")


def _own(one: _Comment) -> Own:
    at = one.created.time
    return Own(Done(_urn(one)), one.message.text, when(lambda: None if at is None else time_of(at / 1000)))


def _urn(one: _Comment) -> str | None:
    return one.urn or (f"urn:li:comment:({one.object},{one.id})" if one.object and one.id else None)


def _refused(status: int, body: bytes) -> Exception | None:
    if status == httpx.codes.NOT_FOUND:
        return RefusedError(GONE)
    if status == httpx.codes.FORBIDDEN:
        said = refusal(body, _Refusal, lambda found: found.message)
        return AttentionError(f"its token may not write; it needs w_organization_social_feed: {said}")
    if status == httpx.codes.CONFLICT:
        return _ThereError(refusal(body, _Refusal, lambda found: found.message))
    if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        return RefusedError(refusal(body, _Refusal, lambda found: found.message))
    return None
