"""Headline numbers as metrics, by brand. Every API process serves the same ones."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge
from pymongo.errors import PyMongoError

from rapport.domain.platforms import NAMES
from services.api.accounts.repository import Accounts
from services.api.brands.repository import Brands
from services.api.keys.repository import Keys
from services.api.listening import service as listening
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
ACCOUNTS = Gauge("rapport_accounts", "Connected accounts by platform and by how they stand.", ["platform", "state"])
LATE = Gauge("rapport_accounts_late", "Accounts of which news comes far later than usual.", ["platform"])
# An alert on a series that is not there yet would miss the first account.
for _platform in (*NAMES, listening.ELSEWHERE):
    LATE.labels(_platform)
    for _state in listening.STATES:
        ACCOUNTS.labels(_platform, _state)
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
    await _measure_accounts(database, now)
    return set(shown)


async def _measure_keys(database: Database, now: datetime) -> None:
    ending = await Keys(database).ending(now, now + SOON, MOST_KEYS)
    KEY_EXPIRES.clear()
    for key in ending:
        assert key["expires_at"] is not None
        KEY_EXPIRES.labels(key["_id"]).set(key["expires_at"].timestamp())


async def _measure_accounts(database: Database, now: datetime) -> None:
    accounts = await Accounts(database, Tenants(None)).all_connected()
    counts = await listening.counts(database, accounts, now)
    for platform in (*NAMES, listening.ELSEWHERE):
        LATE.labels(platform).set(counts.late.get(platform, 0))
        for state in listening.STATES:
            ACCOUNTS.labels(platform, state).set(counts.states.get((platform, state), 0))


def _urgency(counts: Mapping[str, int]) -> tuple[int, int]:
    return counts.get("overdue", 0), counts.get("open", 0)
