"""Accounts: what is confirmed to be in the log, which is all that readers see, and what is on its way there."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from rapport.kit.mongo import in_async_transaction
from services.api.accounts.documents import AccountChanges, AccountDocument, NewestAccount
from services.api.brands.documents import UnconfirmedBrandDocument
from services.api.storage.tenants import Database, Tenants


def newest(account: AccountDocument) -> NewestAccount:
    """An account as it will be once everything stored of it is confirmed."""
    found = {
        "disconnected_at": None,
        "old_secrets_until": None,
        "staff": [],
        **account,
        **(account.get("pending") or {}),
    }
    return cast("NewestAccount", found)


class Accounts:
    """The accounts of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._accounts: AsyncCollection[AccountDocument] = database["accounts"]
        self._brands: AsyncCollection[UnconfirmedBrandDocument] = database["brands"]
        self._tenants = tenants

    async def connected(self, brand: str) -> list[AccountDocument]:
        """A brand's connected accounts by id, as confirmed."""
        query = {"$and": [{"brand": brand, "published": True, "disconnected_at": None}, self._tenants.filter()]}
        return await self._accounts.find(query).sort("_id").to_list()

    async def all_connected(self) -> list[AccountDocument]:
        """The connected accounts of these tenants, as confirmed."""
        query = {"$and": [{"published": True, "disconnected_at": None}, self._tenants.filter()]}
        return await self._accounts.find(query).sort("_id").to_list()

    async def of_brand(self, brand: str) -> list[AccountDocument]:
        """All accounts of a brand by id, connected or not, confirmed or not."""
        return await self._accounts.find({"$and": [{"brand": brand}, self._tenants.filter()]}).sort("_id").to_list()

    async def with_expiring_tokens(self) -> list[AccountDocument]:
        """The connected accounts of all tenants whose token ends, by when it does."""
        query = {"connection.token_expires_at": {"$gt": ""}, "published": True, "disconnected_at": None}
        return await self._accounts.find(query).sort("connection.token_expires_at").to_list()

    async def disconnected(self, ids: list[str], before: datetime, most: int) -> list[AccountDocument]:
        """At most so many of these accounts that were disconnected before then, and are nothing else by now."""
        query = {"_id": {"$in": ids}, "disconnected_at": {"$lt": before}, "pending": None}
        return await self._accounts.find({"$and": [query, self._tenants.filter()]}).limit(most).to_list()

    async def of_another_brand(self, brand: str, platform: str, field: str, values: list[str]) -> bool:
        """Whether another brand, of whatever tenant, has connected the same account of a platform, or is about to.

        `field` of the connection has the platform's id of the account, which is one of `values`.
        """
        one_of = {"$in": values}
        query = {
            "brand": {"$ne": brand},
            "$or": [
                {"platform": platform, "disconnected_at": None, f"connection.{field}": one_of},
                {"platform": platform, "pending.disconnected_at": None, f"pending.connection.{field}": one_of},
            ],
        }
        return await self._accounts.find_one(query, {"_id": 1}) is not None

    async def shared(self, account: str, ways: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether another account, of whatever brand, is connected, or about to be, like one of `ways`.

        Those are, by platform, conditions on fields of its connection.
        """
        kinds = [
            {
                "platform": platform,
                f"{part}disconnected_at": None,
                **{f"{part}connection.{name}": value for name, value in fields.items()},
            }
            for part in ("", "pending.")
            for platform, fields in ways.items()
        ]
        query = {"$and": [{"_id": {"$ne": account}, "$or": kinds}, self._tenants.filter()]}
        return await self._accounts.find_one(query, {"_id": 1}) is not None

    async def find(self, brand: str, id: str) -> AccountDocument | None:
        """One account as stored, connected or not, confirmed or not."""
        return await self._accounts.find_one({"$and": [{"_id": id, "brand": brand}, self._tenants.filter()]})

    async def add(self, id: str, account: AccountChanges) -> bool:
        """Stores a new account, unconfirmed. False if any account has this id."""
        stored = {"_id": id, **account, "secret_shown": False, "published": False, "pending": None, "revision": 1}

        async def write(session: AsyncClientSession) -> None:
            await self._accounts.insert_one(cast("AccountDocument", stored), session=session)
            await self._raise_revision(account["brand"], session)

        try:
            await in_async_transaction(self._database, write)
        except DuplicateKeyError:
            return False
        return True

    async def change(self, account: AccountDocument, changes: AccountChanges) -> bool:
        """Stores changes of `account` (as `find` gave it), unconfirmed. False if it has changed since."""
        revision = account.get("revision")
        its = {"$and": [{"_id": account["_id"], "revision": revision}, self._tenants.filter()]}
        changed = {"pending": {**(account.get("pending") or {}), **changes}, "revision": (revision or 0) + 1}

        async def write(session: AsyncClientSession) -> bool:
            result = await self._accounts.update_one(its, {"$set": changed}, session=session)
            if not result.matched_count:
                return False
            await self._raise_revision(account["brand"], session)
            return True

        return await in_async_transaction(self._database, write)

    async def secret_shown(self, id: str) -> None:
        """Notes that the account's secret was given out."""
        await self._accounts.update_one({"_id": id}, {"$set": {"secret_shown": True}})

    async def _raise_revision(self, brand: str, session: AsyncClientSession) -> None:
        """The brand's record in the log holds its accounts, and a revision of it has one content."""
        await self._brands.update_one({"_id": brand}, {"$inc": {"revision": 1}}, session=session)
