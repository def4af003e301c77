"""Consistency: read from the posts and the planned posts there are, against a rhythm that makes sense."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.new_relationships import stage_after
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts, samples
from tests.services.api.calendar import data as calendar_data
from tests.services.api.conftest import Served

pytestmark = pytest.mark.stack

BRAND = "aurora"
HOME = f"/v1/brands/{BRAND}/consistency"
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
ACCOUNTS = ("first-account", "second-account")


@pytest.fixture
def daily(api: Served, views: Database[Document]) -> None:
    """A post a day on one account for ten days, and one of them on the other an instant later."""
    api.brand(BRAND)
    for name in ACCOUNTS:
        account = {"id": name, "platform": "bluesky", "handle": name, "connected_at": "2026-01-01T00:00:00Z"}
        assert api.client.post(f"/v1/brands/{BRAND}/accounts", json=account).status_code == 201
    posts = [facts.post(f"p{number}", BRAND, NOON - number * DAY, account=ACCOUNTS[0]) for number in range(1, 11)]
    facts.write(views, *posts, facts.post("q", BRAND, NOON - 3 * DAY + timedelta(minutes=1), account=ACCOUNTS[1]))
    facts.settled(views)


def found(api: Served, first: int = 8, last: int = 2) -> Any:
    """The consistency from some days ago to others."""
    span = {"from": (NOON - first * DAY).date().isoformat(), "to": (NOON - last * DAY).date().isoformat()}
    answer = api.client.get(HOME, params=span)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("daily")
def test_brand_and_accounts_have_each_what_was_published_there(api: Served) -> None:
    rhythm = {"posts_per_week": 14, "accounts": {ACCOUNTS[0]: 7, ACCOUNTS[1]: 7}}
    assert api.client.put(f"{HOME}/rhythm", json=rhythm).json() == rhythm
    shown = found(api)
    brand, (one, other) = shown["brand"], shown["accounts"]
    assert (brand["published"], one["published"], other["published"]) == (8, 7, 1)
    assert (one["adherence"], one["gaps"]["evenness"], one["gaps"]["mean_hours"], one["score"]) == (1, 1, 24, 100)
    assert brand["adherence"] == pytest.approx(8 / 14)
    assert brand["gaps"]["count"] == 7, "the same post on two accounts is one occasion, and the first gap began before"
    assert other["adherence"] == pytest.approx(1 / 7)
    assert (other["handle"], other["platform"], other["posts_per_week"]) == (ACCOUNTS[1], "bluesky", 7)
    assert other["gaps"]["longest"]["open"]
    assert sum(week["published"] for week in brand["weeks"]) == 8


@pytest.mark.usefixtures("daily")
def test_a_deleted_post_was_not_published(api: Served, views: Database[Document]) -> None:
    assert found(api)["accounts"][0]["gaps"]["longest"]["hours"] == 24
    facts.write(views, facts.about("p5", "p5-gone", BRAND, NOON - DAY, "brand-person", kind="delete"))
    facts.settled(views)
    shown = found(api)["accounts"][0]
    assert (shown["published"], shown["gaps"]["longest"]["hours"], shown["gaps"]["longest"]["open"]) == (6, 48, False)


def test_nothing_is_wanted_of_the_time_before_anybody_listened(api: Served, views: Database[Document]) -> None:
    api.brand(BRAND)
    accounts = {"new-one": 4 * DAY, "newer-one": 2 * DAY, "told-of-before": 2 * DAY}
    for name, ago in accounts.items():
        account = {"id": name, "platform": "bluesky", "handle": name, "connected_at": (NOON - ago).isoformat()}
        assert api.client.post(f"/v1/brands/{BRAND}/accounts", json=account).status_code == 201
    rhythm = {"posts_per_week": 7, "accounts": dict.fromkeys(accounts, 7)}
    assert api.client.put(f"{HOME}/rhythm", json=rhythm).status_code == 200

    def wanted() -> list[float]:
        shown = found(api, 20, 1)
        return [sum(each["wanted"] for each in which["weeks"]) for which in (*shown["accounts"], shown["brand"])]

    assert wanted() == pytest.approx([4, 2, 2, 4])
    facts.write(views, facts.post("early", BRAND, NOON - 9 * DAY, account="told-of-before"))
    facts.settled(views)
    assert wanted() == pytest.approx([4, 2, 9, 9]), "what was read when it was connected is known, too"
    assert found(api, 20, 10)["brand"]["adherence"] is None


def test_planned_posts_are_due_when_their_time_is_past_and_they_may_be_published(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND)
    calendar_data.fill(api, views, BRAND)
    brand = found(api, 5, -5)["brand"]
    assert brand["due"] == 3, "neither the next one nor the draft"
    assert (brand["kept"]["value"], brand["on_time"]["value"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert brand["on_time"]["low"] < 1 / 3 < brand["on_time"]["high"]
    views["planned_posts"].update_one({"plan": "gone"}, {"$set": {"approval": "refused"}})
    assert found(api, 5, -5)["brand"]["due"] == 2, "what the client does not approve is not to be published"


def test_without_a_rhythm_and_posts_nothing_is_known(api: Served) -> None:
    api.brand(BRAND)
    assert api.client.get(f"{HOME}/rhythm").json() == {"posts_per_week": None, "accounts": {}}
    brand = found(api)["brand"]
    assert {name: brand[name] for name in ("score", "published", "adherence", "streak", "due", "kept", "on_time")} == {
        **dict.fromkeys(("score", "adherence", "streak", "kept", "on_time")),
        "published": 0,
        "due": 0,
    }
    assert set(brand["gaps"].values()) == {0, None}


@pytest.mark.usefixtures("daily")
@pytest.mark.parametrize("number", ["0", "-1", "NaN", "Infinity", "201", '"many"'])
def test_a_rhythm_that_makes_no_sense_is_refused_and_the_one_before_stays(api: Served, number: str) -> None:
    before = {"posts_per_week": 3.5, "accounts": {ACCOUNTS[0]: 1}}
    assert api.client.put(f"{HOME}/rhythm", json=before).status_code == 200
    for text, field in (
        (f'{{"posts_per_week": {number}}}', "posts_per_week"),
        (f'{{"accounts": {{"{ACCOUNTS[0]}": {number}}}}}', f"accounts.{ACCOUNTS[0]}"),
    ):
        answer = api.client.put(f"{HOME}/rhythm", content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert api.client.get(f"{HOME}/rhythm").json() == before


@pytest.mark.usefixtures("daily")
def test_a_rhythm_of_an_account_that_the_brand_does_not_have_is_refused_with_its_name(api: Served) -> None:
    answer = api.client.put(f"{HOME}/rhythm", json={"accounts": {"another": 2}})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "accounts.another", "why": "the brand has no account 'another'"}]


@pytest.mark.parametrize(
    ("query", "field"),
    [("from=2026-02-01&to=2026-01-01", "from"), ("from=2024-01-01&to=2026-01-01", "from"), ("to=1960-01-01", "to")],
)
def test_a_period_that_makes_no_sense_is_refused(api: Served, query: str, field: str) -> None:
    api.brand(BRAND)
    answer = api.client.get(f"{HOME}?{query}")
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


@pytest.mark.usefixtures("daily")
def test_a_post_of_the_year_one_that_is_stored_breaks_nothing(api: Served, views: Database[Document]) -> None:
    """From before times were checked. In Los Angeles that moment has no date at all."""
    views["brands"].update_one({"_id": BRAND}, {"$set": {"settings.timezone": "America/Los_Angeles"}})
    first = datetime(1, 1, 1, tzinfo=UTC)
    facts.write(
        views, facts.post("founded", BRAND, first, account=ACCOUNTS[0]), samples.follower("year1", BRAND, first)
    )
    facts.settled(views)
    run = TaskRun(views, None, datetime.now(UTC))
    stage_after.follow(run)
    assert found(api)["brand"]["published"] == 8
    assert views["stage_after"].find_one({"follower": "year1"}) is not None
    assert views["hourly"].find_one({"_id": f"{BRAND}/0001-01-01T00"}) is not None
