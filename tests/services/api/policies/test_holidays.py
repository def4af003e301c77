"""Which days of an iCalendar file are days off, and what is said of the rest."""

import sys
import time
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.business_hours import Override
from services.api.policies.holidays.service import (
    LONGEST_TEXT,
    MOST_BYTES,
    MOST_CHANGES,
    Holidays,
    HolidaysError,
    Skipped,
    holidays,
)

FIRST, LAST = date(2026, 1, 1), date(2027, 12, 31)


def event(*lines: str, start: str = ";VALUE=DATE:20260517", summary: str = "Constitution Day") -> str:
    return "\n".join(["BEGIN:VEVENT", f"DTSTART{start}", f"SUMMARY:{summary}", *lines, "END:VEVENT"])


def file(*events: str) -> bytes:
    return "\r\n".join(
        ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *"\n".join(events).split("\n"), "END:VCALENDAR", ""]
    ).encode()


def read(*events: str) -> Holidays:
    return holidays(file(*events), FIRST, LAST)


def named(*events: str) -> dict[str, str | None]:
    """The names by day of a file with nothing skipped."""
    found = read(*events)
    assert found.skipped == []
    assert all(override.hours == () for override in found.days.values())
    return {day: override.name for day, override in found.days.items()}


def whys(*events: str) -> list[str]:
    """Why each event is skipped, in a file without a day off."""
    found = read(*events)
    assert found.days == {}
    return [why for _, why in found.skipped]


# What closes


def test_an_all_day_event_closes_its_day_under_its_name() -> None:
    assert read(event()).days == {"2026-05-17": Override(hours=(), name="Constitution Day")}


def test_the_end_of_a_holiday_of_several_days_is_the_first_day_after_it() -> None:
    easter = event("DTEND;VALUE=DATE:20260407", start=";VALUE=DATE:20260403", summary="Easter")
    assert named(easter) == dict.fromkeys(["2026-04-03", "2026-04-04", "2026-04-05", "2026-04-06"], "Easter")


@pytest.mark.parametrize(
    ("line", "days"),
    [("DTEND;VALUE=DATE:20260517", 1), ("DURATION:P1D", 1), ("DURATION:P3D", 3), ("DURATION:P1W", 7)],
)
def test_an_end_at_the_start_means_one_day_and_a_duration_its_days(line: str, days: int) -> None:
    assert len(named(event(line))) == days


def test_a_date_needs_no_type() -> None:
    assert list(named(event(start=":20260517"))) == ["2026-05-17"]


def test_a_yearly_holiday_comes_every_year_of_the_range_and_in_no_other() -> None:
    yearly = event("RRULE:FREQ=YEARLY", start=";VALUE=DATE:19700517")
    assert list(named(yearly)) == ["2026-05-17", "2027-05-17"]


def test_a_holiday_on_a_weekday_of_a_month_moves() -> None:
    thanksgiving = event("RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", start=";VALUE=DATE:20201126")
    assert list(named(thanksgiving)) == ["2026-11-26", "2027-11-25"]


def test_a_leap_day_comes_when_there_is_one() -> None:
    leap = event("RRULE:FREQ=YEARLY", start=";VALUE=DATE:20240229")
    assert named(leap) == {}
    assert list(holidays(file(leap), date(2028, 1, 1), date(2032, 12, 31)).days) == ["2028-02-29", "2032-02-29"]


def test_single_dates_are_added_and_taken_out() -> None:
    lines = ["RRULE:FREQ=YEARLY", "RDATE;VALUE=DATE:20260601,20260602", "EXDATE;VALUE=DATE:20270517"]
    assert list(named(event(*lines))) == ["2026-05-17", "2026-06-01", "2026-06-02"]


def test_the_end_of_a_rule_is_a_day_in_the_brands_zone() -> None:
    until_midnight = event("RRULE:FREQ=DAILY;UNTIL=20260518T220000Z")  # of the 19th, in Berlin
    found = holidays(file(until_midnight), FIRST, LAST, zone=ZoneInfo("Europe/Berlin"))
    assert list(found.days) == ["2026-05-17", "2026-05-18", "2026-05-19"]


def test_a_repetition_that_was_moved_closes_its_new_day_only() -> None:
    yearly = event("UID:1", "RRULE:FREQ=YEARLY")
    moved = event("UID:1", "RECURRENCE-ID;VALUE=DATE:20270517", start=";VALUE=DATE:20270518", summary="Moved")
    assert named(moved, yearly) == {"2026-05-17": "Constitution Day", "2027-05-18": "Moved"}


