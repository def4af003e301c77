"""A notifier that has not read the newest brands yet takes nothing for removed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from rapport.contracts.events import Channel, Notice
from rapport.kit import mongo
from services.notifier import outbox
from services.notifier.channels import DeliveryError
from services.notifier.directory import Directory
from services.notifier.sender import Sender
from services.notifier.slots import Slots
from tests.services.notifier.conftest import World, an_alert

pytestmark = pytest.mark.stack


@pytest.fixture
def directory(world: World) -> Iterator[Directory]:
    found = Directory.caught_up(world.servers.kafka)
    try:
        yield found
    finally:
        found.close()


async def nothing(id: str, notice: Notice, channel: Channel) -> None:
    """Delivers at once."""


def sent(
    world: World,
    directory: Directory,
    brand: str,
    channel: Channel,
    send: Callable[[str, Notice, Channel], Any] = nothing,
) -> outbox.Row:
    """The row of an alert once the first attempt has ended."""
    alert = an_alert(brand)
    outbox.prepare(world.rows)
    outbox.insert(world.rows, [outbox.Told(alert, [channel])], datetime.now(UTC))

    @asynccontextmanager
    async def running(sender: Sender) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(sender.run(stop))
        try:
            yield
        finally:
            stop.set()
            sender.wake()
            await task

    async def story() -> None:
        async with mongo.async_client(world.servers.mongodb) as client:
            rows = outbox.async_deliveries(client[world.database])
            sender = Sender("webhook", send, rows, directory, lease=timedelta(minutes=1), slots=Slots(4, 4))
            async with running(sender), asyncio.timeout(30):
                while not await rows.count_documents({"alert": alert.id, "attempts": 1}):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    asyncio.run(story())
    row = world.row(alert, channel.id)
    assert row is not None
    return row


def test_a_channel_that_is_newer_than_what_was_read_is_looked_up(world: World, directory: Directory) -> None:
    channel = world.receiver.channel("hook", "/new")
    brand = world.brand(channel)  # another notifier has read it, and has put the delivery into the outbox
    assert directory.channel(brand, "hook") is None

    assert sent(world, directory, brand, channel)["status"] == "delivered"


def test_a_channel_that_is_not_there_after_all_was_removed(world: World, directory: Directory) -> None:
    brand = world.brand()

    row = sent(world, directory, brand, world.receiver.channel("hook", "/never"))
    assert (row["status"], row["last_error"]) == ("failed", "the channel was removed")


def test_without_an_answer_from_the_log_nothing_is_taken_for_removed(
    world: World, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise KafkaTimeoutError("no broker")

    monkeypatch.setattr(directory, "catch_up", away)
    channel = world.receiver.channel("hook", "/unknown")

    row = sent(world, directory, world.brand(channel), channel)
    assert (row["status"], row["last_error"]) == ("pending", "the channel could not be looked up")


def test_a_failure_for_good_at_an_address_that_was_changed_since_is_tried_again(
    world: World, directory: Directory
) -> None:
    old, new = world.receiver.channel("hook", "/old-address"), world.receiver.channel("hook", "/new-address")
    brand = world.brand(old)
    directory.catch_up()
    world.brand(new, id=brand)

    async def gone(id: str, notice: Notice, channel: Channel) -> None:
        if channel == old:
            raise DeliveryError("gone", for_good=True)

    row = sent(world, directory, brand, old, gone)
    assert (row["status"], row["last_error"]) == ("pending", "gone; the channel has been changed since")
