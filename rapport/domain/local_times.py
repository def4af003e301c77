"""Times as the clocks of a zone show them, which are not always there once: clocks go forward and back."""

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

Which = Literal["", "first", "second"]

NO_DAY_AND_TIME = "A day and a time are needed, such as 2026-11-25T18:00."
NO_SUCH_TIME = "There is no such time on that day, because the clocks go forward."
TWICE = "The clocks go back on that day, so this time comes twice. Say which one."
PAST = "This date is in the past. Save anyway?"
FIRST_YEAR, LAST_YEAR = 1971, 9998


class TwiceError(ValueError):
    """A time that comes twice, without a word about which one."""


def as_utc(local: datetime, zone: ZoneInfo, which: Which = "") -> datetime:
    """A time of a zone (naive) in UTC. Raises ValueError with a sentence, TwiceError where it comes twice."""
    if not FIRST_YEAR <= local.year <= LAST_YEAR:
        raise ValueError(f"A year from {FIRST_YEAR} to {LAST_YEAR} is needed.")
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) != local.replace(fold=0):
        raise ValueError(NO_SUCH_TIME)
    if first == second:
        return first
    if not which:
        raise TwiceError(TWICE)
    return first if which == "first" else second


def which(at: datetime, zone: ZoneInfo) -> Which:
    """Which of two a time is; empty where its local time comes once."""
    local = at.astimezone(zone)
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    return "second" if local.fold else "first"


def typed(at: datetime, zone: ZoneInfo) -> str:
    """A time as a form shows it, to the minute."""
    local = at.astimezone(zone)
    return f"{local.year:04}-{local:%m-%dT%H:%M}"


def read(text: str, zone: ZoneInfo, said: str = "") -> datetime:
    """A time as somebody typed it, in UTC. Raises ValueError with a sentence, TwiceError where it comes twice."""
    if not text.strip():
        raise ValueError("Say when.")
    try:
        local = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(NO_DAY_AND_TIME) from None
    if local.tzinfo is not None or "T" not in text.strip().replace(" ", "T"):
        raise ValueError(NO_DAY_AND_TIME)
    return as_utc(local, zone, "first" if said == "first" else "second" if said == "second" else "")
