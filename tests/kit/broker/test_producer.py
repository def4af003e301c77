"""Producers that have given up on a record while the broker was silent: what comes later is taken all the same."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from rapport.contracts.topics import CONVERSATIONS
from rapport.kit.broker.kafka_login import login
from rapport.kit.broker.producer import NotAcknowledgedError, Producer, Record
from rapport.kit.health import Health
from rapport.kit.probe import Probe
from services.api.publishing import broker as api
from services.ingest import broker as ingest
from tests.faults.broker import OwnBroker
from tests.waiting import until

pytestmark = pytest.mark.stack

RECOVERS = 60.0
Append = Callable[[bytes], None]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    """A broker that can be frozen."""
    found = OwnBroker(Path(tmp_path_factory.mktemp("broker")))
    try:
        yield found
    finally:
        found.end()


def impatient(bootstrap: str) -> Any:
    """Like the product's, but it gives up on a record after 2 s instead of 30."""
    return KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        delivery_timeout_ms=2_000,
        request_timeout_ms=1_500,
        max_block_ms=2_000,
        bootstrap_timeout_ms=3_000,
        linger_ms=0,
        **login(),
    )


def of_kit(bootstrap: str) -> tuple[Append, Probe, Callable[[], object]]:
    producer = Producer(lambda: impatient(bootstrap))

    def append(value: bytes) -> None:
        producer.send(CONVERSATIONS.name, value, partition=0).get(5)

    return append, Probe("producer", producer.connect, every=0.2, within=1), lambda: producer.close(5)


def of_api(bootstrap: str) -> tuple[Append, Probe, Callable[[], object]]:
    broker = api.Broker(lambda: impatient(bootstrap))

    def append(value: bytes) -> None:
        asyncio.run(broker.append([Record(CONVERSATIONS.name, 0, b"", value, [])]))

    return append, broker.probe("producer"), broker.close


def of_ingest(bootstrap: str) -> tuple[Append, Probe, Callable[[], object]]:
    broker = ingest.Broker(lambda: impatient(bootstrap), logging.getLogger("test"))
    broker.start()

    def append(value: bytes) -> None:
        asyncio.run(broker.append([Record(CONVERSATIONS.name, 0, b"", value, [])], within=5))

    return append, broker.probe("producer"), broker.close


def taken(append: Append) -> bool:
    """Whether the broker has acknowledged it."""
    try:
        append(b"x")
    except (KafkaError, OSError, NotAcknowledgedError):
        return False
    return True


@pytest.mark.parametrize("of", [of_kit, of_api, of_ingest])
@pytest.mark.parametrize("used_before", [True, False])
def test_a_producer_that_gave_up_is_replaced_and_readiness_knows(own: OwnBroker, of: Any, used_before: bool) -> None:
    append, probe, close = of(own.kafka)
    health = Health()
    if used_before:
        assert taken(append)
    with own.held():
        # The signal takes a moment to reach all of its threads.
        until(lambda: not taken(append), "it to stand still", RECOVERS)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert not taken(append)
        probe.start(health)
        assert health.reasons() == ["producer"]
    until(lambda: health.reasons() == [], "it recovers", RECOVERS)
    until(lambda: taken(append), "it recovers", RECOVERS)
    probe.stop()
    close()
