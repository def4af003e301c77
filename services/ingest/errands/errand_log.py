"""Reads the errands of those partitions whose lease this process has, back to where nobody waits for them any more."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from rapport.contracts import codec
from rapport.contracts.errands import LOOKED_BACK, Errand
from rapport.contracts.topics import ERRANDS
from rapport.domain.times import ms
from rapport.kit import backoff
from rapport.kit.broker import kafka, kafka_topics
from services.ingest.leases.leases import Lease, Leases

POLL_MS = 300
AGAIN_SECONDS = 2.0
STOP_SECONDS = 6.0

Take = Callable[[Lease, Errand], None]


class ErrandLog:
    """A thread that reads, and tells each errand with the lease that it is under."""

    def __init__(self, bootstrap: str, leases: Leases, now: Callable[[], datetime], log: logging.Logger) -> None:
        self._bootstrap = bootstrap
        self._leases = leases
        self._now = now
        self._log = log
        self._take: Take = lambda _, __: None
        self._again_at = 0.0
        """From when on partitions are looked up again, of the monotonic clock."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="errands", daemon=True)

    def start(self, take: Take) -> None:
        """Begins. `take` is called on the thread. A lease that is taken again brings its errands again."""
        self._take = take
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        delays = backoff.delays()
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception as error:  # errands have to be read whatever happens: log it and start over
                self._log.warning(
                    "reading %s failed (%s: %s); starting over", ERRANDS.name, type(error).__name__, error
                )
                self._stop.wait(next(delays))

    def _follow(self) -> None:
        consumer = kafka.consumer(self._bootstrap, None, "rapport-ingest-errands", fetch_max_wait_ms=POLL_MS)
        under: dict[int, Lease] = {}
        try:
            while not self._stop.is_set():
                held = self._leases.held()
                if held != under and time.monotonic() >= self._again_at:
                    under = self._assign(consumer, held, under)
                if not under:
                    self._stop.wait(POLL_MS / 1000)
                    continue
                for place, records in consumer.poll(timeout_ms=POLL_MS).items():
                    for record in records:
                        self._tell(under[place.partition], record)
        finally:
            consumer.close()

    def _assign(self, consumer: Any, held: dict[int, Lease], under: dict[int, Lease]) -> dict[int, Lease]:
        """Reads what is held, and returns it, without the partitions of which it is not known from where."""
        begins = {place.partition: consumer.position(place) for place in consumer.assignment()}
        begins = {number: at for number, at in begins.items() if held.get(number) is under.get(number)}
        try:
            begins |= self._begins([number for number in held if number not in begins])
        except (KafkaError, OSError) as error:  # those that are being read go on; the others are asked for again
            self._log.warning("where errands begin is not known: %s: %s", type(error).__name__, error)
            self._again_at = time.monotonic() + AGAIN_SECONDS
        known = {number: lease for number, lease in held.items() if number in begins}
        consumer.assign([TopicPartition(ERRANDS.name, number) for number in known])
        for number in known:
            consumer.seek(TopicPartition(ERRANDS.name, number), begins[number])
        return known

    def _begins(self, partitions: Sequence[int]) -> dict[int, int]:
        """From where on somebody may wait for an errand. Raises KafkaError."""
        if not partitions:
            return {}
        places = [TopicPartition(ERRANDS.name, number) for number in partitions]
        # What comes in between lies behind the end.
        ends = kafka_topics.offsets(self._bootstrap, places, OffsetSpec.LATEST)
        found = kafka_topics.offsets_since(self._bootstrap, dict.fromkeys(places, ms(self._now() - LOOKED_BACK)))
        return {place.partition: ends[place] if (at := found[place]) is None else at for place in places}

    def _tell(self, lease: Lease, record: Any) -> None:
        try:
            errand = codec.decode(codec.type_of(record.headers), record.value)
            if not isinstance(errand, Errand):
                raise codec.UndecodableError(f"a {type(errand).__name__}, where only errands belong")
        except codec.UndecodableError as error:
            self._log.error("%s:%d offset %d is skipped: %s", ERRANDS.name, record.partition, record.offset, error)
            return
        self._take(lease, errand)
