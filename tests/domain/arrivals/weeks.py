"""Weeks of an account, as the minutes in which something came."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from rapport.domain.arrivals.minutes import HOUR, WHOLE_HOUR, bit_of, hour_of

MONDAY = datetime(2026, 9, 7, tzinfo=UTC)
"""When the weeks begin; no clock in Europe is put back before their eighth is over."""
END = MONDAY + timedelta(weeks=8)


def minutes(times: Iterable[datetime]) -> dict[datetime, int]:
    """The minutes of these times."""
    found: dict[datetime, int] = {}
    for at in times:
        found[hour_of(at)] = found.get(hour_of(at), 0) | bit_of(at)
    return found


def heard(begin: datetime = MONDAY, end: datetime = END + timedelta(weeks=12)) -> dict[datetime, int]:
    """Rapport listened all the time."""
    found, hour = {}, begin
    while hour < end:
        found[hour] = WHOLE_HOUR
        hour += HOUR
    return found


def every(step: timedelta, when: Callable[[datetime], bool] = lambda _: True, weeks: int = 8) -> list[datetime]:
    """Times with the same distance, of those that `when` allows, over the weeks before END."""
    at, found = END - timedelta(weeks=weeks), []
    while at < END:
        if when(at):
            found.append(at)
        at += step
    return found


def in_the_day(at: datetime) -> bool:
    """Monday to Friday from 8 to 20."""
    return at.weekday() < 5 and 8 <= at.hour < 20
