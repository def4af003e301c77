"""An account is compared with itself: what is usual for it, and when its silence is longer than that."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.domain.arrivals.rhythm import (
    FACTOR,
    LEAST_FOUND,
    LEAST_MISSED,
    LEAST_SILENCE,
    RECENT,
    Rhythm,
    Silence,
    found_between,
    is_sign,
    learn,
    learned_until,
    silence,
    soonest_quiet,
    usual_between,
)
from tests.domain.arrivals.weeks import END, MONDAY, every, heard, in_the_day, minutes

HEARD = heard()
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def usual(times: list[datetime], known: dict[datetime, int] = HEARD) -> Rhythm:
    found = learn(minutes(times), known, END, UTC, "UTC")
    assert found is not None
    return found


def silent(rhythm: Rhythm, last_at: datetime, now: datetime, known: dict[datetime, int] = HEARD) -> Silence:
    return silence(rhythm, last_at, LONG_AGO, known, now, UTC)


def quiet_after(rhythm: Rhythm, last_at: datetime, known: dict[datetime, int] = HEARD) -> timedelta:
    """How long it takes until it is quiet."""
    now = last_at
    while not silent(rhythm, last_at, now, known).quiet:
        now += timedelta(minutes=10)
        assert now < END + timedelta(weeks=11), "it never becomes quiet"
    return now - last_at


def test_a_lively_account_is_quiet_after_an_hour_of_silence_in_the_day() -> None:
    rhythm = usual(every(FIVE, in_the_day))
    monday_at_ten = END + timedelta(hours=10)
    assert rhythm.usual_at(monday_at_ten, UTC) == 12
    assert not silent(rhythm, monday_at_ten, monday_at_ten + timedelta(minutes=50)).quiet
    found = silent(rhythm, monday_at_ten, monday_at_ten + timedelta(hours=1, minutes=10))
    assert found.quiet
    assert found.since == monday_at_ten
    assert round(found.missed) == 14


def test_a_night_and_a_weekend_are_no_silence() -> None:
    rhythm = usual(every(FIVE, in_the_day))
    friday_evening = END + timedelta(days=4, hours=19, minutes=59)
    monday_morning = friday_evening + timedelta(days=2, hours=12)
    assert silent(rhythm, friday_evening, monday_morning).missed < 1
    # On Monday it counts from where it would have begun again.
    assert timedelta(days=2, hours=13) < quiet_after(rhythm, friday_evening) < timedelta(days=2, hours=14)


def test_three_comments_a_week_are_not_quiet_after_two_days_but_after_weeks() -> None:
    rhythm = usual([MONDAY + timedelta(weeks=week, days=day, hours=9 + week) for week in range(8) for day in (0, 2, 4)])
    last_at = END - timedelta(hours=1)
    assert not silent(rhythm, last_at, last_at + timedelta(days=2)).quiet
    assert not silent(rhythm, last_at, last_at + timedelta(days=14)).quiet
    assert timedelta(weeks=3) < quiet_after(rhythm, last_at) < timedelta(weeks=5)


def test_an_account_that_pauses_often_may_pause() -> None:
    """It is lively for two days and silent for two: its own pauses are usual for it."""
    rhythm = usual(every(FIVE, lambda at: (at - MONDAY).days % 4 < 2))
    assert quiet_after(rhythm, END) > timedelta(days=2)


def test_one_outage_of_the_past_does_not_make_the_next_one_invisible() -> None:
    calm = every(FIVE, in_the_day)
    out = [at for at in calm if not MONDAY + timedelta(weeks=5) <= at < MONDAY + timedelta(weeks=5, days=2)]
    assert quiet_after(usual(out), END + timedelta(hours=10)) < timedelta(hours=2)


def test_a_burst_is_not_the_rhythm() -> None:
    """A thousand comments within a minute are one minute."""
    burst = [MONDAY + timedelta(days=9, hours=12, seconds=second / 20) for second in range(1000)]
    assert usual(every(FIVE) + burst).per_hour == usual(every(FIVE)).per_hour


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([], id="nothing came"),
        pytest.param(every(FIVE, weeks=2), id="two weeks"),
        pytest.param(every(timedelta(days=3)), id="too little"),
    ],
)
def test_a_new_account_has_no_rhythm(times: list[datetime]) -> None:
    assert learn(minutes(times), HEARD, END, UTC, "UTC") is None


def test_hours_in_which_rapport_did_not_listen_are_no_silence_and_not_calm_either() -> None:
    away_from, away_until = MONDAY + timedelta(weeks=3), MONDAY + timedelta(weeks=4)
    known = {hour: bits for hour, bits in HEARD.items() if not away_from <= hour < away_until}
    rhythm = usual([at for at in every(FIVE) if not away_from <= at < away_until], known)
    assert rhythm.per_hour == usual(every(FIVE)).per_hour
    assert rhythm.longest == 0
    later = {hour: bits for hour, bits in HEARD.items() if hour < END or hour >= END + timedelta(hours=8)}
    assert not silent(rhythm, END, END + timedelta(hours=8), later).quiet
    assert silent(rhythm, END, END + timedelta(hours=10), later).quiet


def test_silence_counts_from_a_connection_that_came_later() -> None:
    rhythm = usual(every(FIVE))
    connected_at, now = END + timedelta(days=3), END + timedelta(days=3, minutes=30)
    found = silence(rhythm, END, connected_at, HEARD, now, UTC)
    assert (found.since, found.quiet) == (connected_at, False)


def test_what_the_brand_does_and_what_is_old_is_no_sign() -> None:
    now = END
    assert is_sign("comment", False, now, now)
    assert is_sign("reaction", False, now - RECENT, now)
    assert not is_sign("comment", False, now - RECENT - timedelta(seconds=1), now), "an import"
    assert not is_sign("comment", True, now, now), "staff"
    for kind in ("reply", "post", "hide", "unhide", "block"):
        assert not is_sign(kind, False, now, now)


def test_summer_time_does_not_move_what_is_usual() -> None:
    """Office hours in Berlin: after the clocks were put back, the first hour is another one in UTC."""
    berlin = ZoneInfo("Europe/Berlin")
    begin, end = datetime(2026, 9, 28, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
    times, at = [], begin
    while at < end:
        shown = at.astimezone(berlin)
        if 9 <= shown.hour < 17:
            times.append(at)
        at += FIVE
    found = learn(minutes(times), heard(begin), end, berlin, "Europe/Berlin")
    assert found is not None
    assert set(found.per_hour) == {0.0, 12.0}
    assert found.usual_at(datetime(2026, 10, 20, 7, tzinfo=UTC), berlin) == 12
    assert found.usual_at(datetime(2026, 11, 20, 7, tzinfo=UTC), berlin) == 0


@st.composite
def accounts(draw: st.DrawFn) -> dict[datetime, int]:
    """Any account: some hours of eight weeks, each with some minutes."""
    hours = draw(st.lists(st.integers(0, 8 * 168 - 1), min_size=1, max_size=120, unique=True))
    return {MONDAY + timedelta(hours=hour): draw(st.integers(1, (1 << 60) - 1)) for hour in hours}


@settings(max_examples=60, deadline=None)
@given(accounts(), st.lists(st.integers(0, 60 * 24 * 40), min_size=2, max_size=6), st.integers(0, 60 * 48))
def test_silence_only_grows(account: dict[datetime, int], after: list[int], last: int) -> None:
    rhythm = learn(account, HEARD, END, UTC, "UTC")
    if rhythm is None:
        return
    last_at = END + timedelta(minutes=last)
    found = [silent(rhythm, last_at, last_at + timedelta(minutes=each)) for each in sorted(after)]
    missed = [each.missed for each in found]
    assert missed == sorted(missed)
    assert [each.quiet for each in found] == sorted(each.quiet for each in found)
    for each, minute in zip(found, sorted(after), strict=True):
        assert not each.quiet or (each.missed >= LEAST_MISSED and timedelta(minutes=minute) >= LEAST_SILENCE)
        assert each.enough >= FACTOR * rhythm.longest


@settings(max_examples=60, deadline=None)
@given(accounts(), st.integers(-11, 13), st.integers(0, 60 * 24 * 20))
def test_it_makes_no_difference_in_which_zone_the_hours_of_the_week_are_counted(
    account: dict[datetime, int], hours: int, after: int
) -> None:
    zone = timezone(timedelta(hours=hours, minutes=30))
    here, there = learn(account, HEARD, END, UTC, "UTC"), learn(account, HEARD, END, zone, "there")
    assert (here is None) == (there is None)
    if here is None or there is None:
        return
    now = END + timedelta(minutes=after)
    one, other = silence(here, END, LONG_AGO, HEARD, now, UTC), silence(there, END, LONG_AGO, HEARD, now, zone)
    assert one.missed == pytest.approx(other.missed)
    assert one.enough == pytest.approx(other.enough)


@settings(max_examples=60, deadline=None)
@given(accounts())
def test_without_three_weeks_of_history_nothing_is_usual(account: dict[datetime, int]) -> None:
    rhythm = learn(account, HEARD, END, UTC, "UTC")
    enough = (
        END - min(account) >= timedelta(weeks=3) and sum(bits.bit_count() for bits in account.values()) >= LEAST_FOUND
    )
    assert (rhythm is not None) == enough


@settings(max_examples=60, deadline=None)
@given(accounts(), st.integers(0, 60 * 24 * 30))
def test_nobody_becomes_quiet_before_they_are_looked_at_again(account: dict[datetime, int], after: int) -> None:
    rhythm = learn(account, HEARD, END, UTC, "UTC")
    if rhythm is None:
        return
    now = END + timedelta(minutes=after)
    found = silent(rhythm, END, now)
    if found.quiet:
        return
    soonest = soonest_quiet(rhythm, found, now, UTC)
    before = (soonest or now + timedelta(weeks=4)) - timedelta(minutes=1)
    assert before < now or not silent(rhythm, END, before).quiet


@settings(max_examples=60, deadline=None)
@given(accounts(), st.integers(0, 60 * 24 * 50), st.integers(0, 60 * 24 * 5))
def test_what_was_found_is_counted_between_two_times(account: dict[datetime, int], begin: int, length: int) -> None:
    began = MONDAY + timedelta(minutes=begin)
    ended = began + timedelta(minutes=length)
    wanted = sum(
        began < hour + timedelta(minutes=minute) and hour + timedelta(minutes=minute) < ended
        for hour, bits in account.items()
        for minute in range(60)
        if bits >> minute & 1
    )
    assert found_between(account, began, ended) == wanted
    assert usual_between([60.0] * 168, began, ended, account, UTC) == pytest.approx(wanted)


def test_what_is_learned_ends_before_the_day_of_the_last_arrival() -> None:
    assert learned_until(datetime(2026, 11, 24, 14, 3, tzinfo=UTC)) == datetime(2026, 11, 24, tzinfo=UTC)
