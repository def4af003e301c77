"""Days in a brand's time zone, such as `2026-11-25`, and the UTC times at which they begin and end."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from rapport.domain.times import OUT_OF_RANGE, day_in_range, local
from services.api.http.problems import invalid

LONGEST_DAYS = 366
USUAL_DAYS = 30


def day_of(at: datetime, zone: str) -> str:
    """The day on which a time falls."""
    return local(at, ZoneInfo(zone)).date().isoformat()


def span_of(first: str, last: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the first day begins, and when the last one ends."""
    end = date.fromisoformat(last) + timedelta(days=1)
    return midnight(date.fromisoformat(first), zone), midnight(end, zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins (UTC). If clocks are put forward at midnight, it begins then."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def days_between(first: str, last: str) -> list[str]:
    """Every day from the first to the last."""
    start = date.fromisoformat(first)
    count = (date.fromisoformat(last) - start).days + 1
    return [(start + timedelta(days=number)).isoformat() for number in range(count)]


def period(first: date | None, last: date | None, zone: str, now: datetime) -> tuple[str, str]:
    """The days asked for; by default the 30 up to today. Raises ProblemError (422)."""
    until = last or now.astimezone(ZoneInfo(zone)).date()
    if not day_in_range(until):
        raise invalid("to", f"a day {OUT_OF_RANGE}")
    since = first or until - timedelta(days=USUAL_DAYS - 1)
    if since > until:
        raise invalid("from", f"is after {until.isoformat()}, the end of the period")
    if (until - since).days >= LONGEST_DAYS:
        raise invalid("from", f"a period has at most {LONGEST_DAYS} days")
    return since.isoformat(), until.isoformat()
