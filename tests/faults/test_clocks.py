"""Traps 8, 16 and 21: what is due while nobody is there, clocks of machines that are wrong, and silence."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.events import Alert, Interaction, Tick
from rapport.contracts.rows import parts_of
from rapport.contracts.topics import ALERTS, CONVERSATIONS, EXCHANGES_CHANGELOG
from rapport.kit.broker import kafka
from services.scorer.exchanges.threads import MOST_REVIEWED
from services.scorer.fenced.lane import MOST_RECORDS
from services.scorer.fenced.state import POSITION
from services.scorer.fenced.transaction import MOST_PARTS
from services.scorer.rows.exchanges import THREAD
from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import PARTITIONS, Log, check, through
from tests.faults.worker import Crew, Worker
from tests.services.scorer.story import HOUR, interaction
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]
MINUTE = 60_000
DUE_SECONDS = 30
"""Long enough that all comments are counted by then."""


def comments(many: int, at: int) -> list[Interaction]:
    """Comments in as many threads, a few milliseconds apart."""
    return [
        interaction("comment", f"c{number}", at + number, thread=f"post-{number}", conversation=f"post-{number}")
        for number in range(many)
    ]


def alerts(bootstrap: str) -> list[Alert]:
    """What was said so far."""
    return [codec.decode("rapport.alert.v1", record.value) for record in Log(bootstrap)[ALERTS]]


@pytest.mark.red("forgetful()")
def test_what_fell_due_while_all_workers_were_down_fires_once_in_bounded_transactions(
    broker: OwnBroker, crew: Crew
) -> None:
    crew.until(crew.ready, "the workers are ready")
    now = begin(broker, target_seconds=DUE_SECONDS, warn_at=(0.5,), escalate_after_seconds=(1, 2))
    ledger = comments(8_000, now)
    produce(broker.kafka, ledger)
    crew.until(lambda: through(broker.kafka), "all clocks run")
    for worker in crew.workers:
        worker.kill()
    # On a busy machine some may have been warned of by now, and on no machine all that follows.
    before = {alert.id for alert in alerts(broker.kafka)}
    # Nobody is there when they fall due, and there is nothing to wait for.
    time.sleep(max(0.0, (now + len(ledger)) / 1000 + DUE_SECONDS + 5 - time.time()))
    for worker in crew.workers:
        worker.start()
    until(lambda: sum(broker.ends(ALERTS).values()) >= len(before) + 8_000, "nearly all have fired")
    until(lambda: len(alerts(broker.kafka)) >= len(before) + 8_000, "the last has fired")
    until(lambda: through(broker.kafka), "everything is processed")
    crew.end()
    after = [alert.step for alert in alerts(broker.kafka) if alert.id not in before]
    assert Counter(after) == {"escalation": 8_000}, "the highest step alone"
    check(broker.kafka, ledger, crew.workers)
    assert max(swept(broker.kafka)) <= MOST_PARTS * MOST_REVIEWED + MOST_RECORDS


def swept(bootstrap: str) -> list[int]:
    """How many threads each transaction of the exchanges agent changed; each ends with the position."""
    log, found = Log(bootstrap), [0]
    for number in PARTITIONS:
        for record in log.partition(EXCHANGES_CHANGELOG, number):
            if record.key == POSITION:
                found.append(0)
            elif parts_of(record.key)[0] == THREAD:
                found[-1] += 1
    return found


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(HOUR, id="an hour on"),
        pytest.param(3 * HOUR, id="three hours on", marks=pytest.mark.long),
        pytest.param(-3 * HOUR, id="three hours back"),
    ],
)
@pytest.mark.red("own_clock()")
def test_a_worker_whose_clock_jumps_fires_nothing_early_and_loses_nothing(
    broker: OwnBroker, start: Start, tmp_path: Path, jump: int
) -> None:
    armed = tmp_path / "armed"
    workers = [start("scorer-0", broken=f"clock_jumps({jump / 1000}, {str(armed)!r})"), start("scorer-1")]
    until(lambda: all(worker.ready() for worker in workers), "the workers are ready")
    now = begin(broker, target_seconds=20, warn_at=())
    produce(broker.kafka, ledger := comments(200, now))
    until(lambda: through(broker.kafka), "all clocks run")
    armed.touch()
    ledger += (more := history(1, 300, now))
    produce(broker.kafka, more)
    until(lambda: through(broker.kafka), "what comes after the jump is processed")
    mine = {each.object.id for each in ledger[:200]}
    until(lambda: mine <= {alert.first.id for alert in alerts(broker.kafka)}, "all have breached", 60)
    until(lambda: through(broker.kafka), "everything is processed")
    for worker in workers:
        worker.end()
    for alert in alerts(broker.kafka):
        assert alert.created_at >= alert.due_at
    check(broker.kafka, ledger, workers)


@pytest.mark.red("sure()")
def test_while_ingest_is_away_breaches_are_unconfirmed_and_what_it_brings_corrects_each_once(
    broker: OwnBroker, start: Start
) -> None:
    # The log's time is ours here: an hour of it takes a second.
    broker.configure(CONVERSATIONS, message_timestamp_type="CreateTime", message_timestamp_after_max_ms=10**12)
    worker = start(ticks=False)
    until(worker.ready, "the worker is ready")
    now = begin(broker, target_seconds=1_800, warn_at=())
    tell = _Teller(broker.kafka)
    asked = comments(300, now)
    for minute in range(20):
        tell.control(Heartbeat(instance="ingest-1"), now + minute * MINUTE)
        tell.some(asked[minute * 10 : minute * 10 + 10], now + minute * MINUTE)
    # Ingest is gone for more than an hour; only the ticks go on.
    for minute in range(20, 90):
        tell.tick(now + minute * MINUTE)
    answered = [
        interaction(
            "reply", f"r{number}", now + 10 * MINUTE, parent=f"c{number}", thread=f"post-{number}",
            conversation=f"post-{number}",
        )
        for number in range(150)
    ]  # fmt: skip
    back = now + 90 * MINUTE
    tell.control(Heartbeat(instance="ingest-1"), back)
    tell.some(answered, back)
    tell.some(asked[200:], back + MINUTE)
    for minute in range(92, 130):
        tell.control(Heartbeat(instance="ingest-1"), now + minute * MINUTE)
        tell.tick(now + minute * MINUTE)
    tell.close()
    until(lambda: through(broker.kafka), "everything is processed")
    worker.end()
    said = alerts(broker.kafka)
    assert Counter((alert.step, alert.unconfirmed) for alert in said) == {
        ("breach", True): 200,  # while nobody knew
        ("retracted", False): 150,  # they had been answered in time
        ("breach", False): 100,  # of those that came late: known, and overdue at once
    }
    assert len({alert.id for alert in said}) == len(said)
    check(broker.kafka, [*asked, *answered], [worker])


class _Teller:
    """Writes into `conversations` at a time of its own choice (ms)."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = kafka.producer(bootstrap, "test")

    def some(self, events: Iterable[Interaction], at: int) -> None:
        for event in events:
            number = int(event.object.id[1:]) % CONVERSATIONS.partitions
            self._send("rapport.interaction.v1", event, number, at)

    def control(self, event: object, at: int) -> None:
        for number in PARTITIONS:
            self._send("rapport.control.v1", event, number, at)

    def tick(self, at: int) -> None:
        for number in PARTITIONS:
            self._send("rapport.tick.v1", Tick(), number, at)

    def _send(self, type: str, event: object, number: int, at: int) -> None:
        headers = codec.headers(type, id="1", source="/test")
        self._producer.send(
            CONVERSATIONS.name, codec.encode(event), key=b"key", partition=number, headers=headers, timestamp_ms=at
        )

    def close(self) -> None:
        self._producer.flush()
        self._producer.close()
