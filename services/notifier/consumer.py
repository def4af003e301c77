"""Writes alerts and reminders from the log into the outbox. An offset is committed only once the rows are there.

An alert of a type that only a later version knows waits in the log, with everything behind it in its partition. An
alert that can be read, of a brand that cannot, waits in the outbox, so that no other brand has to wait.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka.errors import KafkaError
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from rapport.contracts import codec
from rapport.contracts.events import Alert, Brand, Channel, MissingPost, Notice, UnknownChannel
from rapport.contracts.topics import ALERTS, ALERTS_DEAD, NOTIFIER_GROUP, REMINDERS, REMINDERS_DEAD
from rapport.kit import backoff, tracing
from rapport.kit.broker import dead_letters, kafka
from rapport.kit.broker.halts import Halts
from rapport.kit.broker.member import GroupConsumer
from rapport.kit.broker.producer import Producer
from rapport.kit.health import Health
from rapport.kit.log import about
from services.notifier import metrics, outbox, readings
from services.notifier.abilities import noted
from services.notifier.directory import Directory
from services.notifier.outbox import Told

POLL_MS = 250
CLOSE_SECONDS = 5.0
SEND_SECONDS = 30.0
ROUTE_SECONDS = 5.0
"""How often to look at alerts that wait because their brand cannot be read."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clocks of the API and the brokers may differ without a new channel missing an alert."""
SOURCES = (ALERTS, REMINDERS)
_DEAD = {ALERTS.name: ALERTS_DEAD.name, REMINDERS.name: REMINDERS_DEAD.name}

log = logging.getLogger("rapport.notifier.consumer")


