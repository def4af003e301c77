"""New relationships: how many on each day, who they are and what began each, and how many a brand wants."""

from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants

Place = tuple[datetime, str]


class Beginnings:
    """The new relationships of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._beginnings = database["beginnings"]
        self._days = database["new_days"]
        self._goals = database["new_goals"]
        self._tenants = tenants

    async def days(self, first: str, last: str, zone: str) -> dict[str, dict[str, int]]:
        """By day in the zone, how many began on each platform. Days without any are left out."""
        query = {**self._tenants.filter(), "day": {"$gte": first, "$lte": last}, "zone": zone}
        return {each["day"]: each["platforms"] async for each in self._days.find(query)}

    async def page(self, start: datetime, end: datetime, after: Place | None, limit: int) -> list[Document]:
        """Those that began in `[start, end)`, the latest first."""
        query: Document = {**self._tenants.filter(), "new": True, "at": {"$gte": start, "$lt": end}}
        if after is not None:
            at, last_id = after
            query["at"] = {"$gte": start, "$lte": at}
            query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]
        return await self._beginnings.find(query).sort([("at", -1), ("_id", -1)]).limit(limit).to_list()

    async def goal(self, brand: str) -> Document | None:
        """How many new relationships a brand wants each day: `goal`, and `platforms` by platform."""
        return await self._goals.find_one({"$and": [{"_id": brand}, self._tenants.filter()]})

    async def set_goal(self, brand: str, content: dict[str, Any]) -> None:
        """Stores what a brand wants."""
        await self._goals.update_one(
            {"$and": [{"_id": brand}, self._tenants.filter()]}, {"$set": {"brand": brand, **content}}, upsert=True
        )
