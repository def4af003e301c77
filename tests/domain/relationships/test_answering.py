"""What answering does to relationships."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.relationships.answering import OUTCOMES, Moved, moved
from rapport.domain.relationships.counting import KEPT_DAYS
from rapport.domain.relationships.relationship import DEFAULT

OPENED = datetime(2026, 9, 10, 12, 0, tzinfo=UTC)
DUE = OPENED + timedelta(days=1)


def day(after: int) -> str:
    """The day so many days after the comment."""
    return (OPENED + timedelta(days=after)).date().isoformat()


def after(days: dict[str, dict[str, int]]) -> Moved:
    """What became of a follower with these days."""
    found = moved(days, OPENED, DUE, DEFAULT)
    assert found is not None
    return found


def test_who_goes_on_after_an_answer_rose_and_who_goes_silent_fell() -> None:
    came = {day(-1): {"comment": 2}}
    assert after({**came, day(20): {"share": 3, "comment": 3}}).direction == "rose"
    fading = {day(-2): {"comment": 2, "reaction": 1}}
    assert after(fading).direction == "fell"
    assert after({}).direction == "stayed"


def test_the_comment_itself_and_what_comes_after_the_window_count_for_neither() -> None:
    assert after({day(0): {"comment": 5}}).before == "new"
    assert after({day(33): {"purchase": 1}}).after == "new"
    assert after({day(31): {"purchase": 1}}).after == "buys"


@given(
    kinds=st.dictionaries(
        st.integers(-40, 40), st.dictionaries(st.sampled_from(sorted(DEFAULT.weights)), st.integers(1, 4))
    )
)
def test_the_outcome_itself_moves_nobody(kinds: dict[int, dict[str, int]]) -> None:
    days = {day(after): counts for after, counts in kinds.items()}
    without = {each: {kind: n for kind, n in counts.items() if kind not in OUTCOMES} for each, counts in days.items()}
    assert moved(days, OPENED, DUE, DEFAULT) == moved(without, OPENED, DUE, DEFAULT)


def test_nothing_is_said_of_a_time_of_which_days_are_not_kept() -> None:
    assert moved({day(KEPT_DAYS - 2): {"comment": 1}}, OPENED, DUE, DEFAULT) is not None
    assert moved({day(KEPT_DAYS): {"comment": 1}}, OPENED, DUE, DEFAULT) is None
