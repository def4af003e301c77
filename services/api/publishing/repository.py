"""The settings that the publisher has to write to the log: unconfirmed ones, and those due to be repeated.

It serves all brands, so there is no tenant filter. It sees only what MongoDB cannot take back any more: the log would
keep what a lost primary takes with it, and the same number or revision would come a second time with another content.
"""

from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection

from rapport.kit.mongo import CONFIRMED
from services.api.accounts.documents import AccountDocument
from services.api.brands.documents import UnconfirmedBrandDocument
from services.api.policies.documents import PolicyDocument
from services.api.storage.tenants import Database


def is_unsaid(document: AccountDocument | PolicyDocument) -> bool:
    """Whether something of an account or a policy version may not be in the log."""
    return not document["published"] or document.get("pending") is not None


class Outgoing:
    """Settings on their way to the log."""

    def __init__(self, database: Database) -> None:
        confirmed = database.with_options(read_concern=CONFIRMED)
        self._brands: AsyncCollection[UnconfirmedBrandDocument] = confirmed["brands"]
        self._accounts: AsyncCollection[AccountDocument] = confirmed["accounts"]
        self._policies: AsyncCollection[PolicyDocument] = confirmed["policies"]

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

    async def settle(self, brand: str) -> None:
        """Returns once all that was confirmed before is seen here. Just after a change of the primary it may not be.

        It changes nothing. MongoDB confirms that, too, once a majority has what was there.
        """
        await self._brands.update_one({"_id": brand, "revision": -1}, {"$set": {"revision": -1}})

    async def brand(self, brand: str) -> UnconfirmedBrandDocument | None:
        """A brand with all that is stored of it."""
        return await self._brands.find_one({"_id": brand})

    async def accounts(self, brand: str) -> list[AccountDocument]:
        """All accounts of a brand by id."""
        return await self._accounts.find({"brand": brand}).sort("_id").to_list()

    async def policies(self, brand: str) -> list[PolicyDocument]:
        """All versions of a brand's policy, in order."""
        return await self._policies.find({"brand": brand}).sort("version").to_list()

    async def confirm_accounts(self, accounts: list[AccountDocument]) -> None:
        """Notes that the log has these. One that was changed since stays unconfirmed."""
        for each in accounts:
            if is_unsaid(each):
                await self._accounts.update_one(
                    {"_id": each["_id"], "revision": each.get("revision")},
                    {"$set": {**(each.get("pending") or {}), "published": True, "pending": None}},
                )

    async def confirm_policies(self, ids: list[str]) -> None:
        """Notes that every partition has these."""
        await self._policies.update_many({"_id": {"$in": ids}, "published": False}, {"$set": {"published": True}})

    async def confirm_brand(self, brand: str, revision: int, now: datetime) -> bool:
        """Notes that the log has this revision of the brand. False if there is a newer one, which `brand` shows by now.

        MongoDB confirms also that there was nothing to change, once a majority has what it saw.
        """
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
