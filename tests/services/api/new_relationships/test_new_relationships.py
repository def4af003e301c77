"""New relationships a day, what began each, and outreach."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pymongo.database import Database

from rapport.contracts.events import Actor, Object, Parent
from rapport.kit.mongo import Document
from services.api.http.ids import follower_parts
from services.api.new_relationships import stage_after
from services.api.projector.upkeep.change_feed import LATER, TWICE_WITHIN, ChangeFeed
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts, samples
from tests.services.api.conftest import Served, zone_at_noon

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
ZONE = zone_at_noon(NOW)
TODAY = datetime.combine(NOW.astimezone(ZoneInfo(ZONE)).date(), time(), ZoneInfo(ZONE)).astimezone(UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BRAND = "aurora"


def _days(api: Served, query: str = "") -> dict[str, dict[str, int]]:
    found = api.client.get(f"/v1/brands/{BRAND}/new{query}").json()["days"]
    return {
        each["day"]: {one["platform"]: one["count"] for one in each["platforms"]} for each in found if each["count"]
    }


def test_new_relationships_are_counted_by_day_in_the_brands_zone_and_platform(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND)
    midnight = datetime(2026, 6, 1, 22, 0, tzinfo=UTC)  # when the 2nd of June begins in Berlin
    facts.write(
        views,
        *facts.followers(BRAND, (("did:a", midnight - HOUR), ("did:b", midnight), ("did:c", midnight + 5 * HOUR))),
        samples.follower("@d", BRAND, midnight + HOUR, platform="mastodon"),
        samples.follower("@e", "harbour", midnight + HOUR),
    )
    facts.settled(views)
    assert _days(api, "?from=2026-05-30&to=2026-06-03") == {
        "2026-06-01": {"bluesky": 1},
        "2026-06-02": {"bluesky": 2, "mastodon": 1},
    }
    answer = api.client.get(f"/v1/brands/{BRAND}/new?from=2026-05-30&to=2026-06-03").json()
    assert (len(answer["days"]), answer["total"], answer["timezone"]) == (5, 4, "Europe/Berlin")


def test_an_earlier_fact_that_comes_late_moves_the_beginning_to_its_day_and_its_post(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND, ZONE)
    first, second = TODAY - 2 * DAY + HOUR, TODAY + timedelta(seconds=1)
    facts.write(
        views,
        facts.post("one", BRAND, first - HOUR),
        facts.post("two", BRAND, second - 2 * HOUR),
        facts.on("two", "later", BRAND, second),
        *facts.followers(BRAND, [("did:plc:ada", second)]),
    )
    facts.upkeep(views)
    today = second.astimezone(ZoneInfo(ZONE)).date().isoformat()
    assert _days(api) == {today: {"bluesky": 1}}
    assert {each["post"]: each["new_relationships"] for each in views["posts"].find()} == {"at://one": 0, "at://two": 1}
    facts.write(
        views,
        facts.on("one", "earlier", BRAND, first, kind="reaction"),
        samples.follower("did:plc:ada", BRAND, second, first_seen=first, revision=2),
    )
    facts.upkeep(views)
    before = first.astimezone(ZoneInfo(ZONE)).date().isoformat()
    assert _days(api) == {before: {"bluesky": 1}}
    assert {each["post"]: each["new_relationships"] for each in views["posts"].find()} == {"at://one": 1, "at://two": 0}
    (item,) = api.client.get(f"/v1/brands/{BRAND}/new/{before}").json()["items"]
    assert (item["began"]["kind"], item["began"]["post"]) == ("reaction", "at://one")
    assert api.client.get(f"/v1/brands/{BRAND}/new/{today}").json()["items"] == []


def test_a_relationship_from_before_its_account_was_connected_is_not_new(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND, ZONE)
    for id, at in (("early", TODAY - 9 * DAY), ("late", TODAY - 2 * DAY)):  # noqa: A001
        account = {
            "_id": f"{views.name}-{id}",
            "brand": BRAND,
            "platform": "bluesky",
            "published": True,
            "connected_at": at,
        }
        views["accounts"].insert_one(account)
    early, late = f"{views.name}-early", f"{views.name}-late"
    seen = TODAY - 3 * DAY
    facts.write(
        views,
        samples.interaction("a", BRAND, seen, actor=Actor(id="did:a"), account=early),
        samples.interaction("b", BRAND, seen, actor=Actor(id="did:b"), account=late),
        *facts.followers(BRAND, (("did:a", seen), ("did:b", seen), ("did:unseen", TODAY - 10 * DAY))),
    )
    facts.settled(views)
    day = seen.astimezone(ZoneInfo(ZONE)).date().isoformat()
    assert _days(api) == {day: {"bluesky": 1}}
    (item,) = api.client.get(f"/v1/brands/{BRAND}/new/{day}").json()["items"]
    assert item["follower"]["platform_id"] == "did:a"
    # An account that turns out to have been connected before makes them new; no follower has changed.
    views["accounts"].update_one({"_id": late}, {"$set": {"connections": [TODAY - 20 * DAY, TODAY - 2 * DAY]}})
    facts.settled(views)
    assert _days(api)[day] == {"bluesky": 2}


def test_another_zone_counts_every_day_anew(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND, "Europe/Berlin")
    facts.write(views, *facts.followers(BRAND, [("did:a", datetime(2026, 6, 1, 23, 0, tzinfo=UTC))]))
    facts.settled(views)
    query = "?from=2026-05-30&to=2026-06-03"
    assert list(_days(api, query)) == ["2026-06-02"]
    views["brands"].update_one({"_id": BRAND}, {"$set": {"settings.timezone": "America/New_York"}})
    facts.settled(views)
    assert list(_days(api, query)) == ["2026-06-01"]
    assert [each["day"] for each in views["new_days"].find({"platforms": {"$ne": {}}})] == ["2026-06-01"]


def test_what_began_a_relationship_is_found_when_it_comes_after_the_follower(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND, ZONE)
    at = TODAY + timedelta(seconds=1)
    day = at.astimezone(ZoneInfo(ZONE)).date().isoformat()
    facts.write(views, *facts.followers(BRAND, [("did:plc:ada", at)]))
    facts.upkeep(views)
    (item,) = api.client.get(f"/v1/brands/{BRAND}/new/{day}").json()["items"]
    assert item["began"] is None
    facts.write(views, facts.on("one", "c1", BRAND, at, text="x" * 400))
    facts.upkeep(views)
    (item,) = api.client.get(f"/v1/brands/{BRAND}/new/{day}").json()["items"]
    assert (item["began"]["kind"], item["began"]["post"]) == ("comment", "at://one")
    assert len(item["began"]["text"]) == 280


def test_what_began_a_relationship_is_found_in_whatever_order_it_comes(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND, ZONE)
    at = TODAY + timedelta(seconds=1)

    def begun() -> tuple[Any, Any]:
        facts.upkeep(views)
        stage_after.follow(TaskRun(views, None, datetime.now(UTC)))
        found = [views[name].find_one() or {} for name in ("beginnings", "stage_after")]
        return found[0]["interaction"], found[1]["interaction"]

    facts.write(views, *facts.followers(BRAND, [("did:plc:ada", at)]))
    assert begun() == (None, None)
    # Three things at one moment: the first by id began it, and comes last. None of them changes the follower any more.
    for id in ("c", "b", "a"):  # noqa: A001
        facts.write(views, facts.on("one", id, BRAND, at, kind="reaction"))
        assert begun() == (id, id)
    facts.write(views, facts.on("one", "0", BRAND, at + timedelta(seconds=1), kind="reaction"))
    assert begun() == ("a", "a")
    facts.settled(views)


def test_the_staff_and_what_was_taken_back_begin_no_relationship(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND, ZONE)
    at = TODAY + timedelta(seconds=1)
    facts.write(
        views,
        facts.on("one", "a", BRAND, at, kind="reaction", undo=True),
        facts.on("one", "b", BRAND, at, kind="reaction", staff=True),
        facts.on("one", "c", BRAND, at, kind="share"),
        *facts.followers(BRAND, [("did:plc:ada", at)]),
    )
    (found,) = facts.settled(views)["beginnings"]
    assert found["interaction"] == "c"


def test_new_ones_of_a_day_come_in_pages_the_latest_first(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND, ZONE)
    at = TODAY - DAY + 12 * HOUR
    facts.write(views, *facts.followers(BRAND, [(f"did:{number}", at + (number // 2) * HOUR) for number in range(7)]))
    facts.settled(views)
    path = f"/v1/brands/{BRAND}/new/{at.astimezone(ZoneInfo(ZONE)).date().isoformat()}"
    seen, cursor = [], ""
    while True:
        page = api.client.get(f"{path}?limit=2{cursor}").json()
        seen += [each["follower"]["platform_id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["did:6", "did:5", "did:4", "did:3", "did:2", "did:1", "did:0"]
    for wrong in (f"{path}?cursor=x", f"/v1/brands/{BRAND}/new/tomorrow"):
        assert api.client.get(wrong).status_code == 422


def test_a_day_has_reached_its_goal_or_not_in_all_and_by_platform(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND, ZONE)
    path = f"/v1/brands/{BRAND}/new/goal"
    assert api.client.get(path).json() == {"goal": None, "platforms": {}}
    facts.write(
        views, *facts.followers(BRAND, [(f"did:{number}", TODAY + timedelta(seconds=1)) for number in range(3)])
    )
    facts.settled(views)
    today = api.client.get(f"/v1/brands/{BRAND}/new").json()["days"][-1]
    assert (today["count"], today["goal"], today["reached"]) == (3, None, None)
    for goal, reached in ((3, True), (4, False)):
        wanted = {"goal": goal, "platforms": {"mastodon": 2}}
        assert api.client.put(path, json=wanted).json() == wanted
        today = api.client.get(f"/v1/brands/{BRAND}/new").json()["days"][-1]
        assert (today["goal"], today["reached"]) == (goal, reached)
        assert today["platforms"] == [
            {"platform": "bluesky", "count": 3, "goal": None},
            {"platform": "mastodon", "count": 0, "goal": 2},
        ]


@pytest.mark.parametrize(
    "wanted", [{"goal": 0}, {"goal": -1}, {"goal": 1.5}, {"platforms": {"bluesky": 0}}, {"aim": 1}]
)
def test_a_goal_that_is_none_is_refused(api: Served, wanted: Any) -> None:
    api.brand(BRAND, ZONE)
    assert api.client.put(f"/v1/brands/{BRAND}/new/goal", json=wanted).status_code == 422
    with api.with_key(api.key([BRAND], "read")) as client:
        assert client.put(f"/v1/brands/{BRAND}/new/goal", json={"goal": 1}).status_code == 403


def test_a_trail_gives_each_change_twice_also_what_was_written_behind_it(views: Database[Document]) -> None:
    def look(now: datetime) -> list[int]:
        feed = ChangeFeed(TaskRun(views, None, now), "test", BRAND, "hourly", "drawn")
        found = feed.changed({"hour": 1})
        feed.done()
        return [each["drawn"] for each in found]

    views["hourly"].insert_many([{"_id": number, "brand": BRAND, "drawn": number} for number in (1, 3)])
    assert look(NOW) == [1, 3]
    assert look(NOW) == []
    # Drawn before the third, and stored after it was passed.
    views["hourly"].insert_one({"_id": 2, "brand": BRAND, "drawn": 2})
    assert look(NOW + LATER / 2) == []
    assert look(NOW + LATER) == [1, 2, 3]
    assert look(NOW + 2 * LATER) == []


def test_a_change_feed_gives_everything_twice_in_time_however_it_falls_between_turns(views: Database[Document]) -> None:
    def look(now: datetime) -> list[int]:
        feed = ChangeFeed(TaskRun(views, None, now), "test", BRAND, "hourly", "drawn")
        found = feed.changed({"hour": 1})
        feed.done()
        return [each["drawn"] for each in found]

    second = timedelta(seconds=1)
    seen: dict[int, list[timedelta]] = {}
    for number in range(round(2 * TWICE_WITHIN / (30 * second))):
        since = number * 30 * second
        if since <= TWICE_WITHIN:
            views["hourly"].insert_one({"_id": number + 1, "brand": BRAND, "drawn": number + 1})
        for drawn in look(NOW + since):
            seen.setdefault(drawn, []).append(since)
    assert len(seen) == TWICE_WITHIN / (30 * second) + 1
    assert {len(times) for times in seen.values()} == {2}
    waited = [again - first for first, again in seen.values()]
    assert min(waited) >= LATER
    assert LATER + 5 * 60 * second < max(waited) <= TWICE_WITHIN + 60 * second


def test_a_change_feed_passes_what_has_the_same_value_at_once(
    views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.projector.upkeep.change_feed.AT_ONCE", 2)
    views["hourly"].insert_many(
        [{"_id": name, "brand": BRAND, "drawn": 1 + place // 3} for place, name in enumerate("abcdefg")]
    )
    pages = []
    for _ in range(4):
        feed = ChangeFeed(TaskRun(views, None, NOW), "test", BRAND, "hourly", "drawn")
        pages.append([each["_id"] for each in feed.changed({})])
        feed.done()
    assert pages == [["a", "b", "c"], ["d", "e", "f"], ["g"], []]


def test_what_the_brand_did_to_others_is_listed_with_whom_it_was_to(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND, ZONE)
    facts.write(
        views,
        *facts.followers(BRAND, [("did:plc:ada", NOW - 9 * DAY)]),
        facts.outreach("like", BRAND, NOW - 3 * HOUR, "did:plc:ada"),
        facts.outreach("follow", BRAND, NOW - 2 * HOUR, "x", kind="follow", parent=None, object=Object(id="did:new")),
        facts.outreach("says", BRAND, NOW - HOUR, "did:plc:ada", kind="comment", text="Lovely!"),
        facts.on("one", "theirs", BRAND, NOW),
        facts.outreach("answer", BRAND, NOW, "did:plc:ada", kind="reply"),
    )
    path = f"/v1/brands/{BRAND}/outreach"
    items = api.client.get(path).json()["items"]
    assert [(each["kind"], each["to"]["platform_id"], each["known"]) for each in items] == [
        ("comment", "did:plc:ada", True),
        ("follow", "did:new", False),
        ("reaction", "did:plc:ada", True),
    ]
    assert (items[0]["to"]["name"], items[0]["by"], items[0]["text"]) == ("Ada", "Grace", "Lovely!")
    page = api.client.get(f"{path}?limit=2").json()
    assert page["items"] + api.client.get(f"{path}?limit=2&cursor={page['next']}").json()["items"] == items


def _list(api: Served) -> dict[str, list[str]]:
    answer = api.client.get(f"/v1/brands/{BRAND}/outreach/today")
    assert answer.status_code == 200, answer.text
    return {
        follower_parts(each["follower"]["id"])[1]: [reason["why"] for reason in each["reasons"]]
        for each in answer.json()["items"]
    }


def _person(who: str, seen: datetime, **more: Any) -> Any:
    return samples.follower(who, BRAND, seen, name=who, **{"first_seen": seen - 50 * DAY, **more})


def _stored(views: Database[Document], *rows: Any) -> None:
    facts.write(views, *rows)
    for row in rows:
        document = samples.stored_follower(row)
        views["followers"].update_one({"_id": document["_id"]}, {"$set": {"stage": document["stage"]}})


def test_each_reason_finds_its_people(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND, ZONE)
    likes, trusts = {"know": 9.0, "like": 30.0}, {"know": 9.0, "like": 9.0, "trust": 30.0}
    _stored(
        views,
        _person("fan", NOW - 20 * DAY, worth=likes),
        _person("friend", NOW - 15 * DAY, worth=trusts),
        _person("lively", NOW - 13 * DAY, worth=trusts),
        _person("stranger", NOW - 20 * DAY),
        _person("buyer", NOW - 31 * DAY, last_purchase_at=NOW - 40 * DAY),
        _person("recent-buyer", NOW - 29 * DAY, last_purchase_at=NOW - 40 * DAY),
        _person("ignored", NOW - DAY, counts={"comment": 3}),
        _person("answered", NOW - DAY, counts={"comment": 9, "reply": 1}),
        _person("terse", NOW - DAY, counts={"comment": 2}),
        _person("sharer", NOW - 2 * DAY, counts={"share": 1}),
        _person("regretful", NOW - 2 * DAY),
        _person("newcomer", TODAY + timedelta(seconds=1), first_seen=TODAY + timedelta(seconds=1)),
    )
    facts.write(
        views,
        facts.on("one", "shared", BRAND, NOW - 2 * DAY, "sharer", kind="share"),
        facts.on("one", "shared-2", BRAND, NOW - 2 * DAY, "regretful", kind="share"),
        facts.about("shared-2", "shared-2-undone", BRAND, NOW - DAY, "regretful", kind="share", undo=True),
    )
    facts.settled(views)
    assert _list(api) == {
        "buyer": ["quiet_buyer"],
        "friend": ["quiet_friend"],
        "fan": ["quiet_friend"],
        "sharer": ["shared"],
        "ignored": ["unanswered"],
        "newcomer": ["new"],
    }
    items = api.client.get(f"/v1/brands/{BRAND}/outreach/today").json()["items"]
    assert items[0]["reasons"][0]["words"] == "Bought from you, and has been quiet for 31 days."
    assert items[3]["reasons"][0]["post"] == "at://one"


def test_nobody_is_listed_who_was_reached_or_answered_lately_or_is_blocked_or_a_bot(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND, ZONE)
    names = ("liked", "followed", "answered", "long-ago", "liked-and-not", "blocked", "bot")
    likes = {"know": 9.0, "like": 30.0}
    _stored(
        views,
        *(
            _person(
                name,
                NOW - 20 * DAY,
                worth=likes,
                bot=name == "bot",
                counts={"comment": 1, **({"block": 1} if name == "blocked" else {})},
            )
            for name in names
        ),
    )
    facts.write(
        views,
        facts.outreach("a", BRAND, NOW - 6 * DAY, "liked"),
        facts.outreach("b", BRAND, NOW - 6 * DAY, "", kind="follow", parent=None, object=Object(id="followed")),
        samples.reply("c", BRAND, NOW - 6 * DAY, "at://x", parent=Parent(id="at://x", actor="answered")),
        facts.outreach("d", BRAND, NOW - 8 * DAY, "long-ago"),
        facts.outreach("e", BRAND, NOW - 3 * DAY, "liked-and-not", object=Object(id="the-like")),
        facts.outreach("e-u", BRAND, NOW - 2 * DAY, "", parent=None, object=Object(id="the-like"), undo=True),
    )
    assert sorted(_list(api)) == ["liked-and-not", "long-ago"]


def test_the_list_of_a_day_stays_as_it_is_and_shows_who_was_reached_since(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND, ZONE)
    likes = {"know": 9.0, "like": 30.0}
    _stored(views, *(_person(f"fan-{number}", NOW - (20 + number) * DAY, worth=likes) for number in range(8)))
    first = _list(api)
    assert len(first) == 5, "so many of a reason, a day"
    reached = next(iter(first))
    soon = datetime.now(UTC) + timedelta(seconds=5)
    facts.write(views, facts.outreach("a", BRAND, soon, reached))
    later = TODAY + timedelta(seconds=1)
    _stored(views, _person(list(first)[1], NOW, worth=likes, revision=2), _person("new", later, first_seen=later))
    facts.settled(views)
    assert _list(api) == first, "nobody else is looked for within the same minute"
    views["outreach_days"].update_one({}, {"$set": {"looked_at": NOW - HOUR}})
    assert list(_list(api).items()) == [*first.items(), ("new", ["new"])]
    items = api.client.get(f"/v1/brands/{BRAND}/outreach/today").json()["items"]
    assert [each["reached_at"] is not None for each in items] == [True, *[False] * 5]
    assert _list(api) == _list(api)
    # On another day, who was reached is left alone, and who came back is not quiet.
    views["outreach_days"].delete_many({})
    assert len(set(_list(api)) & {reached, list(first)[1]}) == 0
