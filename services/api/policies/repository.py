"""The versions of brands' policies. Readers see those that are confirmed to be in the log."""

from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from rapport.contracts import controls
from rapport.contracts.business_hours import Calendar
from rapport.contracts.controls import PolicyVersion
from rapport.kit.mongo import Document
from services.api.policies.documents import PolicyContent, PolicyDocument
from services.api.storage.stored import read_whole
from services.api.storage.tenants import Database, Tenants


class Policies:
    """The policy versions of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._policies: AsyncCollection[PolicyDocument] = database["policies"]
        self._tenants = tenants

    async def latest(self, brand: str) -> PolicyDocument | None:
        """A brand's latest confirmed version."""
        found = await self.page(brand, None, 1)
        return found[0] if found else None

    async def page(self, brand: str, before: int | None, limit: int) -> list[PolicyDocument]:
        """Confirmed versions, the newest first; only those before version `before` if that is given."""
        query = self._confirmed(brand)
        if before is not None:
            query["version"] = {"$lt": before}
        return await self._policies.find(query).sort("version", -1).limit(limit).to_list()

    async def in_force(self, brand: str, now: datetime) -> int | None:
        """The version that applies to what is opened at `now`; None for the default."""
        query = {**self._confirmed(brand), "effective_from": {"$lte": now}}
        found = await self._policies.find_one(query, {"version": 1}, sort=[("effective_from", -1), ("version", -1)])
        return found["version"] if found else None

    async def version(self, brand: str, version: int) -> PolicyDocument | None:
        """One version, confirmed or not: the log can have it before its confirmation is stored."""
        return await self._policies.find_one({"$and": [{"brand": brand, "version": version}, self._tenants.filter()]})

    async def add(self, brand: str, effective_from: datetime, content: PolicyContent) -> int:
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


def stored(policy: PolicyDocument) -> PolicyVersion:
    """A stored version as a struct. Raises NewerError where only a later version of Rapport can read it."""
    return PolicyVersion(
        brand=policy["brand"],
        version=policy["version"],
        effective_from=policy["effective_from"],
        rules=read_whole(policy["rules"], tuple[controls.PolicyRule, ...]),
        calendars=read_whole(policy.get("calendars", {}), dict[str, Calendar]),
    )
