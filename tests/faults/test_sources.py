"""Traps 12, 13 and 19: sources, group offsets and brokers that are not as they were."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from kafka.admin import NewPartitions
from kafka.errors import KafkaError

from rapport.contracts import codec
from rapport.contracts.events import CONVERSATIONAL, Interaction, Spoken
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, EXCHANGES, SCORER_GROUP, Topic, key_of, partition_of
from rapport.kit.broker import kafka
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import SOURCES, Log, check, committed, through
from tests.faults.refusals import of_agent, refuses
from tests.faults.worker import Crew, Worker
from tests.services.scorer.worker import produce, read_all
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]
READ = {topic.name: topic for topics in SOURCES.values() for topic in topics}


@pytest.mark.red("trusting()")
def test_sources_with_another_number_of_partitions_are_refused(broker: OwnBroker, worked: Worker) -> None:
    with broker.admin() as admin:
        admin.create_partitions({name: NewPartitions(5) for name in READ})
    before = committed(broker.kafka)
    worked.start()
    says = [f"{name} has 5 instead of 4" for name in READ]
    until(lambda: all(each in worked.said() for each in says), "it says why it waits", 60)
    assert committed(broker.kafka) == before


@pytest.mark.red("no_position()")
def test_where_the_groups_offsets_are_gone_it_goes_on_from_its_own_rows(broker: OwnBroker, worked: Worker) -> None:
    broker.forget(SCORER_GROUP)
    # Enough for something new in every partition, so that each is committed again.
    produce(broker.kafka, ledger := history(1, 400, begin(broker)))
    worked.start()
    until(lambda: through(broker.kafka), "everything is processed")
    worked.end()
    check(broker.kafka, ledger, [worked])


@pytest.mark.red("trusting()")
def test_where_the_groups_offsets_are_ahead_it_refuses_and_once_they_are_back_it_goes_on(
    broker: OwnBroker, worked: Worker
) -> None:
    produce(broker.kafka, ledger := history(1, 400, begin(broker)))
    for name in READ:
        known = committed(broker.kafka)
        partition, at = next((number, at) for (topic, number), at in known.items() if topic == name)
        broker.move(SCORER_GROUP, name, partition, at + 5)
        says = (f"stands at {at + 5} of {name}:{partition}", f"the rows at {at}", "Set the offsets back")
        refuses(broker, worked, *says, of=[(name, partition)])
        broker.move(SCORER_GROUP, name, partition, at)
    worked.start()
    until(lambda: through(broker.kafka), "everything is processed")
    worked.end()
    check(broker.kafka, ledger, [worked])


@pytest.mark.red("trusting()")
@pytest.mark.parametrize(
    ("name", "again"),
    [(CONVERSATIONS.name, 2_000), (ENGAGEMENTS.name, 10), (EXCHANGES.name, 2_000)],
    ids=["longer than before", "shorter than before", "its own"],
)
def test_a_source_that_was_recreated_is_refused(broker: OwnBroker, worked: Worker, name: str, again: int) -> None:
    broker.forget(SCORER_GROUP)
    topic = READ[name]
    broker.recreate(topic)
    producer = kafka.producer(broker.kafka, "test")
    for number in range(again):
        producer.send(name, b"{}", key=b"key", partition=number % topic.partitions, headers=[("ce_type", b"other")])
    producer.close()
    says = ("the topic was recreated", "Restore it, or go on with what it holds now; `rapport positions accept`")
    refuses(broker, worked, *says, of=[(name, number) for number in range(topic.partitions)])


@pytest.mark.red("trusting()")
def test_records_that_were_deleted_before_they_were_processed_are_missed_aloud_until_somebody_accepts_it(
    broker: OwnBroker, worked: Worker
) -> None:
    for name, topic in READ.items():
        agent = next(agent for agent, topics in SOURCES.items() if topic in topics)
        tell(broker, topic, 5)
        broker.cut(topic, {number: end - 1 for number, end in broker.ends(topic).items()})
        says = ("records were deleted before they were processed", "rapport positions")
        refuses(broker, worked, *says, of=of_agent(agent))
        listed = rapport("positions", "list", "--kafka", broker.kafka, "--json")
        assert listed.returncode == 1, listed.stderr
        troubled = {each["partition"] for each in json.loads(listed.stdout) if each["trouble"] is not None}
        assert troubled == {f"{name}:{number}" for number in range(topic.partitions)}
        asked = rapport("positions", "accept", "--kafka", broker.kafka)
        assert asked.returncode == 1, "nobody said yes"
        assert f"{name}:0: up to" in asked.stdout
        assert "were never processed and are gone" in asked.stdout
        assert rapport("positions", "accept", "--kafka", broker.kafka, "--yes").returncode == 0
    assert rapport("positions", "list", "--kafka", broker.kafka).returncode == 0
    ledger = history(2, 400, begin(broker))
    produce(broker.kafka, ledger)
    worked.start()
    until(lambda: through(broker.kafka), "everything that is left is processed")
    assert {each.object.id for each in ledger if each.kind == "comment"} <= known_comments(broker)
    assert worked.exit_code() is None
    worked.end()


@pytest.mark.red("trusting()")
def test_a_group_that_somebody_moved_goes_back_to_the_rows_once_somebody_accepts_it(
    broker: OwnBroker, worked: Worker
) -> None:
    known = committed(broker.kafka)
    partition, at = next((number, at) for (topic, number), at in known.items() if topic == CONVERSATIONS.name)
    produce(broker.kafka, ledger := history(1, 400, begin(broker)))
    broker.move(SCORER_GROUP, CONVERSATIONS.name, partition, at + 5)
    refuses(broker, worked, "rapport positions accept", of=[(CONVERSATIONS.name, partition)])
    accepted = rapport("positions", "accept", "--kafka", broker.kafka, "--yes", "--json")
    assert [each["partition"] for each in json.loads(accepted.stdout)] == [f"{CONVERSATIONS.name}:{partition}"]
    worked.start()
    until(lambda: through(broker.kafka), "everything is processed")
    worked.end()
    check(broker.kafka, ledger, [worked])


def tell(broker: OwnBroker, topic: Topic, many: int) -> None:
    """Writes something into every partition that nobody has to do anything with."""
    producer = kafka.producer(broker.kafka, "test")
    for number in range(topic.partitions):
        for _ in range(many):
            producer.send(topic.name, b"{}", key=b"key", partition=number, headers=[("ce_type", b"other")])
    producer.flush()
    producer.close()


def rapport(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with nobody who answers it."""
    command = [str(Path(sys.executable).with_name("rapport")), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)


