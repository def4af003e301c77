"""Receipts of requests that carry an `Idempotency-Key`. MongoDB removes them after a day."""

from datetime import UTC, datetime, timedelta
from typing import TypedDict

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from services.api.storage.tenants import Database

ABANDONED_AFTER = timedelta(minutes=2)
"""No request takes this long: the process that carried it out is gone."""


class RequestReceiptDocument(TypedDict):
    """`request_receipts`: a request, and its answer once there is one."""

    _id: str
    """A hash of who sent it, where, and of its `Idempotency-Key`."""
    said: str
    """A hash of what was sent."""
    at: datetime
    status: int | None
    """Null while it is being carried out."""
    headers: list[list[str]]
    """Of the answer: pairs of name and value."""
    body: bytes | None
    """Of the answer; null where it holds a secret."""


class RequestReceipts:
    """The receipts of all requests."""

    def __init__(self, database: Database) -> None:
        self._receipts: AsyncCollection[RequestReceiptDocument] = database["request_receipts"]

    async def take(self, name: str, said: str) -> RequestReceiptDocument | None:
        """None if the caller has to carry the request out; otherwise the receipt of the one that was sent before."""
        now = datetime.now(UTC)
        fresh: RequestReceiptDocument = {
            "_id": name,
            "said": said,
            "at": now,
            "status": None,
            "headers": [],
            "body": None,
        }
        try:
            await self._receipts.insert_one(fresh)
        except DuplicateKeyError:
            query = {"_id": name, "status": None, "at": {"$lt": now - ABANDONED_AFTER}}
            if await self._receipts.find_one_and_update(query, {"$set": fresh}) is None:
                return await self._receipts.find_one({"_id": name})
        return None

    async def done(self, name: str, status: int, headers: list[list[str]], body: bytes | None) -> None:
        """Notes the answer."""
        await self._receipts.update_one({"_id": name}, {"$set": {"status": status, "headers": headers, "body": body}})

    async def drop(self, name: str) -> None:
        """Nothing was carried out, so the request may be sent again."""
        await self._receipts.delete_one({"_id": name})
