"""`rapport projector`: keeps the views in MongoDB current."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from functools import partial
from threading import Event, Thread

from pymongo.errors import PyMongoError

from rapport.contracts.topics import CATALOGUE, PROJECTOR_GROUP
from rapport.kit import backoff, health, mongo, tracing
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.member import GroupConsumer, GroupLostError
from rapport.kit.broker.producer import Producer
from rapport.kit.log import set_up
from rapport.kit.probe import Probe
from services.api.projector.batch import SOURCES
from services.api.projector.loop import POLL_RECORDS, Projector
from services.api.projector.reached import read_to
from services.api.projector.upkeep.loop import Upkeep
from services.api.projector.upkeep.tasks import TASKS
from services.api.settings import ProjectorSettings
from services.api.storage import indexes

STUCK_SECONDS = 120
"""A process whose loop has not gone round for this long is stuck."""
CLOSE_SECONDS = 5.0
FETCH_BYTES = 4 * 1024 * 1024
WORTH_A_FETCH_BYTES = 64 * 1024
FETCH_WAIT_MS = 100
"""The broker gathers records for at most this long: a moderate load makes ten batches a second, not hundreds."""


logger = logging.getLogger("rapport.projector")


class _StoppedError(Exception):
    """Told to stop before Kafka and MongoDB were available."""


def run() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = ProjectorSettings()
    set_up("projector")
    # It warns of every fetch that takes a tenth of a second to unpack, which is normal on a busy log.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    logger.info("settings: %s", settings.described())
    tracing.set_up("projector", settings.traces, settings.traces_share)
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())

    state = health.Health("kafka", "mongodb")
    kafka.probe("kafka", settings.kafka).start(state)
    mongo.probe("mongodb", settings.mongodb.get_secret_value()).start(state)
    mongo.write_probe("mongodb", settings.mongodb.get_secret_value(), settings.database).start(state)
    signs: list[Callable[[], bool]] = []
    server = health.serve(
        settings.host,
        settings.port,
        state,
        alive=lambda: all(sign() for sign in signs),
    )
    try:
        with contextlib.suppress(_StoppedError):
            _project(settings, state, stop, signs)
    except GroupLostError:
        raise SystemExit(1) from None  # the log says why
    finally:
        server.shutdown()
    logger.info("stopped")


def _project(settings: ProjectorSettings, state: health.Health, stop: Event, signs: list[Callable[[], bool]]) -> None:
    """`signs` of life are added once there is something that can live."""

    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise _StoppedError

    client = mongo.patient_client(settings.mongodb.get_secret_value())
    database = client[settings.database]
    where = mongo.shown(settings.mongodb.get_secret_value())
    backoff.until(
        lambda: indexes.create(database), what=f"MongoDB at {where}", log=logger, errors=(PyMongoError,), wait=wait
    )
    state.ready("mongodb")
    kafka_topics.wait_until_there(settings.kafka, CATALOGUE, logger, wait, state)
    producer = Producer(lambda: kafka.producer(settings.kafka, "rapport-projector"))
    Probe("kafka", producer.connect).start(state)
    consumer = GroupConsumer(
        settings.kafka,
        PROJECTOR_GROUP,
        "rapport-projector",
        {topic.name: topic.partitions for topic in SOURCES},
        state,
        stop,
        max_poll_records=POLL_RECORDS,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_min_bytes=WORTH_A_FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    state.ready("kafka")
    projector = Projector(consumer, producer, database, state, stop, settings.places)
    upkeep = Upkeep(database, producer, TASKS, partial(read_to, settings.kafka))
    signs += [lambda: time.monotonic() - projector.beat < STUCK_SECONDS, lambda: upkeep.stuck() is None]
    state.check(upkeep.stuck)
    keeping = Thread(target=upkeep.run, args=(stop,), name="upkeep")
    keeping.start()
    try:
        projector.run()
    finally:
        # Also if the projector failed: the process ends, and the upkeep with it.
        stop.set()
        keeping.join()
        consumer.close()
        producer.close(timeout=CLOSE_SECONDS)
        client.close()
