"""The versions of brands' policies: `_id` `<brand>/<version>`, `brand`, `version`, `effective_from`, `rules`,
`published` (every partition of the log has it)."""

from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants


class Policies:
    """The policy versions of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._policies = database["policies"]
        self._tenants = tenants

    async def latest(self, brand: str) -> Document | None:
        """A brand's latest confirmed version."""
        query = {"$and": [{"brand": brand, "published": True}, self._tenants.filter()]}
        return await self._policies.find_one(query, sort=[("version", -1)])

    async def version(self, brand: str, version: int) -> Document | None:
        """One version, confirmed or not: the log may tell of it before its confirmation is stored."""
        return await self._policies.find_one({"$and": [{"brand": brand, "version": version}, self._tenants.filter()]})

    async def add(self, brand: str, rules: list[dict[str, Any]], now: datetime) -> int:
        """Stores the next version, unconfirmed, and gives its number."""
        while True:
            query = {"$and": [{"brand": brand}, self._tenants.filter()]}
            last = await self._policies.find_one(query, sort=[("version", -1)], projection={"version": 1})
            version = last["version"] + 1 if last else 1
            try:
                await self._policies.insert_one(
                    {
                        "_id": f"{brand}/{version}",
                        "brand": brand,
                        "version": version,
                        "effective_from": now,
                        "rules": rules,
                        "published": False,
                    }
                )
            except DuplicateKeyError:
                continue  # another request took the number
            return version
