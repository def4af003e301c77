"""What answering does to relationships."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rapport.domain.mix.labels import share
from rapport.domain.relationships.answering import AFTER, OUTCOMES
from services.api.answering.repository import Effects
from services.api.answering.schemas import AfterOutcome, Answering, Direction
from services.api.brands.documents import BrandDocument
from services.api.http.periods import span_of
from services.api.mix.schemas import Estimate
from services.api.storage.tenants import Database, Tenants

USUAL_DAYS = 90


async def report(database: Database, brand: BrandDocument, days: tuple[str, str]) -> Answering:
    """The effect on a brand's exchanges that were due on these days and whose 30 days are over."""
    start, end = span_of(*days, ZoneInfo(brand["settings"]["timezone"]))
    counts = await Effects(database, Tenants.one(brand["_id"])).counted(brand["_id"], start, end)
    return Answering(
        from_=date.fromisoformat(days[0]),
        to=date.fromisoformat(days[1]),
        after=[_after(outcome, counts) for outcome in OUTCOMES],
    )


def _after(outcome: Any, counts: dict[tuple[str, str], int]) -> AfterOutcome:
    whole = sum(times for (name, _), times in counts.items() if name == outcome)
    found = {name: _direction(counts.get((outcome, name), 0), whole) for name in ("rose", "stayed", "fell")}
    return AfterOutcome(outcome=outcome, exchanges=whole, **found)


def _direction(part: int, whole: int) -> Direction:
    found = share(part, whole)
    return Direction(
        followers=part, share=None if found is None else Estimate(value=found.value, low=found.low, high=found.high)
    )


def usual(now: datetime) -> tuple[date, date]:
    """The latest 90 days with results: the 30 days after them are over."""
    last = (now - AFTER).date()
    return last - timedelta(days=USUAL_DAYS - 1), last
