"""Queries about how accounts are read, and when something of them arrives."""

from collections.abc import Iterable
from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection

from rapport.contracts.topics import CONVERSATIONS
from services.api.listening.documents import (
    HEARD_WITHIN,
    AccountStateDocument,
    ArrivedDocument,
    HeardDocument,
    HeartbeatDocument,
    HorizonDocument,
    RhythmDocument,
    TickDocument,
    heard_id,
)
from services.api.storage.tenants import Database


class Listening:
    """The ingest processes. They serve all tenants, and name accounts by id."""

    def __init__(self, database: Database) -> None:
        self._listening: AsyncCollection[HeartbeatDocument] = database["listening"]
        self._states: AsyncCollection[AccountStateDocument] = database["account_states"]
        self._rhythms: AsyncCollection[RhythmDocument] = database["account_rhythms"]
        self._arrived: AsyncCollection[ArrivedDocument] = database["account_minutes"]
        self._heard: AsyncCollection[HeardDocument] = database["heard_minutes"]
        self._horizons: AsyncCollection[HorizonDocument] = database["horizons"]
        self._ticks: AsyncCollection[TickDocument] = database["ticks"]

    async def there(self, now: datetime) -> list[HeartbeatDocument]:
        """The processes that are running."""
        return await self._listening.find({"at": {"$gt": now - HEARD_WITHIN}}).to_list()

    async def states(self, accounts: Iterable[str]) -> dict[str, AccountStateDocument]:
        """How accounts stand, as far as ingest said so."""
        found = await self._states.find({"_id": {"$in": list(accounts)}}).to_list()
        return {each["_id"]: each for each in found}

    async def last(self) -> datetime | None:
        """When any of them was last heard; None if that was over a day ago, or never."""
        found = await self._listening.find().sort("at", -1).limit(1).to_list()
        return found[0]["at"] if found else None

    async def rhythms(self, accounts: Iterable[str]) -> dict[str, RhythmDocument]:
        """When something of accounts last came, whether they are quiet, and what is usual for them."""
        found = await self._rhythms.find({"_id": {"$in": list(accounts)}}).to_list()
        return {each["_id"]: each for each in found}

    async def unusual(self) -> dict[str, RhythmDocument]:
        """The accounts of all tenants that are quiet, or whose platform is late; without what is usual for them."""
        query = {"$or": [{"quiet": True}, {"late_since": {"$type": "date"}}]}
        return {each["_id"]: each for each in await self._rhythms.find(query, {"learned": 0}).to_list()}

    async def arrived(self, names: Iterable[str]) -> list[ArrivedDocument]:
        """Some days of some accounts."""
        return await self._arrived.find({"_id": {"$in": list(names)}}).to_list()

    async def arrived_of(self, brand: str, first: datetime, last: datetime) -> list[ArrivedDocument]:
        """The UTC days from one to another of all accounts of a brand, that tell delays."""
        query = {"brand": brand, "day": {"$gte": first, "$lte": last}}
        return await self._arrived.find(query, {"signs": 0}).to_list()

    async def heard(self, days: Iterable[datetime]) -> list[HeardDocument]:
        """In which minutes of some UTC days Rapport listened."""
        return await self._heard.find({"_id": {"$in": [heard_id(day) for day in days]}}).to_list()

    async def horizon(self) -> datetime | None:
        """Up to where the views have what was received, by the partition that is farthest behind."""
        # After a change of their number, those that are gone stand still.
        there = self._horizons.find({"_id": {"$lt": CONVERSATIONS.partitions}}).sort("_id")
        return min([each["at"] async for each in there], default=None)

    async def scored(self) -> datetime | None:
        """Up to where everything is scored, by the partition that is farthest behind; None if one never was."""
        there = self._ticks.find({"_id": {"$lt": CONVERSATIONS.partitions}}).sort("_id")
        found = [each["at"] async for each in there]
        return min(found) if len(found) == CONVERSATIONS.partitions else None
