"""Followers: sorted by rank or last seen, filtered by stage as of now, without a rewrite as time passes."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from rapport.domain.relationship import BUYS_FOR_DAYS, stage_rank
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants

SORTED_BY = {"know": "know_rank", "like": "like_rank", "trust": "trust_rank", "last_seen": "last_seen"}
_RISING = ("knows", "likes", "trusts")


class Followers:
    """The followers of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._followers = database["followers"]
        self._tenants = tenants

    async def page(
        self, sort: str, stage: str | None, after: tuple[Any, str] | None, limit: int, now: datetime
    ) -> list[Document]:
        """Those in `stage` at `now` (or all) by `sort`, descending. `after`: the last one's value and `_id`."""
        field = SORTED_BY[sort]
        conditions: list[Document] = [self._tenants.filter()]
        if stage is not None:
            conditions.append(in_stage(stage, now))
        if after is not None:
            value, last_id = after
            conditions.append({field: {"$lte": value}})
            conditions.append({"$or": [{field: {"$lt": value}}, {field: value, "_id": {"$gt": last_id}}]})
        found = self._followers.find({"$and": conditions}, projection={"contributions": 0})
        return await found.sort([(field, -1), ("_id", 1)]).limit(limit).to_list()

    async def find(self, id: str) -> Document | None:
        """One of them, by `_id`."""
        return await self._followers.find_one({"$and": [{"_id": id}, self._tenants.filter()]})

    async def named(self, ids: Iterable[str]) -> dict[str, Document]:
        """What a stage is told from, for each of these `_id`s that is there."""
        query = {"$and": [{"_id": {"$in": list(ids)}}, self._tenants.filter()]}
        found = self._followers.find(query, projection={"sums": 1, "last_purchase_at": 1})
        return {each["_id"]: each async for each in found}


def in_stage(stage: str, now: datetime) -> Document:
    """The query for who is in `stage` at `now`; the same borders as `rapport.domain.relationship.stage`."""
    bought = {"$gte": now - timedelta(days=BUYS_FOR_DAYS)}
    if stage == "buys":
        return {"last_purchase_at": bought}
    conditions: Document = {"last_purchase_at": {"$not": bought}}
    place = _RISING.index(stage) if stage in _RISING else -1
    for index, name in enumerate(_RISING):
        dimension, rank = stage_rank(name, ms(now))
        if index == place:
            conditions[f"{dimension}_rank"] = {"$gte": rank}
        elif index > place:
            conditions[f"{dimension}_rank"] = {"$lt": rank}
    return conditions
