"""Reads holidays from an iCalendar file (RFC 5545): all-day events become closed days of a calendar.

The file comes from outside, so the libraries get only the events, and of these only the lines that are needed. They
would, for example, expand a VTIMEZONE as far as its rules go and keep it for every later file. Rules that could run
forever are refused, and slow ones have a time limit.
"""

import re
import time
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from icalendar import Calendar, Component, Event
from recurring_ical_events import CalendarQuery

from rapport.contracts.business_hours import Override
from services.api.http.files.sizes import LARGEST_FILE
from services.api.policies.holidays import days as ical_days
from services.api.policies.holidays import lines as ical_lines

MOST_BYTES = LARGEST_FILE
LONGEST_TEXT = 200
LONGEST_DAYS = 366
"""Longer events are not holidays."""
EARLIEST_YEAR = 1900
"""Repetitions are counted from the first one on."""
MOST_CHANGES = 500
"""Each repetition is compared with all changed ones."""
MOST_VALUES = 31
"""In one part of a rule: the days of a month."""
SECONDS_ALLOWED = 5.0
"""Checked between events."""

READ = frozenset({
    "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "UID", "SEQUENCE", "STATUS", "SUMMARY",
})  # fmt: skip
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
RULE_PARTS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYMONTHDAY", "BYDAY"})
LONG_RULE_PARTS = RULE_PARTS | {"BYYEARDAY", "BYWEEKNO", "BYSETPOS"}
"""For months and years. BYHOUR and the like are not read: they repeat within one day."""

_DAY = timedelta(days=1)
_UTC = ZoneInfo("UTC")
_NAME = re.compile(r"([A-Za-z-]+)[;:]")
_BOUNDARY = re.compile(r"(BEGIN|END):([A-Z0-9-]+)\s*", re.IGNORECASE)


