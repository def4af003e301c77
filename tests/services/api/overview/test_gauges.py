"""The metrics by brand: the most urgent ones, and none of a brand that is gone."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from pymongo.database import Database

from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.exchanges.documents import exchange_document
from services.api.overview import gauges
from tests.services.api import samples

pytestmark = pytest.mark.stack

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def shown(name: str) -> dict[str, float]:
    """The values of a metric by brand."""
    (metric,) = (each for each in REGISTRY.collect() if each.name == name)
    return {sample.labels["brand"]: sample.value for sample in metric.samples}


def test_the_most_urgent_brands_are_shown_and_none_that_is_gone(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "MOST_BRANDS", 2)
    for gauge in (gauges.OPEN, gauges.OVERDUE, gauges.MET):
        gauge.clear()  # an API that another test served in this process
    views["brands"].insert_many([{"_id": name, "settings": {"name": name}} for name in ("calm", "late", "open")])
    for brand, hours in (("late", 30), ("late", 2), ("open", 2)):
        snapshot = samples.exchange(f"{brand}-{hours}", brand, NOW - timedelta(hours=hours))
        views["exchanges"].insert_one(dict(exchange_document(snapshot, 1)))

    async def story() -> None:
        async with mongo.async_client(stack.mongodb) as client:
            before = await gauges.measure(client[views.name], NOW, set())
            assert shown("rapport_open_exchanges") == {"late": 2, "open": 1}
            assert shown("rapport_overdue_exchanges") == {"late": 1, "open": 0}
            assert shown("rapport_met_ratio") == {"late": 0, "open": 1}
            assert REGISTRY.get_sample_value("rapport_brands") == 3
            views["brands"].delete_one({"_id": "late"})
            await gauges.measure(client[views.name], NOW, before)
            assert shown("rapport_open_exchanges") == {"open": 1, "calm": 0}
            assert REGISTRY.get_sample_value("rapport_brands") == 2

    asyncio.run(story())
