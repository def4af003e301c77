"""Any order of arrival, any repetition: the same exchanges, held against a model that thinks differently.

The model walks through what happened in the order in which it happened, with a list of who waits, as a person would.
The product cuts sorted comments by answers. They share no line.
"""

from dataclasses import dataclass, replace
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.controls import Decided, PolicyRule
from rapport.contracts.events import Interaction, Kind
from rapport.contracts.rows import FollowerRow
from rapport.domain.relationships.counting import CountedFact, count
from rapport.domain.times import ms, utc
from tests.services.scorer.story import DAY, HOUR, T0, Story, interaction

TARGET = 6 * HOUR


@dataclass
class Waiting:
    """A comment that waits, in the model."""

    id: str
    at: int


@dataclass
class Told:
    """One thing that happened."""

    kind: str
    at: int
    id: str
    follower: str
    of: str = ""
    automatic: bool = False


def plainly(happened: list[Told]) -> list[Told]:
    """Without what is undone later: a comment is hidden if that is the last that was said of it, and not deleted.

    It is hidden since it was hidden first, however often that was repeated until it was shown again.
    """
    deleted = {told.of for told in happened if told.kind == "delete"}
    since: dict[str, Told] = {}
    for told in sorted(happened, key=lambda told: told.at):
        if told.kind == "hide":
            since.setdefault(told.of, told)
        elif told.kind == "unhide":
            since.pop(told.of, None)
    plain = [told for told in happened if told.kind not in ("hide", "unhide")]
    hidden = [told for told in since.values() if told.of not in deleted]
    return plain + [replace(told, kind="delete") for told in hidden]


def by_hand(happened: list[Told]) -> set[tuple[str, str, str, bool, int]]:
    """(follower, first comment, state, breached, comments left) of each exchange."""
    happened = plainly(happened)
    found: set[tuple[str, str, str, bool, int]] = set()
    for follower in {told.follower for told in happened}:
        waiting: list[Waiting] = []
        first: Waiting | None = None
        opened: Waiting | None = None
        gone: set[str] = set()
        missed = False

        def left(members: list[Waiting], first: Waiting, gone: set[str]) -> int:
            return sum(1 for member in members if member.id not in gone or member.id == first.id)

        last = T0 + 1_000 * DAY
        mine = sorted((told for told in happened if told.follower == follower), key=lambda told: told.at)
        removals_after = {
            told.of: told.at for told in mine if told.kind == "delete"
        }  # what counts of an exchange's comments is what is left at the end of time
        for told in mine:
            if told.kind == "comment":
                waiting.append(Waiting(told.id, told.at))
                opened = opened or waiting[-1]
                first = first or waiting[-1]
            elif told.kind == "delete" and any(each.id == told.of for each in waiting):
                gone.add(told.of)
                while first is not None and first.id in gone and removals_after[first.id] < first.at + TARGET:
                    following = [each for each in waiting if (each.at, each.id) > (first.at, first.id)]
                    first = following[0] if following else None
            elif told.kind in ("reply", "decide") and not told.automatic and waiting:
                assert opened is not None
                ended = set(removals_after)
                if first is None:
                    found.add((follower, opened.id, "cancelled", False, left(waiting, opened, ended)))
                else:
                    late = told.at > first.at + TARGET
                    state = "answered_late" if late else "answered"
                    if told.kind == "decide":
                        state = "cancelled"
                    found.add((follower, first.id, state, late, left(waiting, first, ended)))
                waiting, first, opened, gone = [], None, None, set()
        if waiting:
            assert opened is not None
            ended = set(removals_after)
            if first is None:
                found.add((follower, opened.id, "cancelled", False, left(waiting, opened, ended)))
            elif all(each.id in gone for each in waiting):
                found.add((follower, first.id, "cancelled", True, left(waiting, first, ended)))
            else:
                missed = last > first.at + TARGET
                found.add((follower, first.id, "open", missed, left(waiting, first, ended)))
    return found


