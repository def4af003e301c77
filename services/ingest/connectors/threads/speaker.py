"""Answers and hidings for a Threads profile.

Source: https://developers.facebook.com/docs/threads/reply-management and …/docs/threads/posts
"""

import asyncio
import contextlib

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.kit.http.outgoing import GuardedHttp
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.threads import PLATFORM
from services.ingest.connectors.threads.settings import ThreadsSettings
from services.ingest.errands import graph
from services.ingest.errands.graph import Graph, UnreadyError, part
from services.ingest.errands.listed import EARLIER
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.polling.api import RefusedError, Turns

READY_AFTER_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""What is made can be published moments later, at times only after half a minute. If it takes longer than this, a new
one is made."""


def speakers(settings: ThreadsSettings, shared: Shared) -> MakeSpeaker:
    """What speaks for profiles."""

    def make(account: Account, http: GuardedHttp, turns: Turns) -> Speaker:
        its = Graph(PLATFORM, settings.threads_api, account.connection["token"], http, turns, shared)
        return ThreadsSpeaker(its, account.connection["user"])

    return graph.speakers(make, shared)


class ThreadsSpeaker:
    """A Speaker."""

    def __init__(self, its: Graph, user: str) -> None:
        self._graph = its
        self._user = user

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        thing = part(errand).removeprefix("/")
        # What stands below the posts of others is told nowhere else.
        return await self._graph.mine(
            errand, f"/{self._user}/replies", "id,text,permalink,timestamp,replied_to",
            lambda one: one.replied_to is not None and str(one.replied_to.id) == thing,
            since=str(int((errand.at - EARLIER).timestamp())),
        )  # fmt: skip

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        thing = part(errand)
        match errand.deed:
            case "answer":
                # In two steps: what the first one makes is seen by nobody.
                text = {"media_type": "TEXT", "text": errand.text or "", "reply_to_id": thing.removeprefix("/")}
                return Done(await self._published(await self._graph.made(f"/{self._user}/threads", text)))
            case "hide" | "unhide":
                await self._graph.post(f"{thing}/manage_reply", {"hide": "true" if errand.deed == "hide" else "false"})
                return Done()
        raise RefusedError("Threads has no way to like a reply from here")

    async def _published(self, made: str) -> str:
        for pause in READY_AFTER_SECONDS:
            with contextlib.suppress(UnreadyError):
                return await self._publish(made)
            await asyncio.sleep(pause)
        return await self._publish(made)

    async def _publish(self, made: str) -> str:
        return await self._graph.made(f"/{self._user}/threads_publish", {"creation_id": made})
