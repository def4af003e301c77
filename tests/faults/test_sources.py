"""Traps 12, 13 and 19: sources, group offsets and brokers that are not as they were."""

import signal
import threading
from collections.abc import Callable, Iterable

import pytest
from kafka.admin import NewPartitions
from kafka.errors import KafkaError

from rapport.contracts import codec
from rapport.contracts.events import CONVERSATIONAL, Interaction
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, EXCHANGES, SCORER_GROUP, Topic, key_of, partition_of
from rapport.kit import kafka
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import SOURCES, check, committed, through
from tests.faults.refusals import of_agent, refuses
from tests.faults.worker import Crew, Worker
from tests.services.scorer.worker import produce, until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]
READ = {topic.name: topic for topics in SOURCES.values() for topic in topics}


@pytest.mark.red("trusting()")
@pytest.mark.parametrize("name", READ)
def test_a_source_with_another_number_of_partitions_is_refused(broker: OwnBroker, worked: Worker, name: str) -> None:
    with broker.admin() as admin:
        admin.create_partitions({name: NewPartitions(5)})
    refuses(broker, worked, "partition counts do not fit the catalogue", f"{name} has 5 instead of 4")


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
@pytest.mark.parametrize("name", READ)
def test_where_the_groups_offsets_are_ahead_it_refuses_and_once_they_are_back_it_goes_on(
    broker: OwnBroker, worked: Worker, name: str
) -> None:
    known = committed(broker.kafka)
    partition, at = next((number, at) for (topic, number), at in known.items() if topic == name)
    produce(broker.kafka, ledger := history(1, 400, begin(broker)))
    broker.move(SCORER_GROUP, name, partition, at + 5)
    says = (f"stands at {at + 5} of {name}:{partition}", f"the rows at {at}", "Set the offsets back")
    refuses(broker, worked, *says, of=[(name, partition)])
    broker.move(SCORER_GROUP, name, partition, at)
    worked.start()
    until(lambda: through(broker.kafka), "everything is processed")
    worked.end()
    check(broker.kafka, ledger, [worked])


@pytest.mark.red("trusting()")
@pytest.mark.parametrize("again", [10, 2_000], ids=["shorter than before", "longer than before"])
@pytest.mark.parametrize("name", READ)
def test_a_source_that_was_recreated_is_refused(broker: OwnBroker, worked: Worker, name: str, again: int) -> None:
    broker.forget(SCORER_GROUP)
    topic = READ[name]
    broker.recreate(topic)
    producer = kafka.producer(broker.kafka, "test")
    for number in range(again):
        producer.send(name, b"{}", key=b"key", partition=number % topic.partitions, headers=[("ce_type", b"other")])
    producer.close()
    says = ("the topic was recreated", "Start over with a new application id, or restore the topic")
    refuses(broker, worked, *says, of=[(name, number) for number in range(topic.partitions)])


@pytest.mark.red("trusting()")
def test_records_that_were_deleted_before_they_were_processed_are_missed_aloud(
    broker: OwnBroker, worked: Worker
) -> None:
    produce(broker.kafka, history(1, 400, begin(broker)))
    broker.cut(CONVERSATIONS, {number: end - 1 for number, end in broker.ends(CONVERSATIONS).items()})
    refuses(broker, worked, "records were deleted before they were processed", of=of_agent("exchanges"))


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
