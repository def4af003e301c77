"""A partition that nobody leads: what is written into every partition still reaches the others."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kafka import TopicPartition

from rapport.contracts.topics import CONVERSATIONS
from rapport.kit.broker import kafka
from services.ingest import heartbeat
from services.ingest.broker import Broker
from tests.faults.broker import OwnBroker
from tests.faults.worker import Worker
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]
BAD = 0
"""The first: whoever goes through the partitions in order meets it before all others."""
OTHERS = [number for number in range(CONVERSATIONS.partitions) if number != BAD]


def grows(broker: OwnBroker, partitions: list[int], by: int, what: str, deadline: float) -> None:
    """Waits until each of the partitions has so many more records."""
    with ends(broker, partitions) as end:
        before = end()
        until(lambda: all(now >= then + by for now, then in zip(end(), before, strict=True)), what, deadline)


@contextmanager
def ends(broker: OwnBroker, partitions: list[int]) -> Iterator[Callable[[], list[int]]]:
    """Asks for the ends of these partitions alone."""
    reader = kafka.consumer(broker.kafka, None, "test")
    asked = [TopicPartition(CONVERSATIONS.name, number) for number in partitions]
    try:
        yield lambda: [reader.end_offsets([each])[each] for each in asked]
    finally:
        reader.close()


def test_ticks_reach_every_other_partition_and_the_bad_one_once_it_is_back(broker: OwnBroker, start: Start) -> None:
    second = broker.second()
    try:
        broker.hand_over(CONVERSATIONS, BAD)
        worker = start()
        until(worker.ready, "the worker is ready")
        grows(broker, [BAD, *OTHERS], 2, "ticks reach all partitions", 60)
        second.end()
        # Longer than anybody waits for one answer, and than the worker takes to find out that Kafka is gone.
        for _ in range(3):
            grows(broker, OTHERS, 40, "ticks reach the others", 60)
        assert worker.exit_code() is None, "it goes on with the others"
        second.start()
        grows(broker, [BAD, *OTHERS], 10, "ticks reach all partitions again", 90)
        worker.end()
    finally:
        second.end()


@pytest.mark.anyio
async def test_heartbeats_reach_every_other_partition_and_the_bad_one_once_it_is_back(
    broker: OwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_SECONDS", 0.5)
    second = broker.second()
    log = logging.getLogger("test")
    heart = Broker(lambda: kafka.producer(broker.kafka, "test"), log)
    try:
        await asyncio.to_thread(broker.hand_over, CONVERSATIONS, BAD)
        heart.start()
        beating = asyncio.create_task(heartbeat.beat(heart, "ingest-0", lambda: (), log))
        await asyncio.to_thread(grows, broker, [BAD, *OTHERS], 2, "heartbeats reach all partitions", 60)
        await asyncio.to_thread(second.end)
        for _ in range(2):
            await asyncio.to_thread(grows, broker, OTHERS, 20, "heartbeats reach the others", 25)
        await asyncio.to_thread(second.start)
        await asyncio.to_thread(grows, broker, [BAD, *OTHERS], 4, "heartbeats reach all partitions again", 90)
        beating.cancel()
        await asyncio.to_thread(heart.close)
    finally:
        second.end()