@pytest.mark.red("stays_before_markers()")
@pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGKILL], ids=["in order", "killed"])
def test_topics_that_retention_emptied_after_all_was_processed_are_no_loss(
    broker: OwnBroker, start: Start, ended: signal.Signals
) -> None:
    # No ticks: one that was on its way when the worker ended is a record that nobody has read.
    worker = start(broken="passes_after(2)", session_seconds=6, ticks=False)
    until(worker.ready, "the worker is ready")
    produce(broker.kafka, history(0, 400, begin(broker)))
    until(lambda: through(broker.kafka), "everything is processed")
    until(lambda: passed(broker), "it has noted that it is past the markers")
    assert_versions_before_go_on(broker)
    worker.signal(ended)
    # As after 90 quiet days: nothing is left, of transactions neither, and of the group neither.
    for topic in READ.values():
        broker.cut(topic, broker.high_watermarks(topic))
    broker.forget(SCORER_GROUP)
    worker.start()
    until(worker.ready, "it is ready again")
    produce(broker.kafka, ledger := history(1, 400, begin(broker)))
    until(lambda: through(broker.kafka), "what comes now is processed")
    comments = {each.object.id for each in ledger if each.kind == "comment"}
    until(lambda: comments <= known_comments(broker), "all of it")
    assert worker.exit_code() is None
    assert "refusing" not in worker.said()
    until(lambda: passed(broker), "it is past the markers again")
    worker.end()


