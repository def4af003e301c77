"""When a brand published, what it had planned, and the rhythm it wants."""

from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection

from rapport.domain.calendar.editorial import CLEARED
from services.api.consistency.documents import DuePost, RhythmDocument, RhythmTerms
from services.api.storage.tenants import Database, Tenants


class Rhythms:
    """The rhythm of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._posts = database["posts"]
        self._planned: AsyncCollection[DuePost] = database["planned_posts"]
        self._settings: AsyncCollection[RhythmDocument] = database["rhythm_settings"]
        self._tenants = tenants

    async def published(self, start: datetime, end: datetime) -> dict[str, list[datetime]]:
        """When posts were published in `[start, end)`, by account."""
        found = await self._posts.aggregate(
            [
                {
                    "$match": {
                        **self._tenants.filter(),
                        "account": {"$gt": ""},
                        "published_at": {"$gte": start, "$lt": end},
                    }
                },
                # The index has all that is needed, and one list per account is far smaller than as many documents.
                {"$group": {"_id": "$account", "times": {"$push": "$published_at"}}},
            ],
            hint="by_account",
        )
        return {each["_id"]: sorted(each["times"]) async for each in found}

    async def last_before(self, account: str, start: datetime) -> datetime | None:
        """When an account last published before a time."""
        query = {**self._tenants.filter(), "account": account, "published_at": {"$lt": start}}
        fields = {"_id": 0, "published_at": 1}
        found = await self._posts.find_one(query, fields, sort=[("published_at", -1)], hint="by_account")
        return found["published_at"] if found is not None else None

    async def first_ever(self, account: str | None) -> datetime | None:
        """When the first known post of an account was published. None: of any account, also a disconnected one."""
        query, hint = self._tenants.filter(), "mix"
        if account is not None:
            query, hint = {**query, "account": account}, "by_account"
        fields = {"_id": 0, "published_at": 1}
        found = await self._posts.find_one(query, fields, sort=[("published_at", 1)], hint=hint)
        return found["published_at"] if found is not None else None

    async def due(self, start: datetime, end: datetime) -> list[DuePost]:
        """What should have been published in `[start, end)`."""
        query = {
            **self._tenants.filter(),
            "planned_at": {"$gte": start, "$lt": end},
            "state": "planned",
            "approval": {"$in": sorted(CLEARED)},
        }
        fields = {"_id": 0, "account": 1, "planned_at": 1, "published_at": 1}
        return await self._planned.find(query, fields).hint("when").to_list()

    async def settings(self, brand: str) -> RhythmDocument | None:
        """The rhythm that a brand wants."""
        return await self._settings.find_one({"$and": [{"_id": brand}, self._tenants.filter()]})

    async def set(self, brand: str, rhythm: RhythmTerms) -> None:
        """Replaces it."""
        query = {"$and": [{"_id": brand}, self._tenants.filter()]}
        await self._settings.replace_one(query, {"brand": brand, **rhythm}, upsert=True)