@st.composite
def happenings(draw: st.DrawFn) -> list[Told]:
    """Comments of two followers in one thread, replies to them, deletions of them; each at its own moment."""
    moments = draw(st.lists(st.integers(0, 90), min_size=1, max_size=14, unique=True))
    happened: list[Told] = []
    for number, moment in enumerate(sorted(moments)):
        at = T0 + moment * 600_000
        follower = draw(st.sampled_from(["ada", "bob"]))
        comments = [told for told in happened if told.kind == "comment" and told.follower == follower]
        deleted = {told.of for told in happened if told.kind == "delete"}
        kinds = ["comment", "comment", "comment", "reply", "reply", "delete", "hide", "unhide", "decide"]
        kind = draw(st.sampled_from(kinds)) if comments else "comment"
        if kind in ("hide", "unhide"):
            happened.append(Told(kind, at, f"x{number}", follower, of=draw(st.sampled_from(comments)).id))
        elif kind == "decide":
            happened.append(Told(kind, at, f"x{number}", follower))
        elif kind == "delete":
            there = [told for told in comments if told.id not in deleted]
            if not there:
                continue
            happened.append(Told("delete", at, f"x{number}", follower, of=draw(st.sampled_from(there)).id))
        elif kind == "reply":
            parent = draw(st.sampled_from(comments))
            automatic = draw(st.integers(0, 4)) == 0
            happened.append(Told("reply", at, f"x{number}", follower, of=parent.id, automatic=automatic))
        else:
            happened.append(Told("comment", at, f"x{number}", follower))
    return happened


def as_interaction(told: Told) -> Interaction:
    """What a platform would send."""
    if told.kind == "comment":
        return interaction("comment", told.id, told.at, follower=told.follower)
    if told.kind == "reply":
        return interaction("reply", told.id, told.at, follower=told.follower, parent=told.of, automatic=told.automatic)
    return interaction(cast(Kind, told.kind), told.id, told.at, follower=told.follower, of=told.of)


def tell(story: Story, told: Told, at: int) -> None:
    """One record of the log."""
    if told.kind != "decide":
        story.tell(as_interaction(told), at)
        return
    # Each decision is about an exchange of its own, so none takes another one back.
    story.control(
        Decided(
            id=told.id, brand="acme", platform="generic", thread="post-1", follower=told.follower,
            exchange=told.id, at=utc(told.at), by="Grace", why="",
        ),
        at,
    )  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(happened=happenings(), data=st.data())
def test_any_order_and_any_repetition_end_in_the_exchanges_of_the_model(
    happened: list[Told], data: st.DataObject
) -> None:
    arriving = data.draw(st.permutations(happened + data.draw(st.lists(st.sampled_from(happened), max_size=6))))
    pauses = data.draw(st.lists(st.integers(0, 5 * HOUR), min_size=len(arriving), max_size=len(arriving)))
    story = Story()
    # In force long before anything happened, so that every comment has the same target.
    story.policy(T0, PolicyRule(target_seconds=TARGET // 1000), effective_from=T0 - DAY)
    clock = T0
    for told, pause in zip(arriving, pauses, strict=True):
        clock += pause
        tell(story, told, clock)
        if pause % 3 == 0:
            story.reopen()
    story.tick(max(clock, T0 + 10 * DAY))

    said = {
        (found.follower.id, found.first.id, found.state, found.breached_at is not None, found.comments)
        for found in story.now()
    }
    assert said == by_hand(happened)
    assert len(story.now()) == len(said)

    assert len({alert.id for alert in story.alerts}) == len(story.alerts), "an alert was sent twice"
    for snapshot in {found.id: found for found in story.snapshots}.values():
        mine = [alert.step for alert in story.alerts if alert.exchange == snapshot.id]
        standing = mine.count("breach") - mine.count("retracted")
        assert standing in (0, 1)
        if snapshot.state == "open":
            assert standing == 1
        if snapshot.breached_at is None or snapshot.state == "superseded":
            assert standing == 0, (snapshot, mine)


versions = st.tuples(
    st.integers(0, 40) | st.integers(0, 3_000),
    st.sampled_from(["reaction", "comment", "share", None]),
    st.integers(0, 9),
)


@settings(max_examples=300, deadline=None)
@given(told=st.lists(versions, min_size=1, max_size=25), data=st.data())
def test_facts_in_any_order_and_any_number_give_the_same_relationship_to_the_last_bit(
    told: list[tuple[int, str | None, int]], data: st.DataObject
) -> None:
    # One fact per object; a version is its moment, so two versions of an object never share one.
    unique = {(moment, thing): (moment, kind, thing) for moment, kind, thing in told}
    facts = list(unique.values())

    def row_of(arriving: list[tuple[int, str | None, int]]) -> FollowerRow:
        row = FollowerRow(
            brand="acme", platform="generic", follower="ada", revision=0, first_seen=utc(T0), last_seen=utc(T0)
        )
        known: dict[int, CountedFact] = {}
        for moment, kind, thing in arriving:
            newer = count(row, known.get(thing), (moment, str(moment)), kind, utc(T0 + moment * 7 * HOUR))
            if newer is not None:
                known[thing] = newer
        return row

    shuffled = data.draw(st.permutations(facts + data.draw(st.lists(st.sampled_from(facts), max_size=5))))
    first, second = row_of(facts), row_of(list(shuffled))
    assert first == second
    assert ms(first.first_seen) == T0
