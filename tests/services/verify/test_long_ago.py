"""After months: what the views show of what was taken back, and what `rapport verify` says of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from rapport.contracts.controls import PolicyRule, PolicyVersion
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS
from rapport.domain.times import utc
from rapport.kit.broker.kafka_login import login
from tests.faults.months import LONG, OUR_TIME, WHO, first_day, taken_back, teller
from tests.services.scorer.story import DAY
from tests.services.scorer.worker import broker_now
from tests.services.verify.world import World, world
from tests.waiting import until

pytestmark = pytest.mark.stack


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A world whose log has a time of its own."""
    with world(tmp_path) as found:
        yield found


def test_what_is_taken_back_after_91_days_is_gone_from_the_views_and_verify_finds_no_difference(
    own_world: World,
) -> None:
    admin = KafkaAdminClient(bootstrap_servers=own_world.running.kafka, **login())
    admin.alter_configs(
        [
            ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=OUR_TIME)
            for topic in (CONVERSATIONS, ENGAGEMENTS)
        ]
    )
    admin.close()
    now = broker_now(own_world.running)
    later = now + LONG
    rules = (PolicyRule(target_seconds=6 * 3600, warn_at=()),)
    own_world.control(PolicyVersion(brand="acme", version=1, effective_from=utc(now - DAY), rules=rules))
    with teller(own_world.running.kafka) as tell:
        tell.some(first_day(now), now + 1)
        tell.passes(now, later)
        tell.some(taken_back(later), later)
        tell.passes(later, later + 2 * LONG)
    own_world.through()
    views = own_world.views
    until(lambda: views["exchanges"].count_documents({"state": "answered_late"}) == 2 * len(WHO), "all is answered")
    until(lambda: views["followers"].count_documents({"counts.reply": 2}) == len(WHO), "the views have all of it")
    for each in views["followers"].find():
        assert each["counts"] == {"comment": 2, "message": 1, "reply": 2}, each["_id"]
    outcome = own_world.verify()
    assert (outcome.code, outcome.differences, outcome.summary["verified"]) == (0, [], True)
