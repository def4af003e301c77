"""Open hours: while they last a clock runs, outside of them it stands still.

Times are UTC milliseconds since 1970 and durations are elapsed milliseconds. An instant is open if its wall time in the
calendar's zone lies in an interval `[start, end)` of that local date. So nothing of a gap in local time exists, and
what local time repeats is open both times. Beyond the supported years, a zone keeps the offset of the nearest one.

Zones are read from the `tzdata` package, not from the machine: its files are part of the code, so every machine comes
to the same due times. There is no other way to get at them; each is read once.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache, lru_cache
from importlib import resources
from itertools import groupby, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rapport.contracts.business_hours import WEEKDAYS, Calendar, Hours
from rapport.domain.times import local, utc

DAY_MS = 86_400_000
MINUTE_MS = 60_000
LONGEST_SEARCH_DAYS = 3660
"""How far ahead a due time is searched: ten years. That takes 2 ms, and 25 ms the first time."""


class Flaw(NamedTuple):
    """Something that is wrong with a calendar. `where` is the field, such as `week.mon`."""

    where: str
    why: str


class Closed(NamedTuple):
    """A span `[start, end)` in which a clock stands still; `name` is that of the override which closes it."""

    start: int
    end: int
    name: str | None


class CalendarError(ValueError):
    """A calendar that cannot be used. `where` is the field that is wrong."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where


def check(calendar: Calendar) -> list[Flaw]:
    """Everything that is wrong with a calendar. The functions below raise CalendarError for the first of it."""
    flaws: list[Flaw] = []
    if _zone(calendar.timezone) is None:
        flaws.append(Flaw("timezone", f"{calendar.timezone!r} is not an IANA time zone"))
    if not any(calendar.week.values()):
        flaws.append(Flaw("week", "no weekday has open hours, so no clock would ever run out"))
    for weekday, hours in calendar.week.items():
        flaws += [Flaw(f"week.{weekday}", why) for why in _wrong(hours)]
    for day, override in calendar.overrides.items():
        if _date(day) is None:
            flaws.append(Flaw(f"overrides.{day}", f"{day!r} is not a date like '2026-12-24'"))
        flaws += [Flaw(f"overrides.{day}", why) for why in _wrong(override.hours)]
    return flaws


def due(opened: int, target: int, calendar: Calendar | None) -> int:
    """The first instant by which `target` ms have passed since `opened`: open ones, or any without a calendar.

    Raises CalendarError if ten years do not have that many.
    """
    if calendar is None or target <= 0:
        return opened + target
    left = target
    for start, end, is_open, _ in _stretches(calendar, opened, opened + LONGEST_SEARCH_DAYS * DAY_MS):
        if is_open:
            if end - start >= left:
                return start + left
            left -= end - start
    raise CalendarError("week", f"in {LONGEST_SEARCH_DAYS} days fewer than {target / 3_600_000:g} hours are open")


def open_between(start: int, end: int, calendar: Calendar) -> int:
    """How many ms of `[start, end)` are open; none if it ends before it starts."""
    return sum(stretch.end - stretch.start for stretch in _stretches(calendar, start, end) if stretch.open)


def business(start: int, end: int, calendar: Calendar) -> int:
    """The business time (ms) of a response: what is open of it, but all of it if both lie in one closed period.

    A closed period lasts from one open interval to the next, through nights and holidays.
    """
    counted = open_between(start, end, calendar)
    if counted or end <= start or next(_stretches(calendar, end, end + 1)).open:
        return counted
    return end - start


def skipped(start: int, end: int, calendar: Calendar) -> list[Closed]:
    """What of `[start, end)` is closed, in order. A span ends where its name does, which is at a local midnight."""
    found: list[Closed] = []
    for (is_open, name), alike in groupby(_stretches(calendar, start, end), key=lambda each: (each.open, each.name)):
        if not is_open:
            spans = list(alike)
            found.append(Closed(spans[0].start, spans[-1].end, name))
    return found


class _Stretch(NamedTuple):
    start: int
    end: int
    open: bool
    name: str | None
    """The override's, if it closes this."""


