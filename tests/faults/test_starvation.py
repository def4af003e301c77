"""Workers that get little of the machine, or too much to do at once: they are slow, and that is all."""

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from rapport.contracts import codec
from rapport.contracts.controls import FollowerErased
from rapport.contracts.events import ExchangeSnapshot, Interaction
from rapport.contracts.topics import ALERTS, CONVERSATIONS, EXCHANGES
from rapport.domain.erasing import ERASED
from rapport.domain.times import utc
from rapport.kit.broker import kafka
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import Log, check, through
from tests.faults.test_clocks import alerts, comments
from tests.faults.worker import Worker
from tests.services.scorer.story import interaction
from tests.services.scorer.worker import produce, read_all
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]
MANY = 10_000


@contextmanager
def starved(worker: Worker, runs: float, stands: float) -> Iterator[None]:
    """Meanwhile a worker runs for some seconds and stands for others, in turns."""
    over = threading.Event()

    def stutter() -> None:
        while not over.wait(runs):
            worker.hold()
            time.sleep(stands)
            worker.go_on()

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        worker.go_on()


@contextmanager
def busy(many: int) -> Iterator[None]:
    """Meanwhile others want all of the machine."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(many)]
    try:
        yield
    finally:
        for other in others:
            other.send_signal(signal.SIGKILL)
            other.wait()


def impatient(start: Start, slow: str) -> Worker:
    """A ready worker that is `slow` at something, with a watchdog that soon loses its patience."""
    worker = start(broken=f"{slow}; saboteurs.impatient(15)", session_seconds=6)
    until(worker.ready, "the worker is ready")
    return worker


def end(broker: OwnBroker, worker: Worker) -> None:
    """Ends a worker, which still has to be the one that was started, after it has processed everything."""
    assert worker.exit_code() is None, worker.said()
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()


@pytest.mark.timeout(1_500)
@pytest.mark.red("transactions_last(1_000)")
@pytest.mark.parametrize(("runs", "stands"), [(0.02, 0.18), (1, 4)], ids=["a tenth of the time", "in bursts"])
def test_a_worker_that_gets_little_cpu_is_slow_and_neither_differs_nor_opens_its_lanes_again(
    broker: OwnBroker, start: Start, runs: float, stands: float
) -> None:
    worker = start(session_seconds=30)
    until(worker.ready, "the worker is ready")
    now = begin(broker, target_seconds=5, warn_at=(0.5,))
    ledger = [*history(0, 600, now), *comments(600, now)]
    with starved(worker, runs, stands), busy(2):
        produce(broker.kafka, ledger)
        until(lambda: worker.exit_code() is not None or through(broker.kafka), "everything is processed", 1_200)
    assert worker.exit_code() is None, worker.said()
    assert "opened again" not in worker.said()
    worker.end()
    check(broker.kafka, ledger, [worker])


@pytest.mark.red("counts_when_finished()")
def test_thousands_that_are_overdue_at_a_start_are_worked_through_by_one_worker_with_ticks_and_alerts_going_on(
    broker: OwnBroker, start: Start
) -> None:
    before = start(ticks=False, session_seconds=6)  # nothing is overdue by itself, however long this takes
    until(before.ready, "the worker is ready")
    now = begin(broker, target_seconds=20, warn_at=())
    ledger = comments(MANY, now)
    produce(broker.kafka, ledger)
    until(lambda: through(broker.kafka), "all clocks run")
    before.kill()
    until(lambda: time.time() * 1000 > now + 31_000, "all are overdue")
    # Each thread takes a while, and all of one partition longer than the watchdog's patience.
    worker = impatient(start, "reviews_take(0.003)")
    until(lambda: worker.exit_code() is not None or len(alerts(broker.kafka)) == MANY, "the last has fired", 300)
    end(broker, worker)
    told = sorted(record.timestamp for record in read_all(broker.kafka, ALERTS))
    waits = [after - before for before, after in itertools.pairwise(told)]
    assert max(waits) < (told[-1] - told[0]) / 2, "alerts go out all the time"
    ticks = Counter(
        record.partition
        for record in read_all(broker.kafka, CONVERSATIONS)
        if ("ce_type", b"rapport.tick.v1") in record.headers and told[0] < record.timestamp < told[-1]
    )
    assert all(ticks[number] > 3 for number in range(CONVERSATIONS.partitions)), "and ticks"
    check(broker.kafka, ledger, [worker])


@pytest.mark.red("counts_when_finished()")
def test_many_who_are_erased_from_a_brand_with_many_threads_are_worked_through_by_one_worker(
    broker: OwnBroker, start: Start
) -> None:
    worker = impatient(start, "parts_take(0.1)")
    now = begin(broker, target_seconds=3_600, warn_at=())
    ledger = [
        interaction("comment", f"c{n}", now, follower=f"p{n}", thread=f"post-{n}", conversation=f"post-{n}")
        for n in range(16_000)
    ]
    produce(broker.kafka, ledger)
    until(lambda: through(broker.kafka), "all clocks run")
    producer = kafka.producer(broker.kafka, "test")
    headers = codec.headers("rapport.control.v1", id="1", source="/test")
    for person in range(100):
        event = FollowerErased(brand="acme", platform="generic", follower=f"p{person}", at=utc(now))
        for number in range(CONVERSATIONS.partitions):
            producer.send(CONVERSATIONS.name, codec.encode(event), key=b"erased", partition=number, headers=headers)
    producer.flush()
    producer.close()
    until(lambda: worker.exit_code() is not None or erased(broker, ledger[:100]), "all of them are gone", 240)
    end(broker, worker)
    check(broker.kafka, ledger, [worker])


def erased(broker: OwnBroker, of: list[Interaction]) -> bool:
    """Whether the exchanges of these comments were ended, because their followers are erased."""
    ended = {
        event.follower.id
        for record in Log(broker.kafka)[EXCHANGES]
        if isinstance(event := codec.decode(codec.type_of(tuple(record.headers)), record.value), ExchangeSnapshot)
        and event.cancelled_because == ERASED
    }
    return {each.actor.id for each in of} <= ended
