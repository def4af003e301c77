"""An installation gets more partitions: what was begun with the old ones goes on with the new, once and exactly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rapport import partitions
from rapport.contracts import codec
from rapport.contracts.controls import AccountConnected
from rapport.contracts.topics import CONVERSATIONS
from rapport.kit.broker import kafka
from tests.faults.long_run import aloud
from tests.faults.replicas.cluster import ROOT, Cluster
from tests.faults.replicas.fortnight import CountingInbox, Fortnight
from tests.faults.replicas.steps import Steps
from tests.faults.test_replicas import all_right
from tests.faults.worker import SABOTAGE
from tests.waiting import POLL_SECONDS, until

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(1_800)]

MORE = 12
PROCESSED_SECONDS = 180.0
IN_THE_MIDDLE = "moving the relationships of partition 1"


@pytest.fixture
def more(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After this, the test itself counts with so many too."""
    yield
    monkeypatch.undo()
    partitions.of_installation.cache_clear()


@pytest.mark.red("rows_stay()")
def test_partitions_are_added_between_two_halves_of_a_fortnight(
    replicas: Cluster,
    fortnight: Fortnight,
    inbox: CountingInbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: None,
) -> None:
    replicas.start()
    steps = Steps(replicas, inbox, fortnight.apis)
    fortnight.connect()
    steps.connect()
    with fortnight.older():
        steps.step()
        steps.until_right()
    assert "stop all processes" in refusal(replicas, MORE, was=partitions.DEFAULT)

    aloud("everything stops, the scorers last")
    for name in ("ingest", "api", "projector", "notifier", "scorer"):
        for replica in replicas.of(name):
            replica.end()
    run(replicas, tmp_path / "killed.log", kill_at=IN_THE_MIDDLE)
    aloud("it was killed in the middle; nobody starts to work now")
    halfway = replicas.of("notifier")[0]
    halfway.start()
    until(lambda: "the partitions are not as many as RAPPORT_PARTITIONS says" in halfway.said(), "it says why it waits")
    halfway.kill()
    write_late(replicas)
    assert "1 of rapport.conversations.v1:1 came after this had begun" in refusal(replicas, MORE, partitions.DEFAULT)
    said = run(replicas, tmp_path / "done.log", "--leave")
    assert "left where they are: 1 of rapport.conversations.v1:1" in said
    assert f"each topic has {MORE} partitions" in said

    aloud("everything starts with the new partitions")
    monkeypatch.setenv("RAPPORT_PARTITIONS", str(MORE))
    partitions.of_installation.cache_clear()
    replicas.give({"RAPPORT_PARTITIONS": str(MORE)})
    replicas.start()
    assert "set it to the number that the topics have" in refusal(replicas, 2 * MORE, was=2)
    steps.step()
    # What is answered before anybody was told that it is overdue is not told any more.
    steps.until_right()
    fortnight.newer()
    steps.step()
    all_right(replicas, fortnight, steps)
    assert inbox.twice() == []


def refusal(replicas: Cluster, many: int, was: int) -> str:
    """What the command says where it does nothing."""
    found = subprocess.run(
        call(many), env=environment(replicas, was), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert found.returncode == 1, found
    return found.stderr


def run(replicas: Cluster, log: Path, *more: str, kill_at: str | None = None) -> str:
    """Adds partitions, as docs/partitions.md says; killed once it says `kill_at`. What it said."""
    end = time.monotonic() + PROCESSED_SECONDS
    while True:
        with log.open("wb") as told:
            running = subprocess.Popen(
                [*call(MORE), *more], env=environment(replicas, partitions.DEFAULT), cwd=ROOT, stdout=told, stderr=told
            )
        while running.poll() is None:
            if kill_at is not None and kill_at in log.read_text():
                running.kill()
            time.sleep(POLL_SECONDS)
        said = log.read_text()
        if running.returncode == (0 if kill_at is None else -signal.SIGKILL):
            return said
        assert time.monotonic() < end, said
        if "listed for 10 s more" not in said:
            assert "the scorer has not processed" in said
            process_the_rest(replicas)


def write_late(replicas: Cluster) -> None:
    """As an API would that nobody stopped: about a client that nobody else speaks of."""
    event = AccountConnected(brand="late", account="late", platform="generic", connected_at=datetime.now(UTC))
    headers = codec.headers("rapport.control.v1", id="late", source="/test")
    producer = kafka.producer(replicas.running.kafka, "test")
    producer.send(CONVERSATIONS.name, codec.encode(event), b"late", headers=headers, partition=1).get(30)
    producer.close()


def process_the_rest(replicas: Cluster) -> None:
    """Lets one scorer alone work until nothing waits."""
    scorer = replicas.of("scorer")[0]
    scorer.start()
    replicas.until_ready([scorer])
    until(lambda: scorer.metric("rapport_scorer_waiting_records") == 0, "nothing waits")
    scorer.end()


def call(many: int) -> list[str]:
    """The command; broken where the test has to fail."""
    broken = os.environ.get(SABOTAGE)
    begin = f"from tests.faults.replicas import saboteurs; saboteurs.{broken}; " if broken else ""
    return [sys.executable, "-c", f"{begin}from rapport.cli import main; main()", "partitions", str(many), "--yes"]


def environment(replicas: Cluster, was: int) -> dict[str, str]:
    """What an operator sets."""
    return {**os.environ, "RAPPORT_KAFKA": replicas.running.kafka, "RAPPORT_PARTITIONS": str(was)}
