"""Traps 9 to 11: disks that were away, changelogs that end oddly, and changelogs that are not what they were."""

import shutil
from collections.abc import Callable

import pytest
from kafka import KafkaProducer

from rapport.contracts.events import Interaction
from rapport.contracts.topics import CATALOGUE, RELATIONSHIPS_CHANGELOG, Topic
from rapport.kit.broker import kafka_topics
from rapport.kit.broker.kafka_login import login
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import CHANGELOGS, PARTITIONS, Log, check, through
from tests.faults.refusals import of_agent, refuses
from tests.faults.worker import Worker
from tests.services.scorer.story import interaction
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]
CLEANER = {"log.cleaner.backoff.ms": "200"}
COMPACTED_AT_ONCE: dict[str, str | int] = {
    "segment_ms": 500,
    "min_cleanable_dirty_ratio": "0.0",
    "min_compaction_lag_ms": 0,
    "delete_retention_ms": 0,
}


def compact(broker: OwnBroker, topics: tuple[Topic, ...]) -> None:
    """Lets the broker compact what is there: rows that were replaced are gone, and tombstones too."""
    broker.configure_all(CLEANER)
    for topic in topics:
        broker.configure(topic, **COMPACTED_AT_ONCE)
        until(lambda topic=topic: not doubles(broker, topic), f"{topic.name} is compacted")  # type: ignore[misc]


def doubles(broker: OwnBroker, topic: Topic) -> int:
    """How many records of a changelog stand for nothing any more. First closes the segments they are in."""
    producer = KafkaProducer(bootstrap_servers=broker.kafka, transactional_id="test", **login())
    producer.init_transactions()
    producer.begin_transaction()
    for number in range(topic.partitions):
        producer.send(topic.name, b"{}", key=b"[]", partition=number)
    producer.flush()
    producer.abort_transaction()
    producer.close()
    records = Log(broker.kafka)[topic]
    return len(records) - len({(record.partition, record.key) for record in records if record.value is not None})


def deleted_since(broker: OwnBroker, start: Start, **first: str) -> tuple[Worker, list[Interaction]]:
    """A worker that ended, and whose rows another one has deleted in part since; and what was told to them."""
    away = start("scorer-0", **first, session_seconds=6)
    until(away.ready, "the worker is ready")
    now = begin(broker)
    ledger = history(0, 400, now) + [
        interaction("comment", f"c{number}", now, thread=f"post-{number}", follower=f"f{number}")
        for number in range(100)
    ]
    produce(broker.kafka, ledger)
    until(lambda: through(broker.kafka), "everything is processed")
    away.end()
    other = start("scorer-1", session_seconds=6)
    ledger += (answers := [
        interaction("reply", f"r{number}", now + 1, parent=f"c{number}", thread=f"post-{number}", follower=f"f{number}")
        for number in range(100)
    ])  # fmt: skip
    produce(broker.kafka, answers)
    until(lambda: through(broker.kafka), "everything is processed")
    other.end()
    gone = sum(record.value is None for record in Log(broker.kafka)[RELATIONSHIPS_CHANGELOG])
    assert gone >= 100, "where the answered exchanges are need not be known any more"
    return away, ledger


@pytest.mark.red("stale()")
def test_rows_that_others_deleted_while_a_disk_was_away_stay_deleted(broker: OwnBroker, start: Start) -> None:
    away, ledger = deleted_since(broker, start)
    away.start()
    until(away.ready, "it is back")
    until(lambda: through(broker.kafka), "everything is processed")
    away.end()
    check(broker.kafka, ledger, [away])


@pytest.mark.red("ages(10**12)")
def test_they_stay_deleted_also_where_the_changelog_does_not_know_of_it_any_more(
    broker: OwnBroker, start: Start
) -> None:
    # What takes 14 days is over in a second, and so is the time after which a disk is too old.
    away, ledger = deleted_since(broker, start, broken="ages(1_000)")
    compact(broker, tuple(CHANGELOGS.values()))
    away.start()
    until(away.ready, "it is back")
    until(lambda: through(broker.kafka), "everything is processed")
    away.end()
    check(broker.kafka, ledger, [away])
    assert "was away for too long" in away.said()


@pytest.mark.red("waits_for_the_last_record()")
def test_a_changelog_whose_last_records_were_compacted_away_is_read_to_its_end(broker: OwnBroker, start: Start) -> None:
    worker = start()
    now = begin(broker)
    produce(broker.kafka, ledger := history(0, 400, now))
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    producer = KafkaProducer(bootstrap_servers=broker.kafka, **login())
    for topic in CHANGELOGS.values():
        for number in PARTITIONS:
            producer.send(topic.name, None, key=b'["nobody"]', partition=number).get(30)
    producer.close()
    compact(broker, tuple(CHANGELOGS.values()))
    for topic in CHANGELOGS.values():
        last = max(record.offset for record in Log(broker.kafka).partition(topic, 0))
        assert last < broker.ends(topic)[0] - 3, "tombstone and transaction markers were last"
    worker.wipe()
    worker.start()
    until(worker.ready, "it is ready", 60)
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    check(broker.kafka, ledger, [worker])


@pytest.mark.red("trusting()")
@pytest.mark.parametrize("topic", CHANGELOGS.values(), ids=CHANGELOGS)
def test_a_changelog_that_is_missing_or_was_recreated_is_no_ground_to_go_on(
    broker: OwnBroker, worked: Worker, topic: Topic
) -> None:
    broker.delete(topic)
    worked.start()
    until(lambda: f"the broker has no topic {topic.name}" in worked.said(), "it says what is missing")
    assert worked.exit_code() is None, "it waits for it"
    assert not worked.ready()
    worked.end()
    kafka_topics.create_topics(broker.kafka, 1, CATALOGUE)
    until(lambda: not kafka_topics.missing_topics(broker.kafka, CATALOGUE), "the topic is there, and empty")
    its = of_agent(next(agent for agent, each in CHANGELOGS.items() if each is topic))
    refuses(broker, worked, "the changelog was recreated or cut off", "restore the topic first", of=its)
    worked.wipe()
    refuses(broker, worked, "the changelog was lost", "Restore it, or reset the group's offsets", of=its)


@pytest.mark.red("trusting()")
@pytest.mark.parametrize("topic", CHANGELOGS.values(), ids=CHANGELOGS)
def test_a_changelog_that_was_cut_off_is_no_ground_to_go_on_without_the_rows(
    broker: OwnBroker, start: Start, worked: Worker, topic: Topic
) -> None:
    disk = worked.disk.with_name("before")
    shutil.copytree(worked.disk, disk)
    worked.start()
    produce(broker.kafka, history(1, 400, begin(broker)))
    until(lambda: through(broker.kafka), "everything is processed")
    worked.end()
    broker.configure(topic, cleanup_policy="delete")
    broker.cut(topic, {number: end - 5 for number, end in broker.ends(topic).items()})
    newest = worked.disk.with_name("newest")
    worked.disk.rename(newest)
    its = of_agent(next(agent for agent, each in CHANGELOGS.items() if each is topic))
    refuses(broker, worked, "rows were cut off", "restore the topic, because nothing else has all rows", of=its)
    shutil.rmtree(worked.disk)
    disk.rename(worked.disk)
    refuses(broker, worked, "the changelog was recreated or cut off", of=its)
    shutil.rmtree(worked.disk)
    newest.rename(worked.disk)
    worked.start()
    until(worked.ready, "with the rows of before it can go on")
