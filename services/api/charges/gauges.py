"""What platforms charge, as metrics. Every API process serves the same ones."""

import asyncio
import logging
from datetime import UTC, datetime

from prometheus_client import Gauge
from pymongo.errors import PyMongoError

from rapport.domain.charges import CHARGING
from services.api.charges import service
from services.api.charges.service import Pricing
from services.api.storage.tenants import Database

log = logging.getLogger("rapport.api")

EVERY_SECONDS = 60.0
MOST_ACCOUNTS = 100
"""Each account is a series. Beyond these the cheapest are left out; the sum has all."""
NOBODY = "(connected nowhere)"

MONTH = Gauge("rapport_charges_month_dollars", "What a platform has charged since the month began.", ["platform"])
BUDGET = Gauge(
    "rapport_charges_budget_dollars",
    "What the agency wants to pay in a month; 0 without a limit.",
    ["platform"],
)
BY_ACCOUNT = Gauge("rapport_charges_account_dollars", "The same by account, for the dearest.", ["platform", "account"])
for _platform in CHARGING:
    BUDGET.labels(_platform)


async def keep(database: Database, pricing: Pricing) -> None:
    """Keeps the metrics up to date until it is cancelled."""
    for platform in CHARGING:
        BUDGET.labels(platform).set(float(pricing.budget or 0))
    while True:
        try:
            await measure(database, pricing, datetime.now(UTC))
        except PyMongoError as error:
            log.warning("the metrics of charges are as old as the last look (%s: %.300s)", type(error).__name__, error)
        except Exception:  # whatever is stored, the metrics go on with the next look
            log.exception("the metrics of charges could not be computed")
        await asyncio.sleep(EVERY_SECONDS)


async def measure(database: Database, pricing: Pricing, now: datetime) -> None:
    """Sets the metrics."""
    found = await service.of_all(database, pricing, now)
    BY_ACCOUNT.clear()
    for platform, bills in found.items():
        MONTH.labels(platform).set(float(service.total(bills)))
        for bill in bills[:MOST_ACCOUNTS]:
            BY_ACCOUNT.labels(platform, bill.account or NOBODY).set(float(bill.dollars))
