"""LinkedIn and YouTube from the log to MongoDB, with real servers: what the terms no longer let be kept goes.

Interactions are observed just as long ago as they may be kept, so what has to go is over within seconds.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient

from rapport.contracts.events import Actor, Interaction
from rapport.contracts.topics import EXCHANGES_CHANGELOG, PROJECTOR_GROUP, RELATIONSHIPS_CHANGELOG
from rapport.domain.retention import GAP
from rapport.domain.times import utc
from rapport.kit.broker.kafka_login import login
from tests.services.api.retention.test_retention import holding
from tests.services.scorer.story import HOUR, interaction
from tests.services.scorer.worker import broker_now, produce, read_all
from tests.services.verify.world import Projector, World, world
from tests.waiting import until

pytestmark = pytest.mark.stack

SOON = timedelta(seconds=10)
"""Usually it is written and shown first. Where the machine is too slow for that, it has to be gone all the same."""
DAY = timedelta(days=1)
VIEWS = ("interactions", "exchanges", "followers", "alerts", "profiles", "hourly", "hour_parts")


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A world of this test's own."""
    with world(tmp_path) as found:
        yield found


def said(platform: str, id: str, at: int, age: timedelta) -> Interaction:
    """A comment that was observed `age` before `at`, but for a few seconds."""
    seen = utc(at) - age + SOON
    event = interaction("comment", id, at, text=f"secret {id}", follower=f"f-{id}", thread=f"t-{id}")
    who = Actor(id=f"f-{id}", handle=f"handle-{id}", name=f"Name {id}", url=f"https://people.example/{id}")
    return msgspec.structs.replace(event, platform=platform, actor=who, observed_at=seen, occurred_at=seen)


def rows(world: World) -> dict[bytes, bytes]:
    """The rows of both agents, as compaction leaves their changelogs."""
    found: dict[bytes, bytes] = {}
    for topic in (EXCHANGES_CHANGELOG, RELATIONSHIPS_CHANGELOG):
        for record in read_all(world.running.kafka, topic):
            found[topic.name.encode() + record.key] = record.value or b""
    return found


def held(world: World, words: set[str]) -> bool:
    """Whether the rows hold one of some texts."""
    return any(word.encode() in value for value in rows(world).values() for word in words)


def outcomes(world: World) -> list[tuple[Any, ...]]:
    """How each exchange stands."""
    fields = ("_id", "state", "opened_at", "due_at", "breached_at", "comments")
    return sorted(tuple(each.get(name) for name in fields) for each in world.views["exchanges"].find())


def test_it_goes_from_rows_and_views_and_verify_agrees_also_after_a_rebuild(own_world: World, tmp_path: Path) -> None:
    now = broker_now(own_world.running)
    own_world.views["brands"].insert_one({"_id": "acme", "settings": {"name": "A brand", "timezone": "Europe/Oslo"}})
    kept = interaction("comment", "m1", now - HOUR, text="a kept word", follower="f-m1", thread="t-m1")
    events = [
        said("linkedin", "text", now, 2 * DAY),
        said("linkedin", "name", now, DAY),
        said("youtube", "tube", now, 30 * DAY),
        said("linkedin", "old", now, 3 * DAY),
        msgspec.structs.replace(kept, platform="mastodon"),
    ]
    produce(own_world.running.kafka, events)
    own_world.through()
    texts, names = {"secret text", "secret tube"}, {"handle-name", "Name name", "handle-tube", "people.example/tube"}
    until(lambda: own_world.views["exchanges"].count_documents({}) == 5, "the exchanges are shown")
    until(lambda: own_world.views["hourly"].count_documents({}) == 5, "their hours are counted")
    until(lambda: not held(own_world, texts | names), "the scorer's rows have forgotten", 90)
    until(lambda: holding(own_world.views, texts | names) == {}, "the views have forgotten", 90)
    assert held(own_world, {"secret name"})
    assert held(own_world, {"a kept word"})
    assert [each["counts"] for each in own_world.views["hourly"].find()] == 5 * [{"comment": 1}]
    assert {each.get("heard") for each in own_world.views["interactions"].find()} == {None, GAP}
    found = own_world.verify()
    assert (found.code, found.differences) == (0, [])
    back = {"_id": "acme/linkedin/old"}
    own_world.views["interactions"].update_one(back, {"$set": {"text": "secret old"}})
    assert own_world.verify().fields == {("interaction", "acme/linkedin/old", "text")}
    own_world.views["interactions"].update_one(back, {"$unset": {"text": ""}})

    answers = [
        msgspec.structs.replace(
            interaction("reply", f"r-{each.id}", now, parent=each.id, thread=each.thread, to=each.actor.id),
            platform=each.platform,
        )
        for each in events[:3]
    ]
    produce(own_world.running.kafka, answers)
    own_world.through()
    late = {"state": "answered_late"}
    until(lambda: own_world.views["exchanges"].count_documents(late) >= 2, "they are answered, if late")
    assert holding(own_world.views, texts | names) == {}
    found = own_world.verify()
    assert (found.code, found.differences) == (0, [])

    before = outcomes(own_world)
    own_world.projector.stop()
    admin = KafkaAdminClient(bootstrap_servers=own_world.running.kafka, **login())
    until(lambda: admin.delete_groups([PROJECTOR_GROUP])[PROJECTOR_GROUP] == "OK", "its positions are forgotten", 60)
    admin.close()
    for name in VIEWS:
        own_world.views[name].delete_many({})
    own_world.projector = Projector(own_world.running, tmp_path)
    until(lambda: own_world.projector.ready(), "the projector is ready again", 60)
    until(lambda: outcomes(own_world) == before, "the views are there again", 60)
    until(lambda: own_world.verify().code == 0, "verify agrees", 90)
    assert holding(own_world.views, texts | names) == {}
    own_world.projector.stop()