class AlertConsumer:
    """Takes alerts in batches: decode, look up the brand's channels, insert, commit. Runs in a thread of its own."""

    def __init__(
        self,
        bootstrap: str,
        directory: Directory,
        rows: Collection[outbox.Row],
        health: Health,
        wake: Callable[[], object],
        put_aside: frozenset[str] = frozenset(),
    ) -> None:
        """`wake` is called after rows have been inserted.

        `put_aside` names records (`<topic>:<partition>:<offset>`) that are skipped instead of waited at.
        """
        self._bootstrap = bootstrap
        self._directory = directory
        self._rows = rows
        self._notes = noted(rows.database)
        self._health = health
        self._wake = wake
        self._put_aside = put_aside
        self._route_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Consumes until `stop` is set. Raises any unexpected error, so that the process ends and is restarted."""
        topics = {topic.name: topic.partitions for topic in SOURCES}
        producer = Producer(lambda: kafka.producer(self._bootstrap, "rapport-notifier-dead-letters"))
        with contextlib.closing(
            GroupConsumer(self._bootstrap, NOTIFIER_GROUP, "rapport-notifier", topics, self._health, stop)
        ) as consumer:
            halts = Halts(consumer, self._health)
            while not stop.is_set():
                try:
                    self._step(consumer, producer, halts)
                except KafkaError as error:
                    # A commit that came too late, or a broker that is going away. What was read but not committed has
                    # to come again, so reading starts over at the committed offset; inserting twice changes nothing.
                    log.warning("Kafka: %s: %s; starting over", type(error).__name__, error)
                    consumer.restart()
                    stop.wait(1.0)
        producer.close(CLOSE_SECONDS)

    def _step(self, consumer: GroupConsumer, producer: Producer, halts: Halts) -> None:
        self._directory.read()
        self._route()
        polled = consumer.poll(POLL_MS)
        halts.look()
        if not polled:
            return
        known: dict[str, int] = {}
        if not self._until_done(lambda: known.update(readings.reached(self._notes, polled)), consumer, halts):
            return
        # A brand's channels were written before there could be an alert for it, so read those first.
        self._directory.catch_up()
        notices: list[Told] = []
        spans: list[tracing.Span] = []
        following: dict[str, int] = {}
        for partition, records in polled.items():
            name = kafka.name_of(partition)
            for record in records:
                try:
                    notice = _decoded(record, producer, self._put_aside)
                except codec.NewerError as error:
                    halts.at(record, str(error))
                    break
                following[name] = record.offset + 1
                if notice is not None:
                    _observe(notice, record.timestamp)
                    span = tracing.begin("take", tracing.of_record(record.headers))
                    trace = None
                    if span is not None:
                        spans.append(span)
                        trace = span.here.text
                    again = record.offset < known.get(name, record.offset + 1)
                    notices.append(Told(notice, self._channels(notice, again=again), record.offset, trace))

        def write() -> None:
            outbox.insert(self._rows, notices, datetime.now(UTC))
            if following:
                readings.note(self._notes, following)

        if self._until_done(write, consumer, halts):
            for span in spans:
                span.end()
            consumer.commit()
            self._wake()

    def _route(self) -> None:
        """Finds the channels of waiting alerts whose brand can now be read."""
        if time.monotonic() < self._route_at:
            return
        self._route_at = time.monotonic() + ROUTE_SECONDS
        try:
            for brand in outbox.unrouted_brands(self._rows):
                while self._directory.unreadable(brand) is None and (waiting := outbox.unrouted(self._rows, brand)):
                    told = [each._replace(channels=self._channels(each.notice, again=True)) for each in waiting]
                    outbox.routed(self._rows, told, datetime.now(UTC))
                    log.info("brand %s can be read again; its %d waiting alerts go out", brand, len(told))
                    self._wake()
        except PyMongoError as error:
            log.warning("waiting alerts of unreadable brands could not be checked: %s: %s", type(error).__name__, error)

    def _channels(self, notice: Notice, *, again: bool) -> tuple[Channel | UnknownChannel, ...]:
        """Where it goes. What may have been told before (`again`) goes to no channel that is newer."""
        its = about(alert=notice.id, **({"interaction": notice.first.id} if isinstance(notice, Alert) else {}))
        if (why := self._directory.unreadable(notice.brand)) is not None:
            log.error("alert %s of %s waits: the brand cannot be read: %s", notice.id, notice.brand, why, extra=its)
            metrics.ALERTS.labels("waiting").inc()
            return (outbox.UNROUTED,)
        brand = self._directory.brand(notice.brand)
        every = (*brand.channels, *self._directory.unknown_channels(brand.id)) if brand is not None else ()
        told = _old_enough(every, notice, brand) if brand is not None and again else every
        if not told:
            why = "there is no such brand" if brand is None else "the brand has no channels"
            if every:
                why = "the brand's channels are newer than the alert"
            log.warning("alert %s of %s is sent to nobody: %s", notice.id, notice.brand, why, extra=its)
            metrics.ALERTS.labels("unheard").inc()
            return ()
        metrics.ALERTS.labels("recorded").inc()
        return told

    def _until_done(self, do: Callable[[], object], consumer: GroupConsumer, halts: Halts) -> bool:
        """Does something with MongoDB, however long it is away. False if told to stop."""
        for delay in backoff.delays():
            try:
                do()
            except PyMongoError as error:
                self._health.unready("mongodb")
                log.warning("MongoDB: %s: %s; trying again in %.1f s", type(error).__name__, error, delay)
                if consumer.stay(delay):
                    return False
            else:
                self._health.ready("mongodb")
                halts.resume_others()
                return True
        raise AssertionError("delays never end")


def _observe(notice: Notice, written_at: int) -> None:
    """Takes note of how late a breach was in the log, by the broker's time (ms)."""
    if isinstance(notice, Alert) and notice.step == "breach" and not notice.unconfirmed:
        metrics.ALERT_LATENESS.observe(max(0.0, written_at / 1000 - notice.due_at.timestamp()))


def _old_enough(
    channels: Sequence[Channel | UnknownChannel], notice: Notice, brand: Brand
) -> tuple[Channel | UnknownChannel, ...]:
    """The channels that are at least as old as the notice. Reading the log again must not flood a new channel."""
    latest = notice.created_at + CLOCKS_DIFFER
    return tuple(each for each in channels if brand.channels_since.get(each.id, latest) <= latest)


def _decoded(record: Any, producer: Producer, put_aside: frozenset[str]) -> Notice | None:
    """The alert or reminder in a record. If there is none, the record goes to the dead letters with the reason.

    Raises NewerError if a later version wrote it.
    """
    try:
        notice = codec.decode(codec.type_of(record.headers), record.value)
        if isinstance(notice, Alert | MissingPost):
            outbox.check(notice)
            return notice
        why = f"{type(notice).__name__} is not an alert"
    except codec.NewerError as error:
        if dead_letters.place_of(record) not in put_aside:
            raise
        why = f"put aside: {error}"
    except (codec.UndecodableError, outbox.UnfitError) as error:
        why = str(error)
    log.error("%s/%d offset %d goes to the dead letters: %s", record.topic, record.partition, record.offset, why)
    metrics.ALERTS.labels("dead").inc()
    dead_letters.put(producer, [(_DEAD[record.topic], record, why)], SEND_SECONDS)
    return None