def passed(broker: OwnBroker) -> bool:
    """Whether the rows stand at the very end of the sources that are not ticked."""
    log = Log(broker.kafka)
    return all(
        log.position("relationships", number).reached(f"{topic.name}:{number}") == end
        for topic in (ENGAGEMENTS, EXCHANGES)
        for number, end in broker.high_watermarks(topic).items()
    )


def assert_versions_before_go_on(broker: OwnBroker) -> None:
    """Those that know nothing of `passed` hold what is right before `next` for the last record, as long as it is there.

    During an upgrade a partition goes to and fro between them and those that do.
    """
    log, looked_at = Log(broker.kafka), 0
    for topic in (ENGAGEMENTS, EXCHANGES):
        for number in range(topic.partitions):
            position, source = log.position("relationships", number), f"{topic.name}:{number}"
            if source in position.last:
                before = [each for each in log.partition(topic, number) if each.offset == position.next[source] - 1]
                assert [each.timestamp for each in before] == [position.last[source]]
                looked_at += 1
    assert looked_at


def known_comments(broker: OwnBroker) -> set[str]:
    """The comments that relationships were told of."""
    records = (each for each in read_all(broker.kafka, EXCHANGES) if ("ce_type", b"other") not in each.headers)
    events = (codec.decode(codec.type_of(tuple(each.headers)), each.value) for each in records)
    return {event.object for event in events if isinstance(event, Spoken)}


@pytest.mark.red("deathless()")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "restarted"])
def test_a_broker_that_is_gone_for_a_while_loses_nothing_and_progress_resumes(
    broker: OwnBroker, crew: Crew, number: signal.Signals
) -> None:
    crew.until(crew.ready, "the workers are ready")
    now = begin(broker)
    ledger: list[Interaction] = []
    for life in range(2):
        load = threading.Thread(target=lambda: ledger.extend(acknowledged(broker.kafka, history(life, 1_500, now))))
        before = sum(broker.ends(EXCHANGES).values())
        load.start()
        until(lambda: sum(broker.ends(EXCHANGES).values()) > before, "some of it is processed")
        broker.end(number)
        broker.start()
        load.join()
        crew.until(lambda: through(broker.kafka), "everything is processed", 90)
    crew.until(crew.ready, "the workers are ready")
    crew.end()
    check(broker.kafka, ledger, crew.workers)


@pytest.mark.red("deathless()")
def test_a_broker_that_answers_nothing_for_longer_than_a_transaction_lives_holds_up_nothing_for_good(
    broker: OwnBroker, crew: Crew
) -> None:
    crew.until(crew.ready, "the workers are ready")
    now = begin(broker)
    ledger = []
    for life in range(2):
        ledger += (burst := history(life, 800, now))
        before = sum(broker.ends(EXCHANGES).values())
        produce(broker.kafka, burst)
        until(lambda: sum(broker.ends(EXCHANGES).values()) > before, "some of it is processed")
        broker.stall(25)
        crew.until(lambda: through(broker.kafka), "everything is processed", 90)
    crew.until(crew.ready, "the workers are ready")
    crew.end()
    check(broker.kafka, ledger, crew.workers)


def acknowledged(bootstrap: str, events: Iterable[Interaction]) -> list[Interaction]:
    """Writes interactions as ingest does, while the broker may be gone; gives those that it has acknowledged."""
    producer = kafka.producer(bootstrap, "test")
    sent = []
    for event in events:
        topic: Topic = CONVERSATIONS if event.kind in CONVERSATIONAL else ENGAGEMENTS
        last = event.conversation if topic is CONVERSATIONS else event.actor.id
        key = key_of(event.brand, event.platform, last)
        headers = codec.headers("rapport.interaction.v1", id=event.id, source="/test")
        number = partition_of(key, topic.partitions)
        sent.append((event, producer.send(topic.name, codec.encode(event), key=key, partition=number, headers=headers)))
    found = []
    for event, future in sent:
        try:
            future.get(60)
        except KafkaError:
            continue
        found.append(event)
    kafka.abandon(producer)
    return found
