"""Queries about new relationships and their goals."""

from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from rapport.kit.mongo import Document
from services.api.http.paging import Position
from services.api.new_relationships.documents import BeginningDocument, NewDayDocument, NewGoalDocument
from services.api.storage.tenants import Database, Tenants


class Beginnings:
    """The new relationships of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._beginnings: AsyncCollection[BeginningDocument] = database["beginnings"]
        self._days: AsyncCollection[NewDayDocument] = database["new_days"]
        self._goals: AsyncCollection[NewGoalDocument] = database["new_goals"]
        self._tenants = tenants

    async def days(self, first: str, last: str, zone: str) -> dict[str, dict[str, int]]:
        """How many began on each day in the zone, by platform. Days without any are left out."""
        query = {**self._tenants.filter(), "day": {"$gte": first, "$lte": last}, "zone": zone}
        return {each["day"]: each["platforms"] async for each in self._days.find(query)}

    async def page(self, start: datetime, end: datetime, after: Position | None, limit: int) -> list[BeginningDocument]:
        """Relationships that began in `[start, end)`, the latest first."""
        query: Document = {**self._tenants.filter(), "new": True, "at": {"$gte": start, "$lt": end}}
        if after is not None:
            at, last_id = after
            query["at"] = {"$gte": start, "$lte": at}
            query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]
        return await self._beginnings.find(query).sort([("at", -1), ("_id", -1)]).limit(limit).to_list()

    async def goal(self, brand: str) -> NewGoalDocument | None:
        """How many new relationships a brand wants each day."""
        return await self._goals.find_one({"$and": [{"_id": brand}, self._tenants.filter()]})

    async def set_goal(self, brand: str, content: dict[str, Any]) -> None:
        """Stores the goal."""
        await self._goals.update_one(
            {"$and": [{"_id": brand}, self._tenants.filter()]}, {"$set": {"brand": brand, **content}}, upsert=True
        )