def test_a_repetition_that_was_cancelled_or_got_a_time_of_day_closes_nothing() -> None:
    yearly = event("UID:1", "RRULE:FREQ=YEARLY")
    cancelled = event("UID:1", "RECURRENCE-ID;VALUE=DATE:20260517", "STATUS:CANCELLED")
    timed = event("UID:1", "RECURRENCE-ID;VALUE=DATE:20270517", start=":20270517T120000Z")
    assert sorted(whys(yearly, cancelled, timed)) == ["has a time of day", "is cancelled"]


def test_what_reaches_into_the_range_is_cut_to_it() -> None:
    long = event("DTEND;VALUE=DATE:20260103", start=";VALUE=DATE:20251220")
    assert list(named(long)) == ["2026-01-01", "2026-01-02"]
    assert list(holidays(file(long), date(2025, 12, 24), date(2025, 12, 24)).days) == ["2025-12-24"]
    assert list(holidays(file(event()), date(2026, 5, 16), date(2026, 5, 17)).days) == ["2026-05-17"]


def test_two_holidays_on_a_day_both_name_it_once_and_the_days_are_in_order() -> None:
    later = event(start=";VALUE=DATE:20260601", summary="Later")
    found = named(later, event(summary="A"), event(summary="B"), event(summary="A"))
    assert list(found.items()) == [("2026-05-17", "A, B"), ("2026-06-01", "Later")]


def test_events_that_share_an_id_by_mistake_all_count() -> None:
    assert len(named(event("UID:1"), event("UID:1", start=";VALUE=DATE:20260601"))) == 2


def test_names_are_unfolded_unescaped_and_cut() -> None:
    assert named(event(summary="Saints\\, all\r\n   of\n\t them\\; and one\\nmore")) == {
        "2026-05-17": "Saints, all of them; and one more"
    }
    assert len(named(event(summary="x" * 500))["2026-05-17"] or "") == LONGEST_TEXT
    assert named(event(summary="")) == {"2026-05-17": None}
    assert named(event(summary=""), event(summary="A")) == {"2026-05-17": "A"}


def test_several_calendars_a_byte_order_mark_and_bare_line_ends_are_read() -> None:
    two = file(event()) + file(event(start=";VALUE=DATE:20260601"))
    for ics in (two, b"\xef\xbb\xbf" + two, two.replace(b"\r\n", b"\n"), two.replace(b"\r\n", b"\r"), two.lower()):
        assert list(holidays(ics, FIRST, LAST).days) == ["2026-05-17", "2026-06-01"]


def test_tasks_alarms_and_other_components_are_none_of_our_business() -> None:
    alarm = "BEGIN:VALARM\nSUMMARY:Alarm\nDTSTART;VALUE=DATE:20260101\nEND:VALARM"
    inner = event(summary="Inner")
    odd = ["CREATED:never", "CREATED", "GEO:x", "X-ODD;VALUE=DATE:x"]
    assert named(inner.replace("VEVENT", "VTODO"), event(alarm, inner, *odd)) == {"2026-05-17": "Constitution Day"}


# What is skipped, and said so


@pytest.mark.parametrize("start", [":20260517T090000", ":20260517T090000Z", ";TZID=Europe/Oslo:20260517T000000"])
def test_an_event_with_a_time_of_day_is_no_holiday(start: str) -> None:
    meeting = event("RRULE:FREQ=SECONDLY", start=start, summary="Meeting")
    found = read(meeting, event())
    assert (list(found.days), found.skipped) == (["2026-05-17"], [Skipped("Meeting", "has a time of day")])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("STATUS:CANCELLED", "is cancelled"),
        ("DTEND:20260518T120000", "has a time of day"),
        ("DTEND;VALUE=DATE:20280517", "lasts longer than 366 days"),
        ("DURATION:P999D", "lasts longer than 366 days"),
        ("DTSTART;VALUE=DATE:20260518", "has more than one DTSTART"),
        ("RRULE:FREQ=YEARLY\nRRULE:FREQ=DAILY", "has more than one RRULE"),
        ("RRULE:FREQ=SECONDLY", "repeats SECONDLY; only DAILY, WEEKLY, MONTHLY and YEARLY are supported"),
        ("RRULE:FREQ=HOURLY;COUNT=2", "repeats HOURLY; only DAILY, WEEKLY, MONTHLY and YEARLY are supported"),
        (
            "RRULE:FREQ=YEARLY,SECONDLY",
            "repeats YEARLY, SECONDLY; only DAILY, WEEKLY, MONTHLY and YEARLY are supported",
        ),
        ("RRULE:COUNT=2", "repeats ?; only DAILY, WEEKLY, MONTHLY and YEARLY are supported"),
        ("RRULE:FREQ=DAILY;BYSECOND=1,2;BYHOUR=1", "repeats with BYHOUR, BYSECOND"),
        ("RRULE:FREQ=YEARLY;X-MORE=1", "repeats with X-MORE"),
        ("RRULE:FREQ=DAILY;BYMONTH=1;BYSETPOS=1", "repeats with BYSETPOS"),
        (f"RRULE:FREQ=YEARLY;BYSETPOS={'1,' * 31}1", "repeats by more than 31 values"),
        ("RRULE:FREQ=DAILY;INTERVAL=0", "repeats without an interval"),
        ("RRULE:FREQ=DAILY;INTERVAL=-1", "repeats without an interval"),
    ],
)
def test_an_event_that_cannot_be_a_holiday_says_why(line: str, why: str) -> None:
    assert whys(event(line)) == [why]


