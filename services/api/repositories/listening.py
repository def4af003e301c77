"""Ingest processes, as stored: `_id` (the instance), `at` (when last heard), `behind` and `disconnected` (account ids).

The projector writes them from the heartbeats in the log, so they say nothing newer than what the views show.
"""

from datetime import datetime, timedelta

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document

HEARD_WITHIN = timedelta(minutes=1)
"""After so long without a heartbeat a process counts as gone, as it does for the scorer."""


class Listening:
    """Which ingest processes there are. They serve every tenant, and name accounts by id alone."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._listening = database["listening"]

    async def there(self, now: datetime) -> list[Document]:
        """The processes that were heard lately."""
        return await self._listening.find({"at": {"$gt": now - HEARD_WITHIN}}).to_list()

    async def last(self) -> datetime | None:
        """When any of them was last heard; None where that is a day ago, or never was."""
        found = await self._listening.find().sort("at", -1).limit(1).to_list()
        return found[0]["at"] if found else None
