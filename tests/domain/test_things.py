"""Follows and likes count per person and thing, however many records say so, and in whatever order they come."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.rows import FollowerRow
from rapport.domain import giveaway, published
from rapport.domain.campaign import Fact, Scope
from rapport.domain.counting import MOST_RECORDS
from rapport.domain.giveaway import Known, Requirement, Rules
from tests.domain.figures import brought
from tests.services.scorer.story import DAY, T0, interaction
from tests.services.scorer.test_relationships import People

START = datetime(2026, 11, 1, tzinfo=UTC)
SCOPE = Scope(id="c", starts_at=START, until=START + timedelta(days=9), posts=("p",))
RULES = Rules(requirements=(Requirement(kind="comment"), Requirement(kind="follow")))


def fact(hours: int, id: str, kind: str, thing: str, **more: Any) -> Fact:
    its: dict[str, Any] = {"platform": "bluesky", "follower": "did:f", "account": "a", **more}
    return Fact(at=START + timedelta(hours=hours), id=id, kind=kind, object=thing, **its)


def reasons(*facts: Fact) -> set[tuple[str, ...]]:
    """Why somebody who commented does not take part, in any order of these facts."""
    said = fact(1, "said", "comment", "c", post="p")
    known = {("bluesky", "did:f"): Known(START)}
    now = START + timedelta(days=10)
    orders = itertools.permutations([said, *facts])
    return {giveaway.entries(SCOPE, RULES, list(order), [], known, now)[0].reasons for order in orders}


def test_who_removes_one_of_two_records_of_a_follow_still_follows() -> None:
    both = fact(2, "2", "follow", "A"), fact(3, "3", "follow", "B")
    assert reasons(*both, fact(4, "4", "follow", "B", undo=True)) == {()}
    assert reasons(*both, fact(4, "4", "follow", "A", undo=True)) == {()}
    gone = fact(4, "4", "follow", "B", undo=True), fact(5, "5", "follow", "A", undo=True)
    assert reasons(*both, *gone) == {("not_following",)}
    assert reasons(*both, *gone, fact(6, "6", "follow", "C")) == {()}


def test_an_unfollow_that_names_no_record_takes_back_what_came_before_it() -> None:
    assert reasons(fact(2, "2", "follow", "A"), fact(4, "4", "follow", "x", undo=True)) == {("not_following",)}
    assert reasons(fact(5, "5", "follow", "A"), fact(4, "4", "follow", "x", undo=True)) == {()}


def like(id: str, **more: Any) -> published.Fact:
    its: dict[str, Any] = {"at": START, "kind": "reaction", "object": id, "follower": "f", "post": "p", **more}
    return published.Fact(id=id, **its)


def test_three_likes_of_one_person_on_one_post_are_one_reaction() -> None:
    three = [like("1"), like("2"), like("3")]
    assert brought(three, ())["reactions"] == 1
    assert brought([*three, like("u", object="2", undo=True, at=START + timedelta(1))], ())["reactions"] == 1
    gone = [like(f"u{number}", object=str(number), undo=True, at=START + timedelta(1)) for number in (1, 2, 3)]
    assert brought([*three, *gone], ())["reactions"] == 0
    assert brought([*three, like("4", follower="g"), like("5", parent="comment")], ())["reactions"] == 3


def test_reposts_of_one_post_are_one_share_and_quotes_are_each_their_own() -> None:
    plain = [like("1", kind="share"), like("2", kind="share")]
    quotes = [like("3", kind="share", text="Look"), like("4", kind="share", text="Look again")]
    assert brought([*plain, *quotes], ())["shares"] == 3


def row_of(events: list[Any]) -> FollowerRow:
    people = People()
    for event in events:
        people.tell(event)
    return people.row()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_relationship_counts_a_thing_once_as_long_as_a_record_of_it_stands(data: st.DataObject) -> None:
    events, standing = [], set()
    for number in range(data.draw(st.integers(1, 4))):
        record, post = f"r{number}", data.draw(st.sampled_from(["p1", "p2"]))
        made = T0 + number * DAY
        events.append(interaction("reaction", f"{record}+", made, of=record, post=post))
        if data.draw(st.booleans()):
            events.append(interaction("reaction", f"{record}-", made + DAY // 2, of=record, undo=True))
        else:
            standing.add(post)
    found = [row_of(data.draw(st.permutations(events))) for _ in range(3)]
    assert [row.counts.get("reaction", 0) for row in found] == [len(standing)] * 3
    assert all(row.days == found[0].days and row.contributions == found[0].contributions for row in found)


def test_somebody_with_two_records_of_a_follow_follows_once_until_both_are_gone() -> None:
    events: list[Any] = [interaction("follow", "a", T0), interaction("follow", "b", T0 + DAY)]
    assert row_of(events).counts == {"follow": 1}
    events.append(interaction("follow", "a-", T0 + 2 * DAY, of="a", undo=True))
    assert row_of(events).counts == {"follow": 1}
    events.append(interaction("follow", "b-", T0 + 3 * DAY, of="b", undo=True))
    assert row_of(events).counts == {}


def test_a_thousand_likes_of_one_post_are_one_and_take_no_more_room_than_the_first_fifty() -> None:
    many = 3 * MOST_RECORDS
    people = People()
    for number in range(many):
        people.tell(interaction("reaction", f"r{number:04}", T0 + number, post="p"))
    assert people.row().counts == {"reaction": 1}
    assert max(len(value) for value in people.rows.values()) < 5_000
    for number in range(many - 1):
        people.tell(interaction("reaction", f"u{number}", T0 + DAY, of=f"r{number:04}", undo=True))
    assert people.row().counts == {"reaction": 1}
    people.tell(interaction("reaction", "last", T0 + DAY, of=f"r{many - 1:04}", undo=True))
    assert people.row().counts == {}
