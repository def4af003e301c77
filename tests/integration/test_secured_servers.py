"""All processes with servers that ask for TLS, SCRAM and rights: each does its work, and none can do another's."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from kafka import TopicPartition
from kafka.admin import ACLOperation, ResourceType
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from pymongo.errors import PyMongoError
from typer.testing import CliRunner

from rapport.cli import app
from rapport.contracts.rights import GROUPS, OPERATOR
from rapport.contracts.topics import CATALOGUE, CONVERSATIONS, ENGAGEMENTS
from rapport.kit import mongo
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.sealing import PREFIX, Sealer, new_key
from rapport.processes import PROCESSES
from services.doctor.rights import Grant
from tests.processes import ADMIN_KEY, Service, planned
from tests.secured import SecuredKafka, SecuredMongoDB
from tests.services.ingest.service import tell
from tests.waiting import until

pytestmark = pytest.mark.stack

USERS = [process.name for process in PROCESSES]


@dataclass
class Secured:
    """Everything that runs."""

    broker: SecuredKafka
    mongodb: SecuredMongoDB
    services: dict[str, Service]
    folder: Path

    def url(self, process: str) -> str:
        """Where a process does what it is for."""
        return self.services[process].url

    def log(self, process: str) -> str:
        """What it said."""
        return self.services[process].log.read_text()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Every process, as a user of its own, with the rights that the catalogue gives it."""
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    with ExitStack() as ending:
        (folder / "kafka").mkdir()
        broker = SecuredKafka(folder / "kafka", authority, [*USERS, OPERATOR])
        ending.callback(broker.end)
        (folder / "mongodb").mkdir()
        mongodb = SecuredMongoDB(folder / "mongodb", authority)
        ending.callback(mongodb.end)
        (folder / "sealing.keys").write_text(new_key("first"))
        its = {
            "RAPPORT_MONGODB": mongodb.uri,
            "RAPPORT_TICK_SECONDS": "0.5",
            "RAPPORT_SEALING_KEYS": str(folder / "sealing.keys"),
        }
        services = planned(folder, {user: {**broker.variables(user), **its} for user in USERS})
        found = Secured(broker, mongodb, {each.process.name: each for each in services}, folder)
        for service in services:
            ending.callback(service.end)
            service.start()
        for service in services:
            until(
                lambda: service.says()[0] == 200,  # noqa: B023
                lambda: f"{service.process.name} is ready: {found.log(service.process.name)[-3000:]}",  # noqa: B023
            )
        yield found


