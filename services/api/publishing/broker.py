"""Writes settings and decisions to the log; a request waits until the broker has confirmed them."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from kafka.errors import KafkaError

from rapport.kit.broker.producer import ACKNOWLEDGED_WITHIN_SECONDS, NotAcknowledgedError, Producer, Record
from rapport.kit.probe import Probe

CLOSE_SECONDS = 3.0


class Broker:
    """A producer whose blocking calls are kept off the event loop. Made when first needed, replaced after an error."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """`make` gives a KafkaProducer and raises without a broker; it may block."""
        self._producer = Producer(make)
        self._one_at_a_time = threading.Lock()

    async def connect(self) -> None:
        """Makes the producer. Raises NotAcknowledgedError without a broker."""
        await self.append(())

    async def append(self, records: Sequence[Record]) -> None:
        """Returns once the broker has all of `records`. Raises NotAcknowledgedError."""
        done: Future[None] = Future()
        # A daemon thread: a broker that is away must not keep the process from ending.
        threading.Thread(target=self._run, args=(records, done), name="producer", daemon=True).start()
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_SECONDS):
                await asyncio.wrap_future(done)
        except TimeoutError:
            raise NotAcknowledgedError(f"no answer within {ACKNOWLEDGED_WITHIN_SECONDS:.0f} s") from None
        except (KafkaError, OSError) as error:
            raise NotAcknowledgedError(f"{type(error).__name__}: {error}") from error

    def _run(self, records: Sequence[Record], done: "Future[None]") -> None:
        with self._one_at_a_time:
            # The request may have given up while it waited for its turn.
            if not done.set_running_or_notify_cancel():
                return
            try:
                self._append(records)
                done.set_result(None)
            except Exception as error:
                done.set_exception(error)

    def _append(self, records: Sequence[Record]) -> None:
        self._producer.connect()
        for delivery in [self._producer.append(record) for record in records]:
            delivery.get(ACKNOWLEDGED_WITHIN_SECONDS)

    def probe(self, name: str) -> Probe:
        """Knows whether there is a producer, and replaces one that failed."""
        return Probe(name, self._producer.connect)

    def close(self) -> None:
        """Ends the producer, unless it is stuck in a call."""
        if self._one_at_a_time.acquire(timeout=CLOSE_SECONDS):
            self._producer.close(CLOSE_SECONDS)
