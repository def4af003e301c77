"""MongoDB is backed up, lost, restored beside a log that went on, and rebuilt from it; `rapport verify` agrees."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from kafka import TopicPartition
from typer.testing import CliRunner, Result

from rapport.cli import app
from rapport.contracts import codec
from rapport.contracts.controls import AccountDisconnected, FollowerErased, PolicyRule, PolicyVersion
from rapport.contracts.events import Account, Brand, MailChannel
from rapport.contracts.topics import ALERTS, BRANDS, NOTIFIER_GROUP, PROJECTOR_GROUP, key_of
from rapport.domain.erasing import erased_name
from rapport.domain.times import utc
from rapport.kit import mongo
from rapport.kit.broker import kafka
from services.api.storage.indexes import INDEXES
from services.backup import positions
from tests.services.scorer.worker import broker_now, produce
from tests.services.verify import days
from tests.services.verify.world import Projector, World, world
from tests.waiting import until

pytestmark = pytest.mark.stack

ODD: dict[str, Any] = {"_id": "odd", "long": bson.Int64(3), "exact": bson.Decimal128("0.10"), "z": 1, "a": 2}
"""Types and an order of fields that a detour over JSON or over Python would lose."""


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world through with a busy day. The tests use it one after the other."""
    with world(tmp_path_factory.mktemp("backup")) as found:
        now = broker_now(found.running)
        settings = {"name": "A brand", "timezone": "Europe/Oslo", "channels": []}
        for brand in ("acme", "zeta"):
            found.views["brands"].insert_one({"_id": brand, "settings": settings, "pending": None, "revision": 1})
        found.views["keys"].insert_one(ODD)
        gone: dict[str, Any] = {
            "_id": "gone",
            "brand": "acme",
            "disconnected_at": None,
            "connected_at": utc(now - 10_000),
        }
        gone |= {"platform": "generic", "handle": "@gone", "connection": {}, "door_secrets": ["s"], "published": True}
        found.views["accounts"].insert_one({**gone, "connections": [gone["connected_at"]], "disconnections": []})
        found.views["account_tokens"].insert_one({"_id": "gone", "number": 7, "asked_at": utc(now)})
        found.control(*days.policies(now), days.connected(now))
        produce(found.running.kafka, days.busy(1, 500, now))
        found.through()
        yield found
        found.projector.stop()  # a later one than the world's own


def run(world: World, *arguments: str, database: str = "rapport") -> Result:
    """Runs a command of `rapport` on the world's servers."""
    servers = {"RAPPORT_KAFKA": world.running.kafka, "RAPPORT_MONGODB": world.running.mongodb}
    result = CliRunner().invoke(app, [*arguments], env={**servers, "RAPPORT_DATABASE": database})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def take(world: World, folder: Path) -> Any:
    """Takes a backup, and gives what the command says about it."""
    result = run(world, "backup", "--json", str(folder))
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@contextmanager
def projector_away(world: World, folder: Path) -> Iterator[None]:
    """No projector runs within the block; a new one does after it."""
    # One that is killed keeps the upkeep from the next for a minute.
    world.projector.process.terminate()
    world.projector.process.wait(60)
    until(lambda: _idle(world), "the group has no members")
    yield
    world.projector = Projector(world.running, folder)
    until(world.projector.ready, "the projector is ready")


def _idle(world: World) -> bool:
    try:
        positions.check_idle(world.running.kafka)
    except positions.BusyError:
        return False
    return True


def agrees(world: World) -> None:
    """Asserts that MongoDB is what the log says, once all is processed."""
    world.through()
    outcome = world.verify()
    assert (outcome.differences, outcome.code) == ([], 0), outcome.said


def hash_of(world: World, database: str) -> Any:
    """A hash of a whole database."""
    with mongo.client(world.running.mongodb) as client:
        return client[database].command("dbHash")["md5"]


