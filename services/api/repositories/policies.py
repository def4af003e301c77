"""The versions of brands' policies: `_id` `<brand>/<version>`, `brand`, `version`, `effective_from`, `rules`,
`calendars`, `published` (every partition of the log has it)."""

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
        found = await self.page(brand, None, 1)
        return found[0] if found else None

    async def page(self, brand: str, before: int | None, limit: int) -> list[Document]:
        """Confirmed versions, the newest first; those before version `before`, where it is given."""
        query = self._confirmed(brand)
        if before is not None:
            query["version"] = {"$lt": before}
        return await self._policies.find(query).sort("version", -1).limit(limit).to_list()

    async def in_force(self, brand: str, now: datetime) -> int | None:
        """The version that applies to what is opened at `now`; None for the default."""
        query = {**self._confirmed(brand), "effective_from": {"$lte": now}}
        found = await self._policies.find_one(query, {"version": 1}, sort=[("effective_from", -1), ("version", -1)])
        return found["version"] if found else None

    async def version(self, brand: str, version: int) -> Document | None:
        """One version, confirmed or not: the log may tell of it before its confirmation is stored."""
        return await self._policies.find_one({"$and": [{"brand": brand, "version": version}, self._tenants.filter()]})

    async def add(self, brand: str, effective_from: datetime, content: dict[str, Any]) -> int:
        """Stores the next version (`content`: its `rules` and `calendars`), unconfirmed, and gives its number."""
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
                        "effective_from": effective_from,
                        **content,
                        "published": False,
                    }
                )
            except DuplicateKeyError:
                continue  # another request took the number
            return version

    def _confirmed(self, brand: str) -> Document:
        return {"$and": [{"brand": brand}, self._tenants.filter()], "published": True}
