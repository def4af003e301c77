"""Keys."""

from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection

from rapport.kit.mongo import Document
from services.api.keys.documents import KeyDocument
from services.api.storage.tenants import Database, Tenants


class Keys:
    """All keys. `visible` and `revoke` are limited to some tenants."""

    def __init__(self, database: Database) -> None:
        self._keys: AsyncCollection[KeyDocument] = database["keys"]

    async def find(self, id: str) -> KeyDocument | None:
        """A key that is not revoked."""
        found = await self._keys.find_one({"_id": id})
        return found if found and found["revoked_at"] is None else None

    async def add(self, key: KeyDocument) -> None:
        """Stores a new key."""
        await self._keys.insert_one(key)

    async def visible(self, tenants: Tenants) -> list[KeyDocument]:
        """Keys that are not revoked and cover at most `tenants`, by id."""
        query = {"_id": {"$gt": ""}, "revoked_at": None, **self._within(tenants)}
        return await self._keys.find(query, projection={"hash": 0}).sort("_id").to_list()

    async def ending(self, now: datetime, until: datetime, most: int) -> list[KeyDocument]:
        """At most so many keys that expire between `now` and `until`, the first to expire first."""
        query = {"_id": {"$gt": ""}, "revoked_at": None, "expires_at": {"$gt": now, "$lte": until}}
        return await self._keys.find(query, projection={"hash": 0}).sort("expires_at").limit(most).to_list()

    async def revoke(self, id: str, tenants: Tenants, now: datetime) -> bool:
        """Revokes a key that covers at most `tenants`. False if there is none."""
        query = {"_id": id, "revoked_at": None, **self._within(tenants)}
        return (await self._keys.update_one(query, {"$set": {"revoked_at": now}})).modified_count == 1

    @staticmethod
    def _within(tenants: Tenants) -> Document:
        if tenants.brands is None:
            return {}
        # An array without other brands. A key for all brands has null.
        return {"brands": {"$type": "array", "$not": {"$elemMatch": {"$nin": list(tenants.brands)}}}}
