"""The figures of the upkeep, made anew by `rapport verify` and held against what the upkeep stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.domain.relationships.counting import sum_up
from rapport.domain.relationships.relationship import DEFAULT
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.http.ids import follower_ref
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.upkeep.tasks import TASKS
from services.verify import following
from services.verify.figures import FIGURES
from services.verify.following import Following
from tests.services.api import facts, samples
from tests.services.api.answering.test_answering import exchanged
from tests.services.api.calendar import data as calendar_data
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.conftest import Served

pytestmark = pytest.mark.stack

BRAND = "lighthouse"
DAY = timedelta(days=1)


@pytest.fixture
def kept(stack: Running, api: Served, views: Database[Document]) -> Database[Document]:
    """The views of a brand of which the upkeep keeps something of everything, and is through."""
    return filled(stack, api, views)


def filled(stack: Running, api: Served, views: Database[Document]) -> Database[Document]:
    """Makes these views."""
    api.brand(BRAND)
    facts.write(views, *facts.lately(BRAND))
    campaign_data.fill(api, views, BRAND)
    opened = datetime.now(UTC).replace(microsecond=0) - 60 * DAY
    for name, state in (("good", "answered"), ("late", "answered_late"), ("none", "open")):
        row = samples.follower(name, BRAND, opened)
        row.days = {(opened + 20 * DAY).date().isoformat(): {"share": 3}} if name == "good" else {}
        sum_up(row, DEFAULT)
        facts.write(views, row)
        done = {"answered_at": opened + DAY / 2} if name == "good" else {"breached_at": opened + DAY}
        exchanged(views, name, opened, state, **done)  # type: ignore[arg-type]
    facts.write(views, samples.follower("ada", BRAND, opened), samples.follower("ada2", BRAND, opened))
    pair = {"a": follower_ref("bluesky", "ada"), "b": follower_ref("bluesky", "ada2")}
    answer = api.client.post(f"/v1/brands/{BRAND}/identities", json={**pair, "why": "she says so"})
    assert answer.status_code == 201, answer.text
    community = {"id": "everyone-near", "name": "Near", "rule": "last seen within 90 days"}
    answer = api.client.post(f"/v1/brands/{BRAND}/communities", json=community)
    assert answer.status_code == 201, answer.text
    calendar_data.fill(api, views, BRAND)
    producer = kafka.producer(stack.kafka, "test")
    for turn in range(4):
        for task in TASKS:
            task.run(TaskRun(views, producer, datetime.now(UTC) + turn * (LATER + timedelta(seconds=1))))
    producer.close()
    return views


def differing(views: Database[Document], monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str, str | None]]:
    """What differs, by figure, id and field, without waiting for anything."""
    monkeypatch.setattr(following, "WAITED", 0.0)
    found = Following(views, [BRAND], settle=0.0)
    for figure in FIGURES:
        assert sum(found.whole(figure.what)) > 0, figure.what
    found.look_again()
    assert found.decided()
    differences, undecided = found.outcome()
    assert undecided == []
    return {(each.what, each.id, each.field) for each in differences}


def test_what_the_upkeep_came_to_is_what_the_facts_say_and_else_is_told(
    kept: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert differing(kept, monkeypatch) == set()
    wrong: dict[str, Any] = {
        "stage": {"stage": "buys"},
        "person told": {"told.person": "nobody"},
        "beginning": {"kind": "purchase"},
        "day of new ones": {"platforms.bluesky": 77},
        "post": {"comments": 77},
        "entry": {"valid": "perhaps"},
        "answers": {"texts": ["nothing"]},
        "tally": {"tally.people": 77},
        "effect of answering": {"direction": "fell"},
        "stage after": {"week": "1999-W01"},
        "week of stages": {"followers": 77},
        "plan of a post": {"how": "id"},
        "planned post": {"published": "nothing"},
        "member": {"follower": "somebody"},
        "members": {"members": 77},
    }
    assert wrong.keys() == {figure.what for figure in FIGURES}
    for figure in FIGURES:
        query: dict[str, Any] = {"tally.people": {"$exists": True}} if figure.what == "tally" else {}
        query |= {"published": {"$ne": None}} if figure.what == "planned post" else {}
        before = kept[figure.collection].find_one({"brand": BRAND, **query})
        assert before is not None
        name, (field, value) = before["_id"], next(iter(wrong[figure.what].items()))
        kept[figure.collection].update_one({"_id": name}, {"$set": {field: value}})
        found = differing(kept, monkeypatch)
        assert (figure.what, name, field) in found, figure.what
        kept[figure.collection].replace_one({"_id": name}, before)
        if figure.what in ("stage", "tally", "planned post", "members"):
            continue  # a part of a document that the log or a person makes
        kept[figure.collection].delete_one({"_id": name})
        kept[figure.collection].insert_one({**before, "_id": f"{name}-made-up"})
        found = differing(kept, monkeypatch)
        assert (figure.what, name, None) in found, figure.what
        if figure.what != "answers":  # but for those of the form, which nothing else tells of
            assert (figure.what, f"{name}-made-up") in {each[:2] for each in found}, figure.what
        kept[figure.collection].delete_one({"_id": f"{name}-made-up"})
        kept[figure.collection].insert_one(before)
    assert differing(kept, monkeypatch) == set()


def test_a_figure_that_is_only_late_is_no_difference(kept: Database[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "WAITED", 3600.0)
    post = kept["posts"].find_one({"brand": BRAND})
    assert post is not None
    found = Following(kept, [BRAND], settle=0.0)
    right = kept["posts"].find_one({"_id": post["_id"]})
    kept["posts"].update_one({"_id": post["_id"]}, {"$inc": {"comments": -1}})
    assert sum(found.whole("post")) > 0
    assert (len(found), found.decided()) == (1, False)
    # One comment more, and the upkeep is one behind it.
    facts.write(kept, facts.on(post["post"].removeprefix("at://"), "one-more", BRAND, datetime.now(UTC)))
    assert right is not None
    kept["posts"].replace_one({"_id": post["_id"]}, right)
    found.look_again()
    assert len(found) == 0
