"""Interactions into the log: an awaitable that ends when the broker has all of them, or cannot say so in time."""

import asyncio
import functools
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import KafkaError

from rapport.contracts import codec
from rapport.contracts.charges import Charge
from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import Interaction
from rapport.contracts.topics import CHARGES, ENGAGEMENTS, key_of, partition_of
from rapport.domain.exchanges import addressing
from rapport.kit import tracing
from rapport.kit.broker.producer import ACKNOWLEDGED_WITHIN_SECONDS, NotAcknowledgedError, Producer, Record, Tombstone
from rapport.kit.probe import Probe
from services.ingest import metrics

SOURCE = "/rapport/ingest"
WAITING_RECORDS = 20_000
"""How many records may wait for the broker; more are refused, so that a stalled broker costs no memory."""
LARGEST_VALUE = 262_144
"""Bytes of one encoded interaction; a quarter of what a broker takes, so that headers and keys never matter."""


def record_of(interaction: Interaction) -> Record:
    """The record of an interaction: its topic, key and partition by the rules of the catalogue."""
    topic = addressing.topic_of(interaction.kind)
    key = addressing.key(interaction)
    span = tracing.begin_origin(
        "receive", interaction.brand, interaction.platform, interaction.id, kind=interaction.kind
    )
    return Record(
        topic=topic.name,
        partition=partition_of(key, topic.partitions),
        key=key,
        value=codec.encode(interaction),
        headers=[
            *codec.headers(
                "rapport.interaction.v1", id=interaction.id, source=SOURCE, time=interaction.occurred_at.isoformat()
            ),
            *(() if span is None else (span.here.header,)),
        ],
        span=span,
    )


def control_record(away: FollowerAway) -> Record:
    """The record of what became of a follower's account, in the follower's partition."""
    key = key_of(away.brand, away.platform, away.follower)
    return Record(
        topic=ENGAGEMENTS.name,
        partition=partition_of(key, ENGAGEMENTS.partitions),
        key=key,
        value=codec.encode(away),
        headers=codec.headers("rapport.control.v1", id=away.id, source=SOURCE),
    )


def charge_record(charge: Charge) -> Record:
    """The record of something that a platform charges for."""
    key = key_of(charge.platform, charge.brand or "")
    return Record(
        topic=CHARGES.name,
        partition=partition_of(key, CHARGES.partitions),
        key=key,
        value=codec.encode(charge),
        headers=codec.headers("rapport.charge.v1", id=charge.id, source=SOURCE, time=charge.at.isoformat()),
    )


@dataclass(eq=False)
class _Batch:
    records: Sequence[Record | Tombstone]
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"
    missing: int
    offsets: list[int]
    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: bool = False

    def acknowledged(self, place: int, metadata: Any) -> None:
        with self.lock:
            if metadata.offset is not None:
                self.offsets[place] = metadata.offset
            self.missing -= 1
            if self.missing or self.failed:
                return
        self._tell(None)

    def refused(self, error: BaseException) -> bool:
        """True for the first refusal of the batch, which is the one that counts."""
        with self.lock:
            if self.failed:
                return False
            self.failed = True
        self._tell(error)
        return True

    def _tell(self, error: BaseException | None) -> None:
        def tell() -> None:
            if self.done.done():
                return
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(NotAcknowledgedError(f"{type(error).__name__}: {error}"))

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(tell)


def _end(records: Sequence[Record | Tombstone], error: str | None = None) -> None:
    for record in records:
        if record.span is not None:
            record.span.end(error)


class Broker:
    """Appends interactions. The producer is used from one thread of its own, because its `send` may block."""

    def __init__(self, make_producer: Callable[[], Any], log: logging.Logger) -> None:
        """`make_producer` gives a KafkaProducer; it is called on the thread, and raises where no broker is there."""
        self._producer = Producer(make_producer)
        self._log = log
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._waiting = 0
        self.failed_at = -math.inf
        """When it was last not known that the broker has something that was received, by the monotonic clock."""
        self._thread = threading.Thread(target=self._send_all, name="producer", daemon=True)

    def probe(self, name: str) -> Probe:
        """Knows whether there is a producer, and replaces one that failed."""
        return Probe(name, self._producer.connect)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def close(self) -> None:
        """Sends what waits, for as long as an acknowledgement may take, and ends."""
        self._batches.put(None)
        self._thread.join(ACKNOWLEDGED_WITHIN_SECONDS)

    async def append(
        self, records: Sequence[Record | Tombstone], within: float = ACKNOWLEDGED_WITHIN_SECONDS
    ) -> list[int]:
        """Returns once the broker has all of `records`, with the offset of each; -1 where it does not say.

        Raises NotAcknowledgedError after `within` seconds.
        """
        if not records:
            return []
        try:
            offsets = await self._append(records, within)
        except NotAcknowledgedError as error:
            self.missed()
            _end(records, str(error))
            raise
        _end(records)
        return offsets

    def missed(self) -> None:
        """Notes that something was received that the broker does not have."""
        self.failed_at = time.monotonic()

    async def _append(self, records: Sequence[Record | Tombstone], within: float) -> list[int]:
        if self._waiting + len(records) > WAITING_RECORDS:
            metrics.UNACKNOWLEDGED.labels("overflow").inc()
            raise NotAcknowledgedError(f"{self._waiting} records already wait for the broker")
        loop = asyncio.get_running_loop()
        batch = _Batch(records, loop, loop.create_future(), len(records), [-1] * len(records))
        self._waiting += len(records)
        self._batches.put(batch)
        try:
            async with asyncio.timeout(within):
                await batch.done
        except TimeoutError:
            metrics.UNACKNOWLEDGED.labels("timeout").inc()
            self._producer.lose()
            raise NotAcknowledgedError(f"the broker did not confirm within {within:.0f} s") from None
        except NotAcknowledgedError:
            metrics.UNACKNOWLEDGED.labels("refused").inc()
            raise
        finally:
            self._waiting -= len(records)
        return batch.offsets

    def _send_all(self) -> None:
        while (batch := self._batches.get()) is not None:
            if batch.done.cancelled():
                continue  # nobody waits for it any more, and nothing of it was sent
            try:
                for place, record in enumerate(batch.records):
                    self._producer.append(record).then(
                        functools.partial(batch.acknowledged, place), functools.partial(self._refuse, batch)
                    )
            except (KafkaError, OSError, ValueError, AssertionError) as error:
                self._refuse(batch, error)
        self._producer.close(ACKNOWLEDGED_WITHIN_SECONDS)

    def _refuse(self, batch: _Batch, error: BaseException) -> None:
        if batch.refused(error):
            self._log.warning("a batch was not acknowledged: %s: %s", type(error).__name__, error)
