"""Rewrites all-day events to plain dates, however a file expresses them.

iCalendar uses dates. vCalendar 1.0 has none and writes midnight to midnight. So do older versions of Outlook, some to
23:59, in a zone with a Windows name or in UTC. Exceptions can be times even if the event has a date.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.api.policies.holidays import vcalendar
from services.api.policies.holidays.line import Line

_DAY = timedelta(days=1)
_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d)(?::?(\d\d))?(Z)?)?")
_DURATION = re.compile(r"\+?P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?")
_UNTIL = re.compile(r"UNTIL=([^;]*)", re.IGNORECASE)
_LAST_MINUTE = time(23, 59)
_LONGEST = timedelta(days=100_000)
READ_TOO = frozenset({"X-MICROSOFT-CDO-ALLDAYEVENT", "X-FUNAMBOL-ALLDAY", "X-ALLDAY"})
"""Lines that mark an event as lasting all day."""


class _Moment(NamedTuple):
    at: datetime
    """Local time in the event's zone."""
    is_date: bool
    utc: bool


def as_days(texts: Sequence[str], zone: ZoneInfo, *, old: bool) -> list[str]:
    """The lines of an event, with dates instead of times if it lasts whole days. `old` is vCalendar 1.0.

    An all-day event whose times are in UTC begins at midnight in `zone`.
    """
    lines = [line for text in texts if (line := Line.read(text)) is not None]
    flagged = any(line.name in READ_TOO and line.value.upper() in ("TRUE", "1") for line in lines)
    lines = [line for line in lines if line.name not in READ_TOO]
    if old:
        lines = [vcalendar.translated(line) for line in lines]
    span = _whole_days(lines, zone, in_utc=flagged or old, flagged=flagged)
    return [str(line) for line in lines] if span is None else list(_dated(lines, span, zone))


def _whole_days(lines: Sequence[Line], zone: ZoneInfo, *, in_utc: bool, flagged: bool) -> tuple[date, date] | None:
    """The first day, and the first day after the event; None if it has a time of day or is invalid."""
    starts, ends, durations = (
        [line for line in lines if line.name == name] for name in ("DTSTART", "DTEND", "DURATION")
    )
    start = _moment(starts[0]) if len(starts) == 1 else None
    if start is None or len(ends) > 1 or len(durations) > 1 or (start.utc and not in_utc):
        return None
    begins = _local(start, zone)
    if begins.time() != time.min:
        return None
    if ends:
        end = _moment(ends[0])
        if end is None or (end.utc and not in_utc):
            return None
        ended = _local(end, zone)
        if ended.time() >= _LAST_MINUTE:
            ended = datetime.combine(ended.date() + _DAY, time.min)
        return (begins.date(), ended.date()) if ended.time() == time.min and _lasts(start, begins, ended) else None
    if durations:
        lasts = _duration(durations[0].value)
        return None if lasts is None or lasts % _DAY or not lasts else (begins.date(), begins.date() + lasts)
    return (begins.date(), begins.date() + _DAY) if start.is_date or flagged else None


def _lasts(start: _Moment, begins: datetime, ended: datetime) -> bool:
    # A time of day without an end is a moment. Many files end a date on the same date.
    return start.is_date or ended > begins


def _dated(lines: Sequence[Line], span: tuple[date, date], zone: ZoneInfo) -> Iterator[str]:
    has_end = any(line.name == "DTEND" for line in lines)
    for line in lines:
        if line.name == "DTSTART":
            yield f"DTSTART;VALUE=DATE:{_shown(span[0])}"
        elif line.name == "DTEND" or (line.name == "DURATION" and not has_end):
            yield f"DTEND;VALUE=DATE:{_shown(span[1])}"
        elif line.name in ("EXDATE", "RDATE", "RECURRENCE-ID"):
            yield _dates(line, zone)
        elif line.name == "RRULE":
            yield f"RRULE{line.parameters}:{_UNTIL.sub(lambda until: f'UNTIL={_date(until[1], zone)}', line.value)}"
        elif line.name != "DURATION":
            yield str(line)


def _dates(line: Line, zone: ZoneInfo) -> str:
    values = [value.strip().partition("/")[0] for value in line.value.split(",")]
    if not all(_TIME.fullmatch(value) for value in values):
        return str(line)
    found = ",".join(_date(value, zone) for value in values)
    moved = ";RANGE=THISANDFUTURE" if "THISANDFUTURE" in line.parameters.upper() else ""
    return f"{line.name}{moved};VALUE=DATE:{found}"


def _date(value: str, zone: ZoneInfo) -> str:
    found = _moment(Line("", "", value))
    return value if found is None else _shown(_local(found, zone).date())


def _local(moment: _Moment, zone: ZoneInfo) -> datetime:
    """A UTC time as local time in the zone, except midnight in UTC, which stands for a date."""
    if not moment.utc or moment.at.time() == time.min:
        return moment.at
    return moment.at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


def _moment(line: Line) -> _Moment | None:
    found = _TIME.fullmatch(line.value)
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.group(4, 5, 6))
    is_date = found[4] is None or "VALUE=DATE" in line.parameters.upper().split(";")
    try:
        at = datetime(int(found[1]), int(found[2]), int(found[3]), hour, minute, second)
    except ValueError:
        return None
    if not 1 < at.year < 9999:
        return None
    return _Moment(datetime.combine(at.date(), time.min) if is_date else at, is_date, found[7] is not None)


def _duration(value: str) -> timedelta | None:
    found = _DURATION.fullmatch(value.upper())
    if found is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        lasts = timedelta(days, seconds, 0, 0, minutes, hours, weeks)
    except OverflowError:
        return None
    return lasts if lasts < _LONGEST else None


def _shown(day: date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"
