"""Answers and hidings for an Instagram account.

Source: https://developers.facebook.com/docs/instagram-platform/comment-moderation and, for private messages,
…/instagram-platform/instagram-api-with-instagram-login/messaging-api
"""

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.kit.http.outgoing import GuardedHttp
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.instagram import PLATFORM
from services.ingest.connectors.instagram.addresses import Addresses, address_of
from services.ingest.errands import graph
from services.ingest.errands.graph import Graph, part
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.polling.api import RefusedError, Turns


def speakers(settings: Addresses, shared: Shared) -> MakeSpeaker:
    """What speaks for accounts of this platform."""

    def make(account: Account, http: GuardedHttp, turns: Turns) -> Speaker:
        token = account.connection["token"]
        its = Graph(PLATFORM, address_of(account, settings), token, http, turns, shared)
        return InstagramSpeaker(its, account.connection["user"])

    return graph.speakers(make, shared)


class InstagramSpeaker:
    """A Speaker."""

    def __init__(self, its: Graph, user: str) -> None:
        self._graph = its
        self._user = user

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        if errand.thing_kind == "message":
            return await self._graph.written(errand, "instagram")
        # `user` is told only of what the account itself wrote.
        return await self._graph.below(errand, "replies", "id,text,from,user,timestamp", self._user, parent="parent_id")

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        match errand.deed:
            case "answer" if errand.thing_kind == "message":
                return await self._graph.write(errand)
            case "answer":
                return Done(await self._graph.made(f"{part(errand)}/replies", {"message": errand.text or ""}))
            case "hide" | "unhide":
                await self._graph.post(part(errand), {"hide": "true" if errand.deed == "hide" else "false"})
                return Done()
        raise RefusedError("Instagram has no way to like a comment from here")
