"""Accounts, as stored: what is confirmed to be in the log, and what waits for that.

`_id`, `brand`, `platform`, `handle`, `connection`, `staff`, `door_secrets` (the newest first), `secret_shown`,
`old_secrets_until` (until when others than the newest are taken; null: there are none), `connected_at`,
`disconnected_at` (null while it is connected), `connections` and `disconnections` (all of these times), `published`
(whether the log ever had it), `pending` (newer values of some of these, not confirmed yet; or null), `revision` (of the
last change), `further` (may be missing: fields of the account's record that came later, passed on as they are). Readers
see what is confirmed only.
"""

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants


def newest(account: Document) -> Document:
    """An account as it will be once everything stored of it is confirmed."""
    return {
        "disconnected_at": None,
        "old_secrets_until": None,
        "staff": [],
        **account,
        **(account.get("pending") or {}),
    }


class Accounts:
    """The accounts of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._accounts = database["accounts"]
        self._brands = database["brands"]
        self._tenants = tenants

    async def connected(self, brand: str) -> list[Document]:
        """A brand's connected accounts by id, as confirmed."""
        query = {"$and": [{"brand": brand, "published": True, "disconnected_at": None}, self._tenants.filter()]}
        return await self._accounts.find(query).sort("_id").to_list()

    async def find(self, brand: str, id: str) -> Document | None:
        """One account as stored, connected or not, confirmed or not."""
        return await self._accounts.find_one({"$and": [{"_id": id, "brand": brand}, self._tenants.filter()]})

    async def add(self, account: Document) -> bool:
        """Stores a new account, unconfirmed. False where one of any brand has its id."""
        try:
            await self._accounts.insert_one(
                {**account, "secret_shown": False, "published": False, "pending": None, "revision": 1}
            )
        except DuplicateKeyError:
            return False
        await self._note(account["brand"])
        return True

    async def change(self, account: Document, changes: Document) -> bool:
        """Stores changes of `account` (as `find` gave it), unconfirmed. False where it was changed since."""
        revision = account.get("revision")
        result = await self._accounts.update_one(
            {"$and": [{"_id": account["_id"], "revision": revision}, self._tenants.filter()]},
            {"$set": {"pending": {**(account.get("pending") or {}), **changes}, "revision": (revision or 0) + 1}},
        )
        if not result.matched_count:
            return False
        await self._note(account["brand"])
        return True

    async def secret_shown(self, id: str) -> None:
        """Notes that the account's secret was given out."""
        await self._accounts.update_one({"_id": id}, {"$set": {"secret_shown": True}})

    async def _note(self, brand: str) -> None:
        """The brand's record holds its accounts, so it has to be written anew."""
        await self._brands.update_one({"_id": brand}, {"$inc": {"revision": 1}})
