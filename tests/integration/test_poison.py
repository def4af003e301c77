"""Records that nobody can process lie in the dead letters of every process that reads them, and the next is processed.

Null keys, values and headers, and records as large as the log takes: with the reason they would no longer fit.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from kafka import TopicPartition

from rapport.contracts.topics import CATALOGUE, Topic
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.dead_letters import PLACE, REASON, put
from rapport.kit.broker.kafka_login import login
from rapport.kit.broker.producer import Producer
from rapport.local.ports import usual_or_free
from rapport.local.servers.stack import Running
from tests.faults.broker import OwnBroker
from tests.services.scorer.worker import Scorer
from tests.waiting import until

pytestmark = pytest.mark.stack

MOST = 1_048_400
Poison = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]

DEAD = [topic for topic in CATALOGUE if topic.name.endswith(".dlt")]


def source_of(dead: Topic) -> Topic:
    return next(topic for topic in CATALOGUE if dead.name.startswith(f"{topic.name}.") and topic is not dead)


def poison(topic: Topic) -> list[Poison]:
    told: list[tuple[str, bytes | None]] = [("ce_type", topic.types[0].encode())]
    return [
        (None, None, []),
        (None, None, told),
        (b"key", None, told),
        (None, b"{}", told),
        (b"key", b"{}", [("ce_type", None), ("x", None)]),
        (b"key", b"{}", [*told, ("x", None)]),
        (b"key", b"x" * MOST, told),
        (b"k" * MOST, None, told),
        (b"key", None, [*told, ("x", b"h" * MOST)]),
        (b"key", b"\xff", [("ce_type", b"\xff")]),
        # A number that MongoDB cannot hold, where that can be read.
        (b"key", _huge(topic), told),
    ]


def _huge(topic: Topic) -> bytes:
    when = "2026-11-20T12:00:00Z"
    if topic.types[0] != "rapport.alert.v1":
        return b"{}"
    return (
        '{"id":"a","brand":"b","platform":"p","account":"c","exchange":"e","step":"breach","follower":{"id":"f"},'
        f'"first":{{"id":"c"}},"comments":{10**30},"opened_at":"{when}","due_at":"{when}","created_at":"{when}"}}'
    ).encode()


async def produce(bootstrap: str, topic: Topic) -> list[str]:
    """Writes the poison of a topic as no client of ours could, and gives where each lies."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=2 * MOST, **login())
    await producer.start()
    places: list[str] = []
    try:
        for key, value, headers in poison(topic):
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=headers)
            sent = await (await producer.send_batch(batch, topic.name, partition=0))
            places.append(f"{topic.name}:0:{sent.offset}")
    finally:
        await producer.stop()
    return places


def letters(bootstrap: str, topic: Topic) -> dict[str, Any]:
    """What lies in a dead-letter topic, by where it was."""
    consumer = kafka.consumer(bootstrap, None, "test")
    found: dict[str, Any] = {}
    try:
        partition = TopicPartition(topic.name, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        while (consumer.position(partition) or 0) < end:
            for record in consumer.poll(500).get(partition, []):
                found[dict(record.headers).get(PLACE, b"").decode()] = record
    finally:
        consumer.close()
    return found


@contextlib.contextmanager
def process(module: str, broker: str, mongodb: str, database: str) -> Iterator[None]:
    """A process of an installation, which must live to the end."""
    environment = {
        **os.environ,
        "RAPPORT_PORT": str(usual_or_free(0)),
        "RAPPORT_KAFKA": broker,
        "RAPPORT_MONGODB": mongodb,
        "RAPPORT_DATABASE": database,
    }
    code = f"from {module} import run; run()"
    running = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        yield
        assert running.poll() is None, f"{module} has ended"
    finally:
        running.terminate()
        running.wait(60)


@contextlib.contextmanager
def scorer(broker: str, folder: Path) -> Iterator[None]:
    worker = Scorer(broker, folder)
    try:
        yield
        assert worker.process is not None
        assert worker.process.poll() is None, "the scorer has ended"
    finally:
        worker.stop()


Start = Callable[[str, str, str, Path], contextlib.AbstractContextManager[None]]
WRITERS: dict[str, Start] = {
    "notifier": lambda broker, mongodb, database, _: process("services.notifier.app", broker, mongodb, database),
    "projector": lambda broker, mongodb, database, _: process(
        "services.api.projector.process", broker, mongodb, database
    ),
    "scorer": lambda broker, _mongodb, _database, folder: scorer(broker, folder),
}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[str]:
    """A broker of the test's own: nobody else is to meet what is put there."""
    broker = OwnBroker(tmp_path / "broker")
    try:
        yield broker.kafka
    finally:
        broker.end()


def test_every_process_that_writes_dead_letters_is_here() -> None:
    assert {writer for topic in DEAD for writer in topic.writers} == set(WRITERS)


@pytest.mark.parametrize("writer", WRITERS)
def test_poison_lies_in_the_dead_letters_and_the_process_goes_on(
    own: str, stack: Running, database: str, tmp_path: Path, writer: str
) -> None:
    dead = [topic for topic in DEAD if topic.writers == (writer,)]
    places = {topic.name: asyncio.run(produce(own, source_of(topic))) for topic in dead}
    with WRITERS[writer](own, stack.mongodb, database, tmp_path):
        for topic in dead:
            until(
                lambda topic=topic: set(places[topic.name]) <= set(letters(own, topic)),  # type: ignore[misc]
                f"all poison of {source_of(topic).name} is in {topic.name}",
            )
    for topic in dead:
        found = letters(own, topic)
        for place, (key, value, headers) in zip(places[topic.name], poison(source_of(topic)), strict=True):
            written = found[place]
            assert dict(written.headers)[REASON]
            if max(len(key or b""), len(value or b""), *(len(content or b"") for _, content in headers), 0) < MOST:
                assert (written.key, written.value) == (key or b"", value)
                assert [each for each, _ in written.headers[: len(headers)]] == [each for each, _ in headers]


def test_a_topic_that_takes_less_than_usual_gets_the_reason_and_the_place(stack: Running) -> None:
    small = Topic(f"small-{uuid4().hex}", ("key",), (), (), config={"max.message.bytes": "5000"}, fixed=1)
    kafka_topics.create_topics(stack.kafka, 1, [small])
    producer = Producer(lambda: kafka.producer(stack.kafka, "test"))
    came = [Came(b"k", b"v" * size, offset=number) for number, size in enumerate((10, 100_000, 20))]
    try:
        put(producer, [(small.name, record, "why") for record in came], 30)
    finally:
        producer.close(5)
    found = letters(stack.kafka, small)
    assert [found[f"topic:0:{number}"].value for number in range(3)] == [b"v" * 10, None, b"v" * 20]
    assert dict(found["topic:0:1"].headers)[REASON] == b"why"


@dataclass(frozen=True)
class Came:
    """A record as it was read."""

    key: bytes
    value: bytes
    topic: str = "topic"
    partition: int = 0
    offset: int = 0
    headers: tuple[tuple[str, bytes | None], ...] = ()
