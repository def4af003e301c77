"""Keys: `_id` (the key's id), `hash` (SHA-256 of the whole key), `name`, `brands` (null for all), `scopes`,
`created_at`, `expires_at`, `revoked_at`. The key itself is stored nowhere."""

from datetime import datetime

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants


class Keys:
    """All keys; `visible` and `revoke` are for some tenants."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._keys = database["keys"]

    async def find(self, id: str) -> Document | None:
        """A key that is not revoked."""
        found = await self._keys.find_one({"_id": id})
        return found if found and found["revoked_at"] is None else None

    async def add(self, key: Document) -> None:
        """Stores a new key."""
        await self._keys.insert_one({**key, "revoked_at": None})

    async def visible(self, tenants: Tenants) -> list[Document]:
        """Keys that are not revoked and reach no further than `tenants`, by id."""
        query = {"_id": {"$gt": ""}, "revoked_at": None, **self._within(tenants)}
        return await self._keys.find(query, projection={"hash": 0}).sort("_id").to_list()

    async def revoke(self, id: str, tenants: Tenants, now: datetime) -> bool:
        """Ends a key that reaches no further than `tenants`. False where there is none."""
        query = {"_id": id, "revoked_at": None, **self._within(tenants)}
        return (await self._keys.update_one(query, {"$set": {"revoked_at": now}})).modified_count == 1

    @staticmethod
    def _within(tenants: Tenants) -> Document:
        if tenants.brands is None:
            return {}
        # An array none of whose elements lies outside; a key for all brands has null there.
        return {"brands": {"$type": "array", "$not": {"$elemMatch": {"$nin": list(tenants.brands)}}}}
