"""Trap 20: one follower who writes without end. Rows stay small, and nobody else waits."""

import time
from collections.abc import Callable

import pytest

from rapport.contracts import codec
from rapport.contracts.events import Interaction
from rapport.contracts.topics import ALERTS, CATALOGUE
from tests.faults.broker import OwnBroker
from tests.faults.history import begin
from tests.faults.oracle import CHANGELOGS, Log, check, through
from tests.faults.worker import Worker
from tests.services.scorer.story import interaction
from tests.services.scorer.worker import produce
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]
MANY = 20_000
LARGEST_ROW = 200_000
"""Bytes; the log takes a million."""


def others(now: int, thread: str) -> list[Interaction]:
    """What others say in the same conversation, and so in the same partition, which is answered."""
    return [
        each
        for number in range(50)
        for each in (
            interaction("comment", f"o{number}", now, follower=f"o{number}", thread=thread, conversation="post-1"),
            interaction(
                "reply", f"a{number}", now + 1, parent=f"o{number}", to=f"o{number}", thread=thread,
                conversation="post-1",
            ),
        )
    ]  # fmt: skip


@pytest.mark.red("boundless()")
@pytest.mark.parametrize(
    "threads",
    [
        pytest.param(1, id="in one thread", marks=pytest.mark.long),
        pytest.param(MANY, id="in threads of their own"),
    ],
)
def test_twenty_thousand_mentions_that_nobody_answers_leave_rows_small_and_their_partition_going(
    broker: OwnBroker, start: Start, threads: int
) -> None:
    worker = start()
    until(worker.ready, "the worker is ready")
    now = begin(broker, target_seconds=60, warn_at=())
    ledger = [
        interaction(
            "mention", f"m{number}", now - 120_000 + number, follower="bore", text="Look here! " * 20,
            thread=f"thread-{number % threads}", conversation="post-1",
        )
        for number in range(MANY)
    ]  # fmt: skip
    began = time.monotonic()
    produce(broker.kafka, ledger)
    until(lambda: through(broker.kafka), "everything is processed", 240)
    since = time.monotonic()
    ledger += (rest := [*others(now, "thread-0"), interaction("block", "b1", now + 2, follower="bore")])
    produce(broker.kafka, rest)
    until(lambda: through(broker.kafka), "what the others say is processed, and that the bore is blocked", 240)
    assert time.monotonic() - since < since - began, "of so few records it takes less time"
    worker.end()
    log = Log(broker.kafka)
    for topic in CHANGELOGS.values():
        assert max(len(record.value or b"") for record in log[topic]) < LARGEST_ROW
    breaches = [codec.decode("rapport.alert.v1", record.value) for record in log[ALERTS]]
    assert sum(alert.step == "breach" and alert.follower.id == "bore" for alert in breaches) == threads
    assert not [topic for topic in CATALOGUE if topic.name.endswith("rapport-scorer.dlt") and log[topic]]
    check(broker.kafka, ledger, [worker])
