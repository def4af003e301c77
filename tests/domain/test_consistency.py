"""How steadily something was published."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.consistency import Due, Span, consistency, gaps, score, weeks

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
ZONE = ZoneInfo("UTC")


def span(days: int = 28, until: datetime | None = None, first: datetime = MONDAY) -> Span:
    """Days from a Monday on, all of them over."""
    return Span(first.date(), (first + (days - 1) * DAY).date(), ZONE, until or first + days * DAY)


def daily(days: int, first: datetime = MONDAY) -> list[datetime]:
    """A post at noon of each of some days."""
    return [first + number * DAY + 12 * HOUR for number in range(days)]


def test_a_week_that_has_more_than_was_wanted_makes_up_for_no_other() -> None:
    posts = [MONDAY + number * HOUR for number in range(10)]
    found = consistency(span(14), posts, None, [], 5)
    assert [(week.published, week.wanted, week.whole) for week in found.weeks] == [(10, 5, True), (0, 5, True)]
    assert (found.adherence, found.streak, found.published) == (0.5, 0, 10)


def test_of_weeks_that_lie_in_the_period_in_part_only_the_part_is_wanted() -> None:
    thursday = MONDAY + 3 * DAY
    found = weeks(span(8, first=thursday), daily(8, thursday), 7)
    assert [(week.monday, week.published, week.wanted, week.whole) for week in found] == [
        (date(2026, 6, 1), 4, 4, False),
        (date(2026, 6, 8), 4, 4, False),
    ]


def test_what_is_wanted_today_is_wanted_when_the_day_is_over() -> None:
    tuesday = MONDAY + DAY + 10 * HOUR
    (week,) = weeks(span(7, tuesday), [MONDAY], 7)
    assert (week.wanted, week.published) == (1, 1)
    assert consistency(span(7, MONDAY + HOUR), [], None, [], 7).adherence is None
    assert consistency(span(7, MONDAY + HOUR), [], None, [], 7).score is None


def test_a_period_that_is_still_to_come_has_no_weeks_and_no_score() -> None:
    found = consistency(span(7, MONDAY - 3 * DAY), [], MONDAY - 4 * DAY, [], 7)
    assert (found.weeks, found.score) == ((), None)
    assert found.gaps.longest is not None
    assert found.gaps.longest.open


def test_a_week_is_that_of_the_brands_zone() -> None:
    late_on_sunday = datetime(2026, 6, 7, 23, 30, tzinfo=UTC)
    auckland = Span(date(2026, 6, 1), date(2026, 6, 14), ZoneInfo("Pacific/Auckland"), MONDAY + 20 * DAY)
    assert [week.published for week in weeks(auckland, [late_on_sunday], 1)] == [0, 1]
    assert [week.published for week in weeks(span(14), [late_on_sunday], 1)] == [1, 0]


@pytest.mark.parametrize(
    ("counts", "until", "streak"),
    [
        ([3, 2, 3, 3], 28 * DAY, 2),
        ([3, 3, 3, 3], 28 * DAY, 4),
        ([3, 3, 3, 0], 28 * DAY, 0),
        ([3, 3, 3, 0], 22 * DAY, 3),
        ([3, 3, 3, 2], 24 * DAY, 3),
        ([0, 3, 3, 0], 14 * DAY + HOUR, 1),
    ],
)
def test_a_streak_is_of_whole_weeks_and_a_week_that_goes_on_does_not_end_it(
    counts: list[int], until: timedelta, streak: int
) -> None:
    posts = [MONDAY + number * WEEK + hour * HOUR for number, count in enumerate(counts) for hour in range(count)]
    found = consistency(span(28, MONDAY + until), [at for at in posts if at < MONDAY + until], None, [], 3)
    assert found.streak == streak


def test_without_a_rhythm_there_is_no_score_but_all_that_needs_none() -> None:
    found = consistency(span(7), daily(7), None, [Due("a", MONDAY, MONDAY)], None)
    assert (found.score, found.adherence, found.streak) == (None, None, None)
    assert found.gaps.evenness == 1
    assert found.on_time is not None
    assert found.on_time.value == 1


def test_a_planned_post_is_on_time_up_to_a_quarter_of_an_hour_and_one_that_is_missing_never() -> None:
    minute = timedelta(minutes=1)
    due = [
        Due("a", MONDAY, MONDAY + 15 * minute),
        Due("a", MONDAY, MONDAY - 15 * minute),
        Due("a", MONDAY, MONDAY + 16 * minute),
        Due("a", MONDAY, None),
    ]
    found = consistency(span(7), daily(7), None, due, 7)
    assert found.on_time is not None
    assert found.kept is not None
    assert (found.due, found.on_time.value, found.kept.value) == (4, 0.5, 0.75)
    assert found.score == pytest.approx(100 * (0.5 + 0.3 + 0.2 * 0.5))


def test_the_gaps_have_a_mean_a_variance_and_the_longest_of_them() -> None:
    times = [MONDAY, MONDAY + 24 * HOUR, MONDAY + 72 * HOUR]
    found = gaps(times, None, MONDAY + 80 * HOUR)
    assert (found.ended, found.mean, found.variance, found.evenness) == (2, 36, 288, None)
    assert found.longest is not None
    assert (found.longest.start, found.longest.end) == (times[1], times[2])
    assert not found.longest.open
    lasting = gaps(times, None, MONDAY + 172 * HOUR).longest
    assert lasting is not None
    assert (lasting.start, lasting.end, lasting.open) == (times[2], MONDAY + 172 * HOUR, True)


def test_a_gap_that_began_before_the_period_is_whole() -> None:
    found = gaps([MONDAY + DAY], MONDAY - 9 * DAY, MONDAY + 2 * DAY)
    assert found.longest is not None
    assert found.longest.end - found.longest.start == 10 * DAY
    assert gaps([], None, MONDAY).longest is None
    assert gaps([MONDAY], None, MONDAY + DAY).ended == 0


def test_the_same_on_three_platforms_makes_no_gap() -> None:
    thrice = [at + timedelta(minutes=minutes) for at in daily(5) for minutes in (0, 5, 30)]
    assert gaps(thrice, None, MONDAY + 5 * DAY) == gaps(daily(5), None, MONDAY + 5 * DAY)


def test_the_evenness_of_bursts_is_low() -> None:
    bursts = [MONDAY + number * 10 * DAY + hour * HOUR for number in range(3) for hour in range(0, 40, 2)]
    found = gaps(bursts, None, MONDAY + 30 * DAY)
    assert found.evenness is not None
    assert found.evenness < 0.15
    assert gaps(daily(9), None, MONDAY + 9 * DAY).evenness == 1


def test_what_is_not_known_leaves_the_other_parts_their_weights() -> None:
    assert score(None, 1, 1) is None
    assert score(0.5, None, None) == 50
    assert score(1, 0.5, None) == pytest.approx(100 * (0.5 + 0.15) / 0.8)
    assert score(1, None, 0) == pytest.approx(100 * 0.5 / 0.7)


TIMES = st.lists(st.integers(0, 28 * 24 * 60 - 1).map(lambda minutes: MONDAY + timedelta(minutes=minutes)), max_size=60)


@given(TIMES, st.floats(0.1, 200), st.integers(1, 28 * 24 * 60))
def test_every_figure_is_within_its_bounds_and_of_no_order(times: list[datetime], wanted: float, minutes: int) -> None:
    until = MONDAY + timedelta(minutes=minutes)
    known = [at for at in times if at < until]
    found = consistency(span(28, until), known, None, [], wanted)
    assert found == consistency(span(28, until), sorted(known, reverse=True), None, [], wanted)
    assert sum(week.published for week in found.weeks) == len(known)
    assert found.adherence is None or 0 <= found.adherence <= 1
    assert found.score is None or 0 <= found.score <= 100 + 1e-9
    more = consistency(span(28, until), [*known, until - timedelta(minutes=1)], None, [], wanted)
    assert found.adherence is None or (more.adherence is not None and more.adherence >= found.adherence)
