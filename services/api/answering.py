"""The effect of answering, put together for the API and the portal."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rapport.domain import mix
from rapport.domain.answering import AFTER, OUTCOMES
from services.api.periods import span_of
from services.api.reading import Database
from services.api.repositories.effects import Effects
from services.api.repositories.tenants import Tenants
from services.api.schemas.answering import After, Answering, Direction
from services.api.schemas.mix import Estimate

USUAL_DAYS = 90


async def report(database: Database, brand: dict[str, Any], days: tuple[str, str]) -> Answering:
    """The exchanges of a brand that were due on these days and whose window is over."""
    start, end = span_of(*days, ZoneInfo(brand["settings"]["timezone"]))
    counts = await Effects(database, Tenants.one(brand["_id"])).counted(brand["_id"], start, end)
    return Answering(
        from_=date.fromisoformat(days[0]),
        to=date.fromisoformat(days[1]),
        after=[_after(outcome, counts) for outcome in OUTCOMES],
    )


def _after(outcome: Any, counts: dict[tuple[str, str], int]) -> After:
    whole = sum(times for (name, _), times in counts.items() if name == outcome)
    found = {name: _direction(counts.get((outcome, name), 0), whole) for name in ("rose", "stayed", "fell")}
    return After(outcome=outcome, exchanges=whole, **found)


def _direction(part: int, whole: int) -> Direction:
    found = mix.share(part, whole)
    return Direction(
        followers=part, share=None if found is None else Estimate(value=found.value, low=found.low, high=found.high)
    )


def usual(now: datetime) -> tuple[date, date]:
    """The last 90 days whose windows are over."""
    last = (now - AFTER).date()
    return last - timedelta(days=USUAL_DAYS - 1), last
