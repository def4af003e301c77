"""Headline numbers put together from the figures of `repositories.overview`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document
from services.api import shapes
from services.api.periods import midnight
from services.api.repositories.overview import SPANS, Medians, Overviews
from services.api.repositories.tenants import Tenants
from services.api.schemas.views import Overview, OverviewAcross

_COUNTS = ("open", "due_soon", "overdue", "backfilled_open")


async def overview(
    database: AsyncDatabase[Document], tenants: Tenants, brands: Sequence[Document], now: datetime
) -> OverviewAcross:
    """The numbers of these brands (documents of `repositories.brands`), in all and by brand."""
    figures = Overviews(database, tenants)
    counted = await figures.counts(now)
    zones = {each["_id"]: ZoneInfo(each["settings"]["timezone"]) for each in brands}
    midnights = {brand: midnight(now.astimezone(zone).date(), zone) for brand, zone in zones.items()}
    followers = await figures.followers(midnights)
    medians = await figures.medians([each["_id"] for each in brands], now)
    items: list[Overview] = []
    totals: dict[str, int] = {}
    for brand in brands:
        found = dict(counted.get(brand["_id"], {}))
        found["followers"], found["new_today"] = followers[brand["_id"]]
        for name, value in found.items():
            totals[name] = totals.get(name, 0) + value
        settings = brand["settings"]
        items.append(
            Overview(
                brand=brand["_id"],
                name=settings["name"],
                timezone=settings["timezone"],
                **_numbers(found, medians[brand["_id"]], now),
            )
        )
    return OverviewAcross(brands=items, **_numbers(totals, medians[None], now))


def _numbers(found: dict[str, int], medians: dict[str, Medians], now: datetime) -> dict[str, Any]:
    windows = {name: shapes.window(found, name, medians[name]) for name in SPANS}
    return {
        "at": now,
        "followers": found.get("followers", 0),
        "new_today": found.get("new_today", 0),
        **{name: found.get(name, 0) for name in _COUNTS},
        **windows,
        "compliance": windows["last_30d"].compliance,
        "median_response_seconds": windows["last_30d"].median_response_seconds,
    }
