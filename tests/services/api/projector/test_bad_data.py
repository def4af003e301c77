"""One brand whose stored data nobody can make sense of: every other brand, and every other task, goes on as before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.isolation import LEFT_OUT
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.upkeep.tasks import TASKS
from services.verify import following
from services.verify.figures import FIGURES
from services.verify.following import Following
from tests.services.api import facts, samples
from tests.services.api.conftest import Served
from tests.services.api.test_figures import BRAND, differing, filled

pytestmark = pytest.mark.stack

BAD = "abad"
"""Comes first wherever brands are gone through in order."""
NONSENSE: dict[str, Document] = {
    "interactions": {"object": 7},
    "followers": {"first_seen": "never", "days": 7, "standing": 7},
    "exchanges": {"opened_at": "never"},
    "campaigns": {"starts_at": "never", "scope": 7, "rules": 7, "questions": 7, "counted_revision": 0},
    "communities": {"rule": 7},
    "planned_posts": {"text": 7, "told": 7},
    "brands": {"settings.timezone": "Nowhere/At-All"},
    "mix_settings": {"rules": 7},
    "accounts": {"connections": 7, "connected_at": 7},
    "links": {"a": 7},
    "linked": {"dirty": "now"},
}
DERIVED = (
    "posts", "beginnings", "new_days", "campaign_entries", "survey_answers", "answer_effects", "stage_after",
    "stage_weeks", "post_plans", "community_members",
)  # fmt: skip


def copied(value: Any) -> Any:
    """A document of the good brand as one of the bad brand's."""
    if isinstance(value, dict):
        return {name: copied(each) for name, each in value.items()}
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value.replace(BRAND, BAD) if isinstance(value, str) else value


@pytest.fixture
def beside_a_bad_one(stack: Running, api: Served, views: Database[Document]) -> Database[Document]:
    kept = filled(stack, api, views)
    for name in kept.list_collection_names():
        its = {"_id": BRAND} if name == "brands" else {"brand": BRAND}
        copies = [copied(each) for each in kept[name].find(its)]
        if not copies or name in DERIVED:
            continue
        for each in copies:
            each["_id"] = each["_id"] if BAD in str(each["_id"]) else f"{BAD}-{each['_id']}"
        kept[name].insert_many(copies)
        mine = {"_id": BAD} if name == "brands" else {"brand": BAD}
        if name in NONSENSE:
            kept[name].update_many(mine, {"$set": NONSENSE[name]})
    kept["trails"].delete_many({})
    kept["stale"].insert_many(
        {"_id": f"{what}/{BAD}", "what": what, "brand": BAD, "since": datetime(2020, 1, 1, tzinfo=UTC), "marks": 1}
        for what in ("post", "post-thing", "day", "match", "campaigns")
    )
    kept["erased"].insert_one(
        {"_id": f"{BAD}/x", "brand": BAD, "platform": {"$bad": 1}, "follower": "x", "noted_at": datetime.now(UTC)}
    )
    kept["followers"].update_many({"brand": BAD}, {"$set": {"stage_until": datetime(2020, 1, 1, tzinfo=UTC)}})
    return kept


def test_one_brands_bad_data_stops_neither_the_other_brands_nor_the_other_tasks(
    beside_a_bad_one: Database[Document], stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = beside_a_bad_one
    now = datetime.now(UTC)
    facts.write(views, samples.follower("newest", BRAND, now))
    before = {task.name: LEFT_OUT.labels(task.name)._value.get() for task in TASKS}
    producer = kafka.producer(stack.kafka, "test")
    for turn in range(4):
        for task in TASKS:
            task.run(TaskRun(views, producer, now + turn * (LATER + timedelta(seconds=1))))
    producer.close()
    left_out = {task.name for task in TASKS if LEFT_OUT.labels(task.name)._value.get() > before[task.name]}
    assert left_out >= {
        "beginnings",
        "stage-after",
        "stages",
        "answering",
        "posts",
        "communities",
        "persons",
        "erasing",
    }
    assert views["stage_after"].find_one({"brand": BRAND, "follower": "newest"}) is not None
    assert views["beginnings"].find_one({"brand": BRAND, "follower": "newest"}) is not None
    assert differing(views, monkeypatch) == set()


def test_verify_tells_what_it_cannot_recompute_and_compares_the_rest(
    beside_a_bad_one: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "WAITED", 0.0)
    found = Following(beside_a_bad_one, [BAD, BRAND], settle=0.0)
    for figure in FIGURES:
        sum(found.whole(figure.what))
    found.look_again()
    differences, _ = found.outcome()
    assert differences
    assert all(each.id.startswith(BAD) for each in differences)
