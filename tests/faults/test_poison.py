"""Traps 5 and 15: records that nobody can process. Each lies in the dead-letter topic, once; the next is processed."""

from collections.abc import Callable

import pytest

from rapport.contracts import codec
from rapport.contracts.topics import CONVERSATIONS, CONVERSATIONS_DEAD, ENGAGEMENTS, EXCHANGES, Topic, key_of
from rapport.kit.broker import kafka
from rapport.kit.broker.dead_letters import PLACE
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import DEAD_LETTERS, Log, check, through
from tests.faults.worker import Worker
from tests.services.scorer.story import interaction
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = pytest.mark.stack

Start = Callable[..., Worker]
Headers = list[tuple[str, bytes]]

TOLD: Headers = [("ce_type", b"rapport.interaction.v1")]
POISON: list[tuple[Topic, bytes | None, bytes | None, Headers]] = [
    (CONVERSATIONS, b"key", b"\xff\x00 not json", TOLD),
    (CONVERSATIONS, b"key", None, TOLD),
    (CONVERSATIONS, None, b"", []),
    (CONVERSATIONS, None, b"{}", TOLD),
    (CONVERSATIONS, b"key", b"{}", [("ce_type", b"somebody.elses.v77")]),
    (CONVERSATIONS, b"key", b"{}", [("ce_type", b"\xff\xfe")]),
    (CONVERSATIONS, b"key", b'{"control":7}', [("ce_type", b"rapport.control.v1")]),
    (CONVERSATIONS, b"key", b"[" * 100_000, TOLD),
    (ENGAGEMENTS, None, b"\x00", TOLD),
    (ENGAGEMENTS, b"key", b"{}", []),
    (EXCHANGES, b"", None, [("ce_type", b"rapport.exchange.v1")]),
]


@pytest.mark.red("swallows()")
def test_what_cannot_be_read_and_what_an_agent_fails_at_is_dead_and_the_next_is_processed(
    broker: OwnBroker, start: Start
) -> None:
    now = begin(broker)
    # It can be read, but answers nobody: the agent raises in the middle of its work.
    raises = codec.encode(interaction("reply", "r1", now, thread=None))
    poison = [*POISON, (CONVERSATIONS, b"key", raises, TOLD)]
    ledger = history(0, 240, now)
    producer = kafka.producer(broker.kafka, "test")
    for number, (topic, key, value, headers) in enumerate(poison):
        produce(broker.kafka, ledger[number * 20 : (number + 1) * 20])
        producer.send(topic.name, value, key=key, partition=number % topic.partitions, headers=headers).get(30)
    producer.close()
    produce(broker.kafka, ledger[len(poison) * 20 :])
    worker = start()
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    log = Log(broker.kafka)
    dead = [record for topic in DEAD_LETTERS for record in log[topic]]
    assert sorted(repr(record.value) for record in dead) == sorted(repr(value) for _, _, value, _ in poison)
    assert all(dict(record.headers)["rapport_dead_because"] for record in dead)
    check(broker.kafka, ledger, [worker])


@pytest.mark.faults
@pytest.mark.red("swallows()")
def test_poison_as_large_as_the_log_takes_does_not_stop_its_partition(broker: OwnBroker, start: Start) -> None:
    now = begin(broker)
    key = key_of("acme", "generic", "post-1")
    producer = kafka.producer(broker.kafka, "test")
    # With the reason it no longer fits in one record.
    producer.send(CONVERSATIONS.name, b"x" * 1_048_400, key=key, partition=0, headers=TOLD).get(30)
    producer.send(CONVERSATIONS.name, b"y", key=key, partition=0, headers=TOLD).get(30)
    producer.close()
    produce(broker.kafka, ledger := history(0, 100, now))
    worker = start()
    until(lambda: through(broker.kafka), "everything is processed", 60)
    worker.end()
    check(broker.kafka, ledger, [worker])


@pytest.mark.faults
@pytest.mark.red("swallows()")
@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_a_dead_letter_topic_that_takes_less_than_the_source_does_not_stop_a_partition(
    broker: OwnBroker, start: Start, part: str
) -> None:
    now = begin(broker)
    broker.configure(CONVERSATIONS_DEAD, max_message_bytes=2_000)
    large = b"x" * 100_000
    key, value = (large if part == "key" else b"key"), (large if part == "value" else b"y")
    headers = [*TOLD, ("more", large)] if part == "headers" else TOLD
    producer = kafka.producer(broker.kafka, "test")
    sent = producer.send(CONVERSATIONS.name, value, key=key, partition=0, headers=headers).get(30)
    producer.close()
    produce(broker.kafka, ledger := history(0, 100, now))
    worker = start()
    until(lambda: through(broker.kafka), "everything is processed", 60)
    worker.end()
    (letter,) = Log(broker.kafka)[CONVERSATIONS_DEAD]
    assert dict(letter.headers)[PLACE] == f"{CONVERSATIONS.name}:0:{sent.offset}".encode()
    check(broker.kafka, ledger, [worker])