def change_settings(world: World, now: int) -> None:
    """A client's settings change: the log has a policy and an account that the backup lacks."""
    world.control(
        PolicyVersion(brand="acme", version=9, effective_from=utc(now), rules=(PolicyRule(target_seconds=7200),))
    )
    record = Brand(
        id="acme", name="Acme, renamed", timezone="Europe/Oslo", revision=7,
        channels=(MailChannel(id="m", to="a@b.example"),),
        accounts=(Account(id="new", platform="generic", handle="@new", connected_at=utc(now), door_secrets=("s",)),),
    )  # fmt: skip
    gone = AccountDisconnected(brand="acme", account="gone", platform="generic", disconnected_at=utc(now - 5_000))
    world.control(gone, FollowerErased(brand="acme", platform="generic", follower="whoever", at=utc(now)))
    producer = kafka.producer(world.running.kafka, "test")
    headers = codec.headers("rapport.brand.v1", id="acme/7", source="/test")
    producer.send(BRANDS.name, codec.encode(record), key=key_of("acme"), partition=0, headers=headers).get(30)
    producer.close()


def test_a_backup_under_load_is_restored_beside_a_log_that_went_on_and_nothing_is_lost(
    lived_in: World, tmp_path: Path
) -> None:
    now = broker_now(lived_in.running)
    stop = threading.Event()

    def keep_coming() -> None:
        for seed in range(100, 200):
            if stop.is_set():
                return
            produce(lived_in.running.kafka, days.busy(seed, 30, now))

    load = threading.Thread(target=keep_coming)
    load.start()
    try:
        before = lived_in.views["interactions"].count_documents({})
        until(lambda: lived_in.views["interactions"].count_documents({}) > before, "interactions keep coming")
        said = take(lived_in, tmp_path / "backup")
    finally:
        stop.set()
        load.join()
    assert said["documents"] > before

    produce(lived_in.running.kafka, days.busy(3, 200, now))
    change_settings(lived_in, now)
    lived_in.through()
    refused = run(lived_in, "restore", "--replace", "--yes", str(tmp_path / "backup"))
    assert (refused.exit_code, "are at work" in refused.stderr) == (1, True)
    with projector_away(lived_in, tmp_path):
        lived_in.views.client.drop_database("rapport")
        reached = {kafka.name_of(TopicPartition(ALERTS.name, each)): 3 for each in range(2)}
        positions.put(lived_in.running.kafka, {NOTIFIER_GROUP: reached})
        result = run(lived_in, "restore", "--json", str(tmp_path / "backup"))
        assert result.exit_code == 0, result.stderr
        told = json.loads(result.stdout)
        assert told["gaps"] == []
        # The notifier, which may start before the projector, asks who was erased; and it heard of all that it had read.
        name = f"acme/{erased_name('acme', 'generic', 'whoever')}"
        assert lived_in.views["erased"].count_documents({"_id": name}) == 1
        notes = {each["_id"]: each["next"] for each in lived_in.views["notifier"].find({"next": {"$gt": 0}})}
        assert notes == reached
        token, old = lived_in.views["account_tokens"].find_one(), lived_in.views["accounts"].find_one({"_id": "gone"})
        assert token == {"_id": "gone", "number": 0, "asked_at": None}
        assert old is not None
        assert (old["disconnected_at"], old["disconnections"]) == (utc(now - 5_000), [utc(now - 5_000)])
        assert {"client acme, revision 7", "policy of acme, version 9"} <= set(told["settings_from_the_log"])
        assert set(lived_in.views["interactions"].index_information()) >= {
            each.document["name"] for each in INDEXES["interactions"]
        }
    agrees(lived_in)

    odd = lived_in.views.get_collection("keys", codec_options=bson.CodecOptions(document_class=RawBSONDocument))
    assert odd.find_one({"_id": "odd"}) == RawBSONDocument(bson.encode(ODD))
    brand = lived_in.views["brands"].find_one({"_id": "acme"})
    account = lived_in.views["accounts"].find_one({"_id": "new"})
    assert brand is not None
    assert account is not None
    assert (brand["revision"], brand["published_revision"], brand["settings"]["name"]) == (7, 7, "Acme, renamed")
    assert brand["settings"]["channels"] == [{"type": "mail", "id": "m", "to": "a@b.example"}]
    assert (account["_id"], account["brand"], account["door_secrets"], account["published"]) == (
        "new", "acme", ["s"], True,
    )  # fmt: skip
    policy = lived_in.views["policies"].find_one({"_id": "acme/9"})
    assert policy is not None
    assert policy["rules"][0]["target_seconds"] == 7200