class HolidaysError(ValueError):
    """The file cannot be read. `line` is where, if that is known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why if line is None else f"line {line}: {why}")
        self.line = line


class Skipped(NamedTuple):
    """An event that does not close a day. `summary` is its name or, without one, the line on which it begins."""

    summary: str
    why: str


class Holidays(NamedTuple):
    """Closed days by ISO date, in order, with the names of their holidays; and the events that were skipped."""

    days: dict[str, Override]
    skipped: list[Skipped]


def holidays(ics: bytes, first: date, last: date, seconds: float = SECONDS_ALLOWED, zone: ZoneInfo = _UTC) -> Holidays:
    """The all-day events from `first` to `last` (both included) with their repetitions.

    If a file has an all-day event's times in UTC, the event begins at midnight in `zone`.

    Events with a time of day, cancelled events and invalid ones are skipped. Raises HolidaysError for more than 1 MiB,
    for anything that is not an iCalendar file, and for one that takes longer than about `seconds`.
    """
    if len(ics) > MOST_BYTES:
        raise HolidaysError(f"the file has more than {MOST_BYTES} bytes")
    deadline = time.monotonic() + seconds
    names: defaultdict[date, list[str]] = defaultdict(list)
    skipped: list[Skipped] = []
    for label, events in _series(_events(ics, zone), deadline, skipped):
        try:
            found = _occurrences(events, first, last)
        except Exception as error:
            # The libraries do not document what they raise for an invalid event. The other holidays must not be lost.
            skipped.append(Skipped(label, f"its days cannot be computed: {error}"))
            continue
        left_out: dict[str, None] = {}
        for each in found:
            start, end = each.get("DTSTART").dt, each.get("DTEND").dt
            if str(each.get("STATUS", "")).upper() == "CANCELLED":
                left_out["is cancelled"] = None
            elif isinstance(start, datetime):
                left_out["has a time of day"] = None
            else:
                name = _name(each)
                for day in _days(max(start, first), min(max(end, start + _DAY), last + _DAY)):
                    if name not in names[day]:
                        names[day].append(name)
        skipped += (Skipped(label, why) for why in left_out)
        _hurry(deadline)
    skipped = [Skipped(summary, why[:LONGEST_TEXT]) for summary, why in skipped]
    return Holidays({day.isoformat(): Override(name=_joined(names[day])) for day in sorted(names)}, skipped)


def _series(
    found: Iterator[tuple[int, str]], deadline: float, skipped: list[Skipped]
) -> Iterator[tuple[str, list[Component]]]:
    """Events that belong together, with a label: one that may repeat, and its changed repetitions."""
    series: dict[str, list[Component]] = {}
    labels: dict[str, str] = {}
    repeating: set[str] = set()
    for line, source in found:
        _hurry(deadline)
        label = f"line {line}"
        try:
            event = Event.from_ical(source)
            label = _name(event) or label
            why = _unfit(event)
        except Exception as error:
            why = str(error)
        if why:
            skipped.append(Skipped(label, why))
            continue
        key = str(event.get("UID", label))
        if "RECURRENCE-ID" not in event:
            if key in repeating:
                key = f"{line} {key}"  # some files give all events the same id
            repeating.add(key)
        series.setdefault(key, []).append(event)
        labels.setdefault(key, label)
    yield from ((labels[key], events) for key, events in series.items())


def _occurrences(events: list[Component], first: date, last: date) -> list[Component]:
    if len(events) > MOST_CHANGES:
        raise ValueError(f"more than {MOST_CHANGES} of its repetitions were changed")
    calendar = Calendar()
    for event in events:
        rule: Any = event.get("RRULE")
        if rule and _never(rule, event.get("DTSTART").dt, last):
            del event["RRULE"]
        calendar.add_component(event)
    return list(CalendarQuery(calendar).between(first, last + _DAY))


def _never(rule: dict[str, list[Any]], start: date, last: date) -> bool:
    """Whether a daily rule matches no day up to the last one. The library would follow it to the year 9999."""
    if rule.get("FREQ") != ["DAILY"]:
        return False  # at most some ten thousand steps
    (step,) = rule.get("INTERVAL", [1])
    months, days = (set(map(int, rule.get(part, ()))) for part in ("BYMONTH", "BYMONTHDAY"))
    weekdays = {WEEKDAYS.index(str(each)[-2:]) for each in rule.get("BYDAY", ())}
    for number in range(0, (last - start).days + 1, step):
        day = start + number * _DAY
        if (months and day.month not in months) or (weekdays and day.weekday() not in weekdays):
            continue
        if not days or day.day in days or day.day - monthrange(day.year, day.month)[1] - 1 in days:
            return False
    return True


def _unfit(event: Component) -> str | None:
    """Why it cannot be a holiday, whatever days it falls on."""
    for name, why in event.errors:
        return f"{name}: {why}"
    for name in READ - {"RDATE", "EXDATE"}:
        if isinstance(event.get(name), list):
            return f"has more than one {name}"
    start, end = (getattr(event.get(name), "dt", None) for name in ("DTSTART", "DTEND"))
    if start is None:
        return "has no DTSTART"
    if "RECURRENCE-ID" in event:
        return None  # it replaces a repetition, whatever it is
    if type(start) is not date or type(end) not in (date, type(None)):
        return "has a time of day"
    lasts = end - start if end else event.get("DURATION").dt if "DURATION" in event else _DAY
    if abs(lasts) > LONGEST_DAYS * _DAY:
        return f"lasts longer than {LONGEST_DAYS} days"
    return _unfit_rule(event.get("RRULE"), start) if "RRULE" in event else None


def _unfit_rule(rule: dict[str, list[Any]], start: date) -> str | None:
    frequency = ", ".join(map(str, rule.get("FREQ", ["?"])))
    if frequency not in FREQUENCIES:
        return f"repeats {frequency}; only DAILY, WEEKLY, MONTHLY and YEARLY are supported"
    if unknown := rule.keys() - (LONG_RULE_PARTS if frequency in ("MONTHLY", "YEARLY") else RULE_PARTS):
        return f"repeats with {', '.join(sorted(unknown))}"
    if any(len(values) > MOST_VALUES for values in rule.values()):
        return f"repeats by more than {MOST_VALUES} values"
    if any(interval < 1 for interval in rule.get("INTERVAL", [])):
        return "repeats without an interval"
    return f"repeats since before {EARLIEST_YEAR}" if start.year < EARLIEST_YEAR else None


def _name(event: Component) -> str:
    found = event.get("SUMMARY", "")
    return " ".join(str(found[0] if isinstance(found, list) else found).split())[:LONGEST_TEXT]


def _joined(names: list[str]) -> str | None:
    return ", ".join(filter(None, names))[:LONGEST_TEXT] or None


def _days(start: date, end: date) -> Iterator[date]:
    return (start + n * _DAY for n in range((end - start).days))


def _hurry(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise HolidaysError("the file takes too long to read")


def _events(ics: bytes, zone: ZoneInfo) -> Iterator[tuple[int, str]]:
    """Every VEVENT: the line on which it begins, and the lines to read, with its days as dates."""
    opened: list[tuple[str, int]] = []
    kept: list[str] = []
    of_calendar: dict[str, str] = {}
    line = 0
    for line, content in ical_lines.content_lines(ics):
        boundary = _BOUNDARY.fullmatch(content)
        begins = boundary is not None and boundary[1].upper() == "BEGIN"
        component = boundary[2].upper() if boundary else ""
        if not opened and not (begins and component == "VCALENDAR"):
            raise HolidaysError(f"an iCalendar file begins with BEGIN:VCALENDAR, not with {content[:40]!r}", line)
        in_event = len(opened) == 2 and opened[1][0] == "VEVENT"
        if boundary is None:
            name = _NAME.match(content)
            if in_event and name and name[1].upper() in READ | ical_days.READ_TOO:
                kept.append(content)
            elif len(opened) == 1 and name and name[1].upper() in ("VERSION", "METHOD"):
                of_calendar[name[1].upper()] = content.rpartition(":")[2].strip().upper()
        elif begins:
            if not opened:
                of_calendar = {}
            opened.append((component, line))
        else:
            expected, since = opened.pop()
            if component != expected:
                raise HolidaysError(f"END:{component} where BEGIN:{expected} of line {since} is open", line)
            if in_event:
                found = ical_days.as_days(kept, zone, old=of_calendar.get("VERSION", "").startswith("1"))
                if of_calendar.get("METHOD") == "CANCEL":
                    found = [each for each in found if not each.startswith("STATUS")] + ["STATUS:CANCELLED"]
                yield since, "\r\n".join(["BEGIN:VEVENT", *found, "END:VEVENT", ""])
                kept = []
    if opened:
        raise HolidaysError(f"BEGIN:{opened[-1][0]} has no END", opened[-1][1])
    if not line:
        raise HolidaysError("the file is empty")
