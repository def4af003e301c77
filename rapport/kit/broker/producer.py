"""A producer that is replaced after it has failed, and the records it sends.

An idempotent producer of kafka-python that gave up on a record has lost its place in a partition, or waits for a
producer id for good (3.0.12), and takes nothing from then on. A new one costs some milliseconds.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka.errors import KafkaError

from rapport.kit.broker import kafka
from rapport.kit.tracing import Span

_FAILURES = (KafkaError, OSError, ValueError, AssertionError)
"""What `send` raises. kafka-python asserts where a producer is closed or a record cannot be sent."""

ACKNOWLEDGED_WITHIN_SECONDS = 8.0
"""How long a request waits. Its sender gives up after some ten; they should get our error, not a broken connection."""


class NotAcknowledgedError(Exception):
    """The broker did not confirm in time. Some of the records may be in the log; they can be sent again."""


@dataclass(frozen=True)
class Record:
    """One record, with its place in the log."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    span: Span | None = None
    """Ends once the record is in the log."""


@dataclass(frozen=True)
class Tombstone:
    """Says that what a key names is gone, in a compacted topic."""

    topic: str
    partition: int
    key: bytes
    value: None = None
    headers: tuple[()] = ()
    span: None = None


class Sent:
    """The delivery of one record."""

    def __init__(self, future: Any, lose: Callable[[], None]) -> None:
        self._future = future
        self._lose = lose

    def get(self, timeout: float) -> Any:
        """The record's metadata once the broker has it. Raises KafkaError, also after `timeout` seconds."""
        try:
            return self._future.get(timeout=timeout)
        except KafkaError:
            self._lose()
            raise

    def then(self, acknowledged: Callable[[object], object], refused: Callable[[BaseException], object]) -> None:
        """Calls one of them once it is known what became of the record, on the producer's thread."""
        self._future.add_callback(acknowledged)
        self._future.add_errback(refused)


class Producer:
    """Sends records like a KafkaProducer. Safe to use from several threads."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """`make` gives a KafkaProducer and raises KafkaError where there is no broker; it may block."""
        self._make = make
        self._producer: Any = None
        self._lost: Any = None
        self._lock = threading.Lock()
        self._closed = False

    def send(self, topic: str, value: bytes | None, key: bytes | None = None, **more: Any) -> Sent:
        """Queues a record; `more` is what KafkaProducer takes. Raises what that raises, and OSError."""
        producer = self._ready()
        try:
            future = producer.send(topic, value, key, **more)
        except _FAILURES:
            self._lose(producer)
            raise
        future.add_errback(lambda _: self._lose(producer))
        return Sent(future, lambda: self._lose(producer))

    def append(self, record: Record | Tombstone) -> Sent:
        """Queues a record. Raises as `send` does."""
        return self.send(
            record.topic, record.value, record.key, headers=list(record.headers), partition=record.partition
        )

    def connect(self) -> None:
        """Makes a producer if there is none, as after a failure; for a probe. Raises KafkaError, OSError."""
        self._ready()

    def lose(self) -> None:
        """Whoever waited in vain says so; the next record, or the probe, gets a new producer. Never blocks."""
        self._lose(self._producer)

    def close(self, timeout: float) -> None:
        """Sends what waits, for `timeout` seconds at most, and ends; not where it is just being made."""
        if not self._lock.acquire(timeout=timeout):
            return
        try:
            self._closed = True
            producer, self._producer = self._producer, None
        finally:
            self._lock.release()
        if producer is not None:
            try:
                producer.close(timeout=timeout)
            except KafkaError:
                kafka.abandon(producer)

    def _ready(self) -> Any:
        with self._lock:
            if self._closed:
                raise KafkaError("the producer is closed")
            if self._producer is not None and self._producer is self._lost:
                kafka.abandon(self._producer)
                self._producer = self._lost = None
            if self._producer is None:
                self._producer = self._make()
            return self._producer

    def _lose(self, producer: Any) -> None:
        # Also called on the producer's own thread and on event loops, so it waits for nothing.
        if producer is self._producer:
            self._lost = producer
