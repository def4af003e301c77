"""The scorer on a real broker, killed, wiped and fed poison: what it writes is a function of the log, exactly once."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from rapport.contracts import codec
from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import ExchangeSnapshot
from rapport.contracts.rows import FollowerRow, parts_of
from rapport.contracts.topics import (
    ALERTS,
    CATALOGUE,
    CONVERSATIONS,
    CONVERSATIONS_DEAD,
    ENGAGEMENTS,
    EXCHANGES,
    EXCHANGES_CHANGELOG,
    RELATIONSHIPS_CHANGELOG,
    SCORER_GROUP,
    key_of,
)
from rapport.domain.times import utc
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.kafka_login import login
from rapport.local.servers.stack import Running, Stack
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import POSITION, Position, Store, position_of
from services.scorer.relationships.handler import RelationshipsHandler
from tests.services.scorer.story import HOUR, Rows, Story, day, interaction
from tests.services.scorer.worker import Scorer, broker_now, processed, produce, read_all, send_policy
from tests.waiting import until

pytestmark = pytest.mark.stack


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A broker of its own: the state of a group is what is tested."""
    servers = Stack(tmp_path / "stack")
    try:
        yield servers.up(bound=True, any_port=True)
    finally:
        servers.down()


@pytest.fixture
def scorer(own: Running, tmp_path: Path) -> Iterator[Scorer]:
    """A worker on that broker."""
    worker = Scorer(own.kafka, tmp_path)
    try:
        yield worker
    finally:
        worker.stop()


def expected(bootstrap: str) -> tuple[Counter[bytes], Counter[bytes], dict[tuple[str, ...], FollowerRow]]:
    """What the pure handlers make of the log as it is: events on `exchanges`, alerts, and follower rows."""
    stories: dict[int, Story] = {}
    for record in read_all(bootstrap, CONVERSATIONS):
        story = stories.setdefault(record.partition, Story())
        kind = codec.type_of(record.headers)
        story.tell(codec.decode(kind, record.value), record.timestamp, kind)
    said: Counter[bytes] = Counter()
    alerts: Counter[bytes] = Counter()
    for story in stories.values():
        said.update(codec.encode(event) for event in [*story.snapshots, *story.spoken])
        alerts.update(codec.encode(alert) for alert in story.alerts)
    rows: Rows = Rows()
    handler = RelationshipsHandler()
    for record in [*read_all(bootstrap, ENGAGEMENTS), *read_all(bootstrap, EXCHANGES)]:
        batch = Batch(rows)
        handler.apply(record, 0, batch)
        rows.update({key: value for key, value in batch.changes() if value is not None})
    return said, alerts, followers(rows)


def followers(rows: dict[bytes, bytes]) -> dict[tuple[str, ...], FollowerRow]:
    """The follower rows among rows; without the revision, which counts writes and so depends on the order."""
    found = {}
    for key, value in rows.items():
        if parts_of(key)[0] == "follower":
            row = msgspec.json.decode(value, type=FollowerRow)
            row.revision = 0
            found[tuple(parts_of(key))] = row
    return found


def written(bootstrap: str) -> tuple[Counter[bytes], Counter[bytes], dict[tuple[str, ...], FollowerRow]]:
    """What the scorer wrote."""
    rows = {record.key: record.value for record in read_all(bootstrap, RELATIONSHIPS_CHANGELOG) if record.value}
    return (
        Counter(record.value for record in read_all(bootstrap, EXCHANGES)),
        Counter(record.value for record in read_all(bootstrap, ALERTS)),
        followers(rows),
    )


def rests(own: Running, scorer: Scorer) -> bool:
    """Ends the worker, and says whether nothing was left. A clock may fall due in that moment; then it goes on."""
    until(lambda: through(own.kafka), "everything is processed")
    assert scorer.signal(signal.SIGTERM) == 0
    if through(own.kafka):
        return True
    scorer.start()
    until(scorer.ready, "the scorer is ready again")
    return False


def through(bootstrap: str) -> bool:
    """Whether the scorer is through with all there is."""
    return processed(bootstrap, SCORER_GROUP, [CONVERSATIONS, ENGAGEMENTS, EXCHANGES])


