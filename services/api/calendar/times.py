"""Reads times in a file of planned posts: RFC 3339, and local times as spreadsheets write them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from rapport.domain import local_times

Order = Literal["day-first", "month-first"]

EXACT, LOCAL, DOTS, SLASHES = "RFC 3339", "local time", "day.month.year", "with slashes"
EXAMPLES = "2026-12-31T09:00:00+01:00, 2026-12-31 09:00, 31.12.2026 09:00 or 12/31/2026 9:00 AM"
NO_TIME = f"a time is needed, such as {EXAMPLES}"
NO_SUCH_TIME = "there is no such day or time"
AMBIGUOUS = "it is unclear whether the day or the month comes first; say which in this file"

_DATE = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d{1,9})?)?"
_HALF = r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
_SHAPES = {
    EXACT: re.compile(rf"{_DATE}[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{{1,9}})?)?(?:[Zz]|[+-]\d\d:\d\d)"),
    LOCAL: re.compile(rf"{_DATE}[Tt ]{_CLOCK}"),
    DOTS: re.compile(rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}}),?\s+{_CLOCK}(?:\s*Uhr)?"),
    SLASHES: re.compile(rf"(?P<one>\d{{1,2}})/(?P<other>\d{{1,2}})/(?P<year>\d{{4}}),?\s+{_CLOCK}{_HALF}"),
}


def shape_of(text: str) -> str | None:
    """The format of a time. None if it is in none of them."""
    return next((name for name, shape in _SHAPES.items() if shape.fullmatch(text.strip())), None)


def order_of(texts: Iterable[str]) -> Order | None:
    """Whether the day or the month comes first in dates with slashes, if one of them shows it."""
    found: set[Order] = set()
    for text in texts:
        parts = _SHAPES[SLASHES].fullmatch(text.strip())
        if parts is not None and int(parts["one"]) > 12:
            found.add("day-first")
        elif parts is not None and int(parts["other"]) > 12:
            found.add("month-first")
    return found.pop() if len(found) == 1 else None


def read(text: str, zone: ZoneInfo, order: Order | None) -> datetime:
    """A time in UTC. Raises ValueError with the reason."""
    name = shape_of(text)
    if name is None:
        raise ValueError(NO_TIME)
    if name == EXACT:
        try:
            found = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(NO_SUCH_TIME) from None
        if not local_times.FIRST_YEAR < found.year < local_times.LAST_YEAR:
            raise ValueError(f"a year from {local_times.FIRST_YEAR} to {local_times.LAST_YEAR} is needed")
        return found.astimezone(UTC)
    parts = _SHAPES[name].fullmatch(text.strip())
    assert parts is not None, "the shape was found by this pattern"
    if name == SLASHES:
        if order is None:
            raise ValueError(AMBIGUOUS)
        one, other = int(parts["one"]), int(parts["other"])
        month, day = (one, other) if order == "month-first" else (other, one)
        half = (parts["half"] or "").lower()
    else:
        month, day, half = int(parts["month"]), int(parts["day"]), ""
    hour = int(parts["hour"])
    if half and not 1 <= hour <= 12:
        raise ValueError(f"there is no {hour} o'clock with AM or PM")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        local = datetime(int(parts["year"]), month, day, hour, int(parts["minute"]), int(parts["second"] or 0))
    except ValueError:
        raise ValueError(NO_SUCH_TIME) from None
    try:
        return local_times.as_utc(local, zone)
    except local_times.TwiceError:
        raise ValueError("this time comes twice, because the clocks go back; add its offset, such as +01:00") from None
    except ValueError as error:
        raise ValueError(f"{str(error)[:1].lower()}{str(error)[1:].rstrip('.')}") from None
