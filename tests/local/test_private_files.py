"""What an installation keeps is for its owner only, and its servers ask who is there."""

import contextlib
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from rapport.contracts.topics import CATALOGUE
from rapport.kit import mongo
from rapport.kit.broker import kafka_topics
from rapport.kit.broker.kafka_login import KafkaLogin, login
from rapport.local import child, ports, private_files
from rapport.local.errors import StackError
from rapport.local.passwords import Passwords
from rapport.local.servers import broker, mongod
from rapport.local.servers.stack import Running, Stack
from tests.waiting import until

_NOBODY = 65534


def open_to_others(data: Path) -> list[str]:
    """What in a folder, itself included, others may do something with."""
    found = []
    for path in (data, *data.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # running servers write files and remove them
            if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077:
                found.append(str(path))
    return found


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Running]]:
    """A stack of its own, with passwords that were made for it and that nothing in this process knows."""
    data = tmp_path_factory.mktemp("private") / "data"
    before = os.umask(0o022)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("RAPPORT_KAFKA", "RAPPORT_MONGODB", "RAPPORT_KAFKA_USER", "RAPPORT_KAFKA_PASSWORD"):
                patch.delenv(name, raising=False)
            stack = Stack(data)
            running = stack.up(bound=True, any_port=True)
    finally:
        os.umask(before)
    try:
        yield data, running
    finally:
        stack.down()


def secrets_of(data: Path, running: Running) -> list[str]:
    """Every password of a stack."""
    assert running.kafka_password is not None
    passwords = Passwords.of(data)
    return [running.kafka_password, passwords.mongodb(), passwords.mongodb_key().read_text()]


@pytest.mark.stack
def test_nothing_in_the_folder_of_the_servers_is_open_to_others(servers: tuple[Path, Running]) -> None:
    assert open_to_others(servers[0]) == []


@pytest.mark.stack
@pytest.mark.parametrize("who", [{}, {"sasl_plain_password": "another"}], ids=["nobody", "a wrong password"])
def test_kafka_refuses_a_client_without_the_password(servers: tuple[Path, Running], who: dict[str, str]) -> None:
    running = servers[1]
    options = {**login(running.kafka_login()), **who} if who else {}
    with pytest.raises(KafkaError):
        KafkaAdminClient(bootstrap_servers=running.kafka, bootstrap_timeout_ms=2_000, **options).list_topics()
    assert kafka_topics.missing_topics(running.kafka, CATALOGUE, running.kafka_login()) == set()


@pytest.mark.stack
def test_kafkas_controller_refuses_a_client_without_the_password(servers: tuple[Path, Running]) -> None:
    data, running = servers
    properties = (data / "kafka" / "server.properties").read_text()
    controller = properties.partition("controller.quorum.voters=1@")[2].split()[0]
    with pytest.raises(KafkaError):
        KafkaAdminClient(bootstrap_controllers=controller, bootstrap_timeout_ms=2_000).describe_cluster()
    assert child.Child(running.pids["kafka"], child.birth(running.pids["kafka"]) or "").alive()


@pytest.mark.stack
def test_mongodb_refuses_a_client_without_the_password(servers: tuple[Path, Running]) -> None:
    address = mongo.shown(servers[1].mongodb)
    with MongoClient[dict[str, object]](address) as nobody, pytest.raises(OperationFailure, match="authentication"):
        nobody["rapport"]["brands"].find_one()
    with MongoClient[dict[str, object]](address) as nobody, pytest.raises(OperationFailure):
        nobody.admin.command("createUser", "first", pwd="first", roles=["root"])
    with mongo.client(servers[1].mongodb) as client:
        assert client["rapport"]["brands"].find_one() is None


@pytest.mark.stack
def test_no_password_is_on_a_command_line_or_in_a_log(servers: tuple[Path, Running]) -> None:
    data, running = servers
    secrets = secrets_of(data, running)
    lines = [" ".join(process.cmdline()) for process in psutil.process_iter() if process.pid in running.pids.values()]
    assert len(lines) == 2
    logs = [path.read_text(errors="replace") for path in (data / "logs").iterdir()]
    assert [secret for secret in secrets for text in (*lines, *logs) if secret in text] == []


@pytest.mark.stack
def test_the_data_of_a_version_without_passwords_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAPPORT_KAFKA", "RAPPORT_MONGODB", "RAPPORT_KAFKA_USER", "RAPPORT_KAFKA_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0o022)
    try:
        _fill_as_before(tmp_path)
    finally:
        os.umask(before)
    stack = Stack(tmp_path)
    running = stack.up(bound=True, any_port=True)
    try:
        assert kafka_topics.missing_topics(running.kafka, CATALOGUE, running.kafka_login()) == set()
        with mongo.client(running.mongodb) as client:
            assert client["rapport"]["brands"].find_one() == {"_id": "museum"}
        assert open_to_others(tmp_path) == []
    finally:
        stack.down()


def _fill_as_before(data: Path) -> None:
    """Starts both servers on a folder without passwords, and stores something in each."""
    kafka_port, mongodb_port = ports.usual_or_free(0), ports.usual_or_free(0)
    command = broker.Broker(data).command(kafka_port, ports.usual_or_free(0), lambda _: None)
    properties = Path(command[-1])
    kept = [
        line.replace("SASL_PLAINTEXT", "PLAINTEXT")
        for line in properties.read_text().splitlines()
        if "sasl." not in line
    ]
    properties.write_text("\n".join(kept))
    without_key = mongod.Mongod(data).command(mongodb_port)
    key = without_key.index("--keyFile")
    del without_key[key : key + 4]
    log = data / "logs" / "before.log"
    started = [child.start(one, log, os.environ, signal.SIGTERM) for one in (command, without_key)]
    try:
        for one, port in zip(started, (kafka_port, mongodb_port), strict=True):
            until(lambda one=one, port=port: one.listens(port), "the servers of before")  # type: ignore[misc]
        address = f"127.0.0.1:{mongodb_port}"
        with MongoClient[dict[str, object]](address, directConnection=True) as client:
            member = {"_id": 0, "host": address}
            client.admin.command("replSetInitiate", {"_id": mongod.REPLICA_SET, "members": [member]})
            until(lambda: bool(client.admin.command("hello").get("isWritablePrimary")), "a primary")
            client["rapport"]["brands"].insert_one({"_id": "museum"})
        kafka_topics.create_topics(f"127.0.0.1:{kafka_port}", 1, CATALOGUE, who=KafkaLogin())
    finally:
        child.stop(started, 30)
    for path in (data / "secrets").iterdir():
        path.unlink()
    (data / "secrets").rmdir()
    (data / "logs").chmod(0o755)


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    (data / "logs" / "api.log").write_text("x")
    for path, mode in ((data, 0o755), (data / "logs", 0o755), (data / "logs" / "api.log", 0o644)):
        path.chmod(mode)
    private_files.claim(data)
    assert open_to_others(data) == []


def test_what_is_not_ours_stays_as_open_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "notes.txt").chmod(0o644)
    (tmp_path / "logs").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    private_files.claim(tmp_path)
    assert [Path(path).name for path in open_to_others(tmp_path)] == [tmp_path.name, "notes.txt"]


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    os.chown(tmp_path, _NOBODY, _NOBODY)
    with pytest.raises(StackError, match=r"belongs to .*, and you are .*\. Name a folder of your own"):
        private_files.claim(tmp_path)


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_in_the_folders_place_is_named(tmp_path: Path, inside: bool) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(StackError, match=r"data is a file|cannot hold the data: Not a directory"):
        private_files.claim(tmp_path / "data" / "inside" if inside else tmp_path / "data")
