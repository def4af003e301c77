"""Brands, as stored: what is confirmed to be in the log, and what waits for that.

A brand: `_id`, `settings` (confirmed: `name`, `timezone`, `channels`, `channels_since`; null until the first
confirmation), `pending` (the same, newer, not confirmed yet; or null), `revision` (of the last change),
`published_revision`, `published_at`, `created_at`. `channels_since` says when a channel (`id`) was added (`since`), and
lacks those from before this was noted. `settings` have the names and shapes of the brand's record, so that this version
passes on what a later one adds to them. Readers see what is confirmed only.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants


class Brands:
    """The brands of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._brands = database["brands"]
        self._tenants = tenants

    async def all(self) -> list[Document]:
        """Confirmed brands by id."""
        return await self._brands.find({**self._tenants.filter("_id"), "settings": {"$ne": None}}).sort("_id").to_list()

    async def find(self, brand: str) -> Document | None:
        """A confirmed brand."""
        found = await self._brands.find_one({"$and": [{"_id": brand}, self._tenants.filter("_id")]})
        return found if found and found["settings"] else None

    async def create(self, brand: str, settings: Mapping[str, Any], now: datetime) -> bool:
        """Stores a new brand, unconfirmed. One that was never confirmed is replaced. False where a brand has the id."""
        try:
            made = await self._brands.find_one_and_update(
                {"_id": brand, "settings": None},
                {
                    "$set": {"pending": settings},
                    "$inc": {"revision": 1},
                    "$setOnInsert": {"published_revision": 0, "published_at": None, "created_at": now},
                },
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return False
        return made is not None

    async def change(self, brand: str, changes: Mapping[str, Any]) -> None:
        """Stores a change of a brand's settings, unconfirmed."""
        await self._brands.update_one(
            {"$and": [{"_id": brand}, self._tenants.filter("_id")]},
            [
                {
                    "$set": {
                        "pending": {
                            "$mergeObjects": [{"$ifNull": ["$pending", "$settings"]}, {"$literal": dict(changes)}]
                        },
                        "revision": {"$add": ["$revision", 1]},
                    }
                }
            ],
        )
