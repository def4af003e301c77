"""Queries about connecting accounts, and about their tokens."""

import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from rapport.kit.clock import BOGUS
from services.api.connecting.documents import (
    AccountTokenDocument,
    AttemptDocument,
    PushDocument,
    RenewalLeaseDocument,
)
from services.api.storage.tenants import Database, Tenants

LEASE = timedelta(seconds=60)
"""How long others wait for a process that died while it renewed tokens."""
ASKING = timedelta(seconds=90)
"""A renewal takes no longer, with the 20 s of the vendor and 45 s of storing: what was begun before that has ended."""


class Attempts:
    """Attempts to connect accounts of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._attempts: AsyncCollection[AttemptDocument] = database["connection_attempts"]
        self._tenants = tenants

    async def add(self, attempt: AttemptDocument) -> None:
        """Stores a new one."""
        await self._attempts.insert_one(attempt)

    async def find(self, brand: str, id: str, now: datetime) -> AttemptDocument | None:
        """One that is not over yet."""
        query = {"$and": [{"_id": id, "brand": brand, "until": {"$gt": now}}, self._tenants.filter()]}
        return await self._attempts.find_one(query)

    async def change(self, id: str, steps: tuple[str, ...], changes: dict[str, Any]) -> bool:
        """Changes one that is at one of these steps. False if it is not."""
        query = {"$and": [{"_id": id, "step": {"$in": list(steps)}}, self._tenants.filter()]}
        return (await self._attempts.update_one(query, {"$set": changes})).matched_count == 1

    async def left(self, id: str, steps: tuple[str, ...], changes: dict[str, Any]) -> bool:
        """The same for somebody who goes to the vendor once more."""
        query = {"$and": [{"_id": id, "step": {"$in": list(steps)}}, self._tenants.filter()]}
        result = await self._attempts.update_one(query, {"$set": {**changes, "step": "left"}, "$inc": {"times": 1}})
        return result.matched_count == 1

    async def take(self, vendor: str, state: str, session: str, now: datetime) -> AttemptDocument | None:
        """Uses up a state, if this session brought it in time. None for any other: theirs stays what it is."""
        query = {
            "state": state,
            "session": session,
            "vendor": vendor,
            "step": "left",
            "state_until": {"$gt": now},
            **self._tenants.filter(),
        }
        return await self._attempts.find_one_and_update(
            query, {"$set": {"step": "returned", "state": None}}, return_document=ReturnDocument.BEFORE
        )


class Tokens:
    """What is known of accounts' tokens. They are read for all tenants, by the accounts' ids."""

    def __init__(self, database: Database) -> None:
        self._tokens: AsyncCollection[AccountTokenDocument] = database["account_tokens"]

    async def of(self, accounts: list[str]) -> dict[str, AccountTokenDocument]:
        """Those of some accounts."""
        found = await self._tokens.find({"_id": {"$in": accounts}}).to_list()
        return {each["_id"]: each for each in found}

    async def names(self) -> list[str]:
        """The accounts of which something is known."""
        return [each["_id"] async for each in self._tokens.find({}, {"_id": 1}).sort("_id")]

    async def replace(self, token: AccountTokenDocument) -> None:
        """A new token, from a consent."""
        await self._tokens.replace_one({"_id": token["_id"]}, token, upsert=True)

    async def pushed(self, account: str, push: PushDocument | None) -> None:
        """Notes what came of subscribing an account."""
        await self._tokens.update_one({"_id": account}, {"$set": {"push": push}})

    async def adopt(self, token: AccountTokenDocument, known: AccountTokenDocument | None) -> None:
        """What is known of a token that somebody entered. Left out where a consent has told more since `known`."""
        if known is None:
            with suppress(DuplicateKeyError):
                await self._tokens.insert_one(token)
            return
        await self._tokens.replace_one({"_id": token["_id"], "token": known["token"]}, token)

    async def ending(self, until: datetime, most: int) -> list[AccountTokenDocument]:
        """At most so many that end before `until`, or have ended; the first to end first."""
        return await self._tokens.find({"ends_at": {"$lte": until}}).sort("ends_at").limit(most).to_list()

    async def forget(self, token: AccountTokenDocument) -> None:
        """Removes what is known of an account's token. Left out where the account was connected again since."""
        await self._tokens.delete_one({"_id": token["_id"], "obtained_at": token["obtained_at"]})

    async def ask(self, account: str, number: int, now: datetime) -> bool:
        """Notes that a renewal begins, under a lease. False if it is under way, or the lease is not the newest."""
        query = {
            "_id": account,
            "number": {"$lte": number},
            "$or": [
                {"asked_at": None},
                {"asked_at": {"$lt": now - ASKING}},
                {"asked_at": {"$gt": now + BOGUS}},
            ],
        }
        result = await self._tokens.update_one(query, {"$set": {"asked_at": now, "number": number}})
        return result.matched_count == 1

    async def note(self, account: str, number: int, changes: dict[str, Any]) -> bool:
        """Notes how a renewal ended. False if a newer lease has taken over."""
        query = {"_id": account, "number": {"$lte": number}}
        result = await self._tokens.update_one(query, {"$set": {**changes, "asked_at": None, "number": number}})
        return result.matched_count == 1


class RenewalLease:
    """Lets one process renew tokens. Each new holder gets a higher number."""

    def __init__(self, database: Database) -> None:
        self._leases: AsyncCollection[RenewalLeaseDocument] = database["leases"]
        self._holder = secrets.token_hex(8)

    async def take(self, now: datetime) -> int | None:
        """The number of the lease, taken or held on to; None while another process has it."""
        mine = {"_id": "tokens", "holder": self._holder, "until": {"$gte": now}}
        held = await self._leases.find_one_and_update(mine, {"$set": {"until": now + LEASE}})
        if held is not None:
            return held["number"]
        try:
            taken = await self._leases.find_one_and_update(
                {"_id": "tokens", "$or": [{"until": {"$lt": now}}, {"until": {"$gt": now + BOGUS}}]},
                {"$set": {"holder": self._holder, "until": now + LEASE}, "$inc": {"number": 1}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return None
        return taken["number"] if taken is not None else None

    async def release(self) -> None:
        """Ends it, for the next one. The number stays."""
        await self._leases.update_one(
            {"_id": "tokens", "holder": self._holder}, [{"$set": {"until": {"$subtract": ["$until", 86_400_000]}}}]
        )
