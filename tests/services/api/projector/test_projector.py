"""The projector on a real log and a real MongoDB."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import msgspec
import pytest
from bson import Timestamp
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.events import ExchangeSnapshot, Interaction
from rapport.contracts.rows import EPOCH_HEADER, row_key
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    CONVERSATIONS_UNSEEN,
    ENGAGEMENTS,
    EXCHANGES,
    RELATIONSHIPS_CHANGELOG,
    Topic,
    key_of,
    partition_of,
)
from rapport.domain.arrivals.minutes import bit_of, day_of
from rapport.kit.broker import kafka
from rapport.kit.broker.member import GroupConsumer
from rapport.kit.health import Health
from rapport.kit.mongo import Document
from rapport.local.ports import usual_or_free
from rapport.local.servers.stack import Running
from services.api.interactions.documents import hour_id, hour_of, interaction_document
from services.api.listening import upkeep
from services.api.listening.documents import heard_id
from services.api.projector import hourly, reached
from services.api.projector import views as writing
from services.api.projector.batch import SOURCES, Batch, _add_heard
from services.api.projector.loop import Projector
from services.api.projector.reached import read_to
from tests.services.api import samples
from tests.services.api.log import everything
from tests.services.api.profiled import profiled
from tests.waiting import until

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
VIEWS = ("interactions", "exchanges", "followers", "alerts", "hourly", "account_minutes", "account_rhythms")


class _Log:
    """Writes what ingest and the scorer would."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = kafka.producer(bootstrap, "test")

    def _write(self, topic: Topic, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._producer.send(topic.name, value, key, headers=headers, partition=partition_of(key, topic.partitions)).get(
            timeout=30
        )

    def event(self, topic: Topic, event: Any, kind: str) -> None:
        value = event if isinstance(event, bytes) else codec.encode(event)
        self._write(topic, key_of("k"), value, codec.headers(f"rapport.{kind}.v1", id="1", source="/test"))

    def exchange(self, snapshot: ExchangeSnapshot, epoch: int = 1) -> None:
        headers = [
            *codec.headers("rapport.exchange.v1", id=snapshot.id, source="/test"),
            (EPOCH_HEADER, str(epoch).encode()),
        ]
        self._write(EXCHANGES, key_of("k"), codec.encode(snapshot), headers)

    def follower(self, row: Any) -> None:
        key = row_key("follower", row.brand, row.platform, row.follower)
        self._write(RELATIONSHIPS_CHANGELOG, key, msgspec.json.encode(row), [(EPOCH_HEADER, b"1")])

    def beat(self, partition: int) -> None:
        value = codec.encode(Heartbeat(instance="test", behind=()))
        headers = codec.headers("rapport.control.v1", id="heartbeat", source="/test")
        self._producer.send(CONVERSATIONS.name, value, b"k", headers=headers, partition=partition).get(timeout=30)

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def log(stack: Running) -> Iterator[_Log]:
    found = _Log(stack.kafka)
    yield found
    found.close()


@pytest.fixture
def brand() -> str:
    """A brand of this test's own, because the log is shared."""
    return f"b-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def projecting(stack: Running, views: Database[Any], group: str = "") -> Iterator[Health]:
    """A projector that reads the whole log from its beginning, as a new consumer group."""
    health, stop = Health(), threading.Event()
    topics = {topic.name: topic.partitions for topic in SOURCES}
    group = group or f"test-{uuid.uuid4().hex}"
    consumer = GroupConsumer(stack.kafka, group, "test", topics, Health(), stop, max_poll_records=2000)
    producer = kafka.producer(stack.kafka, "test")
    thread = threading.Thread(target=Projector(consumer, producer, views, health, stop).run)
    thread.start()
    try:
        yield health
    finally:
        stop.set()
        thread.join(30)
        consumer.close()
        producer.close()


def _shown(views: Database[Any], brand: str) -> dict[str, list[Document]]:
    """The views of a brand, without the numbers that only order their writing."""
    return {
        name: [
            {field: value for field, value in each.items() if field not in ("drawn", "summed")}
            for each in views[name].find({"brand": brand}).sort("_id")
        ]
        for name in VIEWS
    }


def _story(log: _Log, brand: str) -> None:
    """A comment, a like, a row that changes, and an alert."""
    for number in range(3):
        log.event(CONVERSATIONS, samples.interaction(str(number), brand, NOW), "interaction")
    log.event(ENGAGEMENTS, samples.interaction("like", brand, NOW - timedelta(hours=3), kind="reaction"), "interaction")
    log.exchange(samples.exchange(f"{brand}-x", brand, NOW))
    log.exchange(samples.exchange(f"{brand}-x", brand, NOW, revision=2, state="answered", answered_at=NOW))
    log.follower(samples.follower("did:plc:ada", brand, NOW, name="$where: 'hostile'"))
    log.event(ALERTS, samples.alert(f"{brand}-alert", brand, f"{brand}-x", "warning", NOW), "alert")


def _until_whole(views: Database[Any], brand: str) -> None:
    until(
        lambda: (
            views["interactions"].count_documents({"brand": brand}) == 4
            and views["exchanges"].count_documents({"brand": brand, "state": "answered"}) == 1
            and views["followers"].count_documents({"brand": brand}) == 1
            and views["alerts"].count_documents({"brand": brand}) == 1
            and views["hourly"].count_documents({"brand": brand}) == 2
        ),
        "the views show the story",
    )


def test_the_same_records_a_second_time_change_nothing(
    stack: Running, views: Database[Any], log: _Log, brand: str
) -> None:
    _story(log, brand)
    with projecting(stack, views):
        _until_whole(views, brand)
    before = _shown(views, brand)
    counts = {each["_id"]: each["counts"] for each in before["hourly"]}
    assert counts == {
        f"{brand}/{NOW:%Y-%m-%dT%H}": {"comment": 3},
        f"{brand}/{NOW - timedelta(hours=3):%Y-%m-%dT%H}": {"reaction": 1},
    }
    # Read from the beginning once more, and with the same facts sent once more.
    _story(log, brand)
    log.event(CONVERSATIONS, samples.interaction("end", f"{brand}-end", NOW), "interaction")
    with projecting(stack, views):
        until(lambda: views["hourly"].count_documents({"brand": f"{brand}-end"}) == 1, "all is read and counted")
    assert _shown(views, brand) == before


def test_when_rapport_listened_and_up_to_where_the_views_are_comes_from_the_log(
    stack: Running, views: Database[Any], log: _Log
) -> None:
    began = datetime.now(UTC)
    for partition in range(CONVERSATIONS.partitions):
        log.beat(partition)
    with projecting(stack, views):
        until(
            lambda: (found := upkeep.horizon(views)) is not None and found >= began - timedelta(seconds=5),
            "every partition is read up to its heartbeat",
        )
    (day,) = views["heard_minutes"].find({"_id": heard_id(day_of(began))})
    assert day["hours"][str(began.hour)] & bit_of(began) or datetime.now(UTC).minute != began.minute


def test_up_to_when_engagements_are_stored_is_told_by_what_is_committed(
    stack: Running, views: Database[Any], log: _Log, brand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = f"test-{uuid.uuid4().hex}"
    monkeypatch.setattr(reached, "PROJECTOR_GROUP", group)
    log.event(ENGAGEMENTS, samples.interaction("post", brand, NOW, kind="post"), "interaction")
    first = datetime.now(UTC) + timedelta(milliseconds=1)
    assert not read_to(stack.kafka, first)
    with projecting(stack, views, group):
        until(lambda: read_to(stack.kafka, first), "it is read")
    assert views["interactions"].count_documents({"brand": brand}) == 1
    log.event(ENGAGEMENTS, samples.interaction("later", brand, NOW, kind="post"), "interaction")
    assert read_to(stack.kafka, first)
    assert not read_to(stack.kafka, datetime.now(UTC) + timedelta(seconds=1))


def test_since_when_heartbeats_come_without_a_pause_is_noted(views: Database[Any]) -> None:
    def heard(*seconds: int) -> datetime | None:
        batch = Batch()
        for each in seconds:
            _add_heard(batch, 0, NOW + timedelta(seconds=each))
        writing.write(views, batch)
        found = views["horizons"].find_one({"_id": 0})
        assert found is not None
        since = found.get("since")
        assert since is None or isinstance(since, datetime)
        return since

    assert heard(0, 10) is None, "of a pause nothing is known"
    assert heard(60, 70) is None
    assert heard(131, 140) == NOW + timedelta(seconds=131)
    assert heard(150, 220, 230) == NOW + timedelta(seconds=220)
    assert heard(131, 140) == NOW + timedelta(seconds=220)
    views["horizons"].update_one({"_id": 0}, {"$unset": {"since": ""}})
    assert heard(240) is None, "an upgrade is no pause"
    assert heard(400) == NOW + timedelta(seconds=400)


def test_an_older_row_that_comes_later_changes_nothing(
    stack: Running, views: Database[Any], log: _Log, brand: str
) -> None:
    exchange = f"{brand}-x"
    log.exchange(samples.exchange(exchange, brand, NOW, revision=1, comments=7), epoch=2)
    with projecting(stack, views):
        until(lambda: views["exchanges"].find_one({"_id": exchange, "comments": 7}), "the newest is shown")
        log.exchange(samples.exchange(exchange, brand, NOW, revision=99, comments=1), epoch=1)
        log.exchange(samples.exchange(exchange, brand, NOW, revision=0, comments=2), epoch=2)
        log.exchange(samples.exchange(f"{exchange}-end", brand, NOW))
        until(lambda: views["exchanges"].find_one({"_id": f"{exchange}-end"}), "all is read")
        found = views["exchanges"].find_one({"_id": exchange})
        assert found is not None
        assert found["comments"] == 7


def test_an_unreadable_interaction_lies_in_the_dead_letters_with_its_reason(
    stack: Running, views: Database[Any], log: _Log, brand: str
) -> None:
    poison = f'{{"id": "{brand}"}}'.encode()
    log.event(CONVERSATIONS, poison, "interaction")
    log.event(CONVERSATIONS, samples.interaction("after", brand, NOW), "interaction")
    with projecting(stack, views):
        until(lambda: views["interactions"].find_one({"brand": brand}), "the next record is shown")
        until(
            lambda: any(each.value == poison for each in everything(stack.kafka, CONVERSATIONS_UNSEEN)),
            "the unreadable one is put aside",
        )
    letter = next(each for each in everything(stack.kafka, CONVERSATIONS_UNSEEN) if each.value == poison)
    headers = dict(letter.headers)
    assert headers["ce_type"] == b"rapport.interaction.v1"
    assert b"brand" in headers["rapport_dead_because"]


@pytest.mark.parametrize("held_up", ["hour_parts", "hourly"])
def test_two_projectors_that_count_the_same_hour_cannot_undo_each_other(
    views: Database[Any], brand: str, monkeypatch: pytest.MonkeyPatch, held_up: str
) -> None:
    hour, store = hour_of(NOW), hourly._store

    def insert(id: str) -> None:
        views["interactions"].insert_one(
            {**interaction_document(samples.interaction(id, brand, NOW)), "arrived": Timestamp(1_000, int(id))}
        )

    def late(collection: Any, documents: Any, drawn: int) -> None:
        if collection.name == held_up:
            monkeypatch.setattr(hourly, "_store", store)
            insert("2")
            hourly.recount_parts(views, {(brand, hour, 16)})
        store(collection, documents, drawn)

    insert("1")
    monkeypatch.setattr(hourly, "_store", late)
    hourly.recount_parts(views, {(brand, hour, 16)})
    found = views["hourly"].find_one({"brand": brand})
    assert found is not None
    assert found["counts"] == {"comment": 2}


def test_an_hour_that_an_earlier_version_counted_is_counted_whole(views: Database[Any], brand: str) -> None:
    hour = hour_of(NOW)
    stored = [interaction_document(samples.interaction(str(number), brand, NOW)) for number in range(3)]
    views["interactions"].insert_many(stored[:2])
    before = {"_id": hour_id(brand, hour), "brand": brand, "hour": hour, "counts": {"comment": 2}, "drawn": 7}
    views["hourly"].insert_one(before)
    views["counters"].insert_one({"_id": "hourly", "drawn": 7})

    def counts() -> Document:
        (found,) = views["hourly"].find({"brand": brand})
        counted: Document = found["counts"]
        return counted

    views["interactions"].insert_one({**stored[2], "arrived": Timestamp(1_000, 1)})
    hourly.recount_parts(views, {(brand, hour, 16)})
    assert counts() == {"comment": 3}
    # One that was not upgraded yet stores one more and counts, then this version counts again.
    views["interactions"].insert_one(interaction_document(samples.interaction("old", brand, NOW, kind="share")))
    views["hourly"].update_one({"brand": brand}, {"$set": {"counts": {"comment": 3, "share": 1}, "drawn": 1_000}})
    views["counters"].update_one({"_id": "hourly"}, {"$set": {"drawn": 1_000}})
    hourly.recount_parts(views, {(brand, hour, 17)})
    assert counts() == {"comment": 3, "share": 1}


def test_counting_an_hour_costs_what_came_lately_not_what_it_has(views: Database[Any], brand: str) -> None:
    hour = hour_of(NOW)
    looked = []
    for minute in range(40):
        views["interactions"].insert_many(
            {
                **interaction_document(samples.interaction(f"{minute}-{number}", brand, NOW)),
                "arrived": Timestamp(60 * minute + 60, number + 1),
            }
            for number in range(100)
        )
        with profiled(views) as found:
            hourly.recount_parts(views, {(brand, hour, minute + 1)})
        looked.append(found.looked)
    (stored,) = views["hourly"].find({"brand": brand})
    assert stored["counts"] == {"comment": 4_000}
    assert looked[-1] < looked[0] + 100, "keys of indexes and documents"


def _start(stack: Running, views: Database[Any], port: int) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "RAPPORT_KAFKA": stack.kafka,
        "RAPPORT_MONGODB": stack.mongodb,
        "RAPPORT_DATABASE": views.name,
        "RAPPORT_PORT": str(port),
    }
    return subprocess.Popen(
        [sys.executable, "-c", "from services.api.projector.process import run; run()"], env=environment
    )


def _ready(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    return False


def test_a_projector_killed_in_the_middle_converges_when_it_is_started_again(
    stack: Running, views: Database[Any], log: _Log, brand: str
) -> None:
    total, port = 3000, usual_or_free(0)
    sent: list[Interaction] = [samples.interaction(str(number), brand, NOW) for number in range(total)]

    def write() -> None:
        for each in sent:
            log.event(CONVERSATIONS, each, "interaction")

    writer = threading.Thread(target=write)
    process = _start(stack, views, port)
    try:
        until(lambda: _ready(port), "the projector is ready")
        writer.start()
        for share in (0.2, 0.6):
            until(
                lambda share=share: views["interactions"].count_documents({"brand": brand}) > share * total,  # type: ignore[misc]
                "some are shown",
            )
            process.kill()
            process.wait()
            process = _start(stack, views, port)
        writer.join()
        until(
            lambda: (views["hourly"].find_one({"brand": brand}) or {}).get("counts") == {"comment": total},
            "all are shown and counted",
        )
        assert views["interactions"].count_documents({"brand": brand}) == total
        until(lambda: _ready(port), "the projector is ready")
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert "rapport_projector_freshness_seconds_count" in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


class _Polled:
    """A consumer of one poll. Not a real one, as an unreadable row in the shared log would halt every projector."""

    def __init__(self, polled: dict[TopicPartition, list[ConsumerRecord]], stop: threading.Event) -> None:
        self._polled = polled
        self._stop = stop
        self.positions = {partition: records[-1].offset + 1 for partition, records in polled.items()}
        self.halted: set[TopicPartition] = set()
        self.committed: dict[TopicPartition, int] = {}

    def poll(self, *_: Any, **__: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        self._stop.set()
        return self._polled

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        self.halted |= set(partitions)

    def paused(self) -> set[TopicPartition]:
        return self.halted

    def assignment(self) -> set[TopicPartition]:
        return set(self._polled)

    def highwater(self, _partition: TopicPartition) -> int | None:
        return None

    def commit(self) -> None:
        self.committed = dict(self.positions)


def _record(partition: TopicPartition, offset: int, value: bytes, headers: codec.Headers) -> ConsumerRecord:
    known = {"topic": partition.topic, "partition": partition.partition, "offset": offset, "key": b"k"}
    absent = dict.fromkeys(ConsumerRecord._fields)
    return ConsumerRecord(**{**absent, **known, "value": value, "headers": headers})


def test_an_unreadable_row_halts_its_partition_and_says_so_while_the_others_go_on(
    views: Database[Any], brand: str
) -> None:
    rows, facts = TopicPartition(EXCHANGES.name, 1), TopicPartition(CONVERSATIONS.name, 2)
    good = codec.encode(samples.exchange(f"{brand}-x", brand, NOW))
    said = codec.encode(samples.interaction("1", brand, NOW))
    kind = codec.headers("rapport.exchange.v1", id="1", source="/test")
    stop, health = threading.Event(), Health()
    consumer = _Polled(
        {
            rows: [_record(rows, 6, good, kind), _record(rows, 7, b"[]", kind), _record(rows, 8, good, kind)],
            facts: [
                _record(facts, 3, said, codec.headers("rapport.interaction.v1", id="1", source="/test")),
            ],
        },
        stop,
    )
    Projector(cast(GroupConsumer, consumer), None, views, health, stop).run()
    assert views["exchanges"].count_documents({"brand": brand}) == 1
    assert views["interactions"].count_documents({"brand": brand}) == 1
    assert consumer.halted == {rows}
    assert consumer.committed == {rows: 7, facts: 4}
    assert health.reasons() == [f"{rows.topic}/1 waits at {rows.topic}:1:7 for a later version"]
