"""Trap 18: with a promise broken, the oracle says so; else its silence would mean nothing."""

from collections.abc import Callable

import pytest

from rapport.contracts.topics import CONVERSATIONS, EXCHANGES, SCORER_GROUP
from rapport.kit.broker import kafka
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import check, finish, through, wrong
from tests.faults.worker import Worker
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.long]

Start = Callable[..., Worker]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param("", None, id="nothing is broken"),
        pytest.param("no_changelog()", "rows differ", id="the changelog is not written"),
        pytest.param("early_commit()", "missing", id="offsets are committed first"),
        pytest.param("disk_first()", "missing", id="the disk is written first"),
        pytest.param("no_position()", "too many", id="what was processed is not dropped"),
        pytest.param("swallows()", "dead letters", id="what fails is forgotten"),
    ],
)
def test_whoever_breaks_a_promise_is_found_out(broker: OwnBroker, start: Start, broken: str, says: str | None) -> None:
    worker = start(broken=broken, session_seconds=6)
    until(worker.ready, "the worker is ready")
    now = begin(broker)
    poison(broker)
    ledger = []
    for life in range(2):
        before = sum(broker.ends(EXCHANGES).values())
        ledger += (burst := history(life, 600, now))
        produce(broker.kafka, burst)
        until(lambda: sum(broker.ends(EXCHANGES).values()) > before, "some of it is processed")
        worker.kill()
        if life == 1:
            worker.wipe()
            broker.forget(SCORER_GROUP)
        worker.start()
        until(worker.ready, "the worker is ready again")
    # Something new in every partition: who skipped something commits past it.
    ledger += (burst := history(2, 600, now))
    produce(broker.kafka, burst)
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    finish(broker.kafka, [worker])
    found = wrong(broker.kafka, ledger, [worker.disk])
    if says is None:
        assert found == []
    else:
        assert any(says in each for each in found)


def test_what_was_left_to_whoever_starts_next_is_processed_before_it_is_held_against_anybody(
    broker: OwnBroker, start: Start
) -> None:
    worker = start()
    until(worker.ready, "the worker is ready")
    ledger = history(0, 60, begin(broker))
    worker.end()
    produce(broker.kafka, ledger)
    assert any("are not processed" in each for each in wrong(broker.kafka, ledger, [worker.disk]))
    check(broker.kafka, ledger, [worker])


def poison(broker: OwnBroker) -> None:
    """One record that nobody can process."""
    producer = kafka.producer(broker.kafka, "test")
    producer.send(CONVERSATIONS.name, b"?", key=b"key", partition=0).get(30)
    producer.close()
