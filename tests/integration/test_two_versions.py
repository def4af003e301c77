"""Processes of this version beside those of a later one, as in every upgrade: nothing is lost, and nothing put aside.

The later version is this one with what it lacks put in first. What it writes is written by the tests.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from kafka import TopicPartition

from rapport.contracts import codec
from rapport.contracts.events import Brand, Spoken
from rapport.contracts.topics import (
    ALERTS,
    ALERTS_DEAD,
    BRANDS,
    CONVERSATIONS,
    CONVERSATIONS_DEAD,
    CONVERSATIONS_UNSEEN,
    EXCHANGES,
    NOTIFIER_GROUP,
    PROJECTOR_GROUP,
    SCORER_GROUP,
    Topic,
    key_of,
    partition_of,
)
from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.kit.broker.dead_letters import PLACE
from rapport.local.ports import usual_or_free
from rapport.local.servers.stack import Running
from services.notifier.directory import BRAND_UNREADABLE, CHANNEL_UNKNOWN
from tests.faults.broker import OwnBroker
from tests.services.ingest.service import Ingest, brand_with, helpdesk
from tests.services.notifier.conftest import World, an_alert
from tests.services.notifier.receivers import MailReceiver, WebhookReceiver
from tests.services.scorer.story import T0, interaction
from tests.services.scorer.worker import Scorer, produce, read_all
from tests.waiting import until

pytestmark = pytest.mark.stack

KNOWS_TOMORROW = """
import msgspec
from rapport.contracts import codec, controls

class Tomorrow(msgspec.Struct, kw_only=True, tag_field="control", tag="tomorrow"):
    brand: str

codec._DECODERS["rapport.control.v1"] = msgspec.json.Decoder(controls.Control | Tomorrow)
"""
MORE_IN_ROWS = """
from services.scorer import agents
agents.ROWS_FORMAT += 1
"""
KNOWS_ALERTS_OF_TOMORROW = """
from rapport.contracts import codec
codec._DECODERS["rapport.alert.v2"] = codec._DECODERS["rapport.alert.v1"]
"""
LOOKS_AGAIN_SOON = """
from datetime import timedelta
from services.notifier import claims, outbox
claims.WAITS_FOR = timedelta(seconds=1)
"""


class Log:
    """Writes what a later version would."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._producer = kafka.producer(bootstrap, "test")

    def close(self) -> None:
        self._producer.close()

    def write(self, topic: Topic, key: bytes, value: Any, type: str, partition: int | None = None) -> int:
        headers = codec.headers(type, id=uuid.uuid4().hex, source="/rapport/test")
        number = partition_of(key, topic.partitions) if partition is None else partition
        sent = self._producer.send(topic.name, msgspec.json.encode(value), key, headers=headers, partition=number)
        return int(sent.get(30).offset)

    def brand(self, brand: Brand, type: str = "rapport.brand.v1", **more: Any) -> None:
        self.write(BRANDS, key_of(brand.id), {**msgspec.to_builtins(brand), **more}, type)

    def committed(self, group: str, topic: Topic, partition: int) -> int | None:
        consumer = kafka.consumer(self.bootstrap, group, "test")
        try:
            found: int | None = consumer.committed(TopicPartition(topic.name, partition))
            return found
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of these tests' own: nobody else is to meet what is put there."""
    broker = OwnBroker(tmp_path_factory.mktemp("broker"))
    try:
        yield broker.kafka
    finally:
        broker.end()


@pytest.fixture
def log(own: str) -> Iterator[Log]:
    found = Log(own)
    yield found
    found.close()