class _Opening:
    """A calendar, parsed. Hours are ms since local midnight, dates are days since 1970."""

    def __init__(self, calendar: Calendar) -> None:
        self.zone = zone(calendar.timezone)
        self.week = [_parsed(calendar.week.get(weekday, ())) for weekday in WEEKDAYS]
        self.dates = {
            date.fromisoformat(day).toordinal() - _EPOCH_ORDINAL: (_parsed(override.hours), override.name)
            for day, override in calendar.overrides.items()
        }

    def on(self, day: int) -> tuple[list[tuple[int, int]], str | None]:
        """The intervals of a local date in order, and the name of its override."""
        return self.dates.get(day) or (self.week[(day + _EPOCH_WEEKDAY) % 7], None)


_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = date(1970, 1, 1).weekday()
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")


@lru_cache(maxsize=4096)
def _opening(calendar: Calendar) -> _Opening:
    for flaw in check(calendar):
        raise CalendarError(*flaw)
    return _Opening(calendar)


def _stretches(calendar: Calendar, start: int, end: int) -> Iterator[_Stretch]:
    """What `[start, end)` consists of, in order, without holes; nothing if it ends before it starts."""
    opening = _opening(calendar)
    if end <= start:
        return
    for number in range(start // DAY_MS, -(-end // DAY_MS)):
        for stretch in _day(opening, number):
            if stretch.start >= start and stretch.end <= end:
                yield stretch
            elif stretch.start < end and stretch.end > start:
                yield stretch._replace(start=max(stretch.start, start), end=min(stretch.end, end))


# A day takes about 1 kB and 20 µs, and clocks of one calendar share it: two weeks of a thousand calendars.
@lru_cache(maxsize=16_384)
def _day(opening: _Opening, number: int) -> tuple[_Stretch, ...]:
    """What the UTC day `number` (since 1970) consists of, in order. Local dates can alternate in it."""
    found: list[_Stretch] = []
    for start, end, offset in _constant(opening.zone, number * DAY_MS, (number + 1) * DAY_MS):
        at = start + offset
        while at < end + offset:
            midnight = at // DAY_MS * DAY_MS
            until = min(midnight + DAY_MS, end + offset)
            hours, name = opening.on(midnight // DAY_MS)
            for opens, closes in hours:
                first, last = max(midnight + opens, at), min(midnight + closes, until)
                if first < last:
                    if at < first:
                        found.append(_Stretch(at - offset, first - offset, False, name))
                    found.append(_Stretch(first - offset, last - offset, True, None))
                    at = last
            if at < until:
                found.append(_Stretch(at - offset, until - offset, False, name))
            at = until
    return tuple(found)


def _constant(zone: ZoneInfo, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The parts of a day with one offset from UTC each: start, end, offset (ms).

    Both ends of a day tell whether it changes: since 1970 no zone came back to an offset within a week (tz 2026f).
    """
    after = _offset(zone, end)
    while start < end:
        offset = _offset(zone, start)
        change = end
        if offset != after:
            low, high = start // 1000, end // 1000  # offsets change at whole seconds
            while high - low > 1:
                middle = (low + high) // 2
                if _offset(zone, middle * 1000) == offset:
                    low = middle
                else:
                    high = middle
            change = high * 1000
        yield start, change, offset
        start = change


def _offset(zone: ZoneInfo, at: int) -> int:
    return (local(utc(at), zone).utcoffset() or timedelta()) // _MS


_MS = timedelta(milliseconds=1)


def _parsed(hours: Hours) -> list[tuple[int, int]]:
    return sorted((_time(start), _time(end)) for start, end in hours)


def _time(text: str) -> int:
    return (int(text[:2]) * 60 + int(text[3:])) * MINUTE_MS


def _wrong(hours: Hours) -> Iterator[str]:
    whole: list[tuple[str, str]] = []
    for start, end in hours:
        malformed = [text for text in (start, end) if not _TIME.fullmatch(text)]
        yield from (f"{text!r} is not a time from '00:00' to '24:00'" for text in malformed)
        if not malformed:
            whole.append((start, end))
            if start >= end:
                yield f"{start}–{end} does not start before it ends"
    for (start, end), (following, last) in pairwise(sorted(whole)):
        if following < end:
            yield f"{start}–{end} and {following}–{last} overlap"


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None  # ISO 8601 has more ways to write one


def _zone(name: str) -> ZoneInfo | None:
    try:
        return zone(name)
    except (ValueError, OSError):  # OSError: none of that name, a directory of zones, or a name too long
        return None


@cache
def zone(name: str) -> ZoneInfo:
    """A zone of the IANA database, from the `tzdata` package.

    Raises ValueError or OSError where no zone has that name.
    """
    if not _ZONE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a zone")
    with resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
