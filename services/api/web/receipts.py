"""What the portal keeps about its forms: which were sent, and what was typed before a session ended."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from services.api.storage.tenants import Database
from services.api.web.documents import FormDraftDocument, FormReceiptDocument

KEPT = timedelta(days=1)
ABANDONED_AFTER = timedelta(minutes=1)
"""No form takes this long: the process that was saving it is gone."""


class Receipts:
    """Which forms were sent."""

    def __init__(self, database: Database) -> None:
        self._receipts: AsyncCollection[FormReceiptDocument] = database["form_receipts"]

    async def take(self, name: str) -> bool:
        """Whether the caller has to handle this one. False if it was handled, or is being handled, elsewhere."""
        now = datetime.now(UTC)
        try:
            await self._receipts.insert_one({"_id": name, "at": now, "led_to": None})
        except DuplicateKeyError:
            query = {"_id": name, "led_to": None, "at": {"$lt": now - ABANDONED_AFTER}}
            found = await self._receipts.find_one_and_update(query, {"$set": {"at": now}})
            return found is not None
        return True

    async def led_to(self, name: str) -> str | None:
        """Where its answer led; None while there is none."""
        found = await self._receipts.find_one({"_id": name})
        return None if found is None else found["led_to"]

    async def done(self, name: str, led_to: str) -> None:
        """Notes that it was saved."""
        await self._receipts.update_one({"_id": name}, {"$set": {"led_to": led_to}})

    async def drop(self, name: str) -> None:
        """Nothing was saved, so it may be sent again."""
        await self._receipts.delete_one({"_id": name})


class Drafts:
    """What was typed before a session ended."""

    def __init__(self, database: Database) -> None:
        self._drafts: AsyncCollection[FormDraftDocument] = database["form_drafts"]

    async def add(self, key: str, path: str, fields: Sequence[tuple[str, str]]) -> str:
        """Keeps one for the holder of this key, and gives its name."""
        name = secrets.token_urlsafe(12)
        await self._drafts.insert_one(
            {
                "_id": name,
                "key": key,
                "path": path,
                "fields": [list(each) for each in fields],
                "at": datetime.now(UTC),
            }
        )
        return name

    async def find(self, name: str, key: str) -> FormDraftDocument | None:
        """One that belongs to this key."""
        return await self._drafts.find_one({"_id": name, "key": key})
