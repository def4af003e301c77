"""Days are cut by the time zones of the package, wherever that is done."""

import re
import zoneinfo
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pymongo.database import Database

import services
from services.api.exchanges.documents import exchange_document
from services.api.http.periods import days_between, midnight, span_of
from services.api.overview.pages import CHART_DAYS
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from tests.services.api import samples
from tests.services.api.conftest import Served
from tests.services.api.web.portal_session import logged_in

ZONES = (
    "America/Ciudad_Juarez", "America/Coyhaique", "Asia/Almaty", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Asia/Kolkata", "Pacific/Chatham", "Pacific/Apia", "America/Havana", "UTC",
)  # fmt: skip
A_MOMENT = timedelta(milliseconds=1)


@pytest.mark.stack
@pytest.mark.parametrize("name", ZONES)
def test_the_chart_has_each_exchange_on_the_day_that_its_zone_says(
    api: Served, views: Database[Any], name: str
) -> None:
    assert api.client.post("/v1/brands", json={"id": "b", "name": "B", "timezone": name}).status_code == 201
    zone = ZoneInfo(name)
    today = datetime.now(UTC).astimezone(zone).date()
    midnights = [midnight(today - timedelta(days=back), zone) for back in range(CHART_DAYS)]
    opened = [at + off for at in midnights for off in (-A_MOMENT, timedelta(), 30 * A_MOMENT)]
    batch = Batch()
    for number, at in enumerate(opened):
        document = exchange_document(samples.exchange(f"x{number}", "b", at), 1)
        batch.exchanges[document["_id"]] = document
    writing.write(views, batch)
    with logged_in(api) as browser:
        answer = browser.get("/brands/b/chart")
    assert answer.status_code == 200, answer.text
    shown = dict(zip(answer.json()["days"], answer.json()["open"], strict=True))
    expected = Counter(at.astimezone(zone).date().isoformat() for at in opened)
    assert shown == {
        (today - timedelta(days=back)).isoformat(): expected[_day(today, back)] for back in range(CHART_DAYS)
    }


def _day(today: date, back: int) -> str:
    return (today - timedelta(days=back)).isoformat()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Havana", "2026-03-08", 23),
        ("Atlantic/Azores", "2026-10-25", 25),
        ("America/Santiago", "2026-04-04", 25),
        ("Asia/Kathmandu", "2026-06-01", 24),
        ("Pacific/Apia", "2011-12-30", 0),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(zone: str, day: str, hours: float) -> None:
    start, end = span_of(day, day, ZoneInfo(zone))
    assert end - start == timedelta(hours=hours)
    for at in (start, end - A_MOMENT) if hours else ():
        assert at.astimezone(ZoneInfo(zone)).date().isoformat() == day
    assert (start - A_MOMENT).astimezone(ZoneInfo(zone)).date().isoformat() < day


def test_the_days_of_a_year_follow_each_other_without_gap_in_every_zone() -> None:
    days = days_between("2026-01-01", "2026-12-31")
    for zone in map(ZoneInfo, sorted(zoneinfo.available_timezones())):
        for day in days:
            begun = midnight(date.fromisoformat(day), zone)
            assert begun.astimezone(zone).date().isoformat() == day, zone
            assert (begun - A_MOMENT).astimezone(zone).date().isoformat() < day, zone


def test_zones_come_from_the_package_alone() -> None:
    assert zoneinfo.TZPATH == ()


@pytest.mark.stack
@pytest.mark.parametrize("zone", ["America/Nowhere", "europe/berlin", "localtime", "posix/Europe/Berlin", "", "../UTC"])
def test_a_zone_that_the_package_lacks_is_refused_when_saved(api: Served, zone: str) -> None:
    answer = api.client.post("/v1/brands", json={"id": "b", "name": "B", "timezone": zone})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "timezone"
    calendar = {"timezone": zone, "week": {"mon": [["09:00", "17:00"]]}}
    rule = {"target_seconds": 60, "calendar": "office"}
    assert api.client.post("/v1/brands", json={"id": "b", "name": "B"}).status_code == 201
    answer = api.client.put("/v1/brands/b/policy", json={"rules": [rule], "calendars": {"office": calendar}})
    assert answer.status_code == 422
    assert "timezone" in answer.json()["errors"][0]["field"]


def test_nothing_asks_mongodb_for_days() -> None:
    """MongoDB has time zones of its own, of whatever release it came with."""
    by_date = re.compile(
        r"\$(date(Trunc|ToString|ToParts|FromParts|FromString|Add|Subtract|Diff)|dayOf\w+|isoWeek\w*|hour|month|year)\""
    )
    for path in Path(services.__path__[0]).rglob("*.py"):
        for line in path.read_text().splitlines():
            found = by_date.search(line)
            # The field `hour` of what is counted by the hour.
            assert found is None or (found[0] == '$hour"' and '"hour": "$hour"' in line), f"{path}: {line}"