def test_what_repeats_since_long_ago_is_not_counted_through() -> None:
    assert whys(event("RRULE:FREQ=DAILY", start=";VALUE=DATE:00010101")) == ["repeats since before 1900"]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("RRULE:FREQ=FORTNIGHTLY", "RRULE: "),
        ("RRULE:FREQ=YEARLY;BYDAY=XX", "RRULE: "),
        ("DTEND;VALUE=DATE:20260532", "DTEND: "),
        ("EXDATE:never", "EXDATE: "),
        ("DURATION:forever", "DURATION: "),
        ("RRULE:FREQ=YEARLY;UNTIL=20270101;COUNT=2;BYSETPOS=0", "its days cannot be computed: "),
        ("RRULE;VALUE=TEXT:x", "'vText' object has no attribute"),
    ],
)
def test_an_event_that_makes_no_sense_is_skipped_alone(line: str, part: str) -> None:
    found = read(event(line, summary="Odd"), event())
    assert list(found.days) == ["2026-05-17"]
    ((summary, why),) = found.skipped
    assert summary == "Odd"
    assert why.startswith(part)


def test_an_event_of_which_too_many_repetitions_were_changed_is_skipped() -> None:
    yearly = event("UID:1", "RRULE:FREQ=YEARLY")
    changed = event("UID:1", "RECURRENCE-ID;VALUE=DATE:20270517", start=";VALUE=DATE:20270518")
    assert len(named(yearly, *[changed] * (MOST_CHANGES - 1))) == 2
    assert whys(yearly, *[changed] * MOST_CHANGES) == [
        "its days cannot be computed: more than 500 of its repetitions were changed"
    ]


def test_a_long_name_and_a_long_reason_are_cut() -> None:
    found = read(event(f"RRULE:FREQ=DAILY;INTERVAL={'9' * 5000}", summary="x" * 5000))
    assert [len(text) for text in found.skipped[0]] == [LONGEST_TEXT, LONGEST_TEXT]


