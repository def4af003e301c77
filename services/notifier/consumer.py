"""Alerts and reminders from the log into the outbox; one is committed only after its rows are there.

An alert of a later version's type waits in the log, with all that is behind it in its partition. One that can be read,
of a brand that cannot, waits in the outbox: nobody else has to wait for that brand.
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
from rapport.kit import backoff, dead_letters, kafka
from rapport.kit.halts import Halts
from rapport.kit.health import Health
from rapport.kit.member import GroupConsumer
from rapport.kit.producer import Producer
from services.notifier import metrics, outbox
from services.notifier.directory import Directory
from services.notifier.outbox import Told

POLL_MS = 250
CLOSE_SECONDS = 5.0
SEND_SECONDS = 30.0
ROUTE_SECONDS = 5.0
"""How often alerts are looked at that wait for a brand to be readable."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clocks of API and brokers may be apart without a new channel missing an alert."""
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
        """`wake` is called after rows were inserted.

        `put_aside` has records (`<topic>:<partition>:<offset>`) that are not waited at.
        """
        self._bootstrap = bootstrap
        self._directory = directory
        self._rows = rows
        self._health = health
        self._wake = wake
        self._put_aside = put_aside
        self._route_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Consumes until `stop` is set. Raises what it cannot explain, so that the process ends and is started anew."""
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
                    # A commit that came too late, or a broker on its way out. What was read and not committed must
                    # come again, so reading starts over from what is committed; inserting again changes nothing.
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
        # A brand's channels were written before anything could alert it; read up to there, then look.
        self._directory.catch_up()
        notices: list[Told] = []
        for records in polled.values():
            for record in records:
                try:
                    notice = _decoded(record, producer, self._put_aside)
                except codec.NewerError as error:
                    halts.at(record, str(error))
                    break
                if notice is not None:
                    notices.append(Told(notice, self._channels(notice), record.offset))
        if self._insert(notices, consumer, halts):
            consumer.commit()
            self._wake()

    def _route(self) -> None:
        """Finds the channels of alerts that waited for a brand which can be read by now."""
        if time.monotonic() < self._route_at:
            return
        self._route_at = time.monotonic() + ROUTE_SECONDS
        try:
            for brand in outbox.unrouted_brands(self._rows):
                while self._directory.unreadable(brand) is None and (waiting := outbox.unrouted(self._rows, brand)):
                    told = [each._replace(channels=self._channels(each.notice)) for each in waiting]
                    outbox.routed(self._rows, told, datetime.now(UTC))
                    log.info("%d alerts of %s have waited for the brand to be readable, and go out", len(told), brand)
                    self._wake()
        except PyMongoError as error:
            log.warning("alerts of unreadable brands are not looked at: %s: %s", type(error).__name__, error)

    def _channels(self, notice: Notice) -> tuple[Channel | UnknownChannel, ...]:
        if (why := self._directory.unreadable(notice.brand)) is not None:
            log.error("alert %s of %s waits: the brand cannot be read: %s", notice.id, notice.brand, why)
            metrics.ALERTS.labels("waiting").inc()
            return (outbox.UNROUTED,)
        brand = self._directory.brand(notice.brand)
        every = (*brand.channels, *self._directory.unknown_channels(brand.id)) if brand is not None else ()
        told = _not_younger(every, notice, brand) if brand is not None else ()
        if not told:
            why = "no such brand" if brand is None else "the brand has no channels"
            if every:
                why = "the brand's channels are newer"
            log.warning("alert %s of %s is told to nobody: %s", notice.id, notice.brand, why)
            metrics.ALERTS.labels("unheard").inc()
            return ()
        metrics.ALERTS.labels("recorded").inc()
        return told

    def _insert(self, notices: list[Told], consumer: GroupConsumer, halts: Halts) -> bool:
        for delay in backoff.delays():
            try:
                outbox.insert(self._rows, notices, datetime.now(UTC))
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


def _not_younger(
    channels: Sequence[Channel | UnknownChannel], notice: Notice, brand: Brand
) -> tuple[Channel | UnknownChannel, ...]:
    """The channels that are not younger than the notice. Reading the log again must not flood a new channel."""
    latest = notice.created_at + CLOCKS_DIFFER
    return tuple(each for each in channels if brand.channels_since.get(each.id, latest) <= latest)


def _decoded(record: Any, producer: Producer, put_aside: frozenset[str]) -> Notice | None:
    """The alert or reminder in a record; where there is none the record goes to the dead letters with the reason.

    Raises NewerError where a later version wrote it.
    """
    try:
        notice = codec.decode(codec.type_of(record.headers), record.value)
        if isinstance(notice, Alert | MissingPost):
            outbox.check(notice)
            return notice
        why = f"a {type(notice).__name__} is no alert"
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