def test_views_that_were_lost_are_rebuilt_from_the_log(lived_in: World, tmp_path: Path) -> None:
    agrees(lived_in)
    busy = run(lived_in, "rebuild", "--yes")
    assert (busy.exit_code, "are at work" in busy.stderr) == (1, True)
    views = lived_in.views
    with projector_away(lived_in, tmp_path):
        # All of one client, so that nothing that is left makes its hours be counted again; half of the other's.
        some = [each["_id"] for each in views["interactions"].find({"brand": "zeta"}, {"_id": 1}).sort("_id")][::2]
        views["interactions"].delete_many({"$or": [{"brand": "acme"}, {"_id": {"$in": some}}]})
        for name in ("exchanges", "followers", "alerts", "profiles"):
            views[name].drop()
        # What arrives again does so in another minute than before, and must not count twice.
        counted = max(each["minute"] for each in views["hour_parts"].find())
        until(lambda: broker_now(lived_in.running) // 60_000 > counted, "a minute has passed")
        result = run(lived_in, "rebuild", "--yes", "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["since"] is not None
    agrees(lived_in)


def test_a_trial_fills_another_database_and_leaves_the_rest_alone(lived_in: World, tmp_path: Path) -> None:
    take(lived_in, tmp_path / "backup")
    before = positions.committed(lived_in.running.kafka)[PROJECTOR_GROUP]
    result = run(lived_in, "restore", "--trial", str(tmp_path / "backup"), database="trial")
    assert result.exit_code == 0, result.stderr
    after = positions.committed(lived_in.running.kafka)[PROJECTOR_GROUP]
    assert all(after[place] >= at for place, at in before.items())
    full = hash_of(lived_in, "trial")
    again = run(lived_in, "restore", "--trial", str(tmp_path / "backup"), database="trial")
    assert (again.exit_code, "is not empty" in again.stderr) == (1, True)

    damaged = tmp_path / "backup" / "interactions.bson.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    refused = run(lived_in, "restore", "--trial", "--replace", "--yes", str(tmp_path / "backup"), database="trial")
    assert (refused.exit_code, "and the manifest says" in refused.stderr) == (1, True)
    assert hash_of(lived_in, "trial") == full


def test_a_backup_of_another_log_is_refused(lived_in: World, tmp_path: Path) -> None:
    take(lived_in, tmp_path / "backup")
    path = tmp_path / "backup" / "manifest.json"
    manifest = json.loads(path.read_text())
    before = lived_in.views["interactions"].count_documents({})
    path.write_text(json.dumps({**manifest, "kafka": "another"}))
    refused = run(lived_in, "restore", "--replace", "--yes", str(tmp_path / "backup"))
    assert (refused.exit_code, "another Kafka" in refused.stderr) == (1, True)
    with projector_away(lived_in, tmp_path):
        ahead = {
            group: {place: at + 10**9 for place, at in its.items()} for group, its in manifest["positions"].items()
        }
        path.write_text(json.dumps({**manifest, "positions": ahead}))
        refused = run(lived_in, "restore", "--replace", "--yes", str(tmp_path / "backup"))
        assert (refused.exit_code, "was recreated" in refused.stderr) == (1, True)
    assert lived_in.views["interactions"].count_documents({}) >= before
