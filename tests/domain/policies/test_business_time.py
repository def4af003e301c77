"""When a clock is due that runs in open hours only. Examples are stories; the rest is counted minute by minute."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import groupby, pairwise
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.business_hours import WEEKDAYS, Calendar, Hours, Override
from rapport.domain.policies.business_time import (
    LONGEST_SEARCH_DAYS,
    CalendarError,
    Closed,
    Flaw,
    business,
    check,
    due,
    open_between,
    skipped,
)
from rapport.domain.policies.business_time import zone as zone_of
from rapport.domain.times import ms

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

NINE_TO_FIVE: Hours = (("09:00", "17:00"),)
ALWAYS: Hours = (("00:00", "24:00"),)


def office(zone: str = "Europe/Oslo", hours: Hours = NINE_TO_FIVE, **names: str) -> Calendar:
    """Monday to Friday; closed on the dates named like `d2026_12_25="Christmas"`."""
    return Calendar(
        timezone=zone,
        week=dict.fromkeys(WEEKDAYS[:5], hours),
        overrides={day[1:].replace("_", "-"): Override(name=name) for day, name in names.items()},
    )


def around_the_clock(zone: str, **more: Any) -> Calendar:
    return Calendar(timezone=zone, week=dict.fromkeys(WEEKDAYS, ALWAYS), **more)


def at(text: str, zone: str = "Europe/Oslo", *, again: bool = False) -> int:
    """Wall time as ms; `again` for the second time that it comes."""
    return ms(datetime.fromisoformat(text).replace(tzinfo=zone_of(zone), fold=int(again)))


# A comment comes in


def test_without_a_calendar_every_hour_counts() -> None:
    assert due(at("2026-11-20 16:00"), 20 * HOUR, None) == at("2026-11-21 12:00")


def test_a_comment_late_on_friday_is_due_on_monday() -> None:
    assert due(at("2026-11-20 16:00"), 4 * HOUR, office()) == at("2026-11-23 12:00")


def test_a_comment_at_night_starts_its_clock_in_the_morning() -> None:
    assert due(at("2026-11-23 23:30"), HOUR, office()) == at("2026-11-24 10:00")


def test_a_clock_that_runs_out_when_the_office_closes_is_due_then_and_not_the_next_morning() -> None:
    assert due(at("2026-11-23 16:00"), HOUR, office()) == at("2026-11-23 17:00")
    assert due(at("2026-11-23 16:00"), HOUR + 1, office()) == at("2026-11-24 09:00") + 1


def test_a_day_of_open_hours_takes_three_days_of_eight() -> None:
    assert due(at("2026-11-23 09:00"), 24 * HOUR, office()) == at("2026-11-25 17:00")


def test_four_weeks_of_open_hours_take_eighty_four_days_of_eight() -> None:
    assert due(at("2026-01-05 09:00"), 28 * DAY, office()) == at("2026-04-30 17:00")


def test_nothing_to_wait_for_is_due_at_once_even_when_closed() -> None:
    assert due(at("2026-11-22 12:00"), 0, office()) == at("2026-11-22 12:00")


def test_a_holiday_moves_the_due_time_and_is_told_apart_from_closed_hours() -> None:
    christmas = office(d2026_12_25="Christmas Day")
    opened = at("2026-12-24 16:00")
    late = due(opened, 2 * HOUR, christmas)
    assert late == at("2026-12-28 10:00")
    assert skipped(opened, late, christmas) == [
        Closed(at("2026-12-24 17:00"), at("2026-12-25 00:00"), None),
        Closed(at("2026-12-25 00:00"), at("2026-12-26 00:00"), "Christmas Day"),
        Closed(at("2026-12-26 00:00"), at("2026-12-28 09:00"), None),
    ]


def test_two_days_of_one_holiday_are_one_span_and_a_day_without_a_name_is_like_any_closed_hours() -> None:
    feast = office(d2026_12_24="Holidays", d2026_12_25="Holidays")
    unnamed = Calendar(timezone="Europe/Oslo", week=feast.week, overrides={"2026-12-24": Override()})
    assert [each.name for each in skipped(at("2026-12-23 17:00"), at("2026-12-26 00:00"), feast)] == [None, "Holidays"]
    assert [each.name for each in skipped(at("2026-12-23 17:00"), at("2026-12-25 09:00"), unnamed)] == [None]


def test_a_short_day_is_open_as_long_as_it_says_and_closed_by_its_name() -> None:
    eve = Override(hours=(("09:00", "12:00"),), name="Christmas Eve")
    calendar = Calendar(timezone="Europe/Oslo", week=office().week, overrides={"2026-12-24": eve})
    assert due(at("2026-12-24 11:00"), 2 * HOUR, calendar) == at("2026-12-25 10:00")
    assert skipped(at("2026-12-24 11:00"), at("2026-12-25 09:00"), calendar) == [
        Closed(at("2026-12-24 12:00"), at("2026-12-25 00:00"), "Christmas Eve"),
        Closed(at("2026-12-25 00:00"), at("2026-12-25 09:00"), None),
    ]


def test_an_override_can_open_a_sunday() -> None:
    calendar = Calendar(
        timezone="Europe/Oslo", week=office().week, overrides={"2026-11-22": Override(hours=(("10:00", "12:00"),))}
    )
    assert due(at("2026-11-21 12:00"), HOUR, calendar) == at("2026-11-22 11:00")


def test_a_lunch_break_stops_the_clock_and_the_order_of_the_intervals_does_not_matter() -> None:
    calendar = office(hours=(("13:00", "17:00"), ("09:00", "12:00")))
    assert due(at("2026-11-23 11:30"), HOUR, calendar) == at("2026-11-23 13:30")
    assert skipped(at("2026-11-23 11:30"), at("2026-11-23 13:30"), calendar) == [
        Closed(at("2026-11-23 12:00"), at("2026-11-23 13:00"), None)
    ]


def test_a_night_shift_goes_on_through_midnight() -> None:
    calendar = around_the_clock("Europe/Oslo")
    night = Calendar(timezone="Europe/Oslo", week=dict.fromkeys(WEEKDAYS, (("00:00", "06:00"), ("22:00", "24:00"))))
    assert due(at("2026-11-23 23:00"), 2 * HOUR, night) == at("2026-11-24 01:00")
    assert skipped(at("2026-11-23 22:00"), at("2026-11-24 06:00"), night) == []
    assert skipped(at("2026-11-23 22:00"), at("2026-11-30 06:00"), calendar) == []


# It is answered


def test_an_answer_counts_the_open_hours_that_it_took() -> None:
    assert business(at("2026-11-20 16:00"), at("2026-11-23 10:00"), office()) == 2 * HOUR


def test_a_comment_and_its_answer_in_one_night_count_the_real_time() -> None:
    assert business(at("2026-11-23 20:00"), at("2026-11-23 22:30"), office()) == 2.5 * HOUR


def test_a_weekend_with_a_holiday_behind_it_is_one_closed_period() -> None:
    easter = office(d2026_04_06="Easter Monday")
    assert business(at("2026-04-03 18:00"), at("2026-04-06 18:00"), easter) == 3 * DAY


def test_an_answer_at_the_very_opening_is_no_longer_in_the_closed_period() -> None:
    assert business(at("2026-11-23 17:00"), at("2026-11-24 09:00") - 1, office()) == 16 * HOUR - 1
    assert business(at("2026-11-23 17:00"), at("2026-11-24 09:00"), office()) == 0


def test_an_answer_in_another_night_counts_the_day_between() -> None:
    assert business(at("2026-11-23 20:00"), at("2026-11-24 20:00"), office()) == 8 * HOUR


def test_an_answer_that_claims_to_be_older_than_its_comment_took_no_time() -> None:
    later, sooner = at("2026-11-23 22:00"), at("2026-11-23 20:00")
    assert (business(later, sooner, office()), open_between(later, sooner, office())) == (0, 0)
    assert skipped(later, sooner, office()) == []


# The clocks change


def test_the_hour_that_is_left_out_in_spring_is_nobodys() -> None:
    calendar = around_the_clock("Europe/Oslo")
    assert due(at("2026-03-29 01:30"), HOUR, calendar) == at("2026-03-29 03:30")
    only = Calendar(timezone="Europe/Oslo", week={"sun": (("02:00", "03:00"),)})
    assert open_between(at("2026-03-29 00:00"), at("2026-03-30 00:00"), only) == 0


def test_the_hour_that_comes_twice_in_autumn_counts_twice() -> None:
    only = Calendar(timezone="Europe/Oslo", week={"sun": (("02:00", "03:00"),)})
    assert open_between(at("2026-10-25 00:00"), at("2026-10-26 00:00"), only) == 2 * HOUR
    assert due(at("2026-10-25 00:00"), 90 * MINUTE, only) == at("2026-10-25 02:30", again=True)


def test_the_evening_that_newfoundland_had_twice_is_open_twice_with_a_minute_of_the_next_day_in_between() -> None:
    zone = "America/St_Johns"
    late = Calendar(timezone=zone, week={"sat": (("23:00", "24:00"),)})
    saturday = at("2010-11-06 22:00", zone)
    assert skipped(saturday, saturday + 5 * HOUR, late) == [
        Closed(saturday, saturday + HOUR, None),
        Closed(saturday + 2 * HOUR, saturday + 2 * HOUR + MINUTE, None),
        Closed(saturday + 3 * HOUR, saturday + 5 * HOUR, None),
    ]


def test_the_friday_that_samoa_left_out_cannot_be_worked_on() -> None:
    zone = "Pacific/Apia"
    assert due(at("2011-12-29 16:00", zone), 2 * HOUR, office(zone)) == at("2012-01-02 10:00", zone)
    assert at("2012-01-02 10:00", zone) - at("2011-12-29 16:00", zone) == 66 * HOUR


# A calendar is looked at before it is used


def test_a_sound_calendar_has_no_flaws() -> None:
    assert check(office(d2028_02_29="Leap day", hours=(("00:00", "12:00"), ("12:00", "24:00")))) == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "America", "../UTC", "localtime", "right/UTC", "x" * 5000, "\0"])
def test_a_zone_that_iana_does_not_know_is_a_flaw(zone: str) -> None:
    assert check(office(zone)) == [Flaw("timezone", f"{zone!r} is not an IANA time zone")]


@pytest.mark.parametrize(
    ("hours", "why"),
    [
        ((("9:00", "17:00"),), "'9:00' is not a time from '00:00' to '24:00'"),
        ((("09:00", "24:01"),), "'24:01' is not a time from '00:00' to '24:00'"),
        ((("09:00", "17:60"),), "'17:60' is not a time from '00:00' to '24:00'"),
        ((("09:00", "17:00\n"),), "'17:00\\n' is not a time from '00:00' to '24:00'"),
        ((("0٩:00", "17:00"),), "'0٩:00' is not a time from '00:00' to '24:00'"),
        ((("17:00", "09:00"),), "17:00–09:00 does not start before it ends"),
        ((("09:00", "09:00"),), "09:00–09:00 does not start before it ends"),
        ((("24:00", "24:00"),), "24:00–24:00 does not start before it ends"),
        ((("12:00", "17:00"), ("09:00", "12:01")), "09:00–12:01 and 12:00–17:00 overlap"),
        ((("09:00", "12:00"), ("09:00", "12:00")), "09:00–12:00 and 09:00–12:00 overlap"),
    ],
)
def test_hours_that_make_no_sense_are_a_flaw_in_the_week_and_on_a_date(hours: Hours, why: str) -> None:
    assert check(Calendar(timezone="UTC", week={"mon": hours})) == [Flaw("week.mon", why)]
    dated = Calendar(timezone="UTC", week=office().week, overrides={"2026-12-24": Override(hours=hours)})
    assert check(dated) == [Flaw("overrides.2026-12-24", why)]


@pytest.mark.parametrize("day", ["2026-02-29", "20261224", "2026-W01-1", "24.12.2026", "2026-12-24T00:00", ""])
def test_a_date_that_is_none_is_a_flaw(day: str) -> None:
    calendar = Calendar(timezone="UTC", week=office().week, overrides={day: Override()})
    assert check(calendar) == [Flaw(f"overrides.{day}", f"{day!r} is not a date like '2026-12-24'")]


@pytest.mark.parametrize("week", [{}, {"mon": ()}])
def test_a_week_that_never_opens_is_a_flaw_whatever_single_dates_say(week: Any) -> None:
    calendar = Calendar(timezone="UTC", week=week, overrides={"2026-12-24": Override(hours=NINE_TO_FIVE)})
    assert check(calendar) == [Flaw("week", "no weekday has open hours, so no clock would ever run out")]


def test_all_flaws_are_named_at_once_and_the_first_of_them_when_it_is_used_all_the_same() -> None:
    calendar = Calendar(timezone="Nowhere", week={"mon": (("9", "x"),)}, overrides={"never": Override()})
    assert [flaw.where for flaw in check(calendar)] == ["timezone", "week.mon", "week.mon", "overrides.never"]
    for use in (lambda: due(0, 1, calendar), lambda: business(0, 1, calendar), lambda: skipped(0, 1, calendar)):
        with pytest.raises(CalendarError, match="timezone: 'Nowhere' is not an IANA time zone") as refused:
            use()
        assert refused.value.where == "timezone"


def test_a_target_that_ten_years_of_a_calendar_do_not_hold_is_refused() -> None:
    rare = Calendar(timezone="UTC", week={"mon": (("09:00", "09:01"),)})
    weeks = LONGEST_SEARCH_DAYS // 7
    assert due(at("2026-11-23 10:00", "UTC"), weeks * MINUTE, rare) > 0
    with pytest.raises(CalendarError, match="fewer than 24 hours"):
        due(at("2026-11-23 10:00", "UTC"), 24 * HOUR, rare)


def test_a_calendar_travels_as_json_and_knows_itself_again() -> None:
    calendar = office(d2026_12_25="Christmas Day")
    again = msgspec.json.decode(msgspec.json.encode(calendar), type=Calendar)
    assert (again, hash(again)) == (calendar, hash(calendar))
    assert again != office(d2026_12_25="Other")
    assert due(at("2026-12-24 16:00"), 2 * HOUR, again) == due(at("2026-12-24 16:00"), 2 * HOUR, calendar)


def test_calendars_that_share_a_hash_keep_apart() -> None:
    one, other = office(d2026_11_24="One"), office(d2026_11_25="Other")
    assert hash(one) == hash(other)
    assert [due(at("2026-11-23 16:00"), 2 * HOUR, each) for each in (one, other, one)] == [
        at("2026-11-25 10:00"),
        at("2026-11-24 10:00"),
        at("2026-11-25 10:00"),
    ]


# Counted minute by minute: every minute of UTC is put on the wall, and looked up in the calendar

CHANGES = [
    ("Europe/Oslo", "2026-03-29T01:00"),
    ("Europe/Oslo", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("America/St_Johns", "2010-03-14T03:31"),
    ("America/St_Johns", "2010-11-07T02:31"),
    ("Asia/Kathmandu", "1985-12-31T18:30"),
    ("Africa/Casablanca", "2024-03-10T02:00"),
    ("Africa/Casablanca", "2024-04-14T02:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Pacific/Kwajalein", "1993-08-21T12:00"),
    ("America/Santiago", "2024-09-08T04:00"),
    ("America/Santiago", "2024-04-07T03:00"),
    ("Asia/Beirut", "2024-03-30T22:00"),
    ("Asia/Beirut", "2024-10-26T21:00"),
    ("Antarctica/Troll", "2026-03-29T01:00"),
    ("Antarctica/Troll", "2026-10-25T01:00"),
]
LEAPS = [("UTC", "2028-02-29T12:00"), ("Asia/Kathmandu", "2024-02-29T00:00"), ("America/New_York", "2000-02-29T06:00")]


@pytest.mark.parametrize(("zone", "moment"), CHANGES)
def test_the_clocks_do_change_where_the_cases_are_drawn_from(zone: str, moment: str) -> None:
    change = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    before, after = (each.astimezone(zone_of(zone)).utcoffset() for each in (change - timedelta(minutes=1), change))
    assert before != after


State: TypeAlias = tuple[bool, str | None]
"""Whether it is open, and the name of what closes it."""


@cache
def walls(zone: str, day: int) -> list[tuple[date, int]]:
    """Local date and minute of each of the 1440 minutes of a UTC day (since 1970)."""
    moments = (datetime.fromtimestamp(day * 86_400 + minute * 60, zone_of(zone)) for minute in range(1440))
    return [(moment.date(), moment.hour * 60 + moment.minute) for moment in moments]


@lru_cache(maxsize=4096)
def states(hours: Hours, name: str | None) -> list[State]:
    """The state of each of the 1440 minutes of a local date that has these hours."""
    numbers = [(int(start[:2]) * 60 + int(start[3:]), int(end[:2]) * 60 + int(end[3:])) for start, end in hours]
    openings = [any(start <= minute < end for start, end in numbers) for minute in range(1440)]
    return [(is_open, None if is_open else name) for is_open in openings]


def minutes(calendar: Calendar, since: int) -> Iterator[tuple[int, State]]:
    """Every minute from the one that contains `since` on: when it starts (ms), and its state."""
    dates: dict[date, list[State]] = {}
    for day in range(since // DAY, since // DAY + 1000):
        for minute, (local, of_day) in enumerate(walls(calendar.timezone, day)):
            start = day * DAY + minute * MINUTE
            if start > since - MINUTE:
                if local not in dates:
                    override = calendar.overrides.get(local.isoformat())
                    weekday = WEEKDAYS[local.weekday()]
                    dates[local] = (
                        states(override.hours, override.name)
                        if override
                        else states(calendar.week.get(weekday, ()), None)
                    )
                yield start, dates[local][of_day]


def parts(calendar: Calendar, start: int, end: int) -> Iterator[tuple[int, int, State]]:
    """The minutes of `[start, end)`, cut to it."""
    if end > start:
        for minute, state in minutes(calendar, start):
            if minute >= end:
                return
            yield max(start, minute), min(end, minute + MINUTE), state


def counted_open(start: int, end: int, calendar: Calendar) -> int:
    return sum(last - first for first, last, (is_open, _) in parts(calendar, start, end) if is_open)


def counted_due(opened: int, target: int, calendar: Calendar) -> int:
    left = target
    for first, last, (is_open, _) in parts(calendar, opened, opened + 900 * DAY):
        if is_open and last - first >= left:
            return first + left
        left -= last - first if is_open else 0
    raise AssertionError("the target is longer than what was counted")


def counted_business(start: int, end: int, calendar: Calendar) -> int:
    # The instant `end` itself belongs to the period too, if they share one.
    shared = end > start and not any(is_open for _, _, (is_open, _) in parts(calendar, start, end + 1))
    return end - start if shared else counted_open(start, end, calendar)


def counted_skipped(start: int, end: int, calendar: Calendar) -> list[Closed]:
    found = []
    for (is_open, name), alike in groupby(parts(calendar, start, end), key=lambda part: part[2]):
        if not is_open:
            spans = list(alike)
            found.append(Closed(spans[0][0], spans[-1][1], name))
    return found


EDGES = [0, 1, 15, 30, 59, 60, 90, 119, 120, 121, 150, 180, 181, 540, 720, 1020, 1380, 1381, 1410, 1439, 1440]


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def hours_of(edges: set[int], kept: int) -> Hours:
    """Some of the intervals between the edges, latest first: `kept` has a bit for each. At least the first."""
    intervals = [(clock(start), clock(end)) for start, end in pairwise(sorted(edges))]
    return tuple(each for n, each in enumerate(intervals) if kept >> n & 1)[::-1] or (intervals[0],)


SOME_HOURS = st.one_of(
    st.builds(hours_of, st.sets(st.sampled_from(EDGES), min_size=2, max_size=6), st.integers(1, 31)),
    st.builds(hours_of, st.sets(st.integers(0, 1440), min_size=2, max_size=4), st.integers(1, 7)),
    st.just(ALWAYS),
)
WEEKS = st.dictionaries(st.sampled_from(WEEKDAYS), SOME_HOURS, min_size=1) | st.just(dict.fromkeys(WEEKDAYS, ALWAYS))
OVERRIDES = st.dictionaries(
    st.integers(-4, 4),
    st.builds(Override, hours=st.just(()) | SOME_HOURS, name=st.sampled_from([None, "Holiday", "Feast"])),
    max_size=4,
)
STARTS = st.integers(-180, 180) | st.integers(-4 * 1440, 2 * 1440)
LENGTHS = st.integers(0, 360) | st.integers(0, 6 * 1440)
NOISE = st.sampled_from([0, 0, 0, 1, -1, 59_999, 31_415])

Case: TypeAlias = tuple[Calendar, int, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A calendar, and a start and an end near a change of its zone's clocks (or a leap day)."""
    zone, moment = draw(st.sampled_from(CHANGES + LEAPS))
    change = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    middle = change.astimezone(zone_of(zone)).date()
    overrides = {(middle + timedelta(days=days)).isoformat(): each for days, each in draw(OVERRIDES).items()}
    start = ms(change) + draw(STARTS) * MINUTE + draw(NOISE)
    end = start + draw(LENGTHS) * MINUTE + draw(NOISE)
    return Calendar(timezone=zone, week=draw(WEEKS), overrides=overrides), start, end


