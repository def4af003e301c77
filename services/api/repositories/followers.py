"""Followers: sorted by rank or last seen as of now, without a rewrite as time passes; filtered by stage."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from rapport.domain.relationship import STAGES
from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants

SORTED_BY = {"know": "know_rank", "like": "like_rank", "trust": "trust_rank", "last_seen": "last_seen"}
_LISTED = {"contributions": 0}


class Followers:
    """The followers of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._followers = database["followers"]
        self._tenants = tenants

    async def page(self, sort: str, stage: str | None, after: tuple[Any, str] | None, limit: int) -> list[Document]:
        """Those in `stage` (or all) by `sort`, descending. `after`: the last one's value and `_id`.

        A stage that has fallen by itself shows within seconds, when the upkeep has noted it.
        """
        field = SORTED_BY[sort]
        # Every stage by name, so that the index of each can be read in order and merged.
        conditions: list[Document] = [
            self._tenants.filter(),
            {"stage": {"$in": list(STAGES)} if stage is None else stage},
        ]
        if after is not None:
            value, last_id = after
            conditions.append({field: {"$lte": value}})
            conditions.append({"$or": [{field: {"$lt": value}}, {field: value, "_id": {"$gt": last_id}}]})
        found = self._followers.find({"$and": conditions}, projection=_LISTED)
        return await found.sort([(field, -1), ("_id", 1)]).limit(limit).to_list()

    async def warming(self, since: datetime, limit: int) -> list[Document]:
        """Those who brought the most lately, and something since `since`."""
        query = {"$and": [self._tenants.filter(), {"last_seen": {"$gte": since}}]}
        found = self._followers.find(query, projection=_LISTED).sort([("momentum_rank", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def cooling(self, now: datetime, until: datetime, limit: int) -> list[Document]:
        """Those whose stage falls by itself between `now` and `until`, the next one first."""
        query = {"$and": [self._tenants.filter(), {"stage_until": {"$gt": now, "$lte": until}}]}
        found = self._followers.find(query, projection=_LISTED).sort([("stage_until", 1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def lost(self, since: datetime, limit: int) -> list[Document]:
        """Those whose stage fell since `since` and has not risen again, the latest first."""
        query = {"$and": [self._tenants.filter(), {"stage_noted.fell_at": {"$gte": since}}]}
        found = self._followers.find(query, projection=_LISTED).sort([("stage_noted.fell_at", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def quiet_buyers(self, before: datetime, limit: int) -> list[Document]:
        """Buyers who were last seen before `before`, the latest of them first."""
        query = {"$and": [self._tenants.filter(), {"stage": "buys", "last_seen": {"$lt": before}}]}
        found = self._followers.find(query, projection=_LISTED).sort([("last_seen", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def some(self, ids: Iterable[str]) -> dict[str, Document]:
        """Those of these `_id`s that are there, as lists show them."""
        query = {"$and": [{"_id": {"$in": list(ids)}}, self._tenants.filter()]}
        return {each["_id"]: each async for each in self._followers.find(query, projection=_LISTED)}

    async def find(self, id: str) -> Document | None:
        """One of them, by `_id`."""
        return await self._followers.find_one({"$and": [{"_id": id}, self._tenants.filter()]})

    async def named(self, ids: Iterable[str]) -> dict[str, Document]:
        """What a stage is told from, for each of these `_id`s that is there."""
        query = {"$and": [{"_id": {"$in": list(ids)}}, self._tenants.filter()]}
        found = self._followers.find(query, projection={"standing": 1, "scoring": 1})
        return {each["_id"]: each async for each in found}