def test_killed_three_times_once_on_an_empty_disk_it_loses_and_doubles_nothing(own: Running, scorer: Scorer) -> None:
    until(scorer.ready, "the scorer is ready")
    now = broker_now(own)
    # Some of the comments are overdue when they come, so warnings, breaches and retractions are among what is compared.
    send_policy(own, PolicyRule(target_seconds=3 * 3600), now - 24 * HOUR)
    for life in range(3):
        produce(own.kafka, day(life, 1_500, now))
        # In the middle of it, wherever that is: some of its transactions are in the log, the rest are not.
        until(lambda: bool(read_all(own.kafka, EXCHANGES)), "something is processed")
        scorer.signal(signal.SIGKILL)
        if life == 1:
            shutil.rmtree(scorer.folder / "scorer-0")
        scorer.start()
    until(scorer.ready, "the scorer is ready again")
    until(lambda: rests(own, scorer), "the worker rests with everything processed")
    said, alerts, rows = written(own.kafka)
    assert (said, alerts, rows) == expected(own.kafka)
    assert len(rows) > 150
    steps = {codec.decode("rapport.alert.v1", alert).step for alert in alerts}
    assert steps >= {"warning", "breach", "retracted"}


def test_a_breach_comes_with_the_ticks_alone(own: Running, scorer: Scorer) -> None:
    until(scorer.ready, "the scorer is ready")
    now = broker_now(own)
    send_policy(own, PolicyRule(target_seconds=2, warn_at=(0.5,)), now - HOUR)
    produce(own.kafka, [interaction("comment", "c1", now)])
    until(lambda: len(read_all(own.kafka, ALERTS)) == 2, "warning and breach are in the log")
    assert [codec.decode("rapport.alert.v1", record.value).step for record in read_all(own.kafka, ALERTS)] == [
        "warning",
        "breach",
    ]


def test_ticks_say_up_to_when_their_partition_is_scored_and_not_that_somebody_is_there(
    own: Running, tmp_path: Path
) -> None:
    scorer = Scorer(own.kafka, tmp_path, before="from tests.faults import saboteurs; saboteurs.behind(4)")
    try:
        until(scorer.ready, "the scorer is ready")
        now = broker_now(own)
        produce(own.kafka, [interaction("comment", f"c{number}", now) for number in range(3)])
        comments = [
            each
            for each in read_all(own.kafka, CONVERSATIONS)
            if codec.type_of(each.headers) == "rapport.interaction.v1"
        ]
        (partition,), last = {each.partition for each in comments}, max(each.timestamp for each in comments)

        def ticks() -> list[tuple[int, datetime | None]]:
            its = [each for each in read_all(own.kafka, CONVERSATIONS) if each.key == key_of("tick")]
            here = [each for each in its if each.partition == partition]
            return [(each.timestamp, codec.decode("rapport.tick.v1", each.value).scored) for each in here]

        until(lambda: any(scored and scored >= utc(last) for _, scored in ticks()), "a tick that has them all")
        done = max(each.timestamp for each in read_all(own.kafka, EXCHANGES))
        meanwhile = [scored for at, scored in ticks() if last < at < done]
        assert len(meanwhile) > 3
        assert all(scored is None or scored < utc(last) for scored in meanwhile)
    finally:
        scorer.stop()


def test_what_cannot_be_processed_is_dead_lettered_with_the_reason_and_the_rest_goes_on(
    own: Running, scorer: Scorer
) -> None:
    producer = kafka.producer(own.kafka, "test")
    interesting = [("ce_type", b"rapport.interaction.v1")]
    poison: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
        (b"\xff\x00 not json", interesting),
        (None, interesting),
        (b"{}", [("ce_type", b"somebody.elses.v77")]),
        (b"{}", []),
        (codec.encode(interaction("reply", "r1", 0, thread=None)), interesting),
    ]
    for value, headers in poison:
        producer.send(CONVERSATIONS.name, value, key=b"poison", partition=0, headers=headers).get(30)
    producer.flush()
    produce(own.kafka, [interaction("comment", "c1", broker_now(own))])
    until(lambda: through(own.kafka), "everything is processed")
    dead = read_all(own.kafka, CONVERSATIONS_DEAD)
    reasons = [dict(record.headers)["rapport_dead_because"].decode() for record in dead]
    assert [record.value for record in dead] == [value for value, _ in poison]
    for reason, says in zip(
        reasons,
        ["not a rapport.interaction.v1", "without a value", "v77", "no ce_type", "neither a parent"],
        strict=True,
    ):
        assert says in reason
    snapshots = [codec.decode("rapport.exchange.v1", record.value) for record in read_all(own.kafka, EXCHANGES)]
    assert [found.first.id for found in snapshots if isinstance(found, ExchangeSnapshot)] == ["c1"]


