"""Converts between milliseconds since 1970 and datetimes; the range of times that are accepted."""

from datetime import UTC, date, datetime, timedelta, tzinfo

FIRST_YEAR, LAST_YEAR = 1971, 9998
"""UTC years, both included. Far enough from what a datetime holds that every time zone can tell such a time, and that
a year more or less can be counted from it."""
OUT_OF_RANGE = f"has to lie in the years {FIRST_YEAR} to {LAST_YEAR} (UTC)"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_EARLIEST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_LATEST = datetime(LAST_YEAR, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
_LEAST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MS
_MOST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MS


def in_range(at: datetime) -> bool:
    """Whether a time with a zone lies in the years that are taken. Never raises, whatever the zone."""
    return _EARLIEST <= at < _LATEST + _MS


def day_in_range(day: date) -> bool:
    """Whether a calendar day lies in the years that are taken."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def clamped(at: datetime) -> datetime:
    """A time with a zone as UTC; one outside of the range as the nearest that is in it.

    Every way in refuses such times. Records and documents from before that may still hold one.
    """
    return min(max(at, _EARLIEST), _LATEST).astimezone(UTC)


def local(at: datetime, zone: tzinfo) -> datetime:
    """A time as the clocks of a zone show it. Never raises: what is out of range is clamped."""
    return clamped(at).astimezone(zone)


def shifted(day: date, days: int) -> date:
    """So many days later, or earlier; the first or last day that a date can hold where that lies beyond it."""
    number = day.toordinal() + days
    return date.fromordinal(min(max(number, date.min.toordinal()), date.max.toordinal()))


def ms(time: datetime) -> int:
    """A datetime with a zone, as UTC milliseconds since 1970; what is finer is cut off."""
    return (time - _EPOCH) // _MS


def utc(time: int) -> datetime:
    """UTC milliseconds since 1970, as a datetime; the nearest there is where a datetime cannot hold them."""
    return _EPOCH + timedelta(milliseconds=min(max(time, _LEAST_MS), _MOST_MS))
