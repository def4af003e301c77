"""What the portal keeps about its forms: which were sent, and what was typed before a session was over.

A receipt: `_id` (a hash of who sent what), `at`, `led_to` (where the answer led, once there is one). A draft: `_id`,
`key` (whose it is), `path` (where it was sent), `fields` (pairs), `at`. MongoDB removes both when they are old.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.kit.mongo import Document

KEPT = timedelta(days=1)
ABANDONED_AFTER = timedelta(minutes=1)
"""No form takes this long: whoever was saving it is gone."""


class Receipts:
    """Which forms were sent."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._receipts = database["form_receipts"]

    async def take(self, name: str) -> bool:
        """Whether this one is for the caller to handle; False where it was, or is being, handled."""
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
        """It was saved."""
        await self._receipts.update_one({"_id": name}, {"$set": {"led_to": led_to}})

    async def drop(self, name: str) -> None:
        """Nothing was saved, so it may be sent again."""
        await self._receipts.delete_one({"_id": name})


class Drafts:
    """What was typed before a session was over."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._drafts = database["form_drafts"]

    async def add(self, key: str, path: str, fields: Sequence[tuple[str, str]]) -> str:
        """Keeps one for whoever has this key; its name."""
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

    async def find(self, name: str, key: str) -> Document | None:
        """One of this key's."""
        return await self._drafts.find_one({"_id": name, "key": key})
