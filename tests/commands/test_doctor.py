"""`rapport doctor` on a real broker and database: it finds what is wrong, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient
from typer.testing import CliRunner

from rapport.cli import app
from rapport.contracts.topics import ENGAGEMENTS_DEAD, REMINDERS
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.kafka_login import login
from services.api.storage import indexes
from services.doctor.finding import Findings
from tests.services.verify.world import World, world
from tests.waiting import until

pytestmark = pytest.mark.stack

SINGLE = {"replication", "replica set", "rights"}
"""Doubtful on one machine."""
DISK = "mongodb's disk"
"""How full it is depends on the machine."""
NO_NOTIFIER = {"group rapport-notifier"}
"""The world has none."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A scorer and a projector, with their servers."""
    with world(tmp_path_factory.mktemp("doctor")) as found:
        yield found


def examined(here: World) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and state and detail of what was found."""
    servers = {"RAPPORT_KAFKA": here.running.kafka, "RAPPORT_MONGODB": here.running.mongodb}
    result = CliRunner().invoke(app, ["doctor", "--json"], env=servers)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return result.exit_code, {each["what"]: (each["state"], each["detail"]) for each in found if each["what"] != DISK}


def of(found: dict[str, tuple[str, str]], state: str) -> set[str]:
    return {what for what, (its, _) in found.items() if its == state}


def test_a_healthy_installation_has_nothing_wrong_but_what_is_not_there(here: World) -> None:
    until(lambda: of(examined(here)[1], "wrong") == NO_NOTIFIER, lambda: f"all others are well: {examined(here)}", 40)
    code, found = examined(here)
    assert code == 1
    assert "does the process run?" in found["group rapport-notifier"][1]
    assert of(found, "doubtful") == SINGLE
    assert {"topics", "partitions", "retention", "replicas", "ticks", "indexes", "mongodb's version"} <= of(
        found, "fine"
    )
    assert found["dead letters"] == ("fine", "none")


def test_each_trouble_is_named_with_what_to_do(here: World) -> None:
    kafka_admin = KafkaAdminClient(bootstrap_servers=here.running.kafka, **login())
    kafka_admin.delete_topics([REMINDERS.name])
    here.views["exchanges"].drop_index("follower")
    producer = kafka.producer(here.running.kafka, "test")
    producer.send(ENGAGEMENTS_DEAD.name, b"x", key=b"x", partition=0).get(30)
    producer.close()
    try:
        until(lambda: examined(here)[1]["topics"][0] == "wrong", "the topic is gone")
        code, found = examined(here)
        assert code == 1
        assert found["topics"][1] == f"{REMINDERS.name} is missing: `rapport topics` creates it"
        assert found["indexes"][1].startswith("exchanges.follower is missing")
        assert found["dead letters"] == ("doubtful", "1: `rapport dlt list` shows why")
    finally:
        kafka_topics.create_topics(here.running.kafka, 1, [REMINDERS])
        kafka_admin.close()
        indexes.create(here.views)


def test_servers_that_do_not_answer_are_named_and_the_others_examined(here: World) -> None:
    wrong = {"RAPPORT_KAFKA": "127.0.0.1:1", "RAPPORT_MONGODB": here.running.mongodb}
    result = CliRunner().invoke(app, ["doctor", "--json"], env=wrong)
    found = {each["what"]: each for each in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert found["kafka"]["state"] == "wrong"
    assert found["mongodb's version"]["state"] == "fine"
    other = {"RAPPORT_KAFKA": here.running.kafka, "RAPPORT_MONGODB": "mongodb://127.0.0.1:1"}
    found = {each["what"]: each for each in json.loads(CliRunner().invoke(app, ["doctor", "--json"], env=other).stdout)}
    assert found["mongodb"]["state"] == "wrong"
    assert found["partitions"]["state"] == found["kafka's version"]["state"] == "fine"


def test_people_read_a_table(here: World) -> None:
    servers = {"RAPPORT_KAFKA": here.running.kafka, "RAPPORT_MONGODB": here.running.mongodb, "COLUMNS": "200"}
    lines = CliRunner().invoke(app, ["doctor"], env=servers).stdout.splitlines()
    assert any(line.startswith("topics") and "fine" in line for line in lines)


@pytest.mark.parametrize(
    ("free", "state"), [(1000, "fine"), (151, "fine"), (149, "doubtful"), (49, "wrong"), (0, "wrong")]
)
def test_a_disk_is_judged_by_what_is_free_of_it(free: int, state: str) -> None:
    found = Findings()
    found.room("disk", free * 2**20, 1000 * 2**20)
    assert [each.state for each in found.each] == [state]
