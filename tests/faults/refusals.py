"""What a worker does that must not go on."""

from rapport.contracts.topics import ALERTS, EXCHANGES
from tests.faults.broker import OwnBroker
from tests.faults.oracle import committed
from tests.faults.worker import Worker
from tests.services.scorer.worker import until


def refuses(broker: OwnBroker, worker: Worker, *says: str) -> None:
    """Starts a worker; it ends by itself, says why and what to do, and has done nothing."""
    before = (committed(broker.kafka), broker.ends(EXCHANGES), broker.ends(ALERTS))
    worker.start()
    until(lambda: worker.exit_code() is not None, "it refuses", 60)
    assert worker.exit_code() == 1
    reason = worker.said().split("refusing to go on: ")[-1]
    for each in says:
        assert each in reason
    assert (committed(broker.kafka), broker.ends(EXCHANGES), broker.ends(ALERTS)) == before
