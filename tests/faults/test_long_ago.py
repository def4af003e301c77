"""What is taken back, answered and shown again after 91 days, by workers that were killed and wiped meanwhile."""

from collections.abc import Callable

import msgspec
import pytest

from rapport.contracts import codec
from rapport.contracts.events import ExchangeSnapshot
from rapport.contracts.rows import FOLLOWER, FollowerRow, parts_of
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, EXCHANGES
from tests.faults.broker import OwnBroker
from tests.faults.history import begin
from tests.faults.months import LONG, OUR_TIME, WHO, first_day, taken_back, teller
from tests.faults.oracle import PARTITIONS, Log, check, through
from tests.faults.worker import Worker
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

Start = Callable[..., Worker]


@pytest.mark.red("forgets_what_counts()")
def test_what_is_taken_back_after_91_days_is_taken_back_once_by_workers_that_were_killed_meanwhile(
    broker: OwnBroker, start: Start
) -> None:
    for topic in (CONVERSATIONS, ENGAGEMENTS):
        broker.configure(topic, **OUR_TIME)
    worker = start(ticks=False)
    until(worker.ready, "the worker is ready")
    now = begin(broker, target_seconds=6 * 3600, warn_at=())
    later = now + LONG
    ledger = [*first_day(now), *taken_back(later)]
    with teller(broker.kafka) as tell:
        tell.some(first_day(now), now + 1)
        tell.passes(now, later)
        until(lambda: through(broker.kafka), "months are over")
        worker.kill()
        worker.wipe()
        tell.some(taken_back(later), later)
        worker.start()
        until(lambda: through(broker.kafka), "all is taken back")
        worker.kill()
        worker.start()
        # What counts for nothing any more leaves, here and in the model, which takes a hundred records in one go.
        tell.passes(later, later + 4 * LONG)
        until(lambda: through(broker.kafka), "a year is over")
    worker.end()
    log = Log(broker.kafka)
    for who, row in relationships(log).items():
        assert row.counts == {"comment": 2, "message": 1, "reply": 2}, who
        kinds = [kind for kinds in row.days.values() for kind, times in kinds.items() for _ in range(times)]
        assert sorted(kinds) == ["answered", "answered_late", "answered_late", "comment", "comment", "message"], who
    assert set(relationships(log)) == set(WHO)
    assert (
        {each.state for each in last(log, "other-")} == {each.state for each in last(log, "chat-")} == {"answered_late"}
    )
    kinds_left = {parts_of(key)[0] for number in PARTITIONS for key in log.compacted("relationships", number)}
    assert "thing" not in kinds_left, "nothing rests on what was taken back"
    check(broker.kafka, ledger, [worker])


def relationships(log: Log) -> dict[str, FollowerRow]:
    """Every follower's row."""
    found = {}
    for number in PARTITIONS:
        for key, value in log.compacted("relationships", number).items():
            if parts_of(key)[0] == FOLLOWER:
                row = msgspec.json.decode(value, type=FollowerRow)
                found[row.follower] = row
    return found


def last(log: Log, threads: str) -> list[ExchangeSnapshot]:
    """The last word on each exchange in threads of that name."""
    found: dict[str, ExchangeSnapshot] = {}
    for record in log[EXCHANGES]:
        event = codec.decode(codec.type_of(record.headers), record.value)
        if isinstance(event, ExchangeSnapshot) and event.thread.startswith(threads):
            found[event.id] = event
    assert len(found) == len(WHO)
    return list(found.values())
