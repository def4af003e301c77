"""Settings reach the log whatever fails between MongoDB and Kafka, and nobody sees them before."""

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from kafka.errors import KafkaConnectionError
from pymongo.database import Database

from rapport.contracts.topics import CONVERSATIONS
from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.publishing import broker
from services.api.publishing.broker import Broker
from services.api.publishing.repository import Outgoing
from services.api.publishing.service import Publisher
from tests.services.api.conftest import Served, own_brand, serve, settings_for
from tests.services.api.log import everything, newest

pytestmark = pytest.mark.stack

NOBODY = "127.0.0.1:9"


@pytest.fixture
def cut_off(stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """An API that has its database and no broker, and notices that sooner than it would."""
    monkeypatch.setattr(broker, "ACKNOWLEDGED_WITHIN_SECONDS", 0.5)
    yield from serve(settings_for(NOBODY, stack.mongodb, views.name), ready=False)


def publish_all(stack: Running, database: str) -> list[str]:
    """What the publisher of another process would do next; gives the brands that it found due."""

    async def run() -> list[str]:
        client = mongo.async_client(stack.mongodb)
        log = Broker(lambda: kafka.producer(stack.kafka, "test"))
        await log.connect()
        due = await Outgoing(client[database]).due(datetime.now(UTC) - timedelta(days=1))
        for brand in due:
            await Publisher(client[database], log).publish(brand, repeat=True)
        log.close()
        await client.close()
        return due

    # That process is not cut off, and may be as slow as this machine is.
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(broker, "ACKNOWLEDGED_WITHIN_SECONDS", 60.0)
        return asyncio.run(run())


def test_without_a_broker_a_change_answers_503_and_is_seen_by_nobody_until_it_is_in_the_log(
    cut_off: Served, stack: Running, views: Database[Document]
) -> None:
    brand = own_brand()
    new = {"id": brand, "name": "Aurora"}
    assert httpx.get(f"{cut_off.internal_url}/readyz").status_code == 503
    answer = cut_off.client.post("/v1/brands", json=new)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert cut_off.client.get("/v1/brands").json()["items"] == []
    assert cut_off.client.get(f"/v1/brands/{brand}/policy").status_code == 404

    assert publish_all(stack, views.name) == [brand]
    assert [each["id"] for each in cut_off.client.get("/v1/brands").json()["items"]] == [brand]
    assert publish_all(stack, views.name) == []

    assert cut_off.client.put(f"/v1/brands/{brand}/policy", json={"rules": []}).status_code == 503
    assert cut_off.client.get(f"/v1/brands/{brand}/policy").json()["version"] == 0
    account = {"id": f"a-{brand}", "platform": "bluesky", "handle": "a"}
    assert cut_off.client.post(f"/v1/brands/{brand}/accounts", json=account).status_code == 503
    assert cut_off.client.get(f"/v1/brands/{brand}/accounts").json()["items"] == []
    mail = {"channels": [{"type": "mail", "id": "team", "to": "a@b.c"}]}
    assert cut_off.client.put(f"/v1/brands/{brand}/channels", json=mail).status_code == 503
    assert cut_off.client.get(f"/v1/brands/{brand}/channels").json()["channels"] == []

    assert publish_all(stack, views.name) == [brand]
    assert cut_off.client.get(f"/v1/brands/{brand}/policy").json()["version"] == 1
    assert len(cut_off.client.get(f"/v1/brands/{brand}/accounts").json()["items"]) == 1
    assert len(cut_off.client.get(f"/v1/brands/{brand}/channels").json()["channels"]) == 1
    assert len(newest(stack.kafka, brand).accounts) == 1


def test_an_account_whose_secret_nobody_was_shown_can_be_asked_for_again(
    cut_off: Served, stack: Running, views: Database[Document]
) -> None:
    brand = own_brand()
    account = {"id": f"a-{brand}", "platform": "bluesky", "handle": "a"}
    running = serve(settings_for(stack.kafka, stack.mongodb, views.name), ready=True)
    connected = next(running)
    connected.brand(brand)
    assert cut_off.client.post(f"/v1/brands/{brand}/accounts", json=account).status_code == 503
    again = connected.client.post(f"/v1/brands/{brand}/accounts", json=account)
    assert again.status_code == 201
    stored = views["accounts"].find_one({"_id": account["id"]})
    assert stored is not None
    assert again.json()["door_secret"] == stored["door_secrets"][0]
    assert connected.client.post(f"/v1/brands/{brand}/accounts", json=account).status_code == 409
    with contextlib.suppress(StopIteration):
        next(running)


def test_settings_are_repeated_after_a_day_so_that_retention_never_drops_them(
    api: Served, stack: Running, views: Database[Document]
) -> None:
    brand = own_brand()
    api.brand(brand)
    api.client.put(f"/v1/brands/{brand}/policy", json={"rules": []})

    def written() -> int:
        found = [each for each in everything(stack.kafka, CONVERSATIONS) if f'["{brand}",'.encode() in each.key]
        return len(found)

    assert written() == CONVERSATIONS.partitions
    views["brands"].update_one({"_id": brand}, {"$set": {"published_at": datetime.now(UTC) - timedelta(days=2)}})
    assert publish_all(stack, views.name) == [brand]
    assert written() == 2 * CONVERSATIONS.partitions


def test_changes_at_the_same_time_leave_the_whole_brand_in_the_log(
    api: Served, stack: Running, views: Database[Document]
) -> None:
    brand = own_brand()
    api.brand(brand)

    def connect(number: int) -> int:
        account = {"id": f"{brand}-{number}", "platform": "bluesky", "handle": "a"}
        return api.client.post(f"/v1/brands/{brand}/accounts", json=account).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(connect, range(8))) == {201}
    assert len(newest(stack.kafka, brand).accounts) == 8


def test_without_a_broker_no_producer_is_left_behind() -> None:
    def nobody() -> None:
        raise KafkaConnectionError("nobody")

    log = Broker(nobody)
    with pytest.raises(NotAcknowledgedError, match="nobody"):
        asyncio.run(log.connect())
    log.close()
