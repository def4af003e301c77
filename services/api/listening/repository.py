"""Queries about how accounts are read."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection

from services.api.listening.documents import AccountStateDocument, HeartbeatDocument
from services.api.storage.tenants import Database

HEARD_WITHIN = timedelta(minutes=1)
"""A process without a heartbeat for so long counts as gone, as it does for the scorer."""


class Listening:
    """The ingest processes. They serve all tenants, and name accounts by id."""

    def __init__(self, database: Database) -> None:
        self._listening: AsyncCollection[HeartbeatDocument] = database["listening"]
        self._states: AsyncCollection[AccountStateDocument] = database["account_states"]

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
