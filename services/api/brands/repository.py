"""Brands: what is confirmed to be in the log, which is all that readers see, and what is on its way there."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from services.api.brands.documents import BrandDocument, BrandSettings, UnconfirmedBrandDocument
from services.api.storage.tenants import Database, Tenants


class Brands:
    """The brands of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._brands: AsyncCollection[UnconfirmedBrandDocument] = database["brands"]
        self._tenants = tenants

    async def all(self) -> list[BrandDocument]:
        """Confirmed brands by id."""
        query = {**self._tenants.filter("_id"), "settings": {"$ne": None}}
        return cast("list[BrandDocument]", await self._brands.find(query).sort("_id").to_list())

    async def find(self, brand: str) -> BrandDocument | None:
        """A confirmed brand."""
        found = await self._brands.find_one({"$and": [{"_id": brand}, self._tenants.filter("_id")]})
        return cast("BrandDocument", found) if found and found["settings"] else None

    async def create(self, brand: str, settings: BrandSettings, now: datetime) -> bool:
        """Stores a new brand, unconfirmed. Replaces one that was never confirmed. False if a brand has the id."""
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
        """Stores changed settings, unconfirmed."""
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
