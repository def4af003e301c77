"""An account that is silent for far longer than it usually is, from the log to the API."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pymongo.database import Database

from rapport.contracts.events import Interaction
from rapport.contracts.topics import CONVERSATIONS
from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.overview import gauges
from tests.services.api import samples
from tests.services.api.conftest import Served, own_brand
from tests.services.api.listening.told import beat, judged, listened, running, told

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
LAST = NOW - timedelta(hours=9)
"""When something last came, in the stories below."""


def weeks(brand: str, account: str, until: datetime = LAST, many: int = 8) -> list[Interaction]:
    """A comment every half hour over some weeks, received two seconds after it was written."""
    at, found = until - timedelta(weeks=many), []
    while at <= until:
        found.append(
            samples.interaction(
                f"{account}-{at.isoformat()}", brand, at - timedelta(seconds=2),
                account=account, platform="facebook", observed_at=at,
            )
        )  # fmt: skip
        at += timedelta(minutes=30)
    return found


def connect(api: Served, platform: str = "facebook", **more: Any) -> tuple[str, str]:
    """A brand with an account that was connected long ago."""
    brand = own_brand()
    api.brand(brand)
    body = {
        "id": f"{brand}-a", "platform": platform, "handle": "Hillside",
        "connected_at": (NOW - timedelta(days=200)).isoformat(), **more,
    }  # fmt: skip
    answer = api.client.post(f"/v1/brands/{brand}/accounts", json=body)
    assert answer.status_code == 201, answer.text
    return brand, f"{brand}-a"


def standing(api: Served, views: Database[Document], brand: str, account: str) -> dict[str, Any]:
    running(views)
    found: dict[str, Any] = api.client.get(f"/v1/brands/{brand}/accounts/{account}").json()["standing"]
    return found


def arrivals(views: Database[Document], account: str) -> dict[str, list[Document]]:
    """What is kept of when something of an account came."""
    return {
        "days": views["account_minutes"].find({"account": account}).sort("_id").to_list(),
        "rhythm": views["account_rhythms"].find({"_id": account}).to_list(),
    }


def test_an_account_that_falls_silent_is_asked_about_until_something_comes(
    api: Served, views: Database[Document]
) -> None:
    brand, account = connect(api)
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    found = standing(api, views, brand, account)
    assert (found["state"], found["since"], found["quiet_since"]) == ("quiet", *[f"{LAST:%Y-%m-%dT%H:%M:%SZ}"] * 2)
    assert found["why"] == "usually about 2 an hour at this time"
    assert found["usual_per_hour"] == pytest.approx(2, abs=0.3)
    assert found["found_last_day"] == 30
    assert found["usual_last_day"] == pytest.approx(48, abs=3)
    assert found["last_received_at"] == found["quiet_since"]
    # A breach is not in doubt because of it, and another account of the brand is not concerned.
    told(views, [samples.interaction("again", brand, NOW, account=account, platform="facebook")])
    found = standing(api, views, brand, account)
    assert (found["state"], found["quiet_since"]) == ("live", None), "at once, not with the next look"
    judged(views, NOW + timedelta(minutes=1))
    assert standing(api, views, brand, account)["state"] == "live"


def test_an_account_as_silent_as_usual_is_live(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    told(views, weeks(brand, account, until=NOW - timedelta(hours=3)))
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    assert standing(api, views, brand, account)["state"] == "live"


def test_a_new_account_is_live_and_so_is_one_of_which_nothing_ever_came(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    found = standing(api, views, brand, account)
    assert (found["state"], found["last_received_at"], found["usual_per_hour"]) == ("live", None, None)
    told(views, weeks(brand, account, many=2))
    judged(views, NOW)
    found = standing(api, views, brand, account)
    assert (found["state"], found["usual_per_hour"], found["usual_last_day"]) == ("live", None, None)
    assert found["found_last_day"] == 30


def test_an_import_is_neither_rhythm_nor_a_sign_of_life(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    at = NOW - timedelta(weeks=1)
    imported = [
        samples.interaction(each.id, brand, each.occurred_at, account=account, platform="facebook", observed_at=at)
        for each in weeks(brand, account, until=at - timedelta(days=4))
    ]
    told(views, imported)
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    assert arrivals(views, account) == {"days": [], "rhythm": []}
    # With a live rhythm of its own, an import of the past does not hide that the webhook is dead.
    other, quiet = connect(api)
    told(views, weeks(other, quiet))
    told(views, [
        samples.interaction(f"old-{number}", other, NOW - timedelta(days=300), account=quiet, platform="facebook",
                            observed_at=NOW)
        for number in range(3)
    ])  # fmt: skip
    judged(views, NOW)
    assert standing(api, views, other, quiet)["state"] == "quiet"


def test_what_the_brand_does_itself_is_no_sign_of_life(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    told(views, weeks(brand, account))
    told(views, [samples.reply("answer", brand, NOW, "at://x", account=account, platform="facebook")])
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    assert standing(api, views, brand, account)["state"] == "quiet"


def test_nobody_is_quiet_because_rapport_was_away_or_the_views_are_behind(
    api: Served, views: Database[Document]
) -> None:
    brand, account = connect(api)
    told(views, weeks(brand, account))
    # It was away from the last comment until a few minutes ago.
    listened(views, NOW - timedelta(weeks=9), LAST)
    beat(views, NOW)
    judged(views, NOW)
    assert standing(api, views, brand, account)["state"] == "live"
    # It listened, but one partition has not been read further than to the last comment.
    views["horizons"].delete_many({})
    listened(views, NOW - timedelta(weeks=9), NOW)
    views["horizons"].update_one({"_id": 1}, {"$set": {"at": LAST}})
    views["account_rhythms"].update_many({}, {"$unset": {"judged": 1}})
    judged(views, NOW)
    assert standing(api, views, brand, account)["state"] == "live"
    views["horizons"].delete_one({"_id": 1})
    views["account_rhythms"].update_many({}, {"$unset": {"judged": 1}})
    judged(views, NOW)
    assert "judged" not in arrivals(views, account)["rhythm"][0], "nobody knows how far that one is"
    beat(views, NOW)
    judged(views, NOW)
    assert standing(api, views, brand, account)["state"] == "quiet"


def test_an_account_that_is_asked_is_judged_by_its_last_reading(api: Served, views: Database[Document]) -> None:
    connection = {"service": "https://mastodon.example", "token": "secret"}
    brand, account = connect(api, "mastodon", connection=connection)
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)
    state = {
        "_id": account, "version": 1, "brand": brand, "state": "live", "since": LAST, "why": None,
        "checked_at": LAST + timedelta(hours=2), "latest_at": LAST,
    }  # fmt: skip
    views["account_states"].insert_one(dict(state))
    judged(views, NOW)
    assert standing(api, views, brand, account)["state"] == "live"
    views["account_states"].update_one({"_id": account}, {"$set": {"checked_at": NOW}})
    judged(views, NOW + timedelta(days=2))
    assert standing(api, views, brand, account)["state"] == "quiet"
    # What is known to be wrong comes first.
    views["account_states"].update_one({"_id": account}, {"$set": {"state": "attention", "why": "no token"}})
    assert standing(api, views, brand, account)["state"] == "attention"


def test_an_account_with_a_token_that_nobody_asks_is_judged_as_one_that_is_pushed(
    api: Served, views: Database[Document]
) -> None:
    """X where ingest has no bearer token: its state is never written."""
    brand, account = connect(api, "x", connection={"user": "7", "token": "secret"})
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    assert arrivals(views, account)["rhythm"][0]["quiet"]


def test_half_of_a_past_is_not_learned_while_the_views_are_filled(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    story = weeks(brand, account)
    told(views, [*story[: len(story) // 3], story[-1]])
    listened(views, NOW - timedelta(weeks=9), LAST - timedelta(days=30))
    judged(views, NOW)
    assert "learned" not in arrivals(views, account)["rhythm"][0]
    told(views, story)
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW + timedelta(minutes=10))
    assert standing(api, views, brand, account)["state"] == "quiet"
    assert arrivals(views, account)["rhythm"][0]["learned"]["per_hour"] is not None


def test_partitions_that_are_gone_hold_nothing_up(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)
    views["horizons"].insert_one({"_id": CONVERSATIONS.partitions, "at": NOW - timedelta(days=40)})
    judged(views, NOW)
    found = standing(api, views, brand, account)
    assert (found["state"], found["found_last_day"]) == ("quiet", 30)


def test_a_connection_that_came_later_ends_it(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    assert standing(api, views, brand, account)["state"] == "quiet"
    again = {"id": account, "platform": "facebook", "handle": "Hillside"}
    assert api.client.delete(f"/v1/brands/{brand}/accounts/{account}").status_code == 200
    assert api.client.post(f"/v1/brands/{brand}/accounts", json=again).status_code == 201
    assert standing(api, views, brand, account)["state"] == "live"


def test_repetition_replay_and_another_order_end_in_the_same(api: Served, views: Database[Document]) -> None:
    """Two processes, a crash after the facts were stored, a replay from the beginning, records that come twice."""
    brand, account = connect(api)
    story = weeks(brand, account)
    told(views, story)
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    wanted = arrivals(views, account)
    twice = [
        samples.interaction(each.id, brand, each.occurred_at, account=account, platform="facebook",
                            observed_at=each.observed_at + timedelta(hours=7))
        for each in story[-4:]
    ]  # fmt: skip
    told(views, story)
    told(views, twice)
    judged(views, NOW)
    assert arrivals(views, account) == wanted, "what is sent again says nothing new"
    for collection in ("account_minutes", "account_rhythms"):
        views[collection].delete_many({})
    for start in range(0, len(story), 700):
        told(views, reversed(story[start : start + 900]))
    judged(views, NOW)
    assert arrivals(views, account) == wanted
    # The process that stored the facts died before it noted when they came.
    views["account_minutes"].delete_many({})
    views["account_rhythms"].delete_many({})
    told(views, story)
    judged(views, NOW)
    assert arrivals(views, account) == wanted


def test_it_stays_quiet_after_the_past_is_gone(api: Served, views: Database[Document]) -> None:
    """Minutes are kept for 100 days, and the log for 90."""
    brand, account = connect(api)
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    views["account_minutes"].delete_many({})
    views["heard_minutes"].delete_many({})
    listened(views, NOW, NOW + timedelta(hours=1))
    judged(views, NOW + timedelta(hours=1))
    assert views["account_rhythms"].find_one({"_id": account, "quiet": True}) is not None
    told(views, [samples.interaction("again", brand, NOW, account=account, platform="facebook")])
    judged(views, NOW + timedelta(hours=2))
    assert standing(api, views, brand, account)["state"] == "live"


def test_accounts_are_counted_by_state(api: Served, stack: Running, views: Database[Document]) -> None:
    brand, account = connect(api)
    connect(api, "shop")
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)

    def counted(platform: str, state: str) -> float | None:
        return REGISTRY.get_sample_value("rapport_accounts", {"platform": platform, "state": state})

    running(views)

    async def measured() -> None:
        async with mongo.async_client(stack.mongodb) as client:
            await gauges.measure(client[views.name], datetime.now(UTC), set())

    asyncio.run(measured())
    assert (counted("facebook", "live"), counted("facebook", "quiet"), counted("other", "live")) == (1, 0, 1)
    judged(views, NOW)
    asyncio.run(measured())
    assert (counted("facebook", "live"), counted("facebook", "quiet"), counted("x", "quiet")) == (0, 1, 0)


def test_a_platform_that_tells_late_is_told_apart(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api)
    told(views, weeks(brand, account, until=NOW - timedelta(hours=2)))
    late = [
        samples.interaction(f"late-{minute}", brand, NOW - timedelta(hours=3, minutes=minute), account=account,
                            platform="facebook", observed_at=NOW - timedelta(minutes=minute))
        for minute in range(1, 30, 2)
    ]  # fmt: skip
    told(views, late)
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    found = standing(api, views, brand, account)
    assert (found["state"], found["late_by_seconds"]) == ("live", 10_800)
    assert found["late_since"] is not None
    day = f"{NOW - timedelta(weeks=3):%Y-%m-%d}"
    lags = api.client.get(f"/v1/brands/{brand}/platform-lag", params={"from": day, "to": day}).json()
    assert [(each["account"], each["median_seconds"], each["minutes"]) for each in lags["items"]] == [
        (None, 5, 48), (account, 5, 48)
    ]  # fmt: skip
    today = api.client.get(f"/v1/brands/{brand}/platform-lag").json()["items"][1]
    assert today["median_seconds"] == 5
    # An hour later nothing of it is recent, so it is over.
    beat(views, NOW + timedelta(hours=2))
    judged(views, NOW + timedelta(hours=2))
    assert standing(api, views, brand, account)["late_since"] is None


def test_what_has_no_time_of_its_own_says_nothing_about_delays(api: Served, views: Database[Document]) -> None:
    brand, account = connect(api, "instagram")
    told(views, [
        samples.interaction(f"one-{minute}", brand, NOW - timedelta(minutes=minute), account=account,
                            platform="instagram", occurred_at_source="receipt")
        for minute in range(10)
    ])  # fmt: skip
    lags = api.client.get(f"/v1/brands/{brand}/platform-lag").json()["items"]
    assert [(each["median_seconds"], each["minutes"]) for each in lags] == [(None, 0), (None, 0)]


@pytest.mark.parametrize("query", ["from=2026-11-02&to=2026-11-01", "from=x", "to=99999-01-01", "since=1"])
def test_a_period_that_makes_no_sense_is_refused(api: Served, views: Database[Document], query: str) -> None:
    brand, _ = connect(api)
    assert api.client.get(f"/v1/brands/{brand}/platform-lag?{query}").status_code == 422