def test_a_record_that_is_too_large_for_the_log_is_found_in_its_batch_and_stops_nothing(
    own: Running, scorer: Scorer
) -> None:
    until(scorer.ready, "the scorer is ready")
    resource = ConfigResource(ConfigResourceType.TOPIC, EXCHANGES.name, {"max.message.bytes": "6000"})
    admin = KafkaAdminClient(bootstrap_servers=own.kafka, **login())
    admin.alter_configs([resource])
    admin.close()
    now = broker_now(own)
    where = {"thread": "post-1", "conversation": "post-1"}
    told = [interaction("comment", f"c{number}", now, follower=f"f{number}", **where) for number in range(40)]
    told[20] = interaction("comment", "c" * 512, now, follower="f" * 512, text="é" * 1_000, account="a" * 512, **where)
    produce(own.kafka, told)
    until(lambda: through(own.kafka), "everything is processed")
    (dead,) = read_all(own.kafka, CONVERSATIONS_DEAD)
    assert dict(dead.headers)["rapport_dead_because"].decode().endswith("the log refuses what this record would write")
    opened = [codec.decode("rapport.exchange.v1", record.value) for record in read_all(own.kafka, EXCHANGES)]
    assert len({found.id for found in opened if isinstance(found, ExchangeSnapshot)}) == 39


def test_rows_of_a_disk_that_was_away_for_too_long_are_read_anew(own: Running, scorer: Scorer) -> None:
    until(scorer.ready, "the scorer is ready")
    produce(own.kafka, day(3, 100, broker_now(own)))
    until(lambda: through(own.kafka), "everything is processed")
    scorer.signal(signal.SIGTERM)
    folder = scorer.folder / "scorer-0" / "scorer" / "rapport-1" / "exchanges" / "0"
    store = Store(folder)
    marker, position = store.marker(), position_of(store)
    assert marker is not None
    assert position is not None
    old = Position(next=position.next, clock=position.clock - 13 * 24 * HOUR)
    # As if it had stopped then, half way, and all that was deleted since were gone from the changelog.
    store.write([(b'["deleted"]', b"{}"), (POSITION, msgspec.json.encode(old))], marker // 2)
    store.close()
    scorer.start()
    until(scorer.ready, "the scorer is ready again")
    assert "exchanges[0] was away for too long" in scorer.log.read_text()
    scorer.signal(signal.SIGTERM)
    store = Store(folder)
    assert store.get(b'["deleted"]') is None
    assert len([key for chunk in store.chunks(b"[") for key, _ in chunk]) > 1
    store.close()


STUCK = """
import asyncio
from services.scorer import worker
from services.scorer.fenced import transaction, transport
worker.STUCK_SECONDS, worker.CHECK_SECONDS, worker.ANSWER_SECONDS = 2, 0.2, 1
"""


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            "async def never(*_): await asyncio.Event().wait()\ntransaction.Transactions.commit = never",
            "did none of it",
        ),
        ("transport.FencedConsumer._drain_messages = lambda *_: asyncio.Event().wait()", "and not further for"),
    ],
    ids=["a lane", "the fetching"],
)
def test_a_worker_that_gets_nowhere_says_so_and_ends(own: Running, tmp_path: Path, broken: str, says: str) -> None:
    worker = Scorer(own.kafka, tmp_path, before=STUCK + broken)
    try:
        assert worker.process is not None
        assert worker.process.wait(60) == 1
        assert says in worker.log.read_text()
    finally:
        worker.stop()


def test_a_worker_whose_broker_is_gone_says_so_without_a_flood_and_ends(own: Running, tmp_path: Path) -> None:
    worker = Scorer(own.kafka, tmp_path, before=STUCK)
    try:
        until(worker.ready, "the scorer is ready")
        os.kill(own.pids["kafka"], signal.SIGKILL)
        assert worker.process is not None
        assert worker.process.wait(90) == 1
        said = worker.log.read_text()
        assert "Kafka has not answered for" in said
        assert said.count("\n") < 1_000
    finally:
        worker.stop()


def test_it_refuses_to_start_where_the_rows_are_gone_and_says_what_to_do(own: Running, scorer: Scorer) -> None:
    until(scorer.ready, "the scorer is ready")
    produce(own.kafka, day(9, 100, broker_now(own)))
    until(lambda: through(own.kafka), "everything is processed")
    scorer.signal(signal.SIGTERM)
    recreate(own, EXCHANGES_CHANGELOG.name)
    for folder_kept in (True, False):
        if not folder_kept:
            shutil.rmtree(scorer.folder / "scorer-0")
        scorer.start()
        assert scorer.process is not None
        assert scorer.process.wait(60) == 1
        assert "the changelog was" in scorer.log.read_text().split("refusing to go on")[-1]


def recreate(own: Running, name: str) -> None:
    """Deletes a topic and creates it again, empty."""
    admin = KafkaAdminClient(bootstrap_servers=own.kafka, **login())
    admin.delete_topics([name])
    until(lambda: name in kafka_topics.missing_topics(own.kafka, CATALOGUE), "the topic is gone")
    kafka_topics.create_topics(own.kafka, 1, CATALOGUE)
    until(lambda: not kafka_topics.missing_topics(own.kafka, CATALOGUE), "the topic is back")
    admin.close()
