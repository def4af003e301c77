"""Two of every process and three scorers: restarts, upgrades and crashes of any of them lose nothing."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from kafka import TopicPartition

from rapport.contracts.topics import CATALOGUE
from rapport.kit.broker import kafka
from rapport.local.servers.stack import Running
from services.notifier.slots import AT_ONCE_PER_CHANNEL
from tests.faults.long_run import aloud
from tests.faults.replicas.cluster import GRACE_SECONDS, LOOKED_AGAIN_AFTER, REPLICAS, Cluster, Replica
from tests.faults.replicas.fortnight import CountingInbox, Fortnight
from tests.faults.replicas.steps import Steps
from tests.services.verify.world import verify

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(1_800)]

CHANNELS = 8
"""Two of each of four brands."""
BEFORE = "d2b2531"
"""The newest version whose producers were not replaced after a failure, and whose brands had no revision."""


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The files of the version before."""
    here = Path(__file__).parents[2]
    tree = tmp_path / "before"
    tree.mkdir()
    archive = subprocess.run(
        ["git", "-C", str(here), "archive", BEFORE, "rapport", "services"], capture_output=True, check=False
    )
    assert archive.returncode == 0, (
        f"This test upgrades from commit {BEFORE}, so it needs the history: `git fetch --unshallow`, or a clone "
        f"without --depth. Git says: {archive.stderr.decode().strip()}"
    )
    subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True)
    return tree


@pytest.mark.red("claims_hold_nobody_off()")
def test_each_replica_is_restarted_then_machines_crash(
    replicas: Cluster, fortnight: Fortnight, inbox: CountingInbox
) -> None:
    replicas.start()
    steps = _each_replaced(replicas, fortnight, inbox)
    all_right(replicas, fortnight, steps)
    assert inbox.twice() == []

    with fortnight.again():
        for number in range(max(REPLICAS.values())):
            aloud(f"machine {number} crashes")
            steps.step()
            replicas.crash([each for each in replicas.replicas if each.name.endswith(f"-{number}")])
    all_right(replicas, fortnight, steps)
    # What was on its way when its notifier was killed may come again, once.
    assert all(times <= 2 for times in inbox.came.values())
    assert len(inbox.twice()) <= REPLICAS["notifier"] * AT_ONCE_PER_CHANNEL * CHANNELS


@pytest.mark.red("brands_of_a_new_type()")
def test_each_replica_is_upgraded(replicas: Cluster, fortnight: Fortnight, inbox: CountingInbox, before: Path) -> None:
    replicas.start(before)
    steps = _each_replaced(replicas, fortnight, inbox)
    all_right(replicas, fortnight, steps)
    assert inbox.twice() == []


def _each_replaced(replicas: Cluster, fortnight: Fortnight, inbox: CountingInbox) -> Steps:
    """Ends each replica in order and starts the version under test in its place, while the fortnight arrives."""
    steps = Steps(replicas, inbox, fortnight.apis)
    fortnight.connect()
    steps.connect()

    def replace(some: Sequence[Replica]) -> None:
        for replica in some:
            aloud(f"{replica.name} is replaced")
            steps.step()
            replicas.replace(replica)

    half = len(replicas.replicas) // 2
    with fortnight.older():
        replace(replicas.replicas[:half])
    fortnight.newer()
    with fortnight.again():
        replace(replicas.replicas[half:])
    steps.step()
    return steps


def all_right(replicas: Cluster, fortnight: Fortnight, steps: Steps) -> None:
    """Every view is right by every API, and by `verify`; nobody was turned away, and no process ended by itself."""
    aloud("is all right?")
    fortnight.until_right()
    steps.until_right()
    outcome = verify(replicas.running, settle=10, grace=GRACE_SECONDS, again=LOOKED_AGAIN_AFTER.total_seconds())
    assert (outcome.differences, outcome.code) == ([], 0), outcome.summary
    assert fortnight.wrong == []
    assert _dead_letters(replicas.running) == {}
    replicas.until_ready(replicas.replicas)


def _dead_letters(running: Running) -> dict[str, int]:
    """How many records each topic for what could not be processed has."""
    reader = kafka.consumer(running.kafka, None, "test")
    try:
        places = [
            TopicPartition(topic.name, number)
            for topic in CATALOGUE
            if topic.name.endswith(".dlt")
            for number in range(topic.partitions)
        ]
        found: dict[str, int] = {}
        for place, end in reader.end_offsets(places).items():
            if end:
                found[place.topic] = found.get(place.topic, 0) + end
        return found
    finally:
        reader.close()
