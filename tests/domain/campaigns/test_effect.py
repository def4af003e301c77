from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.campaigns.effect import at_least, due_at, next_due, stage_after, week_of
from rapport.domain.relationships.relationship import DEFAULT, STAGES

FIRST = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).date().isoformat()


def test_the_stage_is_told_once_the_day_is_over() -> None:
    assert due_at(FIRST, 30) == datetime(2026, 4, 1, tzinfo=UTC)
    assert next_due(FIRST, FIRST) == due_at(FIRST, 30)
    assert next_due(FIRST, due_at(FIRST, 30)) == due_at(FIRST, 90)
    assert next_due(FIRST, due_at(FIRST, 90)) is None


def test_what_was_done_after_the_day_does_not_count_and_what_was_done_on_it_does() -> None:
    days = {day(0): {"comment": 1}, day(30): {"comment": 5}, day(31): {"purchase": 1}}
    assert stage_after(days, FIRST, 30, DEFAULT) == "likes"
    assert stage_after({day(0): {"comment": 1}}, FIRST, 30, DEFAULT) == "new"
    assert stage_after(days, FIRST, 90, DEFAULT) == "buys"


def test_who_was_lost_is_new_again() -> None:
    assert stage_after({day(0): {"comment": 2, "follow": 1}}, FIRST, 90, DEFAULT) == "new"


def test_nothing_is_told_where_the_first_days_are_forgotten() -> None:
    assert stage_after({day(0): {"comment": 1}, day(401): {"comment": 1}}, FIRST, 30, DEFAULT) is None
    assert stage_after({}, FIRST, 30, DEFAULT) == "new"


def test_a_week_is_the_calendars() -> None:
    assert week_of(datetime(2027, 1, 1, tzinfo=UTC)) == "2026-W53"


def test_a_stage_includes_the_ones_above_it() -> None:
    assert at_least({"new": 4, "knows": 3, "buys": 1}, "knows") == 4


@given(st.dictionaries(st.integers(0, 120), st.integers(1, 6), max_size=8), st.sampled_from([30, 90]))
def test_later_days_change_nothing(counts: dict[int, int], after: int) -> None:
    days = {day(number): {"comment": times} for number, times in counts.items()}
    before = {each: kinds for each, kinds in days.items() if each <= day(after)}
    assert stage_after(days, FIRST, after, DEFAULT) == stage_after(before, FIRST, after, DEFAULT)
    assert stage_after(days, FIRST, after, DEFAULT) in STAGES