many = settings(max_examples=800, deadline=None)


@many
@given(cases(), st.floats(0, 1))
def test_a_due_time_is_where_the_count_of_open_minutes_reaches_the_target(case: Case, share: float) -> None:
    calendar, opened, end = case
    target = max(1, round(share * counted_open(opened, max(end, opened + DAY), calendar)))
    assert due(opened, target, calendar) == counted_due(opened, target, calendar)


@many
@given(cases())
def test_open_time_is_the_count_of_open_minutes(case: Case) -> None:
    calendar, start, end = case
    assert open_between(start, end, calendar) == counted_open(start, end, calendar)


@many
@given(cases())
def test_business_time_is_what_the_minutes_say(case: Case) -> None:
    calendar, start, end = case
    spans = [(start, end)]
    for closed in counted_skipped(start, end, calendar)[:2]:
        spans += [(closed.start, closed.end - 1), (closed.start, closed.end)]  # where it tips over
    for first, last in spans:
        assert business(first, last, calendar) == counted_business(first, last, calendar)


@many
@given(cases())
def test_what_is_skipped_is_the_closed_minutes_by_name(case: Case) -> None:
    calendar, start, end = case
    assert skipped(start, end, calendar) == counted_skipped(start, end, calendar)


@many
@given(cases(), st.integers(1, 2000 * HOUR))
def test_a_due_time_weeks_away_is_the_first_by_which_the_target_has_passed(case: Case, target: int) -> None:
    calendar, opened, _ = case
    try:
        late = due(opened, target, calendar)
    except CalendarError:
        assert open_between(opened, opened + LONGEST_SEARCH_DAYS * DAY, calendar) < target
    else:
        assert open_between(opened, late, calendar) == target
        assert open_between(opened, late - 1, calendar) == target - 1
