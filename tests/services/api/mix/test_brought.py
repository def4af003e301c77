"""What a post brought is kept as reactions arrive: exactly, and at the same cost however many there are."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from rapport.contracts.controls import FollowerErased
from rapport.contracts.events import Actor, Interaction, Object
from rapport.domain.mix.posts import BROUGHT, REMOVED
from services.api.erasure import upkeep as upkeep_of_erasing
from services.api.interactions.repository import fact_of
from services.api.mix import tallies
from services.api.mix import upkeep as mix
from services.api.projector import erasing
from services.api.projector.batch import Batch
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.loop import TaskRun
from tests.domain.figures import brought
from tests.services.api import facts, samples
from tests.services.api.conftest import Served
from tests.services.api.profiled import profiled

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
BRAND = "aurora"
PLATFORM = "bluesky"
MINUTE = timedelta(minutes=1)
FOLLOWERS = ("did:plc:ada", "did:plc:bob", 'did/with "slashes"')
POSTS = ("one", "two")
THINGS = ("at://x", "at://y", "at://z")
"""So few, that comments, shares and reactions have the same ids."""


def from_all_facts(views: Database[Any], post: str) -> dict[str, int]:
    """What a post brought, from everything about it at once."""
    its = {"brand": BRAND, "platform": PLATFORM}
    told = [fact_of(each) for each in views["interactions"].find({**its, "post": post})]
    told = [each for each in told if each.kind in BROUGHT]
    things = [each.object for each in told]
    undone = map(fact_of, views["interactions"].find({**its, "object.id": {"$in": things}, "undo": True}))
    said = [each.object for each in told if each.kind != "reaction"]
    about = {**its, "about": {"$in": said}, "kind": {"$in": list(REMOVED)}}
    return brought([*told, *undone], map(fact_of, views["interactions"].find(about)))


def _event(number: int, drawn: tuple[Any, ...]) -> Interaction:
    kind, who, thing, post, undo, staff, minutes, text = drawn
    at = NOW - MINUTE * minutes
    if kind in REMOVED:
        return facts.about(thing.removeprefix("at://"), f"e{number}", BRAND, at, who, kind=kind)
    more: dict[str, Any] = {"object": Object(id=thing), "kind": kind, "undo": undo, "staff": staff, "text": text}
    if undo and minutes % 2:
        return samples.interaction(f"e{number}", BRAND, at, actor=Actor(id=who), **more)
    return facts.on(post, f"e{number}", BRAND, at, who, **more)


EVENTS = st.tuples(
    st.sampled_from(("comment", "reaction", "reaction", "share", *REMOVED)),
    st.sampled_from(FOLLOWERS),
    st.sampled_from(THINGS),
    st.sampled_from(POSTS),
    st.booleans(),
    st.sampled_from((False, False, False, True)),
    st.integers(0, 5),
    st.sampled_from((None, "Nice")),
)
TURN, ERASE = "turn", "erase"
HISTORIES = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, st.just(TURN), st.just(ERASE)), min_size=4, max_size=24)


def _erase(views: Database[Any], follower: str) -> None:
    erasing.note(views, Batch(erased=[FollowerErased(brand=BRAND, platform=PLATFORM, follower=follower, at=NOW)]))
    upkeep_of_erasing.follow(TaskRun(views, None, datetime.now(UTC)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORIES)
# A reaction has the id of a comment that was hidden, and the comment comes last.
@example(
    [
        ("hide", FOLLOWERS[0], THINGS[0], "one", False, False, 3, None),
        ("reaction", FOLLOWERS[1], THINGS[0], "one", False, False, 2, None),
        TURN,
        ("comment", FOLLOWERS[0], THINGS[0], "one", False, False, 1, "Nice"),
    ]
)
def test_whatever_happens_in_whatever_order_it_is_what_all_facts_say(views: Database[Any], history: list[Any]) -> None:
    for name in (*facts.DERIVED, *facts.SUMS, "interactions", "hourly", "trails", "stale", "erased"):
        views[name].delete_many({})
    views["brands"].replace_one({"_id": BRAND}, {"settings": {"timezone": "UTC"}}, upsert=True)
    facts.write(views, *(facts.post(name, BRAND, NOW - 9 * MINUTE) for name in POSTS))
    to_erase = list(FOLLOWERS[1:])
    for number, each in enumerate(history):
        if each == TURN:
            facts.upkeep(views)
        elif each == ERASE:
            if to_erase:
                _erase(views, to_erase.pop())
        else:
            facts.write(views, _event(number, each))
    facts.upkeep(views)  # not later once more: the first look has to be enough
    for name in POSTS:
        wanted = from_all_facts(views, f"at://{name}")
        stored = views["posts"].find_one({"post": f"at://{name}"})
        assert stored is not None
        assert {each: stored[each] for each in wanted} == wanted
        assert tallies.total(views, BRAND, PLATFORM, f"at://{name}") == wanted
    left = {each["_id"] for each in views["post_parts"].find()}
    assert not any(who in each for each in left for who in FOLLOWERS[1:] if who not in to_erase), "no erased person"


def _reactions(first: int, many: int, **more: Any) -> Iterable[Interaction]:
    for number in range(first, first + many):
        yield facts.on("one", f"r{number}", BRAND, NOW, f"did:plc:fan-{number}", kind="reaction", text=None, **more)


def test_one_more_reaction_is_not_dearer_where_there_are_many(api: Served, views: Database[Any]) -> None:
    api.brand(BRAND)
    facts.write(views, facts.post("one", BRAND, NOW))
    looked: list[int] = []
    there = 0
    for many in (200, 5_000):
        while there < many:
            facts.write(views, *_reactions(there, 200))
            there += 200
        for _ in range(30):
            facts.upkeep(views, NOW + 2 * LATER)
        (before,) = views["posts"].find()
        assert before["reactions"] == there
        facts.write(views, *_reactions(there, 1))
        there += 1
        with profiled(views) as found:
            mix.follow(TaskRun(views, None, NOW + 2 * LATER))
        looked.append(found.looked)
        (after,) = views["posts"].find()
        assert after["reactions"] == there
    assert looked[1] <= looked[0] + 20, looked
    assert looked[1] < 200, looked


def test_two_projectors_that_count_at_once_count_right(views: Database[Any]) -> None:
    views["brands"].insert_one({"_id": BRAND, "settings": {"timezone": "UTC"}})
    facts.write(views, facts.post("one", BRAND, NOW))
    over = threading.Event()

    def follow() -> None:
        while not over.is_set():
            facts.upkeep(views)

    with ThreadPoolExecutor(2) as pool:
        two = [pool.submit(follow) for _ in range(2)]
        try:
            for number in range(15):
                who = f"did:plc:fan-{number}"
                facts.write(
                    views,
                    samples.follower(who, BRAND, NOW),
                    *(
                        facts.on("one", f"{number}-{thing}", BRAND, NOW, who, kind="reaction", undo=thing == "b")
                        for thing in "ab"
                    ),
                    facts.on("one", f"{number}-c", BRAND, NOW, who),
                )
        finally:
            over.set()
        for each in two:
            each.result()
    facts.turns(views)
    (post,) = views["posts"].find()
    assert {name: post[name] for name in ("comments", "reactions", "new_relationships")} == {
        "comments": 15,
        "reactions": 15,
        "new_relationships": 15,
    }
    (day,) = views["new_days"].find()
    assert day["platforms"] == {PLATFORM: 15}
