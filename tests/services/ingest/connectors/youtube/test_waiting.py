"""The comments of a channel that wait for an answer, without a channel: a story of what was there and what was not."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.contracts.events import Actor, Interaction, Object, Parent
from services.ingest.connectors.youtube.waiting import (
    A_PART,
    AT_ONCE,
    AT_ONCE_AGAIN,
    KEPT,
    MOST,
    PARTS,
    SECOND_AFTER,
    SOONEST,
    Outcome,
    WaitingRoom,
    written,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def said(id: str, at: datetime = NOW, *, kind: str = "comment", parent: str | None = None) -> Interaction:
    return Interaction(
        id=id, brand="brand", platform="youtube", account="account", kind=kind,  # type: ignore[arg-type]
        actor=Actor("UCada"), object=Object(id, f"https://www.youtube.com/watch?v=video&lc={id}"),
        conversation="video", thread="video", post="video", occurred_at=at, observed_at=at,
        parent=Parent(parent) if parent else None,
    )  # fmt: skip


class Room:
    """One that is stored after each step, and may begin again with what was stored."""

    def __init__(self) -> None:
        self.stored: dict[int, str] = {}
        self.room = WaitingRoom({})

    def restart(self) -> None:
        self.room = WaitingRoom(self.stored)

    def told(self, *interactions: Interaction, now: datetime = NOW) -> None:
        self._keep(self.room.told(interactions, now))

    def looked(self, asked: list[str], there: set[str], now: datetime) -> Outcome:
        outcome = self.room.looked(asked, there, now)
        self._keep(outcome.change)
        return outcome

    def ids(self) -> set[str]:
        found = [self.room.get(f"c{number}") for number in range(3_000)]
        return {each.id for each in found if each is not None}

    def _keep(self, change: object) -> None:
        parts = self.room.after(change)  # type: ignore[arg-type]
        self.stored |= {number: written(part) for number, part in parts.items()}
        self.room.keep(parts)


def room(*comments: str) -> Room:
    made = Room()
    made.told(*map(said, comments))
    return made


def names(found: Outcome) -> tuple[list[str], list[str]]:
    return [each.id for each in found.gone], [each.id for each in found.back]


def test_a_comment_is_gone_once_it_was_missing_twice_and_some_minutes_apart() -> None:
    its = room("c1")
    assert names(its.looked(["c1"], set(), NOW)) == ([], [])
    assert names(its.looked(["c1"], set(), NOW + SECOND_AFTER - timedelta(seconds=1))) == ([], [])
    found = its.looked(["c1"], set(), NOW + SECOND_AFTER)
    assert names(found) == (["c1"], [])
    assert found.gone[0].missed_at == NOW, "since it was first missing"
    assert names(its.looked(["c1"], set(), NOW + timedelta(hours=1))) == ([], []), "told once"


def test_one_that_was_there_in_between_was_not_missing_twice() -> None:
    its = room("c1")
    its.looked(["c1"], set(), NOW)
    its.looked(["c1"], {"c1"}, NOW + timedelta(minutes=10))
    assert names(its.looked(["c1"], set(), NOW + timedelta(minutes=20))) == ([], [])


def test_one_that_is_back_is_told_and_may_go_again() -> None:
    its = room("c1")
    its.looked(["c1"], set(), NOW)
    its.looked(["c1"], set(), NOW + timedelta(minutes=10))
    found = its.looked(["c1"], {"c1"}, NOW + timedelta(minutes=20))
    assert names(found) == ([], ["c1"])
    assert found.back[0].missed_at == NOW, "which hiding has ended"
    its.looked(["c1"], set(), NOW + timedelta(minutes=30))
    assert names(its.looked(["c1"], set(), NOW + timedelta(minutes=40))) == (["c1"], [])


def test_one_of_which_nobody_knows_whether_it_was_told_is_told_when_it_is_back_and_else_again() -> None:
    its = room("c1", "c2")
    its.looked(["c1", "c2"], set(), NOW)
    gone = its.room.looked(["c1", "c2"], set(), NOW + timedelta(minutes=10)).gone
    its._keep(its.room.begins(gone))
    its.restart()
    assert names(its.looked(["c1", "c2"], {"c1"}, NOW + timedelta(minutes=20))) == (["c2"], ["c1"])
    assert names(its.looked(["c1"], {"c1"}, NOW + timedelta(minutes=30))) == ([], []), "told once"


def test_what_is_answered_or_old_or_has_no_name_of_youtubes_is_not_looked_after() -> None:
    its = room("c1", "c2")
    its.told(said("r1", kind="reply", parent="c1"))
    its.told(said("c3"), said("r3", kind="reply", parent="c3"))
    its.told(said("c4", NOW - KEPT))
    its.told(said("c,5"), said("c" * 101), said("c6/"))
    assert its.ids() == {"c2"}
    assert its.room.outlived(NOW + KEPT) == {}
    assert its.room.outlived(NOW + KEPT + timedelta(seconds=1)) == {"c2": None}
    assert its.room.due((), NOW + KEPT + timedelta(seconds=1)) == []


def test_what_the_list_shows_is_not_asked_for_and_all_else_less_and_less_often() -> None:
    its = room("c1", "c2")
    asked_after = []
    now = NOW
    while now < NOW + KEPT:
        now += timedelta(minutes=1)
        if due := its.room.due({"c2"}, now):
            assert due == ["c1"]
            asked_after.append(now - NOW)
            its.looked(due, {"c1"}, now)
    assert asked_after[:4] == [SOONEST * number for number in (1, 2, 3, 4)]
    assert len(asked_after) <= 30
    for before, after in itertools.pairwise(asked_after):
        assert after - before <= max(SOONEST, before / 4) + timedelta(minutes=1)


def test_one_that_vanished_from_the_list_is_asked_for_at_once_and_the_others_with_it() -> None:
    its = room("c1", "c2", "c3", "c4")
    its.room.listed(["c4", "c3", "c2"], whole=False)
    its.room.listed(["c5", "c4", "c2"], whole=False)
    shown = {"c5", "c4", "c2"}
    assert its.room.due(shown, NOW + timedelta(minutes=1)) == ["c3", "c1"]
    its.looked(["c3"], {"c3"}, NOW + timedelta(minutes=1))
    assert its.room.due(shown, NOW + timedelta(minutes=2)) == [], "only once"


def test_newer_threads_push_others_off_the_list_without_a_suspicion() -> None:
    its = room("c1", "c2", "c3")
    its.room.listed(["c3", "c2", "c1"], whole=False)
    its.room.listed(["c5", "c4", "c3"], whole=False)
    assert its.room.due({"c5", "c4", "c3"}, NOW + timedelta(minutes=1)) == []
    its.room.listed(["c8", "c7", "c6"], whole=False)
    assert its.room.due({"c8", "c7", "c6"}, NOW + timedelta(minutes=1)) == []
    its.room.listed([], whole=True)
    assert its.room.due((), NOW + timedelta(minutes=1)) == []


def test_a_whole_list_that_lacks_one_makes_it_suspicious_wherever_it_stood() -> None:
    its = room("c1", "c2")
    its.room.listed(["c2", "c1"], whole=True)
    its.room.listed(["c2"], whole=True)
    assert its.room.due({"c2"}, NOW + timedelta(minutes=1)) == ["c1"]


def test_a_second_look_comes_first_and_asks_for_fewer() -> None:
    its = room(*(f"c{number}" for number in range(200)))
    later = NOW + timedelta(hours=1)
    assert len(its.room.due((), later)) == AT_ONCE
    its.looked(["c150"], set(), later)
    assert "c150" not in its.room.due((), later + SECOND_AFTER - timedelta(seconds=1))
    due = its.room.due((), later + SECOND_AFTER)
    assert (due[0], len(due)) == ("c150", AT_ONCE_AGAIN)
    assert its.room.again((), later + SECOND_AFTER)
    assert not its.room.again({"c150"}, later + SECOND_AFTER)


def test_beyond_so_many_the_oldest_are_not_looked_after_and_what_is_stored_is_bounded() -> None:
    its = Room()
    for number in range(0, MOST + 300, 100):
        its.told(*(said(f"c{each}", NOW + timedelta(seconds=each)) for each in range(number, number + 100)))
    kept = its.ids()
    assert len(kept) == MOST
    assert kept == {f"c{number}" for number in range(300, MOST + 300)}
    assert len(its.stored) == PARTS
    assert max(map(len, its.stored.values())) < A_PART * 300


@pytest.mark.parametrize("text", ["", "x", "{}", "[1]", '[["c1"]]', '[["c1","2026-05-04"]]', "[" * 1_000])
def test_a_part_that_cannot_be_read_is_empty(text: str) -> None:
    its = WaitingRoom({0: text, 1: '[["c2","2026-05-04T12:00:00Z",null,null,false]]'})
    assert its.get("c1") is None
    assert its.get("c2") is not None


steps = st.lists(
    st.tuples(st.sampled_from(["c1", "c2", "c3"]), st.booleans(), st.integers(0, 12), st.booleans()), max_size=30
)


@given(steps=steps)
def test_however_it_goes_a_comment_is_hidden_after_two_misses_and_shown_after_one_sight(
    steps: list[tuple[str, bool, int, bool]],
) -> None:
    its = room("c1", "c2", "c3")
    now = NOW
    missed: dict[str, datetime | None] = dict.fromkeys(("c1", "c2", "c3"))
    hidden = dict.fromkeys(missed, False)
    for name, there, minutes, restarts in steps:
        now += timedelta(minutes=minutes)
        if restarts:
            its.restart()
        since, was = missed[name], hidden[name]
        found = names(its.looked([name], {name} if there else set(), now))
        if there:
            missed[name], hidden[name] = None, False
            assert found == ([], [name] if was else [])
        elif since is None:
            missed[name] = now
            assert found == ([], [])
        else:
            hidden[name] = was or now - since >= SECOND_AFTER
            assert found == ([name] if hidden[name] and not was else [], [])
        for each in missed:
            one = its.room.get(each)
            assert one is not None
            assert (one.missed_at, one.hidden) == (missed[each], hidden[each])
