"""Where things stand that arrive before what they belong to: any order ends in the same threads and relationships."""

from itertools import permutations
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import Interaction, Kind, Spoken
from services.scorer.exchanges.interactions import MOST_BEGUN
from tests.services.scorer.story import DAY, HOUR, T0, Story, interaction

MINUTE = 60_000
_AWAY: tuple[Kind, ...] = ("delete", "hide", "unhide")
Connected = Literal["by links", "by names", "by messages"]


@st.composite
def happenings(draw: st.DrawFn) -> list[Interaction]:
    """What two people and the brand say and take away, each to something before it.

    Below links alone, below names that may be wrong, or in private.
    """
    how: Connected = draw(st.sampled_from(["by links", "by names", "by messages"]))
    said: list[Interaction] = []
    for number in range(draw(st.integers(2, 8))):
        at, told = T0 + 10 * number * MINUTE, draw(st.sampled_from(["comment", "reply", "reply", "away"]))
        if told == "comment" or not said:
            said.append(_asked(draw, how, f"c{number}", at, said))
        elif told == "reply":
            said.append(_answered(draw, how, f"r{number}", at, said))
    some = [each.object.id for each in said]
    for number in range(draw(st.integers(0, 3))):
        of, kind = draw(st.sampled_from(some)), draw(st.sampled_from(_AWAY))
        said.append(interaction(kind, f"x{number}", T0 + (95 + number) * MINUTE, of=of, thread=None))
    return said


def _asked(draw: st.DrawFn, how: Connected, id: str, at: int, said: list[Interaction]) -> Interaction:
    who = draw(st.sampled_from(["ada", "bob"]))
    if how == "by messages":
        return interaction("message", id, at, follower=who, thread=f"messages-{who}")
    if how == "by names":
        return interaction("comment", id, at, follower=who, thread=draw(st.sampled_from(["one", "two"])))
    below = draw(st.sampled_from([None, *(each.object.id for each in said)]))
    return interaction("comment", id, at, follower=who, thread=None, parent=below)


def _answered(draw: st.DrawFn, how: Connected, id: str, at: int, said: list[Interaction]) -> Interaction:
    below = draw(st.sampled_from(said))
    if how == "by messages":
        parent = draw(st.sampled_from([None, below.object.id])) if below.kind == "message" else None
        return interaction("reply", id, at, thread=below.thread, parent=parent)
    thread = draw(st.sampled_from(["one", "two", None])) if how == "by names" else None
    to = draw(st.sampled_from([None, "ada", "bob"]))
    return interaction("reply", id, at, thread=thread, parent=below.object.id, to=to)


def after(arriving: list[Interaction]) -> tuple[set[object], set[object]]:
    """The exchanges and what the relationships were told, when all has arrived."""
    story = Story()
    story.policy(T0, PolicyRule(target_seconds=HOUR // 1000), effective_from=T0 - DAY)
    for number, each in enumerate(arriving):
        story.tell(each, T0 + 2 * HOUR + number)
    story.tick(T0 + DAY)
    newest: dict[tuple[str, str], Spoken] = {}
    for told in story.spoken:
        if isinstance(told, Spoken):
            newest[told.follower.id, told.object] = told
    return (
        {
            (each.follower.id, each.thread, each.first.id, each.state, each.breached_at, each.answered_at)
            for each in story.now()
        },
        {(*key, told.kind, told.occurred_at) for key, told in newest.items() if not told.undone},
    )


@settings(max_examples=400, deadline=None)
@given(happened=happenings(), data=st.data())
def test_any_order_ends_in_the_same_threads_and_relationships(happened: list[Interaction], data: st.DataObject) -> None:
    assert after(data.draw(st.permutations(happened))) == after(happened)


def test_however_many_began_below_a_comment_the_one_who_wrote_it_has_one_thread() -> None:
    story = Story()
    for number in range(MOST_BEGUN):
        said = interaction("comment", f"b{number}", T0, follower=f"p{number}", thread=None, parent="c1")
        story.tell(said, T0 + number)
    story.tell(interaction("comment", "c2", T0 + MINUTE, thread=None, parent="c1"), T0 + MINUTE)
    story.tell(interaction("comment", "c1", T0, thread="one"), T0 + 2 * MINUTE)
    assert {each.thread for each in story.now() if each.follower.id == "ada" and each.state == "open"} == {"one"}


def test_what_the_brand_wrote_before_a_message_does_not_answer_it() -> None:
    for waited in (10 * MINUTE, 20 * DAY):
        story = Story()
        story.tell(interaction("reply", "r1", T0, thread="messages"), T0)
        story.tell(interaction("message", "m1", T0 + waited, thread="messages"), T0 + waited)
        story.tick(T0 + waited + 2 * DAY)
        assert (story.only().state, story.steps()) == ("open", ["breach"])


def test_a_hiding_that_is_repeated_without_end_counts_since_the_first_time() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    for number in range(60):
        at = T0 + MINUTE if number == 0 else T0 + 2 * DAY + number
        story.tell(interaction("hide", f"h{number}", at, of="c1"), at)
    assert (story.only().state, story.only().breached_at) == ("cancelled", None)


def test_what_is_below_a_comment_or_an_answer_that_names_its_thread_is_in_that_thread() -> None:
    told = [
        interaction("comment", "c1", T0, thread="one"),
        interaction("comment", "c2", T0 + MINUTE, thread=None, parent="c1", follower="bob"),
        interaction("reply", "r1", T0 + 2 * MINUTE, thread="one", parent="c1", to="ada"),
        interaction("comment", "c3", T0 + 3 * MINUTE, thread=None, parent="r1", follower="bob"),
    ]
    story = Story()
    for number, each in enumerate(told):
        story.tell(each, T0 + HOUR + number)
    assert {(each.follower.id, each.thread) for each in story.now()} == {("ada", "one"), ("bob", "one")}
    for arriving in permutations(told):
        assert after(list(arriving)) == after(told)


def test_a_thread_that_is_named_like_a_comment_is_not_brought_to_that_comments_thread() -> None:
    told = [
        interaction("comment", "c1", T0, thread="one"),
        interaction("comment", "c2", T0 + MINUTE, thread="c1"),
        interaction("comment", "c3", T0 + 2 * MINUTE, thread=None, parent="c1", follower="bob"),
    ]
    for arriving in permutations(told):
        assert after(list(arriving)) == after(told)