def test_a_message_becomes_an_exchange_and_its_answer_is_counted(secured: Secured) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=secured.url("api"), headers=headers, timeout=30) as api:

        def asked(verb: str, path: str, body: Any = None) -> Any:
            answer = api.request(verb, f"/v1{path}", json=body)
            assert answer.is_success, answer.text
            return answer.json()

        asked("POST", "/brands", {"id": "acme", "name": "Acme", "timezone": "UTC"})
        its = {"id": "acme-help", "platform": "helpdesk", "handle": "Help desk", "connected_at": "2026-01-01T00:00:00Z"}
        secret = asked("POST", "/brands/acme/accounts", its)["door_secret"]

        def told(**interaction: Any) -> bool:
            return tell(secured.url("ingest"), "acme-help", secret, interaction).status_code == 202

        def states() -> list[str]:
            return [each["state"] for each in asked("GET", "/brands/acme/exchanges")["items"]]

        question = {"id": "1", "kind": "message", "actor": {"id": "bo"}, "text": "Broken!", "conversation": "t1"}
        until(lambda: told(**question), lambda: f"the door knows the account: {secured.log('ingest')[-2000:]}")
        until(lambda: states() == ["open"], lambda: f"the API shows it: {secured.log('scorer')[-2000:]}")
        reply = {"id": "2", "kind": "reply", "actor": {"id": "mira"}, "text": "On its way.", "conversation": "t1"}
        assert told(**reply)
        until(lambda: states() == ["answered"], "the API shows the answer")
    with mongo.client(secured.mongodb.uri) as client:
        (account,) = client["rapport"]["accounts"].find()
        assert [each.startswith(PREFIX) for each in account["door_secrets"]] == [True]
    variables = {"RAPPORT_API_URL": secured.url("api"), "RAPPORT_KEY": ADMIN_KEY}
    sealed = CliRunner().invoke(app, ["secrets", "seal"], env=variables)
    assert (sealed.exit_code, sealed.stdout) == (0, "0 secrets sealed again, with the key first\n")
    made = CliRunner().invoke(app, ["secrets", "key", "second"])
    assert len(Sealer.of(_file(secured.folder / "second", made.stdout)).keys) == 1
    assert CliRunner().invoke(app, ["secrets", "key", "No!"]).exit_code == 1


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture(params=USERS)
def user(secured: Secured, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each user in turn, as whom the test comes in."""
    name: str = request.param
    for variable, value in secured.broker.variables(name).items():
        monkeypatch.setenv(variable, value)
    return name


def test_a_process_can_write_only_what_the_catalogue_says(secured: Secured, user: str) -> None:
    with closing(kafka.producer(secured.broker.kafka, "test")) as producer:
        for topic in CATALOGUE:
            if user in topic.writers:
                continue
            with pytest.raises(TopicAuthorizationFailedError):
                producer.send(topic.name, b"{}", key=b"x", partition=0).get(30)


def test_a_process_can_read_only_what_the_catalogue_says(secured: Secured, user: str) -> None:
    with closing(kafka.consumer(secured.broker.kafka, None, "test")) as reader:
        for topic in CATALOGUE:
            partition = TopicPartition(topic.name, 0)
            reader.assign([partition])
            reader.seek(partition, 0)
            if user in topic.readers:
                reader.poll(1_000)
                continue
            with pytest.raises(TopicAuthorizationFailedError):
                until(lambda: reader.poll(1_000) and None, "an answer", 20)
    for owner, group in GROUPS.items():
        if owner != user:
            with (
                closing(kafka.consumer(secured.broker.kafka, group, "test")) as reader,
                pytest.raises(GroupAuthorizationFailedError),
            ):
                reader.committed(TopicPartition(CONVERSATIONS.name, 0))


def test_the_operator_finds_everything_well(secured: Secured) -> None:
    variables = {**secured.broker.variables(OPERATOR), "RAPPORT_MONGODB": secured.mongodb.uri}

    def wrong() -> set[str]:
        result = CliRunner().invoke(app, ["doctor", "--json"], env=variables)
        return {f"{each['what']}: {each['detail']}" for each in json.loads(result.stdout) if each["state"] == "wrong"}

    def rights() -> set[str]:
        result = CliRunner().invoke(app, ["doctor", "--json"], env=variables)
        return {each["detail"] for each in json.loads(result.stdout) if each["what"] == "rights"}

    until(lambda: not wrong(), lambda: f"nothing is wrong: {wrong()}")
    assert rights() == {"each process may do what it needs, and no more"}
    lost = Grant(ResourceType.TOPIC, ENGAGEMENTS.name, False, ACLOperation.WRITE)
    gained = Grant(ResourceType.TOPIC, "rapport.", True, ACLOperation.DELETE)
    with secured.broker.changed("ingest", lose=lost, gain=gained):
        said = {
            f"ingest may not WRITE topic {ENGAGEMENTS.name}",
            "ingest may DELETE topic rapport.*, which it does not need",
        }
        until(lambda: rights() == said, lambda: f"the doctor sees it: {rights()}")
    assert CliRunner().invoke(app, ["dlt", "list"], env=variables).exit_code == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"RAPPORT_KAFKA_TLS": "false", "RAPPORT_KAFKA_CA": None},
        {"RAPPORT_KAFKA_CA": None},
        {"RAPPORT_KAFKA_PASSWORD": "wrong"},
        {"RAPPORT_KAFKA_USER": "nobody"},
        {"RAPPORT_KAFKA_MECHANISM": "PLAIN"},
    ],
    ids=lambda changed: ",".join(changed),
)
def test_without_the_right_login_nothing_is_told(
    secured: Secured, changed: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**secured.broker.variables("ingest"), **changed}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises((KafkaError, OSError)):
        kafka_topics.missing_topics(secured.broker.kafka, CATALOGUE)


def test_every_process_says_when_the_authorities_that_it_trusts_end(secured: Secured) -> None:
    for process in PROCESSES:
        metrics = httpx.get(f"{secured.services[process.name].probes}/metrics", timeout=10).text
        for server in process.needs:
            (said,) = re.findall(
                rf'^rapport_certificate_expires_timestamp_seconds{{certificate="{server}-ca"}} (.+)$', metrics, re.M
            )
            assert float(said) > time.time(), process.name


def test_a_mongodb_with_tls_answers_nobody_without(secured: Secured) -> None:
    for uri in (secured.mongodb.plain, f"{secured.mongodb.plain}&tls=true"):
        with mongo.client(uri) as client, pytest.raises(PyMongoError):
            client.admin.command("ping")
    with mongo.client(secured.mongodb.uri) as client:
        assert client.admin.command("ping")["ok"] == 1
