"""Traps 1 to 3: workers that end without a word, with their disk and without it, and while the broker stalls."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rapport.contracts.topics import EXCHANGES
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import check, through
from tests.faults.worker import Worker
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = pytest.mark.stack

Start = Callable[..., Worker]


@pytest.mark.parametrize(
    "wiped",
    [
        pytest.param(False, marks=[pytest.mark.red("disk_first()"), pytest.mark.long], id="its disk kept"),
        pytest.param(True, marks=[pytest.mark.red("no_changelog()"), pytest.mark.faults], id="its disk empty"),
    ],
)
def test_killed_in_a_burst_it_applies_each_event_once(broker: OwnBroker, start: Start, wiped: bool) -> None:
    worker = start()
    until(worker.ready, "the worker is ready")
    now = begin(broker)
    ledger = []
    for life in range(3):
        before = sum(broker.ends(EXCHANGES).values())
        ledger += (burst := history(life, 800, now))
        produce(broker.kafka, burst)
        until(lambda: sum(broker.ends(EXCHANGES).values()) > before, "some of it is processed")
        worker.kill()
        if wiped:
            worker.wipe()
        worker.start()
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    check(broker.kafka, ledger, [worker])


@pytest.mark.faults
@pytest.mark.red("early_commit()")
def test_killed_at_any_moment_of_a_transaction_it_applies_each_event_once(
    broker: OwnBroker, start: Start, tmp_path: Path
) -> None:
    now = begin(broker)
    ledger = []
    armed = tmp_path / "armed"
    for life, moment in enumerate(("rows sent", "offsets sent", "committed", "written")):
        # No ticks: it dies in a transaction that counts.
        worker = start(broken=f"dies({moment!r}, {str(armed)!r})", ticks=False)
        until(worker.ready, "the worker is ready")
        ledger += (burst := history(life, 500, now))
        produce(broker.kafka, burst[:300])
        armed.touch()
        produce(broker.kafka, burst[300:])
        until(lambda: worker.exit_code() is not None, "it died", 30)
        worker.start()
        until(lambda: through(broker.kafka), "everything is processed")
        worker.end()
    check(broker.kafka, ledger, [worker])


@pytest.mark.faults
@pytest.mark.red("early_commit()")
def test_killed_while_the_broker_stalls_no_offset_is_ahead_of_the_changelog(broker: OwnBroker, start: Start) -> None:
    worker = start()
    until(worker.ready, "the worker is ready")
    now = begin(broker)
    ledger = []
    for life in range(3):
        before = sum(broker.ends(EXCHANGES).values())
        ledger += (burst := history(life, 800, now))
        produce(broker.kafka, burst)
        until(lambda: sum(broker.ends(EXCHANGES).values()) > before, "some of it is processed")
        broker.stall(1.0)
        with broker.held():
            worker.kill()
            worker.wipe()
        worker.start()
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    check(broker.kafka, ledger, [worker])
