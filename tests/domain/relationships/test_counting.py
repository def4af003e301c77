"""What counts in a relationship: each fact once, each thing once, for as long as it stands."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.rows import FollowerRow
from rapport.domain.relationships.counting import KEPT_DAYS, MOST_RECORDS, CountedFact, count, counts
from rapport.domain.times import utc
from tests.services.scorer.story import DAY, T0, People, interaction


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
    room = []
    for number in range(many):
        people.tell(interaction("reaction", f"r{number:04}", T0 + number, post="p"))
        room.append(max(len(value) for value in people.rows.values()))
    assert people.row().counts == {"reaction": 1}
    assert room[-1] < room[MOST_RECORDS - 1] + 50
    for number in range(many - 1):
        people.tell(interaction("reaction", f"u{number}", T0 + DAY, of=f"r{number:04}", undo=True))
    assert people.row().counts == {"reaction": 1}
    people.tell(interaction("reaction", "last", T0 + DAY, of=f"r{many - 1:04}", undo=True))
    assert people.row().counts == {}


def test_a_fact_counts_for_good_if_it_is_an_interaction_and_as_long_as_its_day_if_it_is_not() -> None:
    row = FollowerRow(
        brand="acme", platform="generic", follower="ada", revision=0, first_seen=utc(T0), last_seen=utc(T0)
    )
    comment = count(row, None, (1, ""), "comment", utc(T0))
    missed = count(row, None, (1, ""), "unanswered", utc(T0))
    assert comment is not None
    assert missed is not None
    assert counts(row, comment)
    assert counts(row, missed)
    assert not counts(row, CountedFact((1, "")))
    count(row, None, (1, ""), "comment", utc(T0 + KEPT_DAYS * DAY))
    assert counts(row, missed)
    count(row, None, (1, ""), "comment", utc(T0 + (KEPT_DAYS + 1) * DAY))
    assert not counts(row, missed)
    assert counts(row, comment)
