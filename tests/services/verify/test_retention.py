"""Where retention has removed records: what can be verified still, and what is said where nothing can."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition

from rapport.contracts.controls import PolicyRule, PolicyVersion
from rapport.contracts.topics import ALERTS, CONVERSATIONS, ENGAGEMENTS
from rapport.domain.times import utc
from rapport.kit.broker import kafka
from rapport.kit.broker.kafka_login import login
from tests.services.scorer.story import DAY, HOUR, day, interaction
from tests.services.scorer.worker import broker_now, produce
from tests.services.verify.world import World, world

pytestmark = pytest.mark.stack


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A world whose log is cut off."""
    with world(tmp_path) as found:
        yield found


def ends(world: World) -> dict[TopicPartition, int]:
    """Where the topics end."""
    consumer = kafka.consumer(world.running.kafka, None, "test")
    topics = (CONVERSATIONS, ENGAGEMENTS, ALERTS)
    found: dict[TopicPartition, int] = consumer.end_offsets(
        [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
    )
    consumer.close()
    return found


def cut_off(world: World, before: dict[TopicPartition, int]) -> None:
    """Removes what is before these offsets, as retention would."""
    admin = KafkaAdminClient(bootstrap_servers=world.running.kafka, **login())
    admin.delete_records({each: offset for each, offset in before.items() if offset})
    admin.close()


def test_in_a_cut_log_it_goes_on_from_what_it_kept_or_refuses_and_says_why(own_world: World, tmp_path: Path) -> None:
    now = broker_now(own_world.running)
    rules = (PolicyRule(target_seconds=3 * 3600),)
    own_world.control(PolicyVersion(brand="acme", version=1, effective_from=utc(now - DAY), rules=rules))
    produce(own_world.running.kafka, day(1, 400, now))
    own_world.through()
    seen = ends(own_world)
    first = own_world.verify("--keep", str(tmp_path / "kept"))
    assert (first.code, first.differences) == (0, [])
    cut_off(own_world, seen)
    old = own_world.views["exchanges"].find_one({"state": "open"})
    assert old is not None
    more = {"follower": old["follower"]["id"], "thread": old["thread"], "conversation": old["conversation"]}
    answer = interaction("reply", "more-r", now, parent=old["first"]["id"], **more)
    produce(own_world.running.kafka, [interaction("comment", "more-c", now - HOUR, **more), answer])
    own_world.through()

    anew = own_world.verify()
    assert (anew.code, anew.differences, anew.summary["verified"]) == (2, [], False)
    assert f"retention has removed the beginning of {CONVERSATIONS.name}:0 (it begins at offset" in anew.said
    kept = own_world.verify("--keep", str(tmp_path / "kept"))
    assert (kept.code, kept.differences) == (0, [])
    assert kept.summary["first"] == first.summary["first"]
    assert kept.summary["compared"]["interaction"] == first.summary["compared"]["interaction"] + 2
    own_world.views["exchanges"].update_one({"_id": old["_id"]}, {"$set": {"state": "open"}})
    differs = own_world.verify("--keep", str(tmp_path / "kept"))
    assert (differs.code, differs.fields) == (1, {("exchange", old["_id"], "state")})

    cut_off(own_world, ends(own_world))
    gone = own_world.verify("--keep", str(tmp_path / "kept"))
    assert gone.code == 2
    assert "Start again with an empty folder" in gone.said
