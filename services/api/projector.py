"""`rapport projector`: keeps the views in MongoDB up to the log, and up to the time."""

import contextlib
import logging
import signal
import time
from threading import Event, Thread

from pymongo.errors import PyMongoError

from rapport.contracts.topics import CATALOGUE, PROJECTOR_GROUP
from rapport.kit import backoff, health, kafka, mongo
from rapport.kit.log import set_up
from rapport.kit.member import GroupConsumer, GroupLostError
from rapport.kit.probe import Probe
from rapport.kit.producer import Producer
from services.api.projection.batch import SOURCES
from services.api.projection.loop import POLL_RECORDS, Projector
from services.api.repositories import indexes
from services.api.settings import ProjectorSettings
from services.api.upkeep.loop import Upkeep
from services.api.upkeep.tasks import TASKS

STUCK_SECONDS = 120
"""Without a round for so long, the process is not waiting but stuck."""
CLOSE_SECONDS = 5.0
FETCH_BYTES = 4 * 1024 * 1024
WORTH_A_FETCH_BYTES = 64 * 1024
FETCH_WAIT_MS = 100
"""The broker gathers records for so long at most, so that a moderate load is ten batches a second, not hundreds."""


logger = logging.getLogger("rapport.projector")


class _StoppedError(Exception):
    """Told to stop before everything was there."""


def run() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = ProjectorSettings()
    set_up("projector")
    # It warns of every fetch that takes a tenth of a second to unpack, which a busy log makes normal.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    logger.info("settings: %s", settings.described())
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())

    state = health.Health("kafka", "mongodb")
    kafka.probe("kafka", settings.kafka).start(state)
    mongo.probe("mongodb", settings.mongodb.get_secret_value()).start(state)
    beats: list[Projector] = []
    server = health.serve(
        settings.host,
        settings.port,
        state,
        alive=lambda: not beats or time.monotonic() - beats[0].beat < STUCK_SECONDS,
    )
    try:
        with contextlib.suppress(_StoppedError):
            _project(settings, state, stop, beats)
    except GroupLostError:
        raise SystemExit(1) from None  # why is in the log
    finally:
        server.shutdown()
    logger.info("stopped")


def _project(settings: ProjectorSettings, state: health.Health, stop: Event, beats: list[Projector]) -> None:
    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise _StoppedError

    client = mongo.client(settings.mongodb.get_secret_value())
    database = client[settings.database]
    where = mongo.shown(settings.mongodb.get_secret_value())
    backoff.until(
        lambda: indexes.create(database), what=f"MongoDB at {where}", log=logger, errors=(PyMongoError,), wait=wait
    )
    state.ready("mongodb")
    kafka.wait_until_there(settings.kafka, CATALOGUE, logger, wait)
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
    beats.append(projector)
    upkeep = Thread(target=Upkeep(database, producer, TASKS).run, args=(stop,), name="upkeep")
    upkeep.start()
    try:
        projector.run()
    finally:
        # Also where the projector failed: the process ends, and with it the upkeep.
        stop.set()
        upkeep.join()
        consumer.close()
        producer.close(timeout=CLOSE_SECONDS)
        client.close()
