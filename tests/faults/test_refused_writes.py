"""Trap 4: the log does not take what a worker writes. Then it must not say that it has processed anything."""

from collections.abc import Callable

import pytest

from rapport.contracts.topics import ALERTS, CONVERSATIONS, CONVERSATIONS_DEAD, EXCHANGES, EXCHANGES_CHANGELOG
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import Log, check, committed, through
from tests.faults.worker import Worker
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]


@pytest.mark.red("deaf()")
def test_where_the_changelog_takes_nothing_it_ends_with_no_offset_committed_and_goes_on_once_that_is_mended(
    broker: OwnBroker, start: Start
) -> None:
    worker = start()
    until(worker.ready, "the worker is ready")
    now = begin(broker)
    produce(broker.kafka, ledger := history(0, 300, now))
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    before = committed(broker.kafka)
    broker.configure(EXCHANGES_CHANGELOG, max_message_bytes=100)
    ledger += (burst := history(1, 300, now))
    produce(broker.kafka, burst)
    for _ in range(2):
        worker.start()
        until(lambda: worker.exit_code() is not None, "it ends", 60)
        assert worker.exit_code() == 1
    conversations = [each for each in before if each[0] == CONVERSATIONS.name]
    assert [committed(broker.kafka)[each] for each in conversations] == [before[each] for each in conversations]
    broker.configure(EXCHANGES_CHANGELOG, max_message_bytes=1_048_588)
    worker.start()
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    check(broker.kafka, ledger, [worker])


@pytest.mark.red("deaf()")
def test_a_batch_that_is_too_large_is_halved_until_it_fits_and_nothing_of_it_is_dead(
    broker: OwnBroker, start: Start
) -> None:
    broker.configure(EXCHANGES_CHANGELOG, max_message_bytes=16_000)
    now = begin(broker)
    produce(broker.kafka, ledger := history(0, 1_500, now))
    worker = start()
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    assert Log(broker.kafka)[CONVERSATIONS_DEAD] == []
    check(broker.kafka, ledger, [worker])


@pytest.mark.red("offsets_apart()")
def test_while_a_replica_is_missing_nothing_is_committed_and_once_it_is_back_it_goes_on(
    broker: OwnBroker, start: Start
) -> None:
    worker = start()
    until(worker.ready, "the worker is ready")
    now = begin(broker)
    produce(broker.kafka, ledger := history(0, 300, now))
    until(lambda: through(broker.kafka), "everything is processed")
    replica = broker.second()
    try:
        broker.replicate(EXCHANGES_CHANGELOG)
        broker.configure(EXCHANGES_CHANGELOG, min_insync_replicas=2)
        replica.end()
        until(lambda: broker.in_sync(EXCHANGES_CHANGELOG) == {1}, "the replica is missed", 30)
        before = committed(broker.kafka)
        ledger += (burst := history(1, 300, now))
        produce(broker.kafka, burst)
        until(lambda: bool(broker.open_transactions()), "transactions wait")
        # The coordinator gives them up after their time, which is nobody else's doing: the partitions stay.
        until(lambda: not broker.open_transactions(), "they are given up", 60)
        conversations = [each for each in before if each[0] == CONVERSATIONS.name]
        assert [committed(broker.kafka)[each] for each in conversations] == [before[each] for each in conversations]
        replica.start()

        def goes_on() -> bool:
            if worker.exit_code() is not None:
                worker.start()
            return through(broker.kafka)

        until(goes_on, "everything is processed", 60)
        worker.end()
        check(broker.kafka, ledger, [worker])
    finally:
        replica.end()


def test_records_whose_acknowledgements_are_lost_are_written_once(broker: OwnBroker, start: Start) -> None:
    worker = start(broken=f"loses_answers({EXCHANGES.name!r}, 3); saboteurs.loses_answers({ALERTS.name!r}, 3)")
    until(worker.ready, "the worker is ready")
    now = begin(broker)
    ledger = []
    for round_ in range(3):
        ledger += (burst := history(round_, 300, now))
        produce(broker.kafka, burst)
        until(lambda: through(broker.kafka), "everything is processed")
    assert "the connection broke before the answer" in worker.said()
    worker.end()
    check(broker.kafka, ledger, [worker])