def test_an_event_without_a_start_or_a_name_is_called_by_its_line() -> None:
    found = holidays(b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nEND:VEVENT\nEND:VCALENDAR", FIRST, LAST)
    assert found == Holidays({}, [Skipped("line 2", "has no DTSTART")])


# What is refused


@pytest.mark.parametrize(
    ("ics", "line", "why"),
    [
        (b"", None, "the file is empty"),
        (b"\r\n\r\n", None, "the file is empty"),
        (b"<html>", 1, "begins with BEGIN:VCALENDAR, not with '<html>'"),
        (b"\nBEGIN:VEVENT\nEND:VEVENT", 2, "not with 'BEGIN:VEVENT'"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", 3, "END:VCALENDAR where BEGIN:VEVENT of line 2 is open"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT", 1, "BEGIN:VCALENDAR has no END"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VCALENDAR", 3, "not with 'END:VCALENDAR'"),
        ("BEGIN:VCALENDAR".encode("utf-16"), 1, "BEGIN:VCALENDAR has no END"),
        (b"\x89PNG\r\n\x1a\n", 1, "begins with BEGIN:VCALENDAR"),
        (b"\0\0\0", 1, "begins with BEGIN:VCALENDAR"),
    ],
)
def test_what_is_no_calendar_is_refused_with_its_line(ics: bytes, line: int | None, why: str) -> None:
    with pytest.raises(HolidaysError) as refused:
        holidays(ics, FIRST, LAST)
    assert refused.value.line == line
    assert why in str(refused.value)
    assert line is None or str(refused.value).startswith(f"line {line}: ")


def test_a_file_of_more_than_a_mebibyte_is_refused() -> None:
    ics = file(event())
    padded = ics.replace(b"PRODID:", b"PRODID:" + b"x" * (MOST_BYTES - len(ics)))
    assert len(padded) == MOST_BYTES
    assert len(holidays(padded, FIRST, LAST).days) == 1
    with pytest.raises(HolidaysError, match="more than 1048576 bytes"):
        holidays(padded + b"\n", FIRST, LAST)


# What must not hang


def test_rules_that_never_match_run_into_the_limit_of_time() -> None:
    never = [event("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", start=";VALUE=DATE:20250101")] * 500
    began = time.monotonic()
    with pytest.raises(HolidaysError, match="takes too long"):
        holidays(file(*never), FIRST, LAST, seconds=0.2)
    assert time.monotonic() - began < 10


ZONE = """TZID:Made/Up
BEGIN:STANDARD
DTSTART:19000101T000000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=SECONDLY
END:STANDARD
END:VTIMEZONE"""


def test_the_rules_of_a_time_zone_are_not_followed() -> None:
    assert len(named(f"BEGIN:VTIMEZONE\n{ZONE}", event())) == 1
    assert len(named(event(f"BEGIN:VTIMEZONE\n{ZONE}"))) == 1


@pytest.mark.parametrize("begin", ["BE GIN:VTIMEZONE", "BEGIN;X=1:VTIMEZONE", "BEGIN: VTIMEZONE"])
def test_a_time_zone_in_disguise_is_refused(begin: str) -> None:
    with pytest.raises(HolidaysError, match="END:VTIMEZONE where BEGIN:VEVENT"):
        read(event(f"{begin}\n{ZONE}"))


def test_a_file_as_large_as_allowed_is_read_or_refused_in_time() -> None:
    one = event("UID:1", "RRULE:FREQ=DAILY", "DURATION:P366D", start=";VALUE=DATE:19000101")
    ics = file(*[one] * (MOST_BYTES // (len(one) + 10)))
    began = time.monotonic()
    with pytest.raises(HolidaysError, match="takes too long"):
        holidays(ics, FIRST, LAST, seconds=0.5)
    assert time.monotonic() - began < 10


PIECES = """
BEGIN:VEVENT
END:VEVENT
BEGIN:VCALENDAR
END:VCALENDAR
DTSTART;VALUE=DATE:20260517
DTSTART:20260517T120000Z
DTSTART:
DTSTART;VALUE=TEXT:x
DTSTART;VALUE=PERIOD:20260517T120000Z/PT1H
DTSTART;VALUE=DATE:99991231
DTEND;VALUE=DATE:20260520
DTEND;VALUE=DATE:00010101
DTEND:20260518T120000Z
DURATION:PT1H
DURATION:-P3D
DURATION:P99999999999D
UID:1
UID:
SEQUENCE:x
SEQUENCE:2
STATUS:CANCELLED
SUMMARY:a
SUMMARY;VALUE=DATE:20260517
RRULE:FREQ=YEARLY
RRULE:FREQ=MONTHLY
RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20270101T000000Z
RRULE:FREQ=YEARLY;BYDAY=0MO
RRULE:FREQ=YEARLY;COUNT=-1
RRULE:
RRULE;VALUE=TEXT:x
RRULE:FREQ=YEARLY;UNTIL=x
RDATE;VALUE=DATE:20260601
RDATE:20260601T120000Z
RDATE:
RDATE;VALUE=PERIOD:20260601T000000Z/P1D
EXDATE;VALUE=DATE:20260517
EXDATE:20260517T000000Z
EXDATE:
RECURRENCE-ID;VALUE=DATE:20270517
RECURRENCE-ID;RANGE=THISANDFUTURE;VALUE=DATE:20260517
RECURRENCE-ID:x
RECURRENCE-ID;RANGE=THISANDFUTURE:20260517T000000Z
 x
;
:
SUMMARY
"""


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES.strip("\n").split("\n")), max_size=8), max_size=4))
def test_whatever_is_in_a_file_it_is_read_or_refused(events: list[list[str]]) -> None:
    ics = file(*("\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT"]) for lines in events))
    try:
        found = holidays(ics, FIRST, LAST, seconds=60)
    except HolidaysError:
        return
    assert all(FIRST.isoformat() <= day <= LAST.isoformat() for day in found.days)
    assert list(found.days) == sorted(found.days)


@pytest.mark.parametrize(
    ("rule", "begins", "days"),
    [
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "19000101", set()),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU", "19000101", set()),
        ("FREQ=DAILY;COUNT=99999999;BYMONTHDAY=31;BYMONTH=2", "19000101", set()),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "20260601", {"2026-06-01"}),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=-1", "19000101", {"2026-02-28"}),
    ],
)
def test_a_rule_by_days_is_followed_no_further_than_the_days_that_are_asked_for(
    rule: str, begins: str, days: set[str]
) -> None:
    event = f"BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:{begins}\r\nRRULE:{rule}\r\nEND:VEVENT\r\n"
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        found = holidays(
            f"BEGIN:VCALENDAR\r\n{event}END:VCALENDAR\r\n".encode(), date(2026, 1, 1), date(2026, 12, 31), 600
        )
    finally:
        sys.setprofile(before)
    assert set(found.days) == days
    # To the year 9999 it would be some ten million.
    assert calls < 2_000_000
