"""What every fault test may ask for: a broker of its own, and workers that end with it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.broker import OwnBroker
from tests.faults.history import begin, history
from tests.faults.oracle import through
from tests.faults.replicas.cluster import SETTINGS, Cluster, cluster
from tests.faults.replicas.fortnight import CountingInbox, Fortnight
from tests.faults.worker import SABOTAGE, Crew, Worker
from tests.services.scorer.worker import produce
from tests.waiting import until

SESSION_SECONDS = 6
LONGEST = (
    *("test_replicas.py", "test_handovers.py", "test_sources.py", "test_long_time.py", "test_starvation.py"),
    *("test_bounds.py", "test_more_partitions.py"),
)


def pytest_configure(config: pytest.Config) -> None:
    """The markers of this suite."""
    config.addinivalue_line("markers", "faults: takes a broker through faults; runs with `make test-faults`")
    config.addinivalue_line("markers", "red(saboteur): what breaks the workers so that this test fails")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files come first, or one of two processes would have nothing to do at the end.

    With RAPPORT_TEST_RED=1 every test runs with workers that are broken, and has to fail.
    """
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if os.environ.get("RAPPORT_TEST_RED") != "1":
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("red") is None:
            item.add_marker(pytest.mark.skip("breaks something by itself"))
        elif here in item.path.parents:
            item.add_marker(pytest.mark.xfail(strict=True))


@pytest.fixture(autouse=True)
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks the workers of this test, where that is what is asked for."""
    red = request.node.get_closest_marker("red")
    if red is not None and os.environ.get("RAPPORT_TEST_RED") == "1":
        monkeypatch.setenv(SABOTAGE, red.args[0])


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a broker that has every topic and nothing in them: making them takes longer than a start."""
    folder = tmp_path_factory.mktemp("fresh") / "broker"
    OwnBroker(folder).end(signal.SIGTERM)
    return folder


@pytest.fixture(scope="session")
def used(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a broker, and of a worker that has processed something and ended."""
    folder = tmp_path_factory.mktemp("used")
    broker = OwnBroker(folder / "broker", like=fresh)
    worker = Worker(broker.kafka, folder, session_seconds=SESSION_SECONDS)
    try:
        until(worker.ready, "the worker is ready")
        produce(broker.kafka, history(0, 400, begin(broker)))
        until(lambda: through(broker.kafka), "everything is processed")
        worker.end()
    finally:
        worker.stop()
        broker.end(signal.SIGTERM)
    return folder


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OwnBroker]:
    """A broker of its own: it is what is stopped, and the state of a group is what is tested."""
    like: Path
    if "worked" in request.fixturenames:
        like = request.getfixturevalue("used") / "broker"
    else:
        like = request.getfixturevalue("fresh")
    own = OwnBroker(tmp_path / "broker", like=like)
    try:
        yield own
    finally:
        own.end()


@pytest.fixture
def start(broker: OwnBroker, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts a worker on that broker; takes what `Worker` takes after its folder."""
    started: list[Worker] = []

    def one(*named: str, **more: Any) -> Worker:
        started.append(Worker(broker.kafka, tmp_path, *named, **more))
        return started[-1]

    try:
        yield one
    finally:
        for worker in started:
            worker.stop()


@pytest.fixture
def crew(broker: OwnBroker, tmp_path: Path) -> Iterator[Crew]:
    """Three workers on that broker."""
    found = Crew(broker.kafka, tmp_path, 3, session_seconds=SESSION_SECONDS)
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def worked(broker: OwnBroker, used: Path, tmp_path: Path) -> Iterator[Worker]:
    """A worker that has processed something and ended."""
    worker = Worker(broker.kafka, tmp_path, started=False, session_seconds=SESSION_SECONDS)
    shutil.copytree(used / worker.instance, worker.disk)
    try:
        yield worker
    finally:
        worker.stop()


@pytest.fixture
def inbox() -> Iterator[CountingInbox]:
    """Where everything is told."""
    made = CountingInbox()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def replicas(tmp_path: Path, inbox: CountingInbox) -> Iterator[Cluster]:
    """A cluster that is still to be started."""
    with cluster(tmp_path, {**SETTINGS, "RAPPORT_SMTP": inbox.smtp}) as made:
        yield made


@pytest.fixture
def fortnight(replicas: Cluster, inbox: CountingInbox) -> Iterator[Fortnight]:
    """What arrives meanwhile."""
    made = Fortnight(replicas, inbox)
    try:
        yield made
    finally:
        made.close()
