"""Queries about alerts and their deliveries, which are the notifier's outbox."""

from collections import defaultdict
from collections.abc import Iterable

from pymongo.asynchronous.collection import AsyncCollection

from rapport.kit.mongo import Document
from services.api.alerts.documents import AlertDocument, DeliveryDocument
from services.api.http.paging import Position
from services.api.storage.tenants import Database, Tenants

_DELIVERY_FIELDS = (
    "alert", "channel", "channel_type", "status", "attempts", "last_error", "delivered_at", "overtaken_by",
)  # fmt: skip
MOST_PER_EXCHANGE = 200


class Alerts:
    """The alerts of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._alerts: AsyncCollection[AlertDocument] = database["alerts"]
        self._deliveries: AsyncCollection[DeliveryDocument] = database["deliveries"]
        self._tenants = tenants

    async def page(
        self, step: str | None, exchange: str | None, after: Position | None, limit: int
    ) -> list[AlertDocument]:
        """Alerts, the latest first."""
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

    async def of_exchange(self, exchange: str) -> list[AlertDocument]:
        """The alerts of an exchange."""
        return await self._alerts.find({**self._tenants.filter(), "exchange": exchange}).to_list(MOST_PER_EXCHANGE)

    async def deliveries(self, alerts: Iterable[str]) -> dict[str, list[DeliveryDocument]]:
        """The deliveries of these alerts, by alert."""
        query = {**self._tenants.filter(), "alert": {"$in": list(alerts)}}
        by_alert: dict[str, list[DeliveryDocument]] = defaultdict(list)
        async for delivery in self._deliveries.find(query, projection=dict.fromkeys(_DELIVERY_FIELDS, 1)):
            by_alert[delivery["alert"]].append(delivery)
        for deliveries in by_alert.values():
            deliveries.sort(key=lambda delivery: str(delivery["channel"]))
        return by_alert
