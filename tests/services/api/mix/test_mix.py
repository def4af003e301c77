"""The mix: posts made from facts in any order, labels, shares and what each brings."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.contracts.events import Interaction, Object
from rapport.contracts.rows import FollowerRow
from rapport.kit.mongo import Document
from services.api.mix import upkeep as upkeep_of_posts
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts
from tests.services.api.conftest import Served
from tests.services.api.web.form_browser import Visitor

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BRAND = "aurora"


def _story() -> list[Interaction | FollowerRow]:
    """A post that was edited and brought things of which some were taken back, and one that was deleted."""
    at = NOW - 3 * DAY
    return [
        facts.post("one", BRAND, at, "Our oven #team", media=("image",)),
        facts.about("one", "edit-1", BRAND, at + HOUR, kind="edit", text="Our new oven #team"),
        facts.about("one", "edit-2", BRAND, at + 2 * HOUR, kind="edit", text="Our new oven #shop"),
        facts.on("one", "c1", BRAND, at + HOUR, "did:plc:ada"),
        facts.on("one", "c2", BRAND, at + 2 * HOUR, "did:plc:bob"),
        facts.on("one", "c3", BRAND, at + 3 * HOUR, "did:plc:cyd"),
        facts.about("c2", "c2-gone", BRAND, at + 5 * HOUR, kind="delete"),
        facts.about("c3", "c3-hidden", BRAND, at + 5 * HOUR, "brand-person", kind="hide"),
        facts.about("c3", "c3-shown", BRAND, at + 6 * HOUR, "brand-person", kind="unhide"),
        facts.on("one", "l1", BRAND, at + HOUR, "did:plc:bob", kind="reaction"),
        facts.on("one", "l2", BRAND, at + 2 * HOUR, "did:plc:cyd", kind="reaction"),
        # Says nothing of the post that the like was for.
        facts.about("l2", "l2-undone", BRAND, at + 30 * HOUR, "did:plc:cyd", kind="reaction", undo=True),
        facts.on("one", "l3", BRAND, at + HOUR, "did:plc:dov", kind="reaction", object=Object(id="dov-one")),
        facts.on(
            "one", "l3-u", BRAND, at + 2 * HOUR, "did:plc:dov", kind="reaction", object=Object(id="dov-one"), undo=True
        ),
        facts.on("one", "l3-2", BRAND, at + 3 * HOUR, "did:plc:dov", kind="reaction", object=Object(id="dov-one")),
        facts.on("one", "s1", BRAND, at + 4 * HOUR, "did:plc:dov", kind="share"),
        facts.on("one", "ours", BRAND, at + 4 * HOUR, "did:plc:staff", kind="reaction", staff=True),
        facts.on("one", "answer", BRAND, at + 4 * HOUR, "brand-person", kind="reply"),
        facts.post("two", BRAND, at + DAY, "A mistake"),
        facts.on("two", "c4", BRAND, at + DAY + HOUR, "did:plc:ada"),
        facts.about("two", "two-gone", BRAND, at + 2 * DAY, "brand-person", kind="delete"),
        facts.post("three", BRAND, at + 2 * DAY, "Who we are"),
        *facts.followers(
            BRAND,
            (
                ("did:plc:ada", at + HOUR),
                ("did:plc:bob", at + HOUR),
                ("did:plc:cyd", at + 2 * HOUR),
                ("did:plc:dov", at + HOUR),
            ),
        ),
    ]


def _brought(document: Document) -> dict[str, int]:
    return {name: document[name] for name in ("comments", "reactions", "shares", "new_relationships")}


def test_a_post_has_what_people_did_with_it_less_what_was_taken_back(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    facts.write(views, *_story())
    found = {each["post"]: each for each in facts.settled(views)["posts"]}
    assert sorted(found) == ["at://one", "at://three"], "the deleted one is gone"
    one = found["at://one"]
    assert _brought(one) == {"comments": 2, "reactions": 2, "shares": 1, "new_relationships": 4}
    assert (one["text"], one["format"], one["label"]) == ("Our new oven #shop", "image", "unsorted")
    assert _brought(found["at://three"]) == dict.fromkeys(_brought(one), 0)
    assert found["at://three"]["format"] == "text"


def test_what_names_nothing_but_the_thing_it_happened_to_reaches_the_things_post_at_once(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND)
    at = NOW - 3 * DAY
    facts.write(
        views,
        facts.post("one", BRAND, at),
        facts.on("one", "l1", BRAND, at + HOUR, kind="reaction"),
        facts.on("one", "c1", BRAND, at + HOUR),
        facts.on("one", "c2", BRAND, at + HOUR),
    )
    facts.upkeep(views)

    def one() -> tuple[int, int, str]:
        (found,) = views["posts"].find()
        return found["reactions"], found["comments"], found["text"]

    assert one() == (1, 2, "Good morning")
    for change, wanted in (
        (facts.about("l1", "l1-undone", BRAND, at + 30 * HOUR, kind="reaction", undo=True), (0, 2, "Good morning")),
        (facts.about("c1", "c1-gone", BRAND, at + 40 * HOUR, kind="delete"), (0, 1, "Good morning")),
        (facts.about("c2", "c2-hidden", BRAND, at + 41 * HOUR, "brand-person", kind="hide"), (0, 0, "Good morning")),
        (
            facts.about("one", "edited", BRAND, at + 50 * HOUR, "brand-person", kind="edit", text="Good night"),
            (0, 0, "Good night"),
        ),
    ):
        facts.write(views, change)
        facts.upkeep(views)
        assert one() == wanted, change.id
    facts.write(views, facts.about("one", "gone", BRAND, at + 60 * HOUR, "brand-person", kind="delete"))
    facts.upkeep(views)
    assert views["posts"].count_documents({}) == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_arrival_makes_no_difference(api: Served, views: Database[Document], seed: int) -> None:
    api.brand(BRAND)
    story = _story()
    facts.write(views, *story)
    wanted = facts.settled(views)
    for name in (*facts.DERIVED, *facts.SUMS, "interactions", "followers", "hourly", "trails"):
        views[name].delete_many({})
    chance = random.Random(seed)
    chance.shuffle(story)
    while story:
        size = chance.randint(1, 5)
        facts.write(views, *story[:size])
        story = story[size:]
        facts.upkeep(views)
    assert facts.settled(views) == wanted
    facts.write(views, *_story())  # everything once more
    assert facts.settled(views) == wanted


def test_what_is_interrupted_is_made_up_for(
    api: Served, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.brand(BRAND)
    facts.write(views, *_story())
    wanted = facts.settled(views)
    for name in (*facts.DERIVED, *facts.SUMS, "trails"):
        views[name].delete_many({})
    made: list[str] = []

    def breaks(_database: Any, _brand: str, _platform: str, post: str) -> None:
        made.append(post)
        raise RuntimeError("the machine is gone")

    with monkeypatch.context() as broken:
        broken.setattr(upkeep_of_posts, "make", breaks)
        for turn in range(3):
            upkeep_of_posts.follow(TaskRun(views, None, NOW + turn * rebuild_queue.TRIED_AGAIN))
    assert made
    assert facts.settled(views) == wanted


def test_something_marked_again_while_it_was_made_stays_marked(views: Database[Document]) -> None:
    run = TaskRun(views, None, NOW)
    rebuild_queue.add(run, "post", [{"brand": BRAND, "platform": "bluesky", "post": "at://one"}])
    rebuild_queue.work_off(
        run,
        "post",
        lambda each: rebuild_queue.add(run, "post", [{name: each[name] for name in ("brand", "platform", "post")}]),
    )
    assert [each["marks"] for each in views["stale"].find()] == [2]


def _many(views: Database[Document], business: Sequence[int], personal: Sequence[int], unsorted: int) -> None:
    number = 0
    for label, counts in (("#shop", business), ("#team", personal), ("", [0] * unsorted)):
        for count in counts:
            number += 1
            at = NOW - 2 * DAY + timedelta(minutes=number)
            facts.write(
                views,
                facts.post(f"p{number}", BRAND, at, f"Hello {label}", media=("image",) if number % 2 else ("video",)),
                *(
                    facts.on(f"p{number}", f"p{number}-{each}", BRAND, at + HOUR, f"did:{each}")
                    for each in range(count)
                ),
            )


RULES = {
    "labels": {"business": 0.8, "personal": 0.2},
    "formats": {"image": 0.9},
    "rules": [{"label": "personal", "hashtag": "#team"}, {"label": "business", "word": "shop"}],
}


def test_the_mix_has_shares_against_targets_and_what_each_brings_with_how_many_posts(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND)
    assert api.client.put(f"/v1/brands/{BRAND}/mix/settings", json=RULES).status_code == 200
    _many(views, [2, 3, 1, 2], [5, 4], 3)
    facts.settled(views)
    mix = api.client.get(f"/v1/brands/{BRAND}/mix").json()
    assert (mix["posts"], mix["unsorted"]) == (9, 3)
    business, personal = mix["labels"]
    assert (business["name"], business["posts"], business["target"]) == ("business", 4, 0.8)
    assert business["share"]["value"] == pytest.approx(4 / 6)
    assert business["standing"] == "near", "six posts do not tell two thirds from four fifths"
    assert personal["comments"]["total"] == 9
    per_post = personal["comments"]["per_post"]
    assert per_post["low"] < per_post["value"] == 4.5 < per_post["high"]
    assert [each["name"] for each in mix["formats"]] == ["image", "video", "text", "link", "audio"]
    assert [each["posts"] for each in mix["formats"]] == [5, 4, 0, 0, 0]
    assert mix["formats"][2]["comments"] == {"total": 0, "per_post": None}
    assert mix["formats"][0]["standing"] == "below"


def test_a_period_is_days_in_the_brands_zone(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    # In Berlin the 2nd of June begins at 22:00 UTC.
    facts.write(views, facts.post("late", BRAND, datetime(2026, 6, 1, 22, 30, tzinfo=UTC)))
    facts.settled(views)
    for query, posts in (("from=2026-06-01&to=2026-06-01", 0), ("from=2026-06-02&to=2026-06-02", 1)):
        assert api.client.get(f"/v1/brands/{BRAND}/mix?{query}").json()["posts"] == posts
        assert len(api.client.get(f"/v1/brands/{BRAND}/mix/posts?{query}").json()["items"]) == posts


@pytest.mark.parametrize("query", ["from=2026-06-02&to=2026-06-01", "from=2024-01-01&to=2026-01-01", "from=x", "day=1"])
def test_a_period_that_is_none_is_refused(api: Served, query: str) -> None:
    api.brand(BRAND)
    for path in ("mix", "mix/posts", "new"):
        answer = api.client.get(f"/v1/brands/{BRAND}/{path}?{query}")
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"] in ("from", "day")


def test_posts_are_listed_by_label_the_latest_first(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    api.client.put(f"/v1/brands/{BRAND}/mix/settings", json=RULES)
    _many(views, [0, 0], [0], 2)
    facts.settled(views)
    path = f"/v1/brands/{BRAND}/mix/posts"
    items = api.client.get(path).json()["items"]
    assert [each["label"] for each in items] == ["unsorted", "unsorted", "personal", "business", "business"]
    page = api.client.get(f"{path}?limit=2&label=business").json()
    assert page["next"] is None
    page = api.client.get(f"{path}?limit=3").json()
    rest = api.client.get(f"{path}?limit=3&cursor={page['next']}").json()
    assert page["items"] + rest["items"] == items
    assert rest["next"] is None


def test_a_label_by_hand_wins_over_the_plan_and_the_plan_over_the_rules(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    api.client.put(f"/v1/brands/{BRAND}/mix/settings", json=RULES)
    facts.write(views, facts.post("one", BRAND, NOW - DAY, "In the shop"))
    facts.settled(views)

    def listed() -> tuple[str, str | None]:
        (item,) = api.client.get(f"/v1/brands/{BRAND}/mix/posts").json()["items"]
        return item["label"], item["label_by"]

    assert listed() == ("business", "rule")
    id = api.client.get(f"/v1/brands/{BRAND}/mix/posts").json()["items"][0]["id"]  # noqa: A001
    plan = {
        "_id": f"{BRAND}/bluesky/one",
        "brand": BRAND,
        "plan": "p",
        "how": "text",
        "label": "personal",
        "by_hand": False,
    }
    views["post_plans"].insert_one(plan)
    facts.upkeep(views)
    assert listed() == ("personal", "plan")
    path = f"/v1/brands/{BRAND}/mix/posts/{id}/label"
    answer = api.client.put(path, json={"label": "business"})
    assert (answer.json()["label"], answer.json()["label_by"]) == ("business", "hand")
    facts.settled(views)
    assert listed() == ("business", "hand")
    assert views["post_labels"].find_one()["by"] == "administrator"  # type: ignore[index]
    assert api.client.delete(path).json()["label"] == "personal"
    views["post_plans"].update_one({}, {"$set": {"label": None}})
    assert api.client.delete(path).json()["label_by"] == "rule"
    facts.settled(views)
    assert listed() == ("business", "rule")
    assert api.client.put(path, json={"label": "unsorted"}).status_code == 422
    assert api.client.put(f"/v1/brands/{BRAND}/mix/posts/nothing/label", json={"label": "business"}).status_code == 404


def test_other_rules_label_what_was_published_before(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    _many(views, [0], [0], 1)
    facts.settled(views)
    assert api.client.get(f"/v1/brands/{BRAND}/mix").json()["unsorted"] == 3
    api.client.put(f"/v1/brands/{BRAND}/mix/settings", json=RULES)
    facts.upkeep(views)
    assert api.client.get(f"/v1/brands/{BRAND}/mix").json()["unsorted"] == 1
    api.client.put(f"/v1/brands/{BRAND}/mix/settings", json={})
    facts.upkeep(views)
    assert api.client.get(f"/v1/brands/{BRAND}/mix").json()["unsorted"] == 3


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"labels": {"business": 1.1}}, "labels.business"),
        ({"labels": {"business": 0.8, "personal": 0.3}}, ""),
        ({"formats": {"image": -0.1}}, "formats.image"),
        ({"formats": {"poem": 0.1}}, "formats.poem"),
        ({"labels": {"unsorted": 0.1}}, "labels.unsorted"),
        ({"rules": [{"label": "business"}]}, "rules.0"),
        ({"rules": [{"label": "business", "hashtag": "a", "word": "b"}]}, "rules.0"),
        ({"rules": [{"label": "business", "hashtag": "two words"}]}, "rules.0.hashtag"),
        ({"rules": [{"label": "business", "word": "!?"}]}, "rules.0.word"),
        ({"target": 1}, "target"),
    ],
)
def test_settings_that_make_no_sense_are_refused(api: Served, wanted: Any, field: str) -> None:
    api.brand(BRAND)
    answer = api.client.put(f"/v1/brands/{BRAND}/mix/settings", json=wanted)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith(field)


def test_a_share_that_is_typed_is_stored_as_it_was_typed(api: Served) -> None:
    api.brand(BRAND)
    visitor = Visitor(api)
    form = visitor.form(f"/brands/{BRAND}/mix", "/mix/settings")
    assert visitor.send(form.filled(business="33.3", personal="12.345678 %")).status_code == 303
    assert api.client.get(f"/v1/brands/{BRAND}/mix/settings").json()["labels"] == {
        "business": 0.333,
        "personal": 0.12345678,
    }


def test_settings_are_kept_as_they_were_put_and_a_key_that_reads_changes_none(api: Served) -> None:
    api.brand(BRAND)
    path = f"/v1/brands/{BRAND}/mix/settings"
    assert api.client.get(path).json() == {"labels": {}, "formats": {}, "rules": []}
    api.client.put(path, json=RULES)
    kept = api.client.get(path).json()
    assert kept["labels"] == RULES["labels"]
    assert [each["hashtag"] for each in kept["rules"]] == ["team", None]
    with api.with_key(api.key([BRAND], "read")) as client:
        assert client.put(path, json=RULES).status_code == 403
        assert client.put(f"/v1/brands/{BRAND}/mix/posts/x/label", json={"label": "business"}).status_code == 403
