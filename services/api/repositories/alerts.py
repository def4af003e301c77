"""Alerts, and the deliveries of each (the notifier's outbox)."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants

_DELIVERY_FIELDS = (
    "alert", "channel", "channel_type", "status", "attempts", "last_error", "delivered_at", "overtaken_by",
)  # fmt: skip
MOST_PER_EXCHANGE = 200


class Alerts:
    """The alerts of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._alerts = database["alerts"]
        self._deliveries = database["deliveries"]
        self._tenants = tenants

    async def page(
        self, step: str | None, exchange: str | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[Document]:
        """The latest first. `after` is the last one's `created_at` and `_id`."""
        query: Document = self._tenants.filter()
        if step is not None:
            query["step"] = step
        if exchange is not None:
            query["exchange"] = exchange
        if after is not None:
            at, last_id = after
            query["created_at"] = {"$lte": at}
            query["$or"] = [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$lt": last_id}}]
        return await self._alerts.find(query).sort([("created_at", -1), ("_id", -1)]).limit(limit).to_list()

    async def of_exchange(self, exchange: str) -> list[Document]:
        """All of one exchange."""
        return await self._alerts.find({**self._tenants.filter(), "exchange": exchange}).to_list(MOST_PER_EXCHANGE)

    async def deliveries(self, alerts: Iterable[str]) -> dict[str, list[Document]]:
        """The deliveries of each of these alerts, by alert."""
        query = {**self._tenants.filter(), "alert": {"$in": list(alerts)}}
        found: dict[str, list[Document]] = defaultdict(list)
        async for each in self._deliveries.find(query, projection=dict.fromkeys(_DELIVERY_FIELDS, 1)):
            found[each["alert"]].append(each)
        for deliveries in found.values():
            deliveries.sort(key=lambda each: str(each["channel"]))
        return found
