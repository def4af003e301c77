"""What a worker does that must not go on."""

from collections.abc import Collection

from rapport.contracts.topics import ALERTS, EXCHANGES
from tests.faults.broker import OwnBroker
from tests.faults.oracle import SOURCES, committed
from tests.faults.worker import Worker
from tests.waiting import until


def of_agent(name: str) -> set[tuple[str, int]]:
    """Every partition that an agent reads."""
    return {(topic.name, number) for topic in SOURCES[name] for number in range(topic.partitions)}


_EVERYTHING = frozenset(each for name in SOURCES for each in of_agent(name))


def refuses(broker: OwnBroker, worker: Worker, *says: str, of: Collection[tuple[str, int]] = _EVERYTHING) -> None:
    """Starts a worker; it ends by itself, says why and what to do, and has done nothing with these partitions.

    What is right about other partitions may go on until it has ended.
    """

    def done() -> object:
        known = committed(broker.kafka)
        made = (broker.ends(EXCHANGES), broker.ends(ALERTS)) if of_agent("exchanges") <= set(of) else None
        return [known.get(each) for each in sorted(of)], made

    before = done()
    worker.start()
    until(lambda: worker.exit_code() is not None, "it refuses", 60)
    assert worker.exit_code() == 1
    reason = worker.said().split("refusing to go on: ")[-1]
    for each in says:
        assert each in reason
    assert done() == before
