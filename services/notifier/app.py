"""`rapport notifier`: brings alerts and reminders from the log to mailboxes and webhooks."""

import asyncio
import contextlib
import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from kafka.errors import KafkaError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from rapport.contracts.events import Alert, Channel, MailChannel, Notice, WebhookChannel
from rapport.contracts.topics import BRANDS, CATALOGUE
from rapport.kit import backoff, mongo, tracing
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.member import GroupLostError
from rapport.kit.health import Health, Loop, serve
from rapport.kit.log import set_up
from services.notifier import abilities, claims, metrics, outbox, wording
from services.notifier.channels import DeliveryError, mail, webhook
from services.notifier.consumer import AlertConsumer
from services.notifier.directory import Directory
from services.notifier.sender import Sender
from services.notifier.settings import NotifierSettings
from services.notifier.slots import Slots

QUICK_MAILS, SLOW_MAILS = 8, 40
"""One mail server takes them all. Postfix takes 50 connections from one client."""
QUICK_WEBHOOKS, SLOW_WEBHOOKS = 64, 64
SENDS_PER_LEASE = 3
"""How many times the longest webhook a claim is held. It is renewed while it is being sent."""
MEASURE_SECONDS = 10.0
TYPES = ("mail", "webhook")


class _StoppedError(Exception):
    """SIGTERM arrived while waiting for a server."""


def run() -> None:
    """Serves until SIGTERM or SIGINT."""
    log = set_up("notifier")
    settings = NotifierSettings()
    log.info("settings %s", settings.described())
    tracing.set_up("notifier", settings.traces, settings.traces_share)
    if settings.allow_private:
        log.warning("RAPPORT_ALLOW_PRIVATE is set: webhooks may reach private addresses; never set it in production")
    if settings.smtp is None:
        log.warning("RAPPORT_SMTP is not set: mail waits until it is")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    health = Health("kafka", "mongodb")
    kafka.probe("kafka", settings.kafka).start(health)
    mongo.probe("mongodb", settings.mongodb.get_secret_value()).start(health)
    mongo.write_probe("mongodb", settings.mongodb.get_secret_value(), settings.database).start(health)
    server = serve(settings.host, settings.port, health)
    try:
        with contextlib.closing(_connect(settings, health, stop, log)) as directory:
            asyncio.run(_serve(settings, directory, health, stop))
    except* _StoppedError:
        log.info("stopped before Kafka and MongoDB were there")
    except* GroupLostError:
        raise SystemExit(1) from None  # why is in the log
    finally:
        server.shutdown()
    log.info("ended")


def _connect(settings: NotifierSettings, health: Health, stop: threading.Event, log: logging.Logger) -> Directory:
    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise _StoppedError

    uri = settings.mongodb.get_secret_value()
    with mongo.patient_client(uri) as client:
        rows = outbox.deliveries(client[settings.database])
        what = f"MongoDB at {mongo.shown(uri)}"
        notes = abilities.noted(client[settings.database])

        def prepare() -> None:
            outbox.prepare(rows)
            abilities.note(notes, mail=settings.smtp is not None, now=datetime.now(UTC))

        backoff.until(prepare, what=what, log=log, errors=(PyMongoError,), wait=wait)
    health.ready("mongodb")
    kafka_topics.wait_until_there(settings.kafka, CATALOGUE, log, wait, health)
    directory = backoff.until(
        lambda: Directory.caught_up(settings.kafka, settings.sealer),
        what=f"{BRANDS.name} at {settings.kafka}",
        log=log,
        errors=(KafkaError,),
        wait=wait,
    )
    health.ready("kafka")
    return directory


