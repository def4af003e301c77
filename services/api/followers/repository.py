"""Queries about followers. Ranks sort them as of now, and need no rewrite as time passes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from rapport.domain.relationships.relationship import STAGES
from rapport.kit.mongo import Document
from services.api.followers.documents import FollowerDocument, FollowerStanding, ListedFollower
from services.api.storage.tenants import Database, Tenants

SORTED_BY = {"know": "know_rank", "like": "like_rank", "trust": "trust_rank", "last_seen": "last_seen"}
_LISTED = {"contributions": 0}


class Followers:
    """The followers of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._followers: AsyncCollection[FollowerDocument] = database["followers"]
        self._listed: AsyncCollection[ListedFollower] = database["followers"]
        self._standings: AsyncCollection[FollowerStanding] = database["followers"]
        self._tenants = tenants

    async def page(
        self, sort: str, stage: str | None, after: tuple[Any, str] | None, limit: int
    ) -> list[ListedFollower]:
        """Those in `stage` (or all) by `sort`, descending. `after` is the value and `_id` of the last one shown.

        A stage that falls by itself shows within seconds, once the upkeep has written it.
        """
        field = SORTED_BY[sort]
        # All stages by name: MongoDB can then read the index of each in order and merge them.
        conditions: list[Document] = [
            self._tenants.filter(),
            {"stage": {"$in": list(STAGES)} if stage is None else stage},
        ]
        if after is not None:
            value, last_id = after
            conditions.append({field: {"$lte": value}})
            conditions.append({"$or": [{field: {"$lt": value}}, {field: value, "_id": {"$gt": last_id}}]})
        found = self._listed.find({"$and": conditions}, projection=_LISTED)
        return await found.sort([(field, -1), ("_id", 1)]).limit(limit).to_list()

    async def warming(self, since: datetime, limit: int) -> list[ListedFollower]:
        """Those who brought the most lately and were seen since `since`."""
        query = {"$and": [self._tenants.filter(), {"last_seen": {"$gte": since}}]}
        found = self._listed.find(query, projection=_LISTED).sort([("momentum_rank", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def cooling(self, now: datetime, until: datetime, limit: int) -> list[ListedFollower]:
        """Those whose stage falls by itself between `now` and `until`, the soonest first."""
        query = {"$and": [self._tenants.filter(), {"stage_until": {"$gt": now, "$lte": until}}]}
        found = self._listed.find(query, projection=_LISTED).sort([("stage_until", 1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def lost(self, since: datetime, limit: int) -> list[ListedFollower]:
        """Those whose stage fell since `since` and did not rise again, the latest first."""
        query = {"$and": [self._tenants.filter(), {"stage_noted.fell_at": {"$gte": since}}]}
        found = self._listed.find(query, projection=_LISTED).sort([("stage_noted.fell_at", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def quiet_buyers(self, before: datetime, limit: int) -> list[ListedFollower]:
        """Buyers last seen before `before`, the latest first."""
        query = {"$and": [self._tenants.filter(), {"stage": "buys", "last_seen": {"$lt": before}}]}
        found = self._listed.find(query, projection=_LISTED).sort([("last_seen", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def some(self, ids: Iterable[str]) -> dict[str, ListedFollower]:
        """The followers with these `_id`s, as lists read them."""
        query = {"$and": [{"_id": {"$in": list(ids)}}, self._tenants.filter()]}
        return {each["_id"]: each async for each in self._listed.find(query, projection=_LISTED)}

    async def find(self, id: str) -> FollowerDocument | None:
        """One follower, by `_id`."""
        return await self._followers.find_one({"$and": [{"_id": id}, self._tenants.filter()]})

    async def standings(self, ids: Iterable[str]) -> dict[str, FollowerStanding]:
        """What a stage is told from, of the followers with these `_id`s."""
        query = {"$and": [{"_id": {"$in": list(ids)}}, self._tenants.filter()]}
        found = self._standings.find(query, projection={"standing": 1, "scoring": 1})
        return {each["_id"]: each async for each in found}
