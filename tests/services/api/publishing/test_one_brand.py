"""A brand that cannot be published holds up no other, nor the publishing itself."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.publishing.broker import Broker
from services.api.publishing.service import Publisher
from tests.services.api.conftest import Served, own_brand
from tests.services.api.log import newest

pytestmark = pytest.mark.stack


def renamed(views: Database[Document], *brands: str) -> None:
    """A change of each that its own request could not publish."""
    for brand in brands:
        stored: Any = views["brands"].find_one({"_id": brand})
        changed = {"pending": {**stored["settings"], "name": "Renamed"}}
        views["brands"].update_one({"_id": brand}, {"$inc": {"revision": 1}, "$set": changed})


def publishes(stack: Running, views: Database[Document], rounds: int) -> list[type[Exception]]:
    """What the publisher of another process raises in some rounds."""

    async def run() -> list[type[Exception]]:
        raised: list[type[Exception]] = []
        async with mongo.async_client(stack.mongodb) as client:
            log = Broker(lambda: kafka.producer(stack.kafka, "test"))
            await log.connect()
            publisher = Publisher(client[views.name], log)
            for _ in range(rounds):
                try:
                    await publisher.publish_due(datetime(2020, 1, 1, tzinfo=UTC))
                except NotAcknowledgedError as error:
                    raised.append(type(error))
            log.close()
        return raised

    return asyncio.run(run())


def _too_large(views: Database[Document], brand: str) -> None:
    staff = [f"{number:0250d}" for number in range(200)]
    for number in range(24):
        account: Any = views["accounts"].find_one({"_id": f"{brand}-a"})
        views["accounts"].insert_one({**account, "_id": f"{brand}-{number}", "staff": staff})


def _broken(views: Database[Document], brand: str) -> None:
    views["accounts"].update_one({"_id": f"{brand}-a"}, {"$unset": {"door_secrets": ""}})


@pytest.mark.parametrize("spoil", [_too_large, _broken])
def test_those_behind_it_are_published(
    api: Served, stack: Running, views: Database[Document], spoil: Callable[[Database[Document], str], None]
) -> None:
    first, second, third = sorted(own_brand() for _ in range(3))
    for each in (first, second, third):
        api.brand(each)
    for each in (first, second):
        new = {"id": f"{each}-a", "platform": "bluesky", "handle": "a"}
        assert api.client.post(f"/v1/brands/{each}/accounts", json=new).status_code == 201
        spoil(views, each)
    renamed(views, first, second, third)
    raised = publishes(stack, views, 2)
    assert newest(stack.kafka, third).name == "Renamed"
    assert raised == ([NotAcknowledgedError] * 2 if spoil is _too_large else [])


def test_those_that_failed_only_while_the_log_was_away_come_before_those_that_always_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publisher = Publisher.__new__(Publisher)
    publisher._failing = {}
    broken, tried = {"a", "b", "c", "d"}, []

    class Due:
        async def due(self, _: datetime) -> list[str]:
            return ["a", "b", "c", "d"]

    async def publish(brand: str, *, repeat: bool) -> None:
        assert repeat
        tried.append(brand)
        if brand in broken:
            raise NotAcknowledgedError("nobody answers")

    publisher._outgoing = Due()  # type: ignore[assignment]
    monkeypatch.setattr(publisher, "publish", publish)

    async def rounds(many: int) -> None:
        for _ in range(many):
            with contextlib.suppress(NotAcknowledgedError):
                await publisher.publish_due(datetime(2020, 1, 1, tzinfo=UTC))

    asyncio.run(rounds(3))
    broken.difference_update("cd")
    tried.clear()
    asyncio.run(rounds(2))
    assert {"c", "d"} <= set(tried)
