"""The account of somebody who waits for an answer is deleted, taken down, suspended, or comes back."""

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.controls import Absence, FollowerAway
from rapport.contracts.events import ExchangeSnapshot
from rapport.domain.times import ms, utc
from tests.services.scorer.story import DAY, HOUR, T0, Dialogue, interaction


def away(how: Absence, at: int) -> FollowerAway:
    return FollowerAway(id=f"ada#{how}-{at}", brand="acme", platform="generic", follower="ada", at=utc(at), how=how)


def asked(*told: tuple[Absence, int]) -> Dialogue:
    """A comment at T0, and what became of its author's account, each as it happened."""
    story = Dialogue()
    story.tell(interaction("comment", "c1", T0), T0)
    for how, at in told:
        story.engage(away(how, at), at)
    return story


def test_a_deleted_account_ends_its_clocks_as_deleted_comments_do() -> None:
    story = asked(("deleted", T0 + HOUR))
    story.tick(T0 + 3 * DAY)
    assert (story.only().state, story.only().cancelled_because, story.only().breached_at) == (
        "cancelled",
        "deleted",
        None,
    )
    assert story.steps() == []


def test_what_was_due_before_the_account_went_stays_a_miss() -> None:
    story = asked(("deleted", T0 + 25 * HOUR))
    assert (story.only().state, story.only().breached_at is not None) == ("cancelled", True)


def test_a_comment_that_arrives_after_the_news_of_its_author_waits_for_nobody() -> None:
    story = Dialogue()
    story.engage(away("deleted", T0 + HOUR), T0 + HOUR)
    story.tell(interaction("comment", "c1", T0), T0 + 2 * HOUR)
    story.tick(T0 + 3 * DAY)
    assert (story.only().state, story.steps()) == ("cancelled", [])


def test_a_suspended_account_pauses_its_clocks_and_they_go_on_when_it_is_back() -> None:
    story = asked(("suspended", T0 + HOUR))
    story.tick(T0 + 10 * DAY)
    assert (story.only().state, story.only().breached_at, story.steps()) == ("open", None, [])
    story.engage(away("back", T0 + 10 * DAY), T0 + 10 * DAY)
    due = T0 + 24 * HOUR + 10 * DAY - HOUR
    assert ms(story.only().due_at) == due
    story.tick(due - 1)
    assert "breach" not in story.steps()
    story.tick(due)
    assert story.steps()[-1] == "breach"


def test_a_warning_waits_as_long_as_the_clock_stood() -> None:
    story = asked(("suspended", T0 + HOUR), ("back", T0 + 10 * DAY))
    story.tick(T0 + 10 * DAY + HOUR)
    assert story.steps() == []
    story.tick(T0 + 10 * DAY - HOUR + 18 * HOUR)
    assert story.steps() == ["warning"]


def test_an_account_that_was_suspended_and_is_deleted_later_misses_nothing() -> None:
    story = asked(("suspended", T0 + HOUR), ("deleted", T0 + 5 * DAY))
    assert (story.only().state, story.only().breached_at) == ("cancelled", None)


def test_a_takedown_that_is_lifted_lets_the_clock_go_on() -> None:
    story = asked(("deleted", T0 + HOUR))
    assert story.only().state == "cancelled"
    story.engage(away("back", T0 + 3 * HOUR), T0 + 3 * HOUR)
    assert (story.only().state, ms(story.only().due_at)) == ("open", T0 + 26 * HOUR)


def test_an_answer_to_a_suspended_account_is_in_time() -> None:
    story = asked(("suspended", T0 + HOUR))
    story.tell(interaction("reply", "r1", T0 + 5 * DAY, parent="c1"), T0 + 5 * DAY)
    assert story.only().state == "answered"


def test_what_was_overdue_before_a_suspension_stays_overdue() -> None:
    story = asked()
    story.tick(T0 + 25 * HOUR)
    story.engage(away("suspended", T0 + 26 * HOUR), T0 + 26 * HOUR)
    assert story.only().breached_at is not None
    assert story.steps() == ["breach"]


def test_the_same_news_twice_changes_nothing() -> None:
    story = asked(("suspended", T0 + HOUR))
    before = len(story.snapshots)
    story.engage(away("suspended", T0 + HOUR), T0 + 2 * HOUR)
    assert len(story.snapshots) == before


def ended(events: Sequence[Any]) -> ExchangeSnapshot:
    """Where one exchange ends, told all within a moment of the log's time, and looked at long after."""
    story = Dialogue()
    for event in events:
        if isinstance(event, FollowerAway):
            story.engage(event, T0)
        else:
            story.tell(event, T0)
    story.tick(T0 + 9 * DAY)
    return story.only()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["deleted", "suspended", "back"]), st.integers(1, 40)), max_size=3, unique=True)
)
def test_the_order_of_the_news_does_not_matter(told: list[tuple[Any, int]]) -> None:
    events: list[Any] = [interaction("comment", "c1", T0), *(away(how, T0 + hours * HOUR) for how, hours in told)]
    ends = {
        (found.state, found.cancelled_because, found.due_at, found.breached_at)
        for found in map(ended, itertools.permutations(events))
    }
    assert len(ends) == 1
