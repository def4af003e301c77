"""Traps 6, 7, 14 and 17: partitions that change hands, by plan and without one."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rapport.contracts import codec
from rapport.contracts.topics import ALERTS, EXCHANGES, EXCHANGES_CHANGELOG
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import Log, check, through
from tests.faults.worker import Crew, Worker
from tests.services.scorer.story import interaction
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]


@pytest.mark.red("forgetful()")
def test_partitions_that_move_while_clocks_fall_due_send_each_alert_once(broker: OwnBroker, crew: Crew) -> None:
    crew.until(crew.ready, "the workers are ready")
    now = begin(broker, target_seconds=5, warn_at=(0.5,), escalate_after_seconds=(5, 10))
    ledger = [
        interaction("comment", f"c{number}", now + number * 12, thread=f"post-{number}", conversation=f"post-{number}")
        for number in range(2_000)
    ]
    produce(broker.kafka, ledger)
    # From here on some 80 a second fall due, be it for a warning, a breach or an escalation.
    first, second, third = crew.workers
    first.kill()
    until(lambda: third.ready() or second.ready(), "others go on", 60)
    first.start()
    second.end()
    second.start()
    third.kill()
    third.wipe()
    third.start()
    crew.until(crew.ready, "the workers are ready again")
    # Of several steps that are due at once only the highest is sent, so how many alerts there are is not certain.
    crew.until(lambda: escalated(broker, timedelta(seconds=10)) == 2_000, "the last has escalated for the last time")
    crew.until(lambda: through(broker.kafka), "everything is processed")
    assert crew.restarts == 0, "nobody ended by themselves"
    crew.end()
    check(broker.kafka, ledger, crew.workers)


@pytest.mark.red("leaks()")
def test_a_worker_that_gets_its_partition_again_can_open_its_rows(broker: OwnBroker, start: Start) -> None:
    first = start("scorer-0", broken="collects_nothing()", session_seconds=6)
    until(first.ready, "the worker is ready")
    produce(broker.kafka, ledger := history(0, 400, begin(broker)))
    until(lambda: through(broker.kafka), "everything is processed")
    for life in range(2):
        second = start("scorer-1", session_seconds=6)
        until(second.ready, "another has joined, and has its share")
        until(first.ready, "the first has the rest, which it had before")
        second.kill()
        until(lambda: first.said().count("exchanges[3] ready") > life + 1, "the first has all again", 60)
        until(first.ready, "the first is ready again")
    assert first.exit_code() is None
    first.end()
    check(broker.kafka, ledger, [first])


@pytest.mark.red("counts_ticks()")
def test_two_workers_that_tick_the_same_partitions_move_no_clock_twice(broker: OwnBroker, start: Start) -> None:
    workers = [start(f"scorer-{number}", broken="ticks_everywhere(5)") for number in range(2)]
    until(lambda: all(worker.ready() for worker in workers), "the workers are ready")
    now = begin(broker, target_seconds=5, warn_at=(0.5,))
    ledger = [
        interaction("comment", f"c{number}", now, thread=f"post-{number}", conversation=f"post-{number}")
        for number in range(500)
    ]
    produce(broker.kafka, ledger)
    until(lambda: said(broker, "breach") == 500, "all have breached")
    until(lambda: through(broker.kafka), "everything is processed")
    for worker in workers:
        worker.end()
    check(broker.kafka, ledger, workers)


@pytest.mark.red("rude()")
def test_three_workers_then_two_then_three_under_load_lose_and_repeat_nothing(broker: OwnBroker, crew: Crew) -> None:
    crew.until(crew.ready, "the workers are ready")
    now = begin(broker)
    ledger = []
    for round_, worker in enumerate(crew.workers):
        ledger += (burst := history(round_, 1_200, now))
        before = sum(broker.ends(EXCHANGES).values())
        produce(broker.kafka, burst)
        until(lambda: sum(broker.ends(EXCHANGES).values()) > before, "some of it is processed")
        worker.end()
        ledger += (burst := history(10 + round_, 400, now))
        produce(broker.kafka, burst)
        until(lambda: through(broker.kafka), "the two that are left are through with everything", 60)
        worker.start()
        until(worker.ready, "the third is back")
    crew.end()
    check(broker.kafka, ledger, crew.workers)


@pytest.mark.red("unfenced()")
def test_what_a_worker_writes_that_was_stopped_past_its_session_changes_nothing(
    broker: OwnBroker, start: Start, tmp_path: Path
) -> None:
    armed = tmp_path / "armed"
    stopped = start("scorer-0", broken=f"stops('rows sent', {str(armed)!r})", session_seconds=6)
    other = start("scorer-1", session_seconds=6)
    until(lambda: stopped.ready() and other.ready(), "the workers are ready")
    now = begin(broker)
    armed.touch()
    produce(broker.kafka, ledger := history(0, 800, now))
    until(lambda: not armed.exists(), "one stops itself, in the middle of a transaction")
    since = time.monotonic()
    until(lambda: through(broker.kafka), "the other is through with everything", 60)
    assert time.monotonic() - since < 40
    ledger += (burst := history(1, 800, now))
    produce(broker.kafka, burst)
    stopped.go_on()
    until(lambda: through(broker.kafka), "everything is processed")
    until(lambda: stopped.ready() and other.ready(), "both are ready again")
    for worker in (stopped, other):
        worker.end()
    check(broker.kafka, ledger, [stopped, other])


@pytest.mark.red("unfenced()")
def test_a_worker_that_was_stopped_while_it_halved_a_batch_takes_no_partition_back(
    broker: OwnBroker, start: Start, tmp_path: Path
) -> None:
    armed = tmp_path / "armed"
    broker.configure(EXCHANGES_CHANGELOG, max_message_bytes=8_000)
    stopped = start("scorer-0", broken=f"stops('given up', {str(armed)!r})", session_seconds=6)
    other = start("scorer-1", session_seconds=6)
    until(lambda: stopped.ready() and other.ready(), "the workers are ready")
    now = begin(broker)
    armed.touch()
    produce(broker.kafka, ledger := history(0, 800, now))
    until(lambda: not armed.exists(), "one stops itself, between two producers")
    until(lambda: through(broker.kafka), "the other is through with everything", 60)
    stopped.go_on()

    def goes_on() -> bool:
        for worker in (stopped, other):
            if worker.exit_code() is not None:
                worker.start()
        return through(broker.kafka) and stopped.ready() and other.ready()

    until(goes_on, "both are ready again")
    ledger += (burst := history(1, 300, now))
    produce(broker.kafka, burst)
    until(goes_on, "everything is processed")
    for worker in (stopped, other):
        worker.end()
    check(broker.kafka, ledger, [stopped, other])


@pytest.mark.red("takes_all()")
def test_what_was_on_its_way_to_a_lane_when_its_partition_was_assigned_anew_is_read_again(
    broker: OwnBroker, start: Start, tmp_path: Path
) -> None:
    armed = tmp_path / "armed"
    first = start("scorer-0", broken=f"late({str(armed)!r})", session_seconds=6)
    until(first.ready, "the worker is ready")
    now = begin(broker)
    produce(broker.kafka, ledger := history(0, 400, now))
    until(lambda: through(broker.kafka), "everything is processed")
    armed.touch()
    for part in range(1, 4):
        # Several chunks, of which the lane that comes next is given the last.
        ledger += (burst := history(part, 400, now))
        produce(broker.kafka, burst)
    second = start("scorer-1", session_seconds=6)
    until(lambda: first.ready() and second.ready(), "both have their share")
    assert not armed.exists(), "a lane was given what was on its way"
    ledger += (burst := history(4, 400, now))
    produce(broker.kafka, burst)
    until(lambda: through(broker.kafka), "everything is processed")
    for worker in (first, second):
        worker.end()
    check(broker.kafka, ledger, [first, second])


def test_readers_wait_for_the_transaction_of_a_worker_that_stopped_and_no_longer(
    broker: OwnBroker, start: Start, tmp_path: Path
) -> None:
    armed = tmp_path / "armed"
    worker = start(broken=f"stops('rows sent', {str(armed)!r})", session_seconds=6)
    until(worker.ready, "the worker is ready")
    armed.touch()
    begin(broker)
    until(lambda: not armed.exists(), "it stops itself, in the middle of a transaction")
    assert {broker.transaction_seconds(each) for each in broker.open_transactions()} == {60}
    until(lambda: not broker.open_transactions(), "its transaction is given up", 120)
    worker.go_on()
    until(worker.ready, "it is ready again")
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    check(broker.kafka, [], [worker])


@pytest.mark.red("gives_up_when_fenced()")
def test_only_the_lane_opens_again_whose_transaction_was_given_up_though_its_worker_kept_its_partitions(
    broker: OwnBroker, start: Start, tmp_path: Path
) -> None:
    armed = tmp_path / "armed"
    # Its heartbeats go on meanwhile, so the group does not think of giving its partitions to anybody.
    short = f"transactions_last(5_000); saboteurs.stalls('rows sent', {str(armed)!r}, 20)"
    worker = start(broken=short, session_seconds=6)
    until(worker.ready, "the worker is ready")
    now = begin(broker)
    ledger = []
    for life in range(2):
        armed.touch()
        ledger += (burst := history(life, 800, now))
        produce(broker.kafka, burst)
        until(lambda: not armed.exists(), "it stalls, in the middle of a transaction")
        until(lambda: through(broker.kafka), "everything is processed", 90)
    assert worker.exit_code() is None, "the process goes on"
    assert 1 <= worker.said().count("is opened again") <= 16, "lanes, each at most once per stall"
    until(worker.ready, "it is ready again")
    worker.end()
    check(broker.kafka, ledger, [worker])


@pytest.mark.red("gives_up_when_fenced()")
def test_a_lane_that_was_idle_until_the_broker_forgot_its_producer_goes_on(tmp_path: Path) -> None:
    # As after a week without an engagement, which takes some seconds here.
    broker = OwnBroker(
        tmp_path / "broker",
        {
            "transactional.id.expiration.ms": "4000",
            "transaction.remove.expired.transaction.cleanup.interval.ms": "1000",
            "producer.id.expiration.ms": "4000",
            "producer.id.expiration.check.interval.ms": "1000",
        },
    )
    worker = Worker(broker.kafka, tmp_path, tick_seconds=1)
    try:
        until(worker.ready, "the worker is ready")
        now = begin(broker)
        produce(broker.kafka, ledger := history(0, 200, now))
        until(lambda: through(broker.kafka), "everything is processed")
        until(lambda: not broker.transactional_ids("relationships"), "idle producers are forgotten", 90)
        produce(broker.kafka, more := history(1, 200, now))
        until(lambda: through(broker.kafka), "everything is processed", 60)
        assert worker.exit_code() is None, "the process goes on"
        worker.end()
        check(broker.kafka, [*ledger, *more], [worker])
    finally:
        worker.stop()
        broker.end()


def escalated(broker: OwnBroker, late: timedelta) -> int:
    """How many exchanges have an escalation that is at least so late."""
    alerts = [codec.decode("rapport.alert.v1", each.value) for each in Log(broker.kafka)[ALERTS]]
    return len({one.exchange for one in alerts if one.step == "escalation" and one.created_at >= one.due_at + late})


def said(broker: OwnBroker, step: str) -> int:
    """How many alerts of a step there are."""
    return sum(codec.decode("rapport.alert.v1", each.value).step == step for each in Log(broker.kafka)[ALERTS])
