"""Queries about exchanges."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from rapport.kit.mongo import Document
from services.api.exchanges.documents import ExchangeDocument
from services.api.http.paging import Position
from services.api.storage.tenants import Database, Tenants

ENDED = ("answered", "answered_late", "cancelled")


@dataclass(frozen=True)
class Wanted:
    """A selection of exchanges. `follower` is a platform and the follower's id there."""

    breached: bool | None = None
    backfilled: bool | None = None
    platform: str | None = None
    follower: tuple[str, str] | None = None

    def filter(self) -> Document:
        """The selection as a query."""
        found: Document = {}
        if self.breached is not None:
            found["breached_at"] = {"$ne": None} if self.breached else None
        if self.backfilled is not None:
            found["backfilled"] = self.backfilled
        if self.platform is not None:
            found["platform"] = self.platform
        if self.follower is not None:
            platform, follower = self.follower
            # `platform` may name another one; then nothing matches.
            found["$and"] = [{"platform": platform, "follower.id": follower}]
        return found


class Exchanges:
    """The exchanges of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._exchanges: AsyncCollection[ExchangeDocument] = database["exchanges"]
        self._tenants = tenants

    async def open(self, wanted: Wanted, after: Position | None, limit: int) -> list[ExchangeDocument]:
        """Open exchanges, the first due first."""
        query = {**self._tenants.filter(), "state": "open", **wanted.filter(), **_beyond("due_at", "$gt", after)}
        return await self._exchanges.find(query).sort([("due_at", 1), ("_id", 1)]).limit(limit).to_list()

    async def ended(
        self, states: Sequence[str], wanted: Wanted, after: Position | None, limit: int
    ) -> list[ExchangeDocument]:
        """Exchanges in `states`, the latest opened first."""
        state = states[0] if len(states) == 1 else {"$in": list(states)}
        query = {**self._tenants.filter(), "state": state, **wanted.filter(), **_beyond("opened_at", "$lt", after)}
        return await self._exchanges.find(query).sort([("opened_at", -1), ("_id", -1)]).limit(limit).to_list()

    async def find(self, id: str) -> ExchangeDocument | None:
        """One exchange, by `_id`."""
        return await self._exchanges.find_one({"_id": id, **self._tenants.filter()})

    async def opened(
        self, start: datetime, end: datetime, limit: int, at_once: int
    ) -> AsyncIterator[list[ExchangeDocument]]:
        """Those opened in `[start, end)` in batches, the latest first; without backfilled, spam and superseded ones."""
        query = {
            **self._tenants.filter(),
            "state": {"$in": ["open", *ENDED]},
            "opened_at": {"$gte": start, "$lt": end},
            "backfilled": False,
            "cancelled_because": {"$ne": "spam"},
        }
        found = self._exchanges.find(query, batch_size=at_once).sort([("opened_at", -1), ("_id", -1)]).limit(limit)
        while documents := await found.to_list(at_once):
            yield documents

    async def open_by_follower(self, followers: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """How many exchanges of each of these followers (platform and id there) are open."""
        counts = await self._database["exchanges"].aggregate(
            [
                {
                    "$match": {
                        **self._tenants.filter(),
                        "platform": {"$in": sorted({platform for platform, _ in followers})},
                        "follower.id": {"$in": sorted({follower for _, follower in followers})},
                        "state": "open",
                    }
                },
                {"$group": {"_id": {"platform": "$platform", "follower": "$follower.id"}, "count": {"$sum": 1}}},
            ]
        )
        return {(each["_id"]["platform"], each["_id"]["follower"]): each["count"] async for each in counts}


def _beyond(field: str, operator: str, after: Position | None) -> dict[str, Any]:
    if after is None:
        return {}
    at, last_id = after
    # MongoDB finds its place in the index by the bound on the field alone. The rest decides between equal times.
    return {
        field: {f"{operator}e": at},
        "$or": [{field: {operator: at}}, {field: at, "_id": {operator: last_id}}],
    }
