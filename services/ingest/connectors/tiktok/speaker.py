"""Answers, hidings and likes for a TikTok business account.

Source: https://business-api.tiktok.com/portal/docs?id=1762228496862209 (comments of an account's own videos)
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.tiktok import PLATFORM
from services.ingest.connectors.tiktok.answers import checked
from services.ingest.connectors.tiktok.settings import TiktokSettings
from services.ingest.errands.listed import Own, Page, look, when
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.hooks.delivery import Id, time_of
from services.ingest.polling.api import Api, Budget, Turns

ANSWERED_SECONDS = 20.0
BUDGET, BUDGET_SECONDS = 12, 60.0
"""TikTok allows 40 a minute on each path; comments are asked for on the same ones."""
AT_ONCE = "30"


def speakers(settings: TiktokSettings, shared: Shared) -> MakeSpeaker:
    """What speaks for accounts that have a token."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()

    def make(account: Account) -> Speaker | None:
        token = account.connection.get("token")
        if not token:
            return None
        budget = Budget(BUDGET, BUDGET_SECONDS)
        api = Api(http, PLATFORM, settings.tiktok_api, {"Access-Token": token}, budget, turns, shared.now)
        return TiktokSpeaker(api, account.connection["business"])

    return make


class _Comment(Struct):
    comment_id: Id = ""
    text: str = ""
    owner: bool = False
    create_time: float | None = None


class _Data(Struct):
    comment_id: Id | None = None
    comments: Sequence[_Comment] = ()
    cursor: Id = ""
    has_more: bool = False


class _Answer(Struct):
    data: _Data | None = None


class TiktokSpeaker:
    """A Speaker."""

    def __init__(self, api: Api, business: str) -> None:
        self._api = api
        self._business = business

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        query = {
            "business_id": self._business,
            "video_id": errand.post or "",
            "comment_id": errand.thing,
            "max_count": AT_ONCE,
            "sort_field": "create_time",
            "sort_order": "desc",
        }

        async def page(cursor: str | None) -> Page:
            asked = {**query, **({"cursor": cursor} if cursor else {})}
            found = _checked(await self._api.get("/open_api/v1.3/business/comment/reply/list/", asked))
            own = [_own(one) for one in found.comments if one.owner]
            return Page(own, str(found.cursor) if found.has_more and found.cursor else None)

        return await look(errand, page)

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        match errand.deed:
            case "answer":
                said = {"video_id": errand.post or "", "text": errand.text or ""}
                made = await self._sent("reply/create", errand, said)
                return Done(str(made.comment_id) if made.comment_id else None)
            case "hide" | "unhide":
                action = "HIDE" if errand.deed == "hide" else "UNHIDE"
                await self._sent("hide", errand, {"video_id": errand.post or "", "action": action})
            case "like":
                await self._sent("like", errand, {"action": "LIKE"})
        return Done()

    async def _sent(self, what: str, errand: Errand, fields: Mapping[str, str]) -> _Data:
        body = {"business_id": self._business, "comment_id": errand.thing, **fields}
        answer = await self._api.post(
            f"/open_api/v1.3/business/comment/{what}/", msgspec.json.encode(body), kind="application/json"
        )
        return _checked(answer)


def _own(one: _Comment) -> Own:
    return Own(Done(str(one.comment_id)), one.text, when(lambda: time_of(one.create_time)))


def _checked(answer: bytes) -> _Data:
    """What it says, if it was done. Raises as a Speaker does."""
    return checked(answer, _Answer).data or _Data()
