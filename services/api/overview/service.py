"""Headline numbers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.api.brands.documents import BrandDocument
from services.api.http.periods import midnight
from services.api.overview.repository import SPANS, Medians, Overviews
from services.api.overview.schemas import Overview, OverviewAcross, Window
from services.api.storage.tenants import Database, Tenants

_COUNTS = ("open", "due_soon", "overdue", "backfilled_open")


async def overview(
    database: Database, tenants: Tenants, brands: Sequence[BrandDocument], now: datetime
) -> OverviewAcross:
    """The numbers of these brands, in total and by brand."""
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
    windows = {name: window_shown(found, name, medians[name]) for name in SPANS}
    return {
        "at": now,
        "followers": found.get("followers", 0),
        "new_today": found.get("new_today", 0),
        **{name: found.get(name, 0) for name in _COUNTS},
        **windows,
        "compliance": windows["last_30d"].compliance,
        "median_response_seconds": windows["last_30d"].median_response_seconds,
    }


def window_shown(figures: Mapping[str, int], name: str, medians: Medians) -> Window:
    """One span's figures, from what `Overviews` counted."""
    met, missed = figures.get(f"{name}_met", 0), figures.get(f"{name}_missed", 0)
    return Window(
        answered=figures.get(f"{name}_answered", 0),
        late=figures.get(f"{name}_late", 0),
        met=met,
        missed=missed,
        compliance=met / (met + missed) if met + missed else None,
        spam=figures.get(f"{name}_spam", 0),
        median_response_seconds=medians.seconds,
        median_business_seconds=medians.business_seconds,
        median_platform_seconds=medians.platform_seconds,
        p95_platform_seconds=medians.platform_p95_seconds,
        median_team_seconds=medians.team_seconds,
    )
