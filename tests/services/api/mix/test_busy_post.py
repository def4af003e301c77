"""However much there is of a post, an hour and a day, one more of it costs every task of the upkeep the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from services.api.interactions.documents import hour_id, hour_of, interaction_document
from services.api.mix import brought
from services.api.projector import hourly
from services.api.projector.upkeep import backfill_arrived, old_indexes
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.upkeep.tasks import TASKS
from services.api.storage import indexes
from tests.services.api import facts, samples
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.communities import data as community_data
from tests.services.api.conftest import Served
from tests.services.api.profiled import profiled

pytestmark = pytest.mark.stack

BRAND = "aurora"
AT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
FEW, MANY = 600, 1_800
"""Both fill a page where members are looked through in turn."""
WITHIN = 60
"""So much more may be looked at: a page of a list is fuller, or an index deeper."""


def _fans(views: Database[Any], first: int, last: int) -> None:
    """Fans from one number to another comment under the post, within one second."""
    for start in range(first, last, 100):
        numbers = range(start, min(last, start + 100))
        at = {number: AT + timedelta(milliseconds=number % 1_000) for number in numbers}
        facts.write(
            views,
            *(
                facts.on("post", f"fan-{each}", BRAND, at[each], f"did:plc:fan-{each}", text="Coffee!")
                for each in numbers
            ),
            *(samples.follower(f"did:plc:fan-{each}", BRAND, at[each], name=f"Fan {each}") for each in numbers),
        )


def _settle(views: Database[Any], now: datetime) -> datetime:
    """Runs all tasks until nothing is left to do, and gives the time that it is then."""
    for _ in range(8):
        now += LATER + timedelta(seconds=1)
        for task in TASKS:
            task.run(TaskRun(views, None, now))
    return now


def test_one_more_costs_every_task_the_same(api: Served, views: Database[Any]) -> None:
    api.brand(BRAND)
    facts.write(views, facts.post("post", BRAND, AT, "Who wants coffee?"))
    campaign_data.fill(api, views, BRAND)
    community_data.fill(api, views, BRAND)
    looked: dict[int, dict[str, int]] = {}
    there, now = 0, datetime.now(UTC)
    for many in (FEW, MANY):
        _fans(views, there, many)
        now = _settle(views, now)
        (post,) = views["posts"].find({"post": "at://post"})
        assert post["comments"] >= many, "all is followed"
        _fans(views, many, many + 1)
        there = many + 1
        looked[many] = {}
        for task in TASKS:
            with profiled(views) as found:
                task.run(TaskRun(views, None, now))
            looked[many][task.name] = found.looked
        (after,) = views["posts"].find({"post": "at://post"})
        assert after["comments"] == post["comments"] + 1
        assert after["new_relationships"] == post["new_relationships"] + 1
    dearer = {
        name: (looked[FEW][name], count) for name, count in looked[MANY].items() if count > looked[FEW][name] + WITHIN
    }
    assert dearer == {}


def test_what_an_earlier_version_stored_and_counted_is_followed(api: Served, views: Database[Any]) -> None:
    api.brand(BRAND)
    told = facts.post("one", BRAND, AT)
    stored = [interaction_document(facts.on("one", f"c{each}", BRAND, AT, f"did:plc:{each}")) for each in range(3)]
    views["interactions"].insert_many([interaction_document(told), *stored])
    hour = hour_of(AT)
    before = {"_id": hour_id(BRAND, hour), "brand": BRAND, "hour": hour, "counts": {"comment": 3, "post": 1}}
    views["hourly"].insert_one({**before, "drawn": 5})
    views["counters"].insert_one({"_id": "hourly", "drawn": 5})
    places = {"fresh": 5, "again": 4, "until": 5, "until_at": AT, "basis": None, "anew": False}
    views["trails"].insert_one({"_id": f"posts/{BRAND}", "brand": BRAND, **places})
    backfill_arrived.follow(TaskRun(views, None, datetime.now(UTC)))
    facts.turns(views)
    (post,) = views["posts"].find()
    assert (post["comments"], views["interactions"].count_documents({"arrived": None})) == (3, 0)
    (counted,) = views["hourly"].find()
    assert counted["counts"] == before["counts"]
    looked = views["trails"].find_one({"_id": f"posts/{BRAND}"})
    assert looked is None
    facts.write(views, *(facts.on("one", f"c{each}", BRAND, AT, f"did:plc:{each}") for each in range(4)))
    facts.turns(views)
    (post,) = views["posts"].find()
    assert post["comments"] == 4


def test_what_an_earlier_version_did_when_an_upgrade_was_taken_back_is_made_up_for(
    api: Served, views: Database[Any]
) -> None:
    api.brand(BRAND)
    one, two = (facts.on("one", f"r-{each}", BRAND, AT, f"did:plc:{each}", kind="reaction") for each in ("one", "two"))
    rows = facts.followers(BRAND, ((f"did:plc:{each}", AT) for each in ("one", "two")))
    facts.write(views, facts.post("one", BRAND, AT), one, two, *rows)
    facts.settled(views)
    # The earlier version erases the one, and writes what another did and how it began.
    views["interactions"].delete_one({"follower": "did:plc:one"})
    for name in ("followers", "beginnings"):
        views[name].delete_one({"follower": "did:plc:one"})
        begun = views[name].find_one({"follower": "did:plc:two"})
        assert begun is not None
        both = ({**begun, "_id": f"{begun['_id']}-{n}", "follower": f"did:plc:two-{n}"} for n in "12")
        views[name].insert_many(both)
    for n in "12":
        more = facts.on("one", f"more-{n}", BRAND, AT, f"did:plc:two-{n}", kind="reaction")
        views["interactions"].insert_one(interaction_document(more))
    views["hourly"].update_many({}, {"$set": {"counts": {"reaction": 3, "post": 1}}, "$inc": {"drawn": 100}})
    views["counters"].update_one({"_id": "hourly"}, {"$inc": {"drawn": 100}})
    drawn = views["counters"].find_one({"_id": "hourly"}) or {}
    places = {"fresh": drawn["drawn"], "again": 0, "until": 0, "until_at": AT, "basis": None, "anew": False}
    views["trails"].insert_one({"_id": f"posts/{BRAND}", "brand": BRAND, **places})
    # This version again.
    backfill_arrived.follow(TaskRun(views, None, datetime.now(UTC)))
    facts.settled(views)
    (post,) = views["posts"].find()
    assert (post["reactions"], post["new_relationships"]) == (3, 3)
    assert views["post_parts"].count_documents({}) == 3


def test_indexes_of_earlier_versions_go_after_a_day(views: Database[Any]) -> None:
    old = next(iter(indexes.GONE["interactions"]))
    views["interactions"].create_index([("brand", 1), ("hour", 1), ("platform", 1)], name=old)
    now = datetime.now(UTC)
    old_indexes.drop(TaskRun(views, None, now))
    assert old in views["interactions"].index_information()
    old_indexes.drop(TaskRun(views, None, now + old_indexes.KEPT))
    assert old not in views["interactions"].index_information()


def test_the_parts_of_an_old_post_are_counted_at_its_next_reaction(
    views: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    views["brands"].insert_one({"_id": BRAND, "settings": {"timezone": "UTC"}})
    facts.write(views, facts.post("one", BRAND, AT))
    facts.settled(views)
    old = [interaction_document(facts.on("one", f"c{each}", BRAND, AT, f"did:plc:{each:02}")) for each in range(30)]
    views["interactions"].insert_many([*old, interaction_document(facts.on("one", "more", BRAND, AT, "did:plc:07"))])
    views["posts"].update_one({}, {"$set": {"comments": 31}})
    views["post_sums"].delete_many({})
    monkeypatch.setattr(brought, "FACTS_AT_ONCE", 7)
    monkeypatch.setattr(brought, "BUILDING_SECONDS", -1.0)
    facts.write(views, facts.on("one", "new", BRAND, AT, "did:plc:new"))
    facts.upkeep(views)
    (post,) = views["posts"].find()
    assert post["comments"] == 31, "the old figure stays until all is counted"
    monkeypatch.setattr(brought, "BUILDING_SECONDS", 10.0)
    facts.settled(views)
    (post,) = views["posts"].find()
    assert post["comments"] == 32
    sums = views["post_sums"].find_one({})
    assert sums is not None
    assert (sums["built"], sums["comments"]) == (None, 32)


def test_an_old_hour_whose_projector_ended_before_it_counted_is_counted(views: Database[Any]) -> None:
    left = facts.on("one", "c", BRAND, AT)
    views["interactions"].insert_one(interaction_document(left))
    facts.write(views, left)
    (counted,) = views["hourly"].find()
    assert counted["counts"] == {"comment": 1}
    assert views["interactions"].count_documents({"arrived": None}) == 0
    hourly.recount(views, [(BRAND, hour_of(AT))])
    (again,) = views["hourly"].find()
    assert again["counts"] == {"comment": 1}
