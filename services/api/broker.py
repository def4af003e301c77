"""Settings into the log: an awaitable that ends when the broker has all records, or has not said so in time."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kafka.errors import KafkaError

from rapport.contracts import codec

ACKNOWLEDGED_WITHIN_SECONDS = 10.0

log = logging.getLogger("rapport.api")


class NotAcknowledgedError(Exception):
    """The broker did not confirm. Some of the records may be in the log; they can be written again."""


@dataclass(frozen=True)
class Record:
    """One record as it goes to the producer."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: codec.Headers


class Broker:
    """A producer on a thread of its own, because its `send` can block. Made when first needed, anew after an error."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """`make` gives a KafkaProducer; it is called on the thread and raises where there is no broker."""
        self._make = make
        self._producer: Any = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="producer")

    async def connect(self) -> None:
        """Makes the producer. Raises NotAcknowledgedError where there is no broker."""
        await self.append(())

    async def append(self, records: Sequence[Record]) -> None:
        """Returns once the broker has all of `records`. Raises NotAcknowledgedError."""
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_SECONDS):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._append, records)
        except TimeoutError:
            raise NotAcknowledgedError(f"no answer within {ACKNOWLEDGED_WITHIN_SECONDS:.0f} s") from None
        except (KafkaError, OSError) as error:
            raise NotAcknowledgedError(f"{type(error).__name__}: {error}") from error

    def _append(self, records: Sequence[Record]) -> None:
        try:
            if self._producer is None:
                self._producer = self._make()
            sent = [
                self._producer.send(
                    record.topic, record.value, record.key, headers=record.headers, partition=record.partition
                )
                for record in records
            ]
            for future in sent:
                future.get(timeout=ACKNOWLEDGED_WITHIN_SECONDS)
        except (KafkaError, OSError):
            # An idempotent producer that lost its place in a partition refuses everything from then on.
            if self._producer is not None:
                self._producer.close(timeout=0)
                self._producer = None
            raise

    def close(self) -> None:
        """Ends the thread and the producer."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._producer is not None:
            self._producer.close(timeout=5)
