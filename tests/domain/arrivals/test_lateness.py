"""How long platforms take to tell, and when that is far longer than usual."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.arrivals.lateness import (
    FACTOR,
    LATE_IN_ANY_CASE,
    STEPS,
    WORTH_TELLING,
    counted,
    delay,
    is_late,
    is_relevant,
    late_above,
    of_the_team,
    quantile,
    step_of,
)

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def step(seconds: float) -> int:
    found = step_of("platform", AT, AT + timedelta(seconds=seconds))
    assert found is not None
    return found


def test_a_delay_belongs_to_the_step_that_it_is_within() -> None:
    assert (step(0), step(5), step(6), step(3_600), step(3_601)) == (0, 0, 1, 9, 10)
    assert step_of("platform", AT, AT - timedelta(seconds=3)) == 0, "its clock is ahead of ours"


def test_of_what_is_past_or_has_no_time_of_its_own_no_delay_is_known() -> None:
    assert step_of("receipt", AT, AT) is None
    assert step_of("platform", AT - timedelta(days=4), AT) is None


@given(st.lists(st.floats(0, STEPS[-1]), min_size=1, max_size=60))
def test_a_quantile_is_no_less_than_the_exact_one_and_at_most_its_step(seconds: list[float]) -> None:
    steps: dict[int, int] = {}
    for each in seconds:
        steps[step(each)] = steps.get(step(each), 0) + 1
    for share in (0.5, 0.95):
        exact = sorted(seconds)[max(0, -(-int(share * len(seconds) * 100) // 100) - 1)]
        found = quantile(counted(steps), share)
        assert found is not None
        assert found >= exact or found == STEPS[step(exact)]
    assert quantile(counted({}), 0.5) is None


@given(st.integers(3, 50), st.integers(0, len(STEPS) - 2))
def test_later_is_never_less_late(minutes: int, first: int) -> None:
    usual = 60.0
    sooner, later = is_late(counted({first: minutes}), usual), is_late(counted({first + 1: minutes}), usual)
    assert later or not sooner


def test_an_account_is_late_against_its_own_usual_delay() -> None:
    assert late_above(2.0) == WORTH_TELLING
    assert late_above(3_600) == FACTOR * 3_600
    assert late_above(86_400 * 2) == LATE_IN_ANY_CASE
    hourly = counted({step(3_600): 10})
    assert is_late(hourly, 60.0)
    assert not is_late(hourly, 3_600.0), "it is asked every hour"
    assert not is_late(counted({step(86_400): 10}), None), "nothing is usual yet"


def test_one_straggler_is_no_lateness() -> None:
    assert not is_late(counted({step(86_400): 2}), 5.0)
    assert not is_late(counted({step(86_400): 3, step(1): 3}), 5.0), "half of it is in time"
    assert not is_late(counted({}), 5.0)


def test_the_platforms_part_and_the_teams() -> None:
    received_at = AT + timedelta(hours=3, minutes=10)
    assert delay(AT, received_at) == 11_400
    assert delay(received_at, AT) == 0
    assert of_the_team(received_at, AT + timedelta(hours=5)) == 6_600
    assert of_the_team(received_at, AT + timedelta(hours=2)) == 0, "answered on the platform before we knew"


@pytest.mark.parametrize(
    ("late", "of", "told"),
    [(299, 300, False), (300, 86_400, False), (4_319, 86_400, False), (4_320, 86_400, True), (300, 3_600, True)],
)
def test_a_delay_is_told_where_it_is_a_part_of_the_time(late: float, of: float, told: bool) -> None:
    assert is_relevant(late, of) is told
