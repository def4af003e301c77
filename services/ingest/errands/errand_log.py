"""Reads the errands of those partitions whose lease this process has, back to where nobody waits for them any more."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from kafka import TopicPartition
from kafka.admin import OffsetSpec

from rapport.contracts import codec
from rapport.contracts.errands import GIVEN_UP_AFTER, Errand
from rapport.contracts.topics import ERRANDS
from rapport.domain.times import ms
from rapport.kit import backoff
from rapport.kit.broker import kafka, kafka_topics
from services.ingest.leases.leases import Lease, Leases

POLL_MS = 300
STOP_SECONDS = 6.0
LOOKED_BACK = GIVEN_UP_AFTER + timedelta(days=7)
"""After an outage somebody has to be told of what was asked for and was not done: of a week ago as well."""

Take = Callable[[Lease, Errand], None]


class ErrandLog:
    """A thread that reads, and tells each errand with the lease that it is under."""

    def __init__(self, bootstrap: str, leases: Leases, now: Callable[[], datetime], log: logging.Logger) -> None:
        self._bootstrap = bootstrap
        self._leases = leases
        self._now = now
        self._log = log
        self._take: Take = lambda _, __: None
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
                if held != under:
                    self._assign(consumer, held, under)
                    under = held
                if not under:
                    self._stop.wait(POLL_MS / 1000)
                    continue
                for place, records in consumer.poll(timeout_ms=POLL_MS).items():
                    for record in records:
                        self._tell(under[place.partition], record)
        finally:
            consumer.close()

    def _assign(self, consumer: Any, held: dict[int, Lease], under: dict[int, Lease]) -> None:
        before = {place.partition: consumer.position(place) for place in consumer.assignment()}
        places = {partition: TopicPartition(ERRANDS.name, partition) for partition in held}
        consumer.assign(list(places.values()))
        fresh = [places[partition] for partition, lease in held.items() if under.get(partition) is not lease]
        since = ms(self._now() - LOOKED_BACK)
        # What comes in between lies behind the end.
        ends = kafka_topics.offsets(self._bootstrap, fresh, OffsetSpec.LATEST) if fresh else {}
        found = kafka_topics.offsets_since(self._bootstrap, dict.fromkeys(fresh, since))
        for partition, place in places.items():
            if place in ends:
                at = found[place]
                consumer.seek(place, ends[place] if at is None else at)
            else:
                consumer.seek(place, before[partition])

    def _tell(self, lease: Lease, record: Any) -> None:
        try:
            errand = codec.decode(codec.type_of(record.headers), record.value)
            if not isinstance(errand, Errand):
                raise codec.UndecodableError(f"a {type(errand).__name__}, where only errands belong")
        except codec.UndecodableError as error:
            self._log.error("%s:%d offset %d is skipped: %s", ERRANDS.name, record.partition, record.offset, error)
            return
        self._take(lease, errand)
