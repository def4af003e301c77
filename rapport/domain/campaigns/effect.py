"""What became of relationships some time after they began, so that a campaign's can be compared with the others.

The stage is that of the day (UTC) that lies 30 or 90 days after the first: from what is counted up to its end, by
today's knowledge and the numbers in force. So a deletion that comes later is reflected, and what was done later is not.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.counting import KEPT_DAYS, Days, stage_on
from rapport.domain.relationships.relationship import STAGES
from rapport.domain.times import clamped, shifted

AFTER_DAYS = (30, 90)


def week_of(first_seen: datetime) -> str:
    """The week (ISO 8601, UTC) in which a relationship began: `2026-W48`."""
    year, week, _ = clamped(first_seen).isocalendar()
    return f"{year:04}-W{week:02}"


def due_at(first_seen: datetime, after: int) -> datetime:
    """When the day that lies `after` days from the first one is over."""
    return datetime.combine(shifted(_day(first_seen), after + 1), datetime.min.time(), UTC)


def next_due(first_seen: datetime, now: datetime) -> datetime | None:
    """When the next of these days is over; None once all are."""
    return next((due for due in (due_at(first_seen, after) for after in AFTER_DAYS) if due > now), None)


def stage_after(days: Days, first_seen: datetime, after: int, scoring: Scoring) -> str | None:
    """The stage at the end of that day, from what is counted per day; None where its first days are gone."""
    first = _day(first_seen)
    if days and shifted(date.fromisoformat(max(days)), -KEPT_DAYS) > first:
        return None
    return stage_on(days, shifted(first, after), scoring)


def at_least(counts: Mapping[str, int], name: str) -> int:
    """How many are in a stage or in one above it."""
    return sum(counts.get(each, 0) for each in STAGES[STAGES.index(name) :])


def _day(at: datetime) -> date:
    return clamped(at).date()
