"""Headline numbers as metrics, by brand. Every API process serves the same ones."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge
from pymongo.errors import PyMongoError

from services.api.brands.repository import Brands
from services.api.keys.repository import Keys
from services.api.overview.repository import Overviews
from services.api.storage.tenants import Database, Tenants

log = logging.getLogger("rapport.api")

EVERY_SECONDS = 30.0
MOST_BRANDS = 500
"""Each brand is a series per metric. Beyond these, those with the fewest overdue and open exchanges are left out."""

OPEN = Gauge("rapport_open_exchanges", "Exchanges that wait for an answer.", ["brand"])
OVERDUE = Gauge("rapport_overdue_exchanges", "Open exchanges that are past their due time.", ["brand"])
MET = Gauge(
    "rapport_met_ratio",
    "Share of the exchanges due in the last 7 days that were answered in time; 1 if none was due.",
    ["brand"],
)
KEY_EXPIRES = Gauge(
    "rapport_key_expires_timestamp_seconds",
    "When a key for the API expires, as Unix time, of those that soon do.",
    ["key"],
)
SOON = timedelta(days=30)
MOST_KEYS = 100
BRANDS = Gauge("rapport_brands", "How many brands there are, including those that the metrics by brand leave out.")


async def keep(database: Database) -> None:
    """Keeps the metrics up to date until it is cancelled."""
    shown: set[str] = set()
    while True:
        try:
            shown = await measure(database, datetime.now(UTC), shown)
        except PyMongoError as error:
            log.warning("the metrics by brand are as old as the last look (%s: %.300s)", type(error).__name__, error)
        except Exception:  # whatever is stored, the metrics go on with the next look
            log.exception("the metrics by brand could not be computed")
        await asyncio.sleep(EVERY_SECONDS)


async def measure(database: Database, now: datetime, before: set[str]) -> set[str]:
    """Sets the metrics, and removes those of brands that are not shown any more. Gives the brands that are."""
    everybody = Tenants(None)
    brands = [each["_id"] for each in await Brands(database, everybody).all()]
    counts = await Overviews(database, everybody).counts(now)
    shown = sorted(brands, key=lambda brand: _urgency(counts.get(brand, {})), reverse=True)[:MOST_BRANDS]
    BRANDS.set(len(brands))
    for gone in before.difference(shown):
        for gauge in (OPEN, OVERDUE, MET):
            gauge.remove(gone)
    for brand in shown:
        its = counts.get(brand, {})
        OPEN.labels(brand).set(its.get("open", 0))
        OVERDUE.labels(brand).set(its.get("overdue", 0))
        due = its.get("last_7d_met", 0) + its.get("last_7d_missed", 0)
        MET.labels(brand).set(its.get("last_7d_met", 0) / due if due else 1)
    await _measure_keys(database, now)
    return set(shown)


async def _measure_keys(database: Database, now: datetime) -> None:
    ending = await Keys(database).ending(now, now + SOON, MOST_KEYS)
    KEY_EXPIRES.clear()
    for key in ending:
        assert key["expires_at"] is not None
        KEY_EXPIRES.labels(key["_id"]).set(key["expires_at"].timestamp())


def _urgency(counts: Mapping[str, int]) -> tuple[int, int]:
    return counts.get("overdue", 0), counts.get("open", 0)
