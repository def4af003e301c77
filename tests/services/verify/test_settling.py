"""What differs in a log that moves on, told with a clock of the test's own."""

from collections.abc import Mapping, Sequence
from typing import cast

from rapport.kit.mongo import Document
from services.verify.compare import Comparison, Difference, Found
from services.verify.settle import MOVING_FACTOR, Settling

SETTLE = 10.0


class _Views:
    """A comparison whose two sides a test sets: by id, of exchanges a state, of hours counts."""

    def __init__(self) -> None:
        self.mongodb: dict[str, object] = {}
        self.log: dict[str, object] = {}

    def found(self, _what: str, ids: Sequence[str]) -> Found:
        return {one: {"counts": self.mongodb[one]} for one in ids if one in self.mongodb}

    def some(self, what: str, ids: Sequence[str], found: Found | None = None) -> Mapping[str, list[Difference]]:
        shown = self.mongodb if found is None else {one: each["counts"] for one, each in found.items()}
        return {
            one: [Difference(what, one, "state", shown.get(one), self.log.get(one))]
            for one in ids
            if shown.get(one) != self.log.get(one)
        }


class _Story:
    """A settling, its views, and its clock."""

    def __init__(self) -> None:
        self.views = _Views()
        self.now = 0.0
        self.settling = Settling(
            cast(Comparison, self.views), lambda hour: dict(self.hour(hour)), SETTLE, lambda: self.now
        )
        self.done = 0

    def hour(self, hour: str) -> Mapping[str, int]:
        return cast(Mapping[str, int], self.views.log.get(hour, {}))

    def begin(self, what: str, *ids: str) -> None:
        self.settling.add(self.views.some(what, ids), 1)

    def look(self, after: float, *, number: int, done: int = 0, log: Document | None = None) -> None:
        """After some seconds: MongoDB's hours are read, the log goes on, all is compared again."""
        self.now += after
        hours = self.settling.hours(done, number)
        self.views.log.update(log or {})
        self.settling.look_again(hours, number)

    def differ(self, done: int) -> list[str]:
        assert self.settling.decided(done)
        return [each.id for each in self.settling.outcome(done)[0]]


def test_what_agrees_later_is_no_difference() -> None:
    story = _Story()
    story.views.log["x"] = "answered"
    story.begin("exchange", "x")
    story.look(1, number=2)
    assert len(story.settling) == 1
    story.views.mongodb["x"] = "answered"
    story.look(1, number=2)
    assert story.differ(0) == []


def test_a_difference_is_one_only_when_it_settled_and_scorer_and_projector_are_past_it() -> None:
    story = _Story()
    story.views.log["x"] = "answered"
    story.begin("exchange", "x")
    assert not story.settling.decided(1)
    story.look(SETTLE + 1, number=2)
    assert not story.settling.decided(0)
    assert story.differ(1) == ["x"]


def test_what_changes_has_to_settle_anew_and_to_be_passed_anew() -> None:
    story = _Story()
    story.views.log["x"] = "answered"
    story.begin("exchange", "x")
    story.views.mongodb["x"] = "open"
    story.look(SETTLE - 1, number=3)
    story.look(2, number=4)
    assert not story.settling.decided(9)
    story.look(SETTLE, number=5)
    assert not story.settling.decided(2)
    assert story.differ(3) == ["x"]


def test_what_never_rests_is_left_undecided_in_the_end() -> None:
    story = _Story()
    story.begin("exchange", "x")
    story.views.log["x"] = 0
    story.begin("exchange", "x")
    for number in range(int(SETTLE * MOVING_FACTOR)):
        assert not story.settling.decided(0)
        story.look(1, number=number, log={"x": number + 1})
    assert story.settling.decided(0)
    assert story.settling.outcome(0) == ([], [("exchange", "x")])


def test_an_hour_that_is_being_counted_is_right_between_what_must_and_what_can_be_counted() -> None:
    story = _Story()
    story.views.mongodb["h"], story.views.log["h"] = {"comment": 5}, {"comment": 7}
    story.begin("hour", "h")
    story.look(1, number=2, log={"h": {"comment": 9}})
    story.views.mongodb["h"] = {"comment": 8}
    story.look(1, number=2, done=1, log={"h": {"comment": 11}})
    assert len(story.settling) == 1  # the 7 are only known to be passed with the second round
    story.look(1, number=3, done=2, log={"h": {"comment": 12}})
    assert len(story.settling) == 0


def test_an_hour_below_what_must_or_above_what_can_be_counted_is_wrong() -> None:
    for wrong in ({"comment": 6}, {"comment": 13}, {"comment": 8, "share": 1}, {}):
        story = _Story()
        story.views.mongodb["h"], story.views.log["h"] = wrong, {"comment": 7}
        story.begin("hour", "h")
        story.look(1, number=2, log={"h": {"comment": 10}})
        story.look(1, number=3, done=2, log={"h": {"comment": 11}})
        story.look(SETTLE, number=4, done=3)
        assert story.differ(4) == ["h"]
