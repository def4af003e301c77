"""What is kept for as long as the promise says: topics, offsets, and what was told."""

import importlib
import logging
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rapport.commands.processes import _MODULES
from rapport.contracts.topics import CATALOGUE, DAY_MS, KEPT_DAYS, Topic
from rapport.kit import mongo
from rapport.kit.broker import kafka_topics
from rapport.kit.health import Health
from rapport.local.servers.stack import Running
from services.notifier import outbox

pytestmark = pytest.mark.stack

DAY = timedelta(days=1)


@pytest.fixture
def make(stack: Running) -> Callable[..., Topic]:
    """Makes a topic that is set as it should not be, and gives it as it should be."""

    def made(now: dict[str, str], wanted: dict[str, str]) -> Topic:
        name = f"kept-{uuid.uuid4().hex}"
        kafka_topics.create_topics(stack.kafka, 1, [Topic(name, ("key",), (), (), config=now, fixed=1)])
        return Topic(name, ("key",), (), (), config=wanted, fixed=1)

    return made


@pytest.mark.parametrize("topic", [topic for topic in CATALOGUE if topic.config["cleanup.policy"] == "delete"])
def test_every_topic_is_kept_for_as_long_as_an_outage_may_last(topic: Topic) -> None:
    assert int(topic.config["retention.ms"]) >= KEPT_DAYS * DAY_MS


def test_what_was_told_is_remembered_longer_than_the_log_has_it() -> None:
    segment = 7 * DAY
    assert KEPT_DAYS * DAY + segment < outbox.KEPT


def test_the_stack_keeps_topics_and_offsets_for_as_long_as_is_promised(stack: Running) -> None:
    assert kafka_topics.OFFSETS_KEPT_MINUTES * timedelta(minutes=1) >= KEPT_DAYS * DAY
    assert kafka_topics.shortfalls(stack.kafka, CATALOGUE) == []


def test_a_topic_that_keeps_too_little_is_named_at_the_start_and_raised(
    stack: Running, make: Callable[..., Topic], caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {"cleanup.policy": "delete", "retention.ms": str(90 * DAY_MS)}
    topic = make({"retention.ms": str(30 * DAY_MS)}, wanted)
    with caplog.at_level(logging.ERROR):
        kafka_topics.wait_until_there(stack.kafka, [topic], logging.getLogger("test"), lambda _: None, Health())
    assert f"retention.ms of {topic.name} is {30 * DAY_MS}, and should be {90 * DAY_MS}" in caplog.text

    assert kafka_topics.raise_settings(stack.kafka, [topic]) == [topic.name]
    assert kafka_topics.shortfalls(stack.kafka, [topic]) == []
    assert kafka_topics.raise_settings(stack.kafka, [topic]) == []


@pytest.mark.parametrize("kept", [str(400 * DAY_MS), "-1"])
def test_what_is_kept_for_longer_stays_so(stack: Running, make: Callable[..., Topic], kept: str) -> None:
    topic = make({"retention.ms": kept}, {"cleanup.policy": "delete", "retention.ms": str(90 * DAY_MS)})
    assert kafka_topics.shortfalls(stack.kafka, [topic]) == []


def test_a_topic_that_deletes_what_should_be_compacted_is_named(stack: Running, make: Callable[..., Topic]) -> None:
    topic = make({"cleanup.policy": "delete"}, {"cleanup.policy": "compact"})
    (said,) = kafka_topics.shortfalls(stack.kafka, [topic])
    assert said == f"cleanup.policy of {topic.name} is delete, and should be compact"


def test_every_process_looks_at_all_topics_when_it_starts() -> None:
    modules = {
        name: importlib.import_module("services.ingest.directory" if name == "ingest" else module)
        for name, (module, _) in _MODULES.items()
    }
    looks = re.compile(r"kafka_topics\.wait_until_there\([\w.]+, CATALOGUE, [\w.]+, [\w.]+, [\w.]+\)")
    for name, module in modules.items():
        assert module.__file__ is not None
        assert looks.search(Path(module.__file__).read_text()), name


def test_deliveries_of_an_older_version_are_kept_for_longer_from_now_on(stack: Running, database: str) -> None:
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        rows.create_index("created_at", name="kept", expireAfterSeconds=90 * 24 * 3600)
        client[database][rows.name].insert_one({"_id": "x", "created_at": datetime.now(UTC)})
        for _ in range(2):
            outbox.prepare(rows)
        assert rows.index_information()["kept"]["expireAfterSeconds"] == outbox.KEPT.total_seconds()