async def _serve(settings: NotifierSettings, directory: Directory, health: Health, stop: threading.Event) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def end() -> None:
        stop.set()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if stop.is_set():
        return
    lag = loop.create_task(Loop().beat())
    uri = settings.mongodb.get_secret_value()
    seconds = settings.send_seconds
    lease = timedelta(seconds=seconds * SENDS_PER_LEASE)
    # Host names are looked up and mail is handed over in threads: one per send, so that no send waits for another.
    mails, webhooks = Slots(QUICK_MAILS, SLOW_MAILS), Slots(QUICK_WEBHOOKS, SLOW_WEBHOOKS)
    at_once = mails.quick + mails.slow + webhooks.quick + webhooks.slow
    loop.set_default_executor(ThreadPoolExecutor(at_once + 1))
    async with (
        mongo.async_client(uri) as client,
        webhook.Sender(timeout=seconds, allow_private=settings.allow_private) as http,
    ):
        rows = outbox.async_deliveries(client[settings.database])
        transports = Transports(settings, directory, http)
        senders = [
            Sender("mail", transports.mail, rows, directory, lease=lease, slots=mails),
            Sender("webhook", transports.webhook, rows, directory, lease=lease, slots=webhooks),
        ]

        for sender in senders:
            health.check(sender.trouble)

        def wake() -> None:
            for sender in senders:
                loop.call_soon_threadsafe(sender.wake)

        try:
            with mongo.client(uri) as blocking:
                consumer = AlertConsumer(
                    settings.kafka,
                    directory,
                    outbox.deliveries(blocking[settings.database]),
                    health,
                    wake,
                    settings.places,
                )
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(asyncio.to_thread(consumer.run, stop))
                    tasks.create_task(_measure(rows, stopping))
                    tasks.create_task(_free(rows, lease, stopping))
                    for sender in senders:
                        tasks.create_task(sender.run(stopping))
        finally:
            # Also when a task failed: the consumer's thread does not end by itself.
            stop.set()
            lag.cancel()


async def _measure(rows: AsyncCollection[outbox.Row], stopping: asyncio.Event) -> None:
    seen = set(TYPES)
    while not stopping.is_set():
        try:
            counts = await outbox.pending(rows)
            seen |= counts.keys()
            for channel_type in seen:
                waiting = counts.get(channel_type, outbox.Waiting(0, None))
                metrics.PENDING.labels(channel_type).set(waiting.many)
                metrics.OLDEST.labels(channel_type).set(waiting.since.timestamp() if waiting.since else 0)
        except PyMongoError as error:
            logging.getLogger("rapport.notifier").warning("pending deliveries could not be counted: %s", error)
        try:
            await asyncio.wait_for(stopping.wait(), MEASURE_SECONDS)
        except TimeoutError:
            continue


async def _free(rows: AsyncCollection[outbox.Row], lease: timedelta, stopping: asyncio.Event) -> None:
    """Frees what a process with a wrong clock left behind, until the notifier stops."""
    log = logging.getLogger("rapport.notifier")
    stranded = {each: claims.Stranded(lease) for each in TYPES}
    while not stopping.is_set():
        try:
            for channel_type, found in stranded.items():
                freed = await found.free(rows, channel_type, datetime.now(UTC), time.monotonic())
                if freed:
                    log.warning("%d deliveries by %s were held by a clock that is ahead; due now", freed, channel_type)
        except PyMongoError as error:
            log.warning("deliveries held by a clock that is ahead could not be looked for: %s", error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), MEASURE_SECONDS)


class Transports:
    """Sends a claim by each type of channel."""

    def __init__(self, settings: NotifierSettings, directory: Directory, http: webhook.Sender) -> None:
        self._settings = settings
        self._directory = directory
        self._http = http
        smtp = settings.smtp
        self._mail_server = mail.MailServer.parse(smtp.get_secret_value()) if smtp else None

    async def webhook(self, id: str, notice: Notice, channel: Channel) -> None:
        """Posts it. Raises DeliveryError."""
        assert isinstance(channel, WebhookChannel)
        await self._http.send(id, channel, webhook.body_of(notice, wording.link_to(self._settings.portal, notice)))

    async def mail(self, id: str, notice: Notice, channel: Channel) -> None:
        """Sends it by mail. Raises DeliveryError."""
        assert isinstance(channel, MailChannel)
        if self._mail_server is None:
            raise DeliveryError("this installation has no mail server; set RAPPORT_SMTP")
        brand = self._directory.brand(notice.brand)
        link = wording.link_to(self._settings.portal, notice)
        now = datetime.now(UTC)
        message = wording.message_for(notice, brand.name if brand else notice.brand, link, now)
        about = notice.exchange if isinstance(notice, Alert) else notice.plan
        composed = mail.compose(id, about, self._settings.mail_from, channel.to, message, now)
        await asyncio.to_thread(mail.send, self._mail_server, composed, self._settings.mail_seconds)