def reasons(port: int) -> str:
    """Why a process is not ready; nothing where it is."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
    except httpx.HTTPError:
        return "no answer"
    return "" if answer.status_code == 200 else answer.text


def conversations() -> tuple[str, str, int]:
    """Two conversations that are in different partitions, and the partition of the first."""
    by_partition: dict[int, str] = {}
    while len(by_partition) < 2:
        name = f"c-{uuid.uuid4().hex}"
        by_partition.setdefault(partition_of(key_of("acme", "generic", name), CONVERSATIONS.partitions), name)
    (number, first), (_, second) = by_partition.items()
    return first, second, number


def comment(id: str, conversation: str) -> Any:
    return interaction("comment", id, T0, thread=id, conversation=conversation)


def told(bootstrap: str) -> set[str]:
    """The comments that the scorer has processed."""
    events = (codec.decode(codec.type_of(record.headers), record.value) for record in read_all(bootstrap, EXCHANGES))
    return {event.object for event in events if isinstance(event, Spoken)}


class Projector:
    """A projector as a process."""

    def __init__(self, bootstrap: str, mongodb: str, database: str, before: str = "") -> None:
        self.port = usual_or_free(0)
        environment = {
            **os.environ,
            "RAPPORT_PORT": str(self.port),
            "RAPPORT_KAFKA": bootstrap,
            "RAPPORT_MONGODB": mongodb,
            "RAPPORT_DATABASE": database,
        }
        code = f"{before}\nfrom services.api.projector.process import run; run()"
        self.process = subprocess.Popen([sys.executable, "-c", code], env=environment)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def test_a_control_record_of_a_later_version_is_waited_for_and_the_other_partitions_go_on(
    log: Log, stack: Running, database: str, tmp_path: Path
) -> None:
    own = log.bootstrap
    here, there, number = conversations()
    produce(own, [comment("before", here)])
    offset = log.write(CONVERSATIONS, key_of("acme", "control", "x"), {"control": "tomorrow", "brand": "acme"},
                       "rapport.control.v1", number)  # fmt: skip
    produce(own, [comment("behind", here), comment("beside", there)])

    scorer, projector = Scorer(own, tmp_path), Projector(own, stack.mongodb, database)
    try:
        with mongo.client(stack.mongodb) as client:
            seen = client[database]["interactions"]

            def shown() -> set[str]:
                return {str(each["interaction"]) for each in seen.find()}

            until(lambda: {"before", "beside"} <= told(own), "the scorer has what it can read")
            until(lambda: {"before", "beside"} <= shown(), "the projector has what it can read")
            says = f"{CONVERSATIONS.name}:{number}:{offset}"
            until(lambda: says in reasons(scorer.port), "the scorer says where it waits")
            until(lambda: says in reasons(projector.port), "the projector says where it waits")
            for group in (SCORER_GROUP, PROJECTOR_GROUP):
                until(lambda group=group: log.committed(group, CONVERSATIONS, number) == offset, group)  # type: ignore[misc]
            assert "behind" not in told(own) | shown()
            assert read_all(own, CONVERSATIONS_DEAD) == read_all(own, CONVERSATIONS_UNSEEN) == []
            assert (scorer.process and scorer.process.poll(), projector.process.poll()) == (None, None)

            scorer.stop()
            projector.stop()
            scorer = Scorer(own, tmp_path, before=KNOWS_TOMORROW + MORE_IN_ROWS)
            projector = Projector(own, stack.mongodb, database, before=KNOWS_TOMORROW)
            until(lambda: "behind" in told(own), "the later scorer goes on")
            until(lambda: "behind" in shown(), "the later projector goes on")
            until(lambda: reasons(scorer.port) + reasons(projector.port) == "", "both are ready")
            assert read_all(own, CONVERSATIONS_DEAD) == read_all(own, CONVERSATIONS_UNSEEN) == []
    finally:
        scorer.stop()
        projector.stop()


def test_a_scorer_leaves_rows_alone_that_have_more_than_it_would_keep(log: Log, tmp_path: Path) -> None:
    own = log.bootstrap
    here, there, _ = conversations()
    scorer = Scorer(own, tmp_path, before=KNOWS_TOMORROW + MORE_IN_ROWS)
    try:
        produce(own, [comment("later-1", here), comment("later-2", there)])
        until(lambda: {"later-1", "later-2"} <= told(own), "the later one has processed them")
        scorer.stop()
        scorer = Scorer(own, tmp_path, before=KNOWS_TOMORROW)
        until(lambda: "rows have the format" in reasons(scorer.port), "this one leaves them alone")
        assert scorer.process is not None
        assert scorer.process.poll() is None
        produce(own, [comment("later-3", here), comment("later-4", there)])
        scorer.stop()
        assert {"later-3", "later-4"}.isdisjoint(told(own))
        scorer = Scorer(own, tmp_path, before=KNOWS_TOMORROW + MORE_IN_ROWS)
        until(lambda: {"later-3", "later-4"} <= told(own), "the later one goes on")
        until(scorer.ready, "it is ready")
    finally:
        scorer.stop()


@pytest.fixture
def world(own: str, stack: Running) -> Iterator[World]:
    found = World(Running(own, stack.mongodb), f"versions_{uuid.uuid4().hex[:8]}", MailReceiver(), WebhookReceiver())
    try:
        yield found
    finally:
        found.close()


def named() -> str:
    return f"brand-{uuid.uuid4().hex[:8]}"


def test_alerts_wait_for_a_channel_of_a_later_version_and_go_out_by_the_others(log: Log, world: World) -> None:
    hook = msgspec.to_builtins(world.receiver.channel("hook", "/known"))
    brand = Brand(id=named(), name="Acme", timezone="UTC")
    slack = {"type": "slack", "id": "room", "room": 7}
    odd = {"type": "webhook", "id": "odd", "urls": ["a", "b"]}
    log.brand(brand, channels=[slack, odd, {**hook, "digest": True}], colour="red")
    world.start(RAPPORT_ALLOW_PRIVATE="true", before=LOOKS_AGAIN_SOON)
    alert = world.alert(brand.id)

    assert world.ended(alert, "hook")["status"] == "delivered"
    assert [post.id for post in world.receiver.posts["/known"]] == [f"{alert.id}/hook"]
    for channel in ("room", "odd"):
        row = world.row_when(alert, channel, "waits", lambda row: row["last_error"] == CHANNEL_UNKNOWN)
        assert (row["status"], row["attempts"]) == ("pending", 0)

    now = {**hook, "id": "odd", "url": world.receiver.url("/odd")}
    log.brand(brand, channels=[slack, now, hook], revision=2)
    assert world.ended(alert, "odd")["status"] == "delivered"
    row = world.row_when(alert, "room", "waits", lambda row: row["channel_type"] == "slack")
    assert (row["status"], row["attempts"]) == ("pending", 0)


@pytest.mark.parametrize("known", [False, True], ids=["of which nothing is known", "that could be read before"])
def test_alerts_of_a_brand_that_cannot_be_read_wait_and_those_of_others_go_out(
    log: Log, world: World, known: bool
) -> None:
    hook = world.receiver.channel("hook", "/later")
    brand = Brand(id=named(), name="Acme", timezone="UTC", channels=(world.receiver.channel("hook", "/before"),))
    if known:
        log.brand(brand, revision=1)
    log.brand(brand, type="rapport.brand.v2", revision=2)
    other = world.brand(world.receiver.channel("hook", "/other"))
    notifier = world.start(RAPPORT_ALLOW_PRIVATE="true")
    alert = world.alert(brand.id)
    beside = world.alert(other)

    assert world.ended(beside, "hook")["status"] == "delivered"
    row = world.row_when(alert, "", "waits", lambda row: row["last_error"] == BRAND_UNREADABLE)
    assert (row["status"], row["channel_type"]) == ("pending", "unrouted")
    assert 'rapport_notifier_alerts_total{outcome="waiting"} 1.0' in notifier.get("/metrics")[1]
    assert world.row(alert, "hook") is None
    notifier.kill()

    log.brand(msgspec.structs.replace(brand, channels=(hook,)), revision=3)
    world.start(RAPPORT_ALLOW_PRIVATE="true")
    assert world.ended(alert, "hook")["status"] == "delivered"
    until(lambda: world.row(alert, "") is None, "nothing waits any more")
    assert [post.id for post in world.receiver.posts["/later"]] == [f"{alert.id}/hook"]
    assert world.receiver.posts["/before"] == []


def test_an_alert_of_a_later_type_is_waited_for(log: Log, world: World) -> None:
    brand = world.brand(world.receiver.channel("hook", "/types"))
    number = partition_of(key_of(brand), ALERTS.partitions)
    first, later, behind = an_alert(brand), an_alert(brand), an_alert(brand)
    world.publish(first)
    offset = log.write(ALERTS, key_of(brand), later, "rapport.alert.v2")
    world.publish(behind)
    notifier = world.start(RAPPORT_ALLOW_PRIVATE="true", wait=False)

    assert world.ended(first, "hook")["status"] == "delivered"
    until(
        lambda: f"waits at {ALERTS.name}:{number}:{offset} for a later version" in reasons(notifier.port), "it says so"
    )
    until(lambda: log.committed(NOTIFIER_GROUP, ALERTS, number) == offset, "what is in front is committed")
    assert world.row(behind, "hook") is None
    notifier.process.terminate()
    notifier.process.wait(30)

    world.start(RAPPORT_ALLOW_PRIVATE="true", before=KNOWS_ALERTS_OF_TOMORROW)
    for each in (later, behind):
        assert world.ended(each, "hook")["status"] == "delivered"
    assert read_all(log.bootstrap, ALERTS_DEAD) == []


def test_the_door_takes_what_is_for_a_brand_with_more_than_it_knows_and_refuses_nobody_for_good(
    log: Log, tmp_path: Path
) -> None:
    known, hidden, stranger = helpdesk(), helpdesk(), helpdesk("other")
    first, second = brand_with(known), brand_with(hidden)
    slack = [{"type": "slack", "id": "room"}]
    fields = msgspec.to_builtins(first)
    log.brand(first, channels=slack, colour="red", accounts=[{**each, "since": 1} for each in fields["accounts"]])
    log.brand(second, type="rapport.brand.v2")
    ingest = Ingest(log.bootstrap, tmp_path).start()
    try:
        ingest.ready()
        ingest.knows(known)
        for account in (hidden, stranger):
            answer = ingest.post(account, [])
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text
        assert ingest.metric("rapport_ingest_hidden_brands") == 1
        log.brand(second, revision=2)
        ingest.knows(hidden)
        assert ingest.post(stranger, []).status_code == 401
        log.brand(second, type="rapport.brand.v2", revision=3)
        log.brand(brand_with(known, id=first.id), revision=4)
        ingest.knows(hidden)
    finally:
        ingest.close()


def test_who_goes_back_can_put_aside_what_nobody_will_read(
    log: Log, world: World, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = log.bootstrap
    here, _, number = conversations()
    brand = world.brand(world.receiver.channel("hook", "/aside"))
    alerts = partition_of(key_of(brand), ALERTS.partitions)
    control = log.write(CONVERSATIONS, key_of("x"), {"control": "decree"}, "rapport.control.v1", number)
    alert = log.write(ALERTS, key_of(brand), {}, "rapport.alert.v3")
    produce(own, [comment(f"aside-{here}", here)])
    behind = world.alert(brand)
    places = f"{CONVERSATIONS.name}:{number}:{control}, {ALERTS.name}:{alerts}:{alert}"
    monkeypatch.setenv("RAPPORT_PUT_ASIDE", places)
    scorer = Scorer(own, tmp_path, before=KNOWS_TOMORROW + MORE_IN_ROWS)
    projector = Projector(own, world.servers.mongodb, database, before=KNOWS_TOMORROW)
    try:
        world.start(RAPPORT_ALLOW_PRIVATE="true", wait=False)
        assert world.ended(behind, "hook")["status"] == "delivered"
        until(lambda: f"aside-{here}" in told(own), "the scorer goes on")
        with mongo.client(world.servers.mongodb) as client:
            seen = client[database]["interactions"]
            until(lambda: seen.find_one({"interaction": f"aside-{here}"}) is not None, "the projector goes on")
        for topic in (CONVERSATIONS_DEAD, CONVERSATIONS_UNSEEN, ALERTS_DEAD):
            assert [dict(each.headers)[PLACE].decode() in places for each in read_all(own, topic)] == [True], topic.name
    finally:
        scorer.stop()
        projector.stop()
