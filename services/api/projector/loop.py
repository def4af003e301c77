"""The projector's loop: poll, write, recount, commit."""

import logging
import time
from collections.abc import Collection
from threading import Event
from typing import Any

from kafka import TopicPartition
from kafka.errors import CommitFailedError, KafkaError
from pymongo.database import Database
from pymongo.errors import PyMongoError

from rapport.contracts.topics import CONVERSATIONS, CONVERSATIONS_UNSEEN, ENGAGEMENTS, ENGAGEMENTS_UNSEEN
from rapport.kit import backoff, tracing
from rapport.kit.broker import dead_letters
from rapport.kit.broker.halts import Halts
from rapport.kit.broker.member import GroupConsumer
from rapport.kit.health import Health
from rapport.kit.mongo import Document
from services.api.projector import batch as batches
from services.api.projector import hourly, metrics, views
from services.api.projector.batch import Batch, UnreadableError

log = logging.getLogger("rapport.projector")

POLL_MS = 250
"""How long a poll waits for records. It returns as soon as there are some."""
POLL_RECORDS = 2_000
COMMIT_EVERY_SECONDS = 1.0
RECOUNT_SHARE = 0.1
"""Recounting takes at most this share of the time: a long recount delays the next one."""
SEND_SECONDS = 30.0

_DEAD = {CONVERSATIONS.name: CONVERSATIONS_UNSEEN.name, ENGAGEMENTS.name: ENGAGEMENTS_UNSEEN.name}


class _StoppedError(Exception):
    """Told to stop while a batch is not written yet."""


class Projector:
    """Keeps the views current. Offsets are committed only after their records are written and counted.

    So a crash repeats at most the records since the last commit, and repeating them changes nothing.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        producer: Any,
        database: Database[Document],
        health: Health,
        stop: Event,
        put_aside: Collection[str] = (),
    ) -> None:
        """`consumer` reads `batch.SOURCES`; `producer` writes dead letters; `stop` ends `run`.

        `put_aside` names records (`<topic>:<partition>:<offset>`) that are dead-lettered instead of waited for.
        """
        self._consumer = consumer
        self._producer = producer
        self._database = database
        self._health = health
        self._stop = stop
        self._put_aside_at = put_aside
        self._dirty: set[hourly.Part] = set()
        self._uncommitted = False
        self._commit_at = 0.0
        self._halts = Halts(consumer, health)
        for topic in batches.SOURCES:
            metrics.DEAD_LETTERS.labels(topic.name)  # there before it first counts, or its first would not show
        self.beat = time.monotonic()
        """When the loop last went round, by `time.monotonic`."""

    def run(self) -> None:
        """Runs until `stop` is set. Raises RefusedError if MongoDB will never accept a row of the scorer."""
        try:
            while not self._stop.is_set():
                self.beat = time.monotonic()
                polled = self._consumer.poll(POLL_MS, max_records=POLL_RECORDS)
                self._halts.look()
                metrics.HALTED.set(len(self._halts))
                if polled:
                    self._take(polled)
                if self._uncommitted and time.monotonic() >= self._commit_at:
                    self._recount_and_commit()
        except _StoppedError:
            # The last batch is not in the views, so its offsets must not be committed.
            return
        if self._uncommitted:
            self._recount_and_commit()

    def _take(self, polled: dict[TopicPartition, list[Any]]) -> None:
        spans = [
            span
            for records in polled.values()
            for record in records
            if (span := tracing.begin("show", tracing.of_record(record.headers), topic=record.topic)) is not None
        ]
        batch = batches.read(polled, self._put_aside_at)
        self._halt(batch.halts)
        refused = self._until_written(batch)
        self._put_aside(batch.unreadable + [UnreadableError(batch.sources[key], why) for key, why in refused.items()])
        self._dirty |= batch.parts
        self._uncommitted = True
        self._observe(polled, batch)
        for span in spans:
            span.end()

    def _until_written(self, batch: Batch) -> dict[str, str]:
        """Writes the batch, waiting for MongoDB as long as needed, and gives what MongoDB refused."""
        for delay in backoff.delays():
            try:
                refused = views.write(self._database, batch)
            except PyMongoError as error:
                self._health.unready("mongodb")
                log.warning(
                    "MongoDB is unavailable (%s: %.300s); trying again in %.1f s", type(error).__name__, error, delay
                )
                self._stay(delay)
                continue
            self._resume()
            return refused
        raise AssertionError("delays never end")

    def _stay(self, seconds: float) -> None:
        """Waits without leaving the group."""
        self.beat = time.monotonic()
        if self._consumer.stay(seconds):
            raise _StoppedError

    def _resume(self) -> None:
        self._health.ready("mongodb")
        self._halts.resume_others()

    def _halt(self, halts: list[UnreadableError]) -> None:
        """Halts a partition at a record that this version cannot read; the other partitions go on.

        Skipping it would silently leave the view wrong. A later version of the projector will read it.
        """
        for halt in halts:
            self._halts.at(halt.record, halt.why)
        metrics.HALTED.set(len(self._halts))

    def _put_aside(self, unreadable: list[UnreadableError]) -> None:
        """Writes dead letters and waits until the broker has them."""
        for error in unreadable:
            log.warning("sent to the dead letters: %s", error, extra=error.its)
            metrics.DEAD_LETTERS.labels(error.record.topic).inc()
        unreadable = [error for error in unreadable if error.record.topic in _DEAD]
        if not unreadable:
            return
        backoff.until(
            lambda: dead_letters.put(
                self._producer,
                [(_DEAD[error.record.topic], error.record, str(error)) for error in unreadable],
                SEND_SECONDS,
            ),
            what="Kafka for dead letters",
            log=log,
            errors=(KafkaError,),
            wait=self._stay,
        )
        self._resume()

    def _recount_and_commit(self) -> None:
        """Recounts the hours that changed, then commits. If either fails, it is tried again later."""
        started = time.monotonic()
        try:
            hourly.recount_parts(self._database, self._dirty)
        except PyMongoError as error:
            log.warning("the changed hours could not be recounted (%s: %.300s)", type(error).__name__, error)
            self._health.unready("mongodb")
            self._commit_at = time.monotonic() + COMMIT_EVERY_SECONDS
            return
        self._health.ready("mongodb")
        self._dirty.clear()
        took = time.monotonic() - started
        metrics.RECOUNT.observe(took)
        self._commit_at = time.monotonic() + max(COMMIT_EVERY_SECONDS, took / RECOUNT_SHARE)
        try:
            self._consumer.commit()
        except CommitFailedError as error:
            # The partitions have moved. Their new owner repeats what was not committed, with the same result.
            log.info("the group changed before a commit: %s", error)
        except KafkaError as error:
            log.warning("offsets were not committed (%s: %s); trying again", type(error).__name__, error)
            return
        self._uncommitted = False

    def _observe(self, polled: dict[TopicPartition, list[Any]], batch: Batch) -> None:
        now = time.time()
        for document in batch.interactions.values():
            metrics.FRESHNESS.observe(max(0.0, now - document["observed_at"].timestamp()))
        metrics.BATCH.observe(sum(len(records) for records in polled.values()))
        for partition, records in polled.items():
            metrics.RECORDS.labels(partition.topic).inc(len(records))
            end = self._consumer.highwater(partition)
            if end is not None:
                metrics.LAG.labels(partition.topic, partition.partition).set(max(0, end - records[-1].offset - 1))
