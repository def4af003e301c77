"""A person who was erased: nothing of theirs stays in the rows, and nothing comes into them again."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.controls import FollowerErased, PolicyRule
from rapport.contracts.events import Interaction, Tick
from rapport.contracts.topics import ALERTS, CONVERSATIONS, EXCHANGES, key_of, partition_of
from rapport.domain.erasing import ERASED
from rapport.domain.times import utc
from services.scorer.exchanges.erasures import GATHER
from services.scorer.exchanges.handler import ExchangesHandler
from services.scorer.exchanges.interactions import MOST_BEGUN
from services.scorer.fenced.batch import Batch
from services.scorer.pruning import KEPT, PASS_EVERY
from tests.services.scorer.story import DAY, HOUR, T0, People, Rows, Story, interaction, record
from tests.services.scorer.test_homes import happenings

CONTROL = "rapport.control.v1"


def gone(follower: str = "ada") -> FollowerErased:
    """That a follower was erased."""
    return FollowerErased(brand="acme", platform="generic", follower=follower, at=utc(T0))


def erase(story: Story, at: int) -> None:
    """A follower is erased, and the walk that looks for what is left of them is over."""
    story.control(gone(), at)
    story.tick(at + GATHER)


def kept(rows: Rows) -> list[bytes]:
    """The rows that a person is named in, by whatever, but for what is known of objects, which leaves by itself."""
    return [
        key
        for key, value in rows.items()
        if (b"ada" in key or b"ada" in value or b"secret" in value) and not key.startswith(b'["object"')
    ]


def test_nothing_is_left_of_a_relationship_and_nothing_begins_it_again_in_whatever_order() -> None:
    events = [
        (interaction("share", "s1", T0), "rapport.interaction.v1"),
        (interaction("reaction", "s2", T0 + DAY), "rapport.interaction.v1"),
        (gone(), CONTROL),
    ]
    for order in itertools.permutations(events):
        people = People()
        people.tell(interaction("share", "of-bob", T0, follower="bob"))
        before = dict(people.rows)
        for event, kind in (*order, order[0]):
            people.tell(event, type=kind)
        assert kept(people.rows) == []
        assert before.items() <= people.rows.items(), "another's stay"


def test_what_was_open_ends_without_a_word_of_what_was_said_and_its_clock_with_it() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0, text="secret"), T0)
    story.tell(interaction("comment", "c2", T0, thread="post-2", text="secret"), T0)
    story.tell(interaction("comment", "b1", T0, follower="bob"), T0)
    erase(story, T0 + HOUR)
    ended = [each for each in story.now() if each.follower.id == "ada"]
    assert [(each.state, each.cancelled_because, each.first.text) for each in ended] == 2 * [
        ("cancelled", ERASED, None)
    ]
    assert kept(story.rows) == []
    story.tick(T0 + 2 * DAY)
    assert [(alert.step, alert.follower.id) for alert in story.alerts] == [("breach", "bob")]


@settings(max_examples=200, deadline=None)
@given(happened=happenings(), data=st.data())
def test_what_is_left_for_repeated_records_goes_with_time_whatever_came_first(
    happened: list[Interaction], data: st.DataObject
) -> None:
    arriving: list[Interaction | FollowerErased] = data.draw(st.permutations([*happened, gone()]))
    story = Story()
    for number, each in enumerate(arriving):
        if isinstance(each, FollowerErased):
            story.control(each, T0 + 2 * HOUR + number)
        else:
            story.tell(each, T0 + 2 * HOUR + number)
    for number in range(20):
        story.tick(T0 + DAY + KEPT + PASS_EVERY * (number + 1))
    assert [key for key, value in story.rows.items() if b"ada" in key or b"ada" in value] == []


@pytest.mark.parametrize("kind", ["reply", "hide", "comment"])
def test_what_happens_to_something_that_never_comes_keeps_nobody_who_was_erased(
    kind: Literal["reply", "hide", "comment"],
) -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0, thread=None, parent="p"), T0)
    erase(story, T0 + HOUR)
    for number in range(5):
        at = T0 + number * 60 * DAY
        of = "p" if kind == "hide" else f"x{number}"
        again = interaction(kind, f"x{number}", at, of=of, thread=None, parent="p", follower="bob")
        story.tell(again, at + DAY)
        for week in range(8):
            story.tick(at + 2 * DAY + week * PASS_EVERY)
    assert [key for key, value in story.rows.items() if b"ada" in key or b"ada" in value] == []


def test_those_who_were_erased_take_nobodys_place() -> None:
    story = Story()
    for number in range(MOST_BEGUN):
        story.tell(interaction("comment", f"c{number}", T0, follower=f"p{number}", thread=None, parent="p"), T0)
    for number in range(MOST_BEGUN):
        story.control(gone(f"p{number}"), T0 + number)
    story.tick(T0 + HOUR)
    for number, who in enumerate(("bob", "carl"), 24):  # places are looked for once a day
        parent = "root" if who == "carl" else "p"
        said = interaction("comment", "p" if who == "carl" else "cb", T0, follower=who, thread=None, parent=parent)
        story.tell(said, T0 + (2 + number) * HOUR)
    assert {(each.follower.id, each.thread) for each in story.now() if each.state == "open"} == {
        ("bob", "root"), ("carl", "root"),
    }  # fmt: skip


def test_what_was_missed_before_stays_missed_and_what_was_answered_stays_answered() -> None:
    story = Story()
    story.policy(T0, PolicyRule(target_seconds=3600, warn_at=()))
    story.tell(interaction("comment", "c1", T0 + 1, text="secret"), T0 + 1)
    story.tell(interaction("comment", "c2", T0 + 1, thread="post-2"), T0 + 1)
    story.tell(interaction("reply", "r2", T0 + 2, parent="c2", thread="post-2"), T0 + 2)
    story.tick(T0 + 2 * HOUR)
    said = len(story.alerts)
    erase(story, T0 + 3 * HOUR)
    missed, answered = sorted(story.now(), key=lambda each: each.thread)
    assert (missed.state, missed.breached_at) == ("cancelled", utc(T0 + 1 + HOUR))
    assert answered.state == "answered"
    story.tick(T0 + 9 * DAY)
    assert len(story.alerts) == said


def test_what_comes_later_opens_nothing_be_it_a_comment_a_reply_or_a_deletion() -> None:
    story = Story()
    story.control(gone(), T0)
    story.tell(interaction("comment", "c1", T0 + 1, text="secret"), T0 + 1)
    story.tell(interaction("reply", "r1", T0 + 2, parent="c1", to="ada"), T0 + 2)
    story.tell(interaction("delete", "d1", T0 + 3, of="c1"), T0 + 3)
    assert (story.now(), kept(story.rows)) == ([], [])


def test_a_worker_that_ends_in_between_leaves_the_rest_to_the_next() -> None:
    story = Story()
    for number in range(5):
        story.tell(interaction("comment", f"c{number}", T0, thread=f"post-{number}", text="secret"), T0)
    batch = Batch(story.rows)
    story.handler.apply(record(gone(), T0, CONTROL), T0, batch)
    story.rows.take(batch)
    assert len(kept(story.rows)) == 5
    story.reopen()
    story.tick(T0 + GATHER)
    assert kept(story.rows) == []
    assert {each.cancelled_because for each in story.now()} == {ERASED}


def test_a_batch_that_is_rolled_back_is_gone_through_anew() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0, text="secret"), T0)
    batch = Batch(story.rows)
    story.handler.apply(record(gone(), T0, CONTROL), T0, batch)
    story.rows.take(batch)
    story.handler.committed()
    for parts in range(1, 3):
        lost = Batch(story.rows)
        for _ in range(parts):
            assert story.handler.sweep(T0 + GATHER, lost)
        story.handler.rolled_back()
    story.tick(T0 + GATHER)
    assert kept(story.rows) == []


@pytest.mark.parametrize("follower", ["ada", "bob", "eve"])
def test_one_partition_of_all_hands_it_on_to_the_relationship(follower: str) -> None:
    handed: list[int] = []
    for partition in range(CONVERSATIONS.partitions):
        rows, handler = Rows(), ExchangesHandler(0)
        handler.open(rows)  # type: ignore[arg-type]
        batch = Batch(rows)
        handler.apply(replace(record(gone(follower), T0, CONTROL), partition=partition), T0, batch)
        handed += [output.partition for output in batch.outputs if output.topic == EXCHANGES.name]
    assert handed == [partition_of(key_of("acme", "generic", follower), EXCHANGES.partitions)]


class _Counted(Rows):
    """Rows that know how often all threads were gone through."""

    passes = 0

    def chunks(self, prefix: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """As the store gives them."""
        self.passes += prefix.startswith(b'["thread","acme"')
        return super().chunks(prefix)


def test_a_hundred_who_are_erased_together_are_looked_for_in_one_walk_and_later_ones_in_another() -> None:
    story = Story(rows=_Counted())
    for number in range(120):
        story.tell(interaction("comment", f"c{number}", T0, follower=f"p{number}", thread=f"post-{number}"), T0)
    for number in range(100):
        story.control(gone(f"p{number}"), T0 + HOUR + number * 40)
    story.tick(T0 + HOUR + GATHER - 1)
    assert story.rows.passes == 0  # type: ignore[attr-defined]
    story.tick(T0 + HOUR + GATHER)
    story.control(gone("p100"), T0 + HOUR + GATHER + 1)
    story.tick(T0 + HOUR + 2 * GATHER)
    assert {each.follower.id for each in story.now() if each.state == "open"} == {f"p{n}" for n in range(100, 120)}
    assert story.rows.passes == 1  # type: ignore[attr-defined]
    story.reopen()
    story.tick(T0 + HOUR + 2 * GATHER + 1)
    assert {each.follower.id for each in story.now() if each.state == "open"} == {f"p{n}" for n in range(101, 120)}
    assert story.rows.passes == 2  # type: ignore[attr-defined]


def test_alerts_that_are_due_do_not_wait_for_a_walk() -> None:
    rows = _Counted()
    story = Story(rows=rows)
    for number in range(1_000):
        story.tell(interaction("comment", f"c{number}", T0, follower=f"p{number}", thread=f"post-{number}"), T0)
    story.control(gone("p1"), T0 + DAY - GATHER)
    batch, alerts, more = Batch(rows), 0, True
    story.handler.apply(record(Tick(), T0 + DAY, "rapport.tick.v1"), T0 + DAY, batch)
    while more:
        more = story.handler.sweep(T0 + DAY, batch)
        alerts += sum(output.topic == ALERTS.name for output in batch.outputs)
        assert rows.passes == 0 or alerts == 999, "they come first"
        rows.take(batch)
        story.handler.committed()
        batch = Batch(rows)
    assert (rows.passes, alerts) == (1, 999)
