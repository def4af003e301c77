"""The local Kafka and MongoDB, as real processes."""

import json
import socket
from pathlib import Path

import psutil
import pytest

from rapport.contracts.topics import CATALOGUE
from rapport.kit import mongo
from rapport.kit.broker.kafka_topics import missing_topics
from rapport.local.errors import StackError
from rapport.local.servers import broker, mongod
from rapport.local.servers.stack import Running, Stack

pytestmark = pytest.mark.stack


def test_the_broker_has_every_topic_of_the_catalogue(stack: Running) -> None:
    assert missing_topics(stack.kafka, CATALOGUE) == set()


def test_the_database_takes_writes_of_a_replica_set(stack: Running, database: str) -> None:
    with mongo.client(stack.mongodb) as client:
        client[database].things.insert_one({"_id": 1})
        assert client.admin.command("hello")["setName"] == "rapport"


def test_up_twice_uses_the_same_servers_and_data_survives_down_and_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, stack: Running
) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", stack.kafka)  # this test is about the database's data and port
    monkeypatch.delenv("RAPPORT_MONGODB", raising=False)
    servers = Stack(tmp_path)
    first = servers.up(bound=True, any_port=True)
    try:
        assert Stack(tmp_path).up() == first
        assert Stack(tmp_path).status() == first
        assert set(first.pids) == {"mongodb"}
        with mongo.client(first.mongodb) as client:
            client[database].things.insert_one({"_id": 1})
        assert servers.down() == ["mongodb"]
        assert servers.status() is None
        assert not psutil.pid_exists(first.pids["mongodb"])
        second = servers.up(bound=True, any_port=True)
        assert second.mongodb != first.mongodb
        with mongo.client(second.mongodb) as client:
            assert client[database].things.find_one() == {"_id": 1}
    finally:
        servers.down()


def test_taken_usual_ports_lead_to_others_and_down_ends_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Running
) -> None:
    monkeypatch.delenv("RAPPORT_KAFKA", raising=False)
    monkeypatch.delenv("RAPPORT_MONGODB", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = {one.getsockname()[1], two.getsockname()[1]}
        monkeypatch.setattr("rapport.local.servers.stack.KAFKA_PORT", one.getsockname()[1])
        monkeypatch.setattr(mongod, "USUAL_PORT", two.getsockname()[1])
        servers = Stack(tmp_path)
        running = servers.up(bound=True)
        try:
            assert all(not running.kafka.endswith(f":{port}") for port in taken)
            assert missing_topics(running.kafka, CATALOGUE) == set()
            assert all(str(port) not in running.mongodb for port in taken)
        finally:
            assert set(servers.down()) == {"kafka", "mongodb"}
        assert not any(psutil.pid_exists(pid) for pid in running.pids.values())
        assert missing_topics(stack.kafka, CATALOGUE) == set()


def test_a_pid_that_another_process_has_now_is_left_alone(tmp_path: Path) -> None:
    me = psutil.Process().pid
    (tmp_path / "stack.json").write_text(
        json.dumps({"servers": {"kafka": {"address": "127.0.0.1:1", "pid": me, "born": "long ago"}}})
    )
    assert Stack(tmp_path).down() == []
    assert psutil.Process().is_running()


def test_a_broker_that_is_not_there_is_named_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Running
) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("RAPPORT_MONGODB", stack.mongodb)
    monkeypatch.setattr("rapport.local.servers.existing._WAIT_SECONDS", 0.2)
    with pytest.raises(StackError, match=r"RAPPORT_KAFKA names 127\.0\.0\.1:1") as raised:
        Stack(tmp_path).up()
    assert "unset RAPPORT_KAFKA" in str(raised.value)


def test_an_address_without_a_port_is_named_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Running
) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", "broker")
    monkeypatch.setenv("RAPPORT_MONGODB", stack.mongodb)
    with pytest.raises(StackError, match="'broker', which is not host:port"):
        Stack(tmp_path).up()


def test_a_password_in_the_database_address_is_not_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Running
) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", stack.kafka)
    monkeypatch.setenv("RAPPORT_MONGODB", "mongodb://someone:hunter2@127.0.0.1:2/")
    monkeypatch.setattr("rapport.kit.mongo.SELECT_MS", 200)
    monkeypatch.setitem(
        __import__("rapport.kit.mongo", fromlist=["_OPTIONS"])._OPTIONS, "serverSelectionTimeoutMS", 200
    )
    with pytest.raises(StackError, match=r"RAPPORT_MONGODB names mongodb://127\.0\.0\.1:2/") as raised:
        Stack(tmp_path).up()
    assert "hunter2" not in str(raised.value)


def test_a_database_that_cannot_start_shows_the_last_lines_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Running
) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", stack.kafka)
    monkeypatch.delenv("RAPPORT_MONGODB", raising=False)
    (tmp_path / "mongodb").mkdir()
    (tmp_path / "mongodb" / "storage.bson").write_text("not a database")
    with pytest.raises(StackError, match="MongoDB ended while it was starting") as raised:
        Stack(tmp_path).up(bound=True, any_port=True)
    assert "logs/mongodb.log" in str(raised.value)
    assert "aborting after fassert() failure" in str(raised.value)
    assert Stack(tmp_path).status() is None


def test_java_and_mongod_that_are_nowhere_are_named_with_the_alternatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"no Java.*RAPPORT_KAFKA.*docker compose"):
        broker.Broker(tmp_path).command(1, 2, lambda how_far: None)
    with pytest.raises(StackError, match=r"no mongod.*RAPPORT_MONGODB.*docker compose"):
        mongod.Mongod(tmp_path).command(1)
