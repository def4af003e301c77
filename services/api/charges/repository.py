"""Queries about charges."""

from datetime import datetime, timedelta
from typing import NamedTuple

from pymongo.asynchronous.collection import AsyncCollection

from rapport.kit.mongo import Document
from services.api.projector.documents import HourDocument
from services.api.storage.counted import counted
from services.api.storage.tenants import Database, Tenants

HISTORY = timedelta(days=30)


class Counted(NamedTuple):
    """How often an account, or one that nobody connected, was charged for one thing."""

    brand: str | None
    account: str | None
    what: str
    many: int


class Charges:
    """The charges of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._charges: AsyncCollection[Document] = database["charges"]
        self._hourly: AsyncCollection[HourDocument] = database["hourly"]
        self._tenants = tenants

    async def of_brand(self, brand: str, month: str) -> list[Counted]:
        """What was charged for a brand's accounts in a month (`2026-11`)."""
        match = {"$and": [{"brand": brand, "month": month}, self._tenants.filter()]}
        return await self._counts(("brand", brand, month), match, "of_brand")

    async def of_month(self, platform: str, month: str) -> list[Counted]:
        """What a platform charged for in a month, of all tenants, also for accounts that nobody connected."""
        return await self._counts(
            ("platform", platform, month), {"platform": platform, "month": month}, "of_month", brand=False
        )

    async def history(self, brand: str, now: datetime) -> dict[str, int]:
        """How many interactions of each kind a brand had on all its platforms in the last 30 days."""
        match = {"$and": [{"brand": brand, "hour": {"$gt": now - HISTORY, "$lte": now}}, self._tenants.filter()]}
        found: dict[str, int] = {}
        async for hour in self._hourly.find(match, {"counts": 1}):
            for kind, count in hour["counts"].items():
                found[kind] = found.get(kind, 0) + count
        return found

    async def _counts(self, key: tuple[str, ...], match: Document, hint: str, *, brand: bool = True) -> list[Counted]:
        async def count() -> tuple[list[Counted], int]:
            group: Document = {"account": "$account", "what": "$what", **({"brand": "$brand"} if brand else {})}
            pipeline: list[Document] = [{"$match": match}, {"$group": {"_id": group, "count": {"$sum": 1}}}]
            rows = await (await self._charges.aggregate(pipeline, hint=hint)).to_list()
            found = [
                Counted(row["_id"].get("brand"), row["_id"].get("account"), row["_id"]["what"], row["count"])
                for row in rows
            ]
            return found, sum(each.many for each in found)

        name = self._database.name
        kept: list[Counted] = await counted(self._database).get((name, "charges", *key), count)
        return kept
