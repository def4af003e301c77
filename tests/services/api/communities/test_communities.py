"""Communities over HTTP and in the upkeep: rules refused with their place, members kept current, events, the export."""

import csv
import io
import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from msgspec import structs
from pymongo.database import Database

from rapport.contracts.events import Interaction
from rapport.contracts.rows import FollowerRow, PersonState
from rapport.domain.relationships.relationship import HALF_LIFE_DAYS
from rapport.kit.mongo import Document
from services.api.communities import judging as community_judging
from services.api.communities import upkeep as communities
from services.api.communities.documents import CommunityDocument
from services.api.http.ids import follower_ref
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts, samples
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.conftest import ADMIN_KEY, Served
from tests.services.api.web.portal_session import logged_in

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
BRAND = "aurora"
HOME = f"/v1/brands/{BRAND}/communities"


def _make(api: Served, id: str, rule: str | dict[str, Any], **more: str) -> Any:
    answer = api.client.post(HOME, json={"id": id, "name": id.title(), "rule": rule, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def turn(views: Database[Document], now: datetime | None = None) -> None:
    """One turn of both tasks."""
    run = TaskRun(views, None, now or datetime.now(UTC))
    communities.follow_words(run)
    communities.follow(run)


def settle(views: Database[Document], now: datetime | None = None) -> None:
    """So many turns, and so far apart, that everything was looked at twice."""
    for number in range(4):
        turn(views, (now or datetime.now(UTC)) + number * (LATER + timedelta(seconds=1)))


def members(api: Served, id: str) -> set[str]:
    """The platform's ids of a community's members, as the API gives them; what counts them agrees."""
    found: set[str] = set()
    cursor = ""
    while True:
        page = api.client.get(f"{HOME}/{id}/members?limit=2{cursor}").json()
        found |= {each["follower"]["platform_id"] for each in page["items"]}
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    community = api.client.get(f"{HOME}/{id}").json()
    assert community["members"] == len(found)
    return found


def events(api: Served, id: str) -> list[tuple[str, str, str | None]]:
    """What happened, the earliest first."""
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.client.get(f"{HOME}/{id}/events?limit=3{cursor}").json()
        found += page["items"]
        cursor = f"&cursor={page['next']}" if page["next"] else None
    assert [each["number"] for each in found] == list(range(len(found), 0, -1))
    return [
        (each["what"], each["because"], each["follower"]["platform_id"] if each["follower"] else None)
        for each in reversed(found)
    ]


def _row(who: str, seen: datetime = NOW, revision: int = 1, **more: Any) -> FollowerRow:
    return samples.follower(who, BRAND, seen, revision=revision, name=who.title(), **more)


def test_a_community_is_made_of_text_or_json_changed_and_removed(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    made = _make(api, "fans", "Stage is at LEAST likes AND (trust is more than 20 or comments >= 3)", description="x")
    assert made["text"] == "stage is at least likes and (trust > 20 or comments >= 3)"
    assert (made["members"], made["current"], made["created_by"]) == (0, False, "administrator")
    assert _make(api, "same", made["rule"])["text"] == made["text"]
    assert api.client.post(HOME, json={"id": "fans", "name": "x", "rule": "trust > 1"}).status_code == 409
    assert [each["id"] for each in api.client.get(f"{HOME}?limit=1").json()["items"]] == ["fans"]
    following = api.client.get(f"{HOME}?limit=1").json()["next"]
    assert [each["id"] for each in api.client.get(f"{HOME}?limit=1&cursor={following}").json()["items"]] == ["same"]
    turn(views)
    assert api.client.get(f"{HOME}/fans").json()["current"] is True
    changed = api.client.put(f"{HOME}/fans", json={"name": "Fans", "rule": made["text"]}).json()
    assert (changed["name"], changed["description"], changed["current"]) == ("Fans", "", True)
    changed = api.client.put(f"{HOME}/fans", json={"name": "Fans", "rule": "trust > 3"}).json()
    assert (changed["text"], changed["current"]) == ("trust > 3", False)
    assert api.client.delete(f"{HOME}/fans").status_code == 204
    for method, path in (("get", ""), ("put", ""), ("delete", ""), ("get", "/members"), ("get", "/export")):
        body = {"name": "x", "rule": "trust > 1"} if method == "put" else None
        assert api.client.request(method, f"{HOME}/fans{path}", json=body).status_code == 404
    turn(views)
    _make(api, "fans", "trust > 5")


@pytest.mark.parametrize(
    ("rule", "field", "pointer", "marked"),
    [
        ("trust > 20 and thrust > 3", "rule", None, "thrust"),
        ("trust > 'high'", "rule", None, "'high'"),
        ("wrote 3", "rule", None, "3"),
        ("know >= 0", "rule", None, "know >= 0"),
        ("stage is new or not stage is new", "rule", None, "stage is new or not stage is new"),
        ("trust > 90 and trust < 10", "rule", None, "trust > 90 and trust < 10"),
        ('trust > 5 and entered "sprin"', "rule", None, '"sprin"'),
        ({"kind": "condition", "field": "words", "comparison": "wrote", "value": 3}, "rule.value", "/rule/value", None),
        ({"kind": "all", "of": []}, "rule.of", "/rule/of", None),
        (
            {
                "kind": "any",
                "of": [
                    {"kind": "condition", "field": "trust", "comparison": ">", "value": 3},
                    {"kind": "condition", "field": "campaign", "comparison": "entered", "value": "sprin"},
                ],
            },
            "rule.of.1.value",
            "/rule/of/1/value",
            None,
        ),
    ],
)
def test_a_bad_rule_is_refused_with_the_place_of_the_error(
    api: Served, rule: Any, field: str, pointer: str | None, marked: str | None
) -> None:
    api.brand(BRAND)
    for method, path, more in (("post", "", {"id": "x", "name": "x"}), ("post", "/check", {})):
        answer = api.client.request(method, f"{HOME}{path}", json={"rule": rule, **more})
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        (error,) = answer.json()["errors"]
        assert (error["field"], error.get("pointer")) == (field, pointer)
        assert error["why"]
        if marked is not None:
            at = error["position"]
            assert rule[at["offset"] : at["offset"] + at["length"]] == marked
            assert (at["line"], at["column"]) == (1, at["offset"] + 1)
    assert api.client.get(HOME).json()["items"] == []


@pytest.mark.parametrize("rule", [3, None, ["trust > 3"], True])
def test_a_rule_that_is_neither_text_nor_an_object_answers_422(api: Served, rule: Any) -> None:
    api.brand(BRAND)
    answer = api.client.post(f"{HOME}/check", json={"rule": rule})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("rule")


def test_a_rule_is_tried_on_those_who_were_seen_last(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    campaign_data.fill(api, views, BRAND)
    facts.write(views, facts.about("c-0", "gone", BRAND, NOW, "did:plc:mira", kind="delete"))
    for rule, matching in (
        ('wrote "coffee"', 5),
        ('wrote "tea"', 1),
        ('entered "spring"', 7),
        ('entered "next" and never entered "spring"', 0),
        ("platform is bluesky", 7),
        ("platform is instagram", 0),
    ):
        checked = api.client.post(f"{HOME}/check", json={"rule": rule}).json()
        assert checked["text"] == rule
        assert checked["sample"] == {"followers": 7, "matching": matching, "words": True}, rule


def test_members_follow_what_followers_do(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, _row("ada", counts={"comment": 3}), _row("bob", counts={"comment": 2}))
    _make(api, "talkers", "comments >= 3")
    turn(views)
    assert members(api, "talkers") == {"ada"}
    facts.write(views, _row("bob", revision=2, counts={"comment": 3}), _row("cyd", counts={"comment": 9}))
    facts.write(views, _row("ada", revision=2, counts={"comment": 2}))
    turn(views)
    turn(views)
    assert members(api, "talkers") == {"bob", "cyd"}
    assert events(api, "talkers")[:1] == [("joined", "rule changed", "ada")]
    assert sorted(events(api, "talkers")[1:]) == [
        ("joined", "follower changed", "bob"),
        ("joined", "follower changed", "cyd"),
        ("left", "follower changed", "ada"),
    ]
    page = api.client.get(f"/v1/brands/{BRAND}/followers/{follower_ref('bluesky', 'bob')}").json()
    assert [(each["id"], each["name"]) for each in page["communities"]] == [("talkers", "Talkers")]


def test_time_alone_makes_people_join_and_leave_when_it_is_time_and_not_before(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND)
    facts.write(views, _row("ada", NOW - 29 * DAY), _row("bob", NOW - 31 * DAY), _row("cyd", NOW))
    _make(api, "lately", "last seen within 30 days")
    _make(api, "away", "last seen more than 30 days ago and stage is new")
    _make(api, "trusting", "trust >= 50")
    facts.write(views, _row("dov", NOW, worth={"trust": 10.0}))
    turn(views)
    assert (members(api, "lately"), members(api, "away")) == ({"ada", "cyd", "dov"}, {"bob"})
    assert members(api, "trusting") == {"dov"}
    turn(views, NOW + DAY - timedelta(seconds=2))
    assert "ada" in members(api, "lately")
    turn(views, NOW + DAY + timedelta(seconds=2))
    assert (members(api, "lately"), members(api, "away")) == ({"cyd", "dov"}, {"ada", "bob"})
    assert events(api, "away")[-1] == ("joined", "time", "ada")
    # Worth 10 of trust is 50 of 100 until it is worth 8 (49.5 points: 7.885).
    fades = HALF_LIFE_DAYS["trust"] * 0.3429
    turn(views, NOW + (fades - 0.1) * DAY)
    assert members(api, "trusting") == {"dov"}
    turn(views, NOW + (fades + 0.1) * DAY)
    assert members(api, "trusting") == set()
    assert views["community_checks"].count_documents({"at": {"$lt": NOW + DAY}}) == 0


def test_by_another_rule_everybody_is_judged_again(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, *(_row(f"f{number}", counts={"comment": number}) for number in range(8)))
    _make(api, "some", "comments >= 5")
    turn(views)
    assert members(api, "some") == {"f5", "f6", "f7"}
    api.client.put(f"{HOME}/some", json={"name": "Some", "rule": "comments < 6"})
    assert members(api, "some") == {"f5", "f6", "f7"}, "until the upkeep has looked"
    turn(views)
    assert members(api, "some") == {"f0", "f1", "f2", "f3", "f4", "f5"}
    assert {each[:2] for each in events(api, "some")} == {("joined", "rule changed"), ("left", "rule changed")}
    assert len(events(api, "some")) == 3 + 5 + 2


def test_another_community_does_not_put_off_what_one_waits_for(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, _row("ada", NOW - 29 * DAY))
    for name, days in (("month", 30), ("year", 365)):
        _make(api, name, f"last seen within {days} days")
        turn(views)
        (check,) = views["community_checks"].find()
        assert check["at"] == NOW + DAY + timedelta(milliseconds=1)


def test_nobody_joins_by_a_rule_that_was_replaced_meanwhile(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, _row("ada", counts={"comment": 3}))
    _make(api, "some", "comments >= 3")
    before = cast("list[CommunityDocument]", views["communities"].find().to_list())
    api.client.put(f"{HOME}/some", json={"name": "Some", "rule": "comments >= 4"})
    run = TaskRun(views, None, datetime.now(UTC))
    community_judging.judge(run, BRAND, before, [f"{BRAND}/bluesky/ada"], "follower changed")
    assert (members(api, "some"), events(api, "some")) == (set(), [])


def test_a_pass_goes_on_where_the_last_turn_ended(
    api: Served, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.brand(BRAND)
    monkeypatch.setattr(communities, "AT_ONCE", 2)
    monkeypatch.setattr(communities, "TURN_SECONDS", -1.0)
    facts.write(views, *(_row(f"f{number}", counts={"comment": 3}) for number in range(5)))
    views["trails"].insert_one({"_id": f"communities/{BRAND}", **_far()})
    _make(api, "some", "comments >= 3")
    turn(views)
    assert members(api, "some") == set(), "no time is left"
    monkeypatch.setattr(communities, "TURN_SECONDS", 60.0)
    turn(views)
    assert len(members(api, "some")) == 5
    assert api.client.get(f"{HOME}/some").json()["current"] is True


def _far() -> dict[str, Any]:
    later = NOW + 1_000 * DAY
    return {
        "brand": BRAND,
        "fresh": later,
        "again": later,
        "until": later,
        "until_at": NOW,
        "basis": None,
        "anew": False,
    }


STORY: list[Interaction | FollowerRow] = [
    facts.on("one", "c1", BRAND, NOW - 5 * DAY, "ada", text="I love your coffee"),
    facts.on("one", "c2", BRAND, NOW - 5 * DAY, "bob", text="I love your Coffee!"),
    facts.about("c2", "c2-edit", BRAND, NOW - 4 * DAY, "bob", kind="edit", text="I love your tea"),
    facts.on("one", "c3", BRAND, NOW - 5 * DAY, "cyd", text="Coffee"),
    facts.about("c3", "c3-gone", BRAND, NOW - 4 * DAY, "cyd", kind="delete"),
    facts.on("one", "c4", BRAND, NOW - 5 * DAY, "dov", text="Tea"),
    facts.about("c4", "c4-edit-1", BRAND, NOW - 4 * DAY, "dov", kind="edit", text="Tea, please"),
    facts.about("c4", "c4-edit-2", BRAND, NOW - 3 * DAY, "dov", kind="edit", text="Coffee, please"),
    facts.on("one", "c5", BRAND, NOW - 5 * DAY, "eve", text="Coffee"),
    facts.about("c5", "c5-undone", BRAND, NOW - 4 * DAY, "eve", kind="comment", undo=True),
    _row("ada", NOW - 5 * DAY, counts={"comment": 1}),
    _row("bob", NOW - 4 * DAY, counts={"comment": 1}),
    _row("cyd", NOW - 4 * DAY, revision=1, counts={"comment": 1}),
    _row("cyd", NOW - 4 * DAY, revision=2),
    _row("dov", NOW - 3 * DAY, counts={"comment": 1}),
    _row("eve", NOW - 4 * DAY, counts={"comment": 1}),
]


@pytest.mark.parametrize("seed", range(4))
def test_late_duplicated_edited_and_deleted_words_come_to_the_same_in_any_order(
    api: Served, views: Database[Document], seed: int
) -> None:
    api.brand(BRAND)
    _make(api, "coffee", 'wrote "coffee"')
    told = [*STORY, *STORY[:3]]
    random.Random(seed).shuffle(told)
    for some in (told[:5], told[5:11], told[11:]):
        facts.write(views, *some)
        turn(views)
    settle(views)
    assert members(api, "coffee") == {"ada", "dov"}
    net = sum(1 if each[0] == "joined" else -1 for each in events(api, "coffee"))
    assert net == 2, "joins less leaves are the members"
    settle(views, NOW + DAY)
    assert views["stale"].count_documents({}) == 0


def test_what_changes_without_the_follower_is_heard(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, *STORY)
    _make(api, "coffee", 'wrote "coffee"')
    settle(views)
    far = datetime.now(UTC) + DAY
    facts.write(views, facts.about("c1", "c1-edit", BRAND, NOW - DAY, "ada", kind="edit", text="I love your cake"))
    facts.write(views, facts.on("one", "c6", BRAND, NOW - 6 * DAY, "bob", text="More coffee"))
    turn(views, far)
    assert members(api, "coffee") == {"bob", "dov"}


def test_of_who_wrote_much_the_latest_counts(
    api: Served, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.communities.facts.LATEST", 2)
    monkeypatch.setattr("services.api.communities.judging.LATEST", 2)
    api.brand(BRAND)
    said = ("coffee", "tea", "cake")
    facts.write(
        views,
        *(facts.on("one", f"c{n}", BRAND, NOW - (5 - n) * DAY, "ada", text=text) for n, text in enumerate(said)),
        _row("ada", counts={"comment": 3}),
    )
    _make(api, "coffee", 'wrote "coffee"')
    _make(api, "cake", 'wrote "cake" and wrote "tea"')
    turn(views)
    assert (members(api, "coffee"), members(api, "cake")) == (set(), {"ada"})


def test_who_entered_or_answered_belongs_once_that_is_counted(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    campaign_data.fill(api, views, BRAND)
    _make(api, "spring", 'entered "spring"')
    _make(api, "summer", 'entered "summer"')
    settle(views)
    assert len(members(api, "spring")) == 7
    assert members(api, "summer") == set()
    # The follower was told long before what was entered; nothing but the entry changes.
    comment = facts.on("x", "late", BRAND, NOW - DAY, "did:plc:mira", text="Coffee #summergrinder")
    settle(views, datetime.now(UTC) + DAY)
    facts.write(views, comment)
    campaign_data.turn(views, datetime.now(UTC))
    assert views["stale"].count_documents({"what": "communities"}) > 0
    turn(views, datetime.now(UTC) + 2 * DAY)
    assert members(api, "summer") == {"did:plc:mira"}
    assert views["stale"].count_documents({"what": "communities"}) == 0


def test_who_answers_on_a_personal_link_belongs_though_nothing_else_changes(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND)
    campaign_data.fill(api, views, BRAND)
    facts.write(views, _row("ada"))
    _make(api, "asked", 'entered "next"')
    settle(views)
    assert "ada" not in members(api, "asked")
    link = {"follower": follower_ref("bluesky", "ada")}
    path = api.client.post(f"/v1/brands/{BRAND}/campaigns/next/links", json=link).json()["path"]
    ticket = api.client.get(path, headers={"accept": "text/html"}).text.split('name="ticket" value="')[1].split('"')[0]
    answer = api.client.post(path, data={"ticket": ticket, "q.roast": "guji"})
    assert answer.status_code in (200, 303), answer.text
    turn(views)
    assert "ada" in members(api, "asked")


def test_an_erased_person_leaves_every_community_and_no_trace(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, *(_row(who, NOW - 5 * DAY, counts={"comment": 3}) for who in ("ada", "bob", "cyd")))
    _make(api, "talkers", "comments >= 3")
    _make(api, "lately", "last seen within 30 days")
    turn(views)
    views["followers"].delete_many({"follower": {"$in": ["ada", "bob"]}})
    community_judging.forget(views, BRAND, "bluesky", "ada", NOW)
    turn(views)
    for name in ("talkers", "lately"):
        assert members(api, name) == {"cyd"}
        assert sorted(events(api, name), key=str) == [
            ("joined", "rule changed", "cyd"),
            ("joined", "rule changed", None),
            ("joined", "rule changed", None),
            ("left", "erased", None),
            ("left", "erased", None),
        ]
    for collection in ("community_members", "community_events", "community_checks"):
        assert not [each for each in views[collection].find() if "ada" in str(each) or "bob" in str(each)]


def test_linked_followers_are_one_member_with_all_that_they_did(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    alone = [
        _row("ada", counts={"comment": 2}),
        structs.replace(_row("ada-2", counts={"comment": 2}), platform="instagram"),
    ]
    facts.write(views, *alone)
    _make(api, "talkers", "comments >= 3")
    _make(api, "both", "platform is instagram and platform is bluesky")
    _make(api, "insta", "platform is instagram")
    turn(views)
    assert [members(api, each) for each in ("talkers", "both", "insta")] == [set(), set(), {"ada-2"}]
    first, second = (
        structs.replace(each, revision=2, person=PersonState(revision=1, person="p1", shadow=shadow))
        for each, shadow in zip(alone, (False, True), strict=True)
    )
    facts.write(views, first, second)
    turn(views)
    assert [members(api, each) for each in ("talkers", "both", "insta")] == [{"ada"}, {"ada"}, {"ada"}]
    other = api.client.get(f"/v1/brands/{BRAND}/followers/{follower_ref('instagram', 'ada-2')}").json()
    assert [each["id"] for each in other["communities"]] == ["both", "insta", "talkers"]
    # What the one that stands in the shadow does counts, though the other's row stays.
    facts.write(views, structs.replace(second, revision=3, counts={}))
    turn(views)
    assert members(api, "talkers") == set()
    facts.write(views, *(structs.replace(each, revision=4, person=None) for each in alone))
    turn(views)
    assert [members(api, each) for each in ("talkers", "both", "insta")] == [set(), set(), {"ada-2"}]


def test_a_community_that_is_removed_leaves_nothing(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, *(_row(who, counts={"comment": 3}) for who in ("ada", "bob")))
    _make(api, "talkers", "comments >= 3")
    _make(api, "others", "comments < 3")
    turn(views)
    api.client.delete(f"{HOME}/talkers")
    page = api.client.get(f"/v1/brands/{BRAND}/followers/{follower_ref('bluesky', 'ada')}").json()
    assert page["communities"] == []
    turn(views)
    assert views["community_members"].count_documents({}) == 0
    assert views["community_events"].count_documents({}) == 0
    assert [each["_id"] for each in views["communities"].find()] == [f"{BRAND}/others"]


def test_the_export_has_every_member_and_no_formula(
    api: Served, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.communities.service.EXPORTED_AT_ONCE", 2)
    api.brand(BRAND)
    names = ('=HYPERLINK("http://x")', "+1", "-1", "@sum", "\t=1", "Ada, “the\nfirst”", " =2")
    rows = [structs.replace(_row(f"f{n}", counts={"comment": 3}), name=name) for n, name in enumerate(names)]
    facts.write(views, *rows, _row("other"))
    _make(api, "talkers", "comments >= 3")
    turn(views)
    answer = api.client.get(f"{HOME}/talkers/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "aurora-talkers.csv" in answer.headers["content-disposition"]
    found = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert {each["platform_id"] for each in found} == {f"f{n}" for n in range(7)}
    said = {each["platform_id"]: each["name"] for each in found}
    assert [said[f"f{n}"] for n in range(7)] == [*(f"'{name}" for name in names[:4]), "'\t'=1", names[5], "' =2"]
    assert {each["stage"] for each in found} == {"new"}


def test_two_who_do_the_same_turn_at_once_count_everybody_once(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, *(_row(f"f{n}", counts={"comment": 3}) for n in range(30)))
    _make(api, "talkers", "comments >= 3")
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(turn, views) for _ in range(2)]:
            done.result()
    assert len(members(api, "talkers")) == 30
    assert len(events(api, "talkers")) == 30


def test_one_may_read_and_not_write_with_a_key_that_reads(api: Served) -> None:
    api.brand(BRAND)
    _make(api, "talkers", "comments >= 3")
    with api.with_key(api.key([BRAND], "read")) as reader:
        assert reader.get(f"{HOME}/talkers").status_code == 200
        assert reader.post(f"{HOME}/check", json={"rule": "trust > 3"}).status_code == 200
        for method, path in (("post", ""), ("put", "/talkers"), ("delete", "/talkers")):
            body = (
                {"id": "x", "name": "x", "rule": "trust > 1"} if method == "post" else {"name": "x", "rule": "know > 1"}
            )
            answer = reader.request(method, f"{HOME}{path}", json=None if method == "delete" else body)
            assert answer.status_code == 403


def test_the_portal_lets_a_key_that_reads_change_no_community(api: Served) -> None:
    api.brand(BRAND)
    before = _make(api, "talkers", "comments >= 3")
    sent = {"name": "Mine", "id": "mine", "text": "trust > 3", "do": "save-text"}
    with logged_in(api, api.key([BRAND], "read")) as reader:
        for path in ("-new", "talkers/edit", "talkers/remove", "talkers/restore"):
            assert reader.post(f"/brands/{BRAND}/communities/{path}", data=sent).status_code == 403, path
    assert api.client.get(HOME).json()["items"] == [before]


@pytest.mark.parametrize("typed", ["--3", "+-3", "9" * 5000, "3.5", "٣ apples", "high"])
def test_what_is_typed_for_a_number_and_is_none_is_said_beside_it(api: Served, typed: str) -> None:
    api.brand(BRAND)
    api.client.post("/login", data={"key": ADMIN_KEY})
    row = {"rows": "", "match": "all", "field.0": "trust", "comparison.0": ">", "value.0": typed, "name": "x"}
    answer = api.client.post(f"/brands/{BRAND}/communities/-new", data={**row, "do": "save"})
    assert answer.status_code == 422
    assert "“trust” is compared with a whole number from 0 to 100" in answer.text
    assert f'value="{typed}"' in answer.text


@pytest.mark.parametrize(
    "value", ["a\ud800", "a\x00", 'a"b', "", "…", "x" * 101, 3, 3.5, None, True, ["a"], {"$gt": ""}, 10**40]
)
def test_no_json_makes_words_that_cannot_be_stored(api: Served, value: Any) -> None:
    api.brand(BRAND)
    rule = {"kind": "condition", "field": "words", "comparison": "wrote", "value": value}
    # What httpx would not encode.
    sent = json.dumps({"id": "x", "name": "x", "rule": rule})
    answer = api.client.post(HOME, content=sent, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "rule.value"
