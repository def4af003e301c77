"""Answers and hidings for an Instagram account.

Source: https://developers.facebook.com/docs/instagram-platform/comment-moderation
"""

from typing import Protocol

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.kit.http.outgoing import GuardedHttp
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.instagram import PLATFORM
from services.ingest.errands import graph
from services.ingest.errands.graph import Graph, part
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.polling.api import RefusedError, Turns

OF_FACEBOOK = "EA"
"""How tokens of Facebook Login begin. With those, Instagram is reached through Facebook's address."""


class _Addresses(Protocol):
    """Of the two interfaces."""

    facebook_api: str
    instagram_api: str


def speakers(settings: _Addresses, shared: Shared) -> MakeSpeaker:
    """What speaks for accounts of this platform."""

    def make(account: Account, http: GuardedHttp, turns: Turns) -> Speaker:
        token = account.connection["token"]
        by_facebook = account.connection.get("login") == "facebook" or token.startswith(OF_FACEBOOK)
        base = settings.facebook_api if by_facebook else settings.instagram_api
        return InstagramSpeaker(Graph(PLATFORM, base, token, http, turns, shared), account.connection["user"])

    return graph.speakers(make, shared)


class InstagramSpeaker:
    """A Speaker."""

    def __init__(self, its: Graph, user: str) -> None:
        self._graph = its
        self._user = user

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        return await self._graph.mine(f"{part(errand)}/replies", "id,text,from", errand.text or "", self._user)

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        match errand.deed:
            case "answer":
                return Done(await self._graph.made(f"{part(errand)}/replies", {"message": errand.text or ""}))
            case "hide" | "unhide":
                await self._graph.post(part(errand), {"hide": "true" if errand.deed == "hide" else "false"})
                return Done()
        raise RefusedError("Instagram has no way to like a comment from here")
