"""Answers, hidings and likes for a Facebook Page.

Source: https://developers.facebook.com/docs/graph-api/reference/v24.0/object/comments and …/reference/v24.0/comment;
for private messages https://developers.facebook.com/docs/messenger-platform/reference/send-api
"""

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.kit.http.outgoing import GuardedHttp
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.facebook import PLATFORM
from services.ingest.connectors.facebook.settings import FacebookSettings
from services.ingest.errands import graph
from services.ingest.errands.graph import Graph, part
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.polling.api import Turns


def speakers(settings: FacebookSettings, shared: Shared) -> MakeSpeaker:
    """What speaks for pages."""

    def make(account: Account, http: GuardedHttp, turns: Turns) -> Speaker:
        its = Graph(PLATFORM, settings.facebook_api, account.connection["token"], http, turns, shared)
        return FacebookSpeaker(its, account.connection["page"])

    return graph.speakers(make, shared)


class FacebookSpeaker:
    """A Speaker."""

    def __init__(self, its: Graph, page: str) -> None:
        self._graph = its
        self._page = page

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        if errand.thing_kind == "message":
            return await self._graph.written(errand, "messenger")
        fields = "id,message,from,permalink_url,created_time"
        more = {"filter": "stream", "order": "reverse_chronological"}
        return await self._graph.below(errand, "comments", fields, self._page, parent="parent", **more)

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        match errand.deed:
            case "answer" if errand.thing_kind == "message":
                return await self._graph.write(errand, messaging_type="RESPONSE")
            case "answer":
                return Done(await self._graph.made(f"{part(errand)}/comments", {"message": errand.text or ""}))
            case "like":
                await self._graph.post(f"{part(errand)}/likes", {})
            case "hide" | "unhide":
                await self._graph.post(part(errand), {"is_hidden": "true" if errand.deed == "hide" else "false"})
        return Done()
