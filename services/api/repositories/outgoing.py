"""What of the settings is not confirmed to be in the log, or was written there so long ago that it is due again.

This is the publisher's side; it is for all brands, so there is no tenant filter here.
"""

from datetime import datetime

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document


def is_unsaid(document: Document) -> bool:
    """Whether something of an account or a policy version may not be in the log."""
    return not document["published"] or document.get("pending") is not None


class Outgoing:
    """Settings on their way into the log."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._brands = database["brands"]
        self._accounts = database["accounts"]
        self._policies = database["policies"]

    async def due(self, before: datetime) -> list[str]:
        """Brands with something unconfirmed, or last written before `before`."""
        found = await self._brands.distinct(
            "_id",
            {
                "_id": {"$gt": ""},
                "$or": [
                    {"$expr": {"$ne": ["$revision", "$published_revision"]}},
                    {"published_at": {"$lt": before}},
                ],
            },
        )
        unconfirmed = {"brand": {"$gt": ""}, "$or": [{"published": False}, {"pending": {"$ne": None}}]}
        return sorted(
            {
                *found,
                *await self._accounts.distinct("brand", unconfirmed),
                *await self._policies.distinct("brand", unconfirmed),
            }
        )

    async def brand(self, brand: str) -> Document | None:
        """A brand with all that is stored of it."""
        return await self._brands.find_one({"_id": brand})

    async def accounts(self, brand: str) -> list[Document]:
        """All accounts of a brand by id."""
        return await self._accounts.find({"brand": brand}).sort("_id").to_list()

    async def policies(self, brand: str) -> list[Document]:
        """All versions of a brand's policy, in order."""
        return await self._policies.find({"brand": brand}).sort("version").to_list()

    async def confirm_accounts(self, accounts: list[Document]) -> None:
        """Every partition, and the brand's record, has these; one that was changed since has to follow."""
        for each in accounts:
            if is_unsaid(each):
                await self._accounts.update_one(
                    {"_id": each["_id"], "revision": each.get("revision")},
                    {"$set": {**(each.get("pending") or {}), "published": True, "pending": None}},
                )

    async def confirm_policies(self, ids: list[str]) -> None:
        """Every partition has these."""
        await self._policies.update_many({"_id": {"$in": ids}, "published": False}, {"$set": {"published": True}})

    async def confirm_brand(self, brand: str, revision: int, now: datetime) -> bool:
        """The log has this revision of the brand. False where there is a newer one by now, which has to follow."""
        result = await self._brands.update_one(
            {"_id": brand, "revision": revision},
            [
                {
                    "$set": {
                        "settings": {"$ifNull": ["$pending", "$settings"]},
                        "pending": None,
                        "published_revision": revision,
                        "published_at": now,
                    }
                }
            ],
        )
        return result.matched_count == 1
