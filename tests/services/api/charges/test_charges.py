"""What X charges: counted once per event, by account and month, for those who may know; and before it is connected."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr, ValidationError
from pymongo.database import Database
from typer.testing import CliRunner

from rapport.cli import app
from rapport.contracts import codec
from rapport.contracts.charges import Charge
from rapport.contracts.topics import CHARGES
from rapport.domain.charges import Prices
from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.charges import gauges
from services.api.charges.service import Pricing
from services.api.projector import batch
from services.api.projector.views import write
from services.api.settings import ApiSettings
from tests.services.api.conftest import ADMIN_KEY, Served, own_brand, serve, settings_for

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(day=15, hour=12)
MONTH = NOW.strftime("%Y-%m")
EARLIER = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)


class _Partition(NamedTuple):
    topic: str


def charge(what: str, number: int, brand: str | None = None, at: datetime = NOW) -> Charge:
    """An event of an account on X."""
    account = f"{brand}-x" if brand else None
    return Charge(id=f"x/{at.date()}/{what}/{number}", platform="x", what=what, at=at, brand=brand, account=account)


def tell(database: Database[Document], *charges: Charge) -> None:
    """Puts charges through the projector."""
    records = [
        SimpleNamespace(
            topic=CHARGES.name, partition=0, offset=number, key=b"k", value=codec.encode(each), timestamp=number,
            headers=codec.headers("rapport.charge.v1", id=each.id, source="/test"),
        )
        for number, each in enumerate(charges)
    ]  # fmt: skip
    polled: dict[Any, list[Any]] = {_Partition(CHARGES.name): records}
    found = batch.read(polled)
    assert not found.halts
    assert not found.unreadable
    write(database, found)


@pytest.fixture
def brand(api: Served) -> str:
    """A brand with an account on X."""
    found = own_brand()
    api.brand(found)
    body = {"id": f"{found}-x", "platform": "x", "handle": "@shop", "connection": {"user": found}}
    assert api.client.post(f"/v1/brands/{found}/accounts", json=body).status_code == 201
    return found


def test_each_event_counts_once_however_often_it_is_told_and_by_whom(
    api: Served, views: Database[Document], brand: str
) -> None:
    mentions = [charge("post.mention.create", number, brand) for number in range(3)]
    others = [charge("like.create", 1, brand), charge("broadcast.start", 1, brand), charge("post.delete", 1, brand)]
    old = charge("follow.follow", 1, brand, EARLIER)
    tell(views, *mentions, mentions[0], *others, old)
    tell(views, mentions[2], others[0])  # by the next process, after a crash before its commit
    found = api.client.get(f"/v1/brands/{brand}/charges").json()
    assert (found["month"], found["dollars"]) == (MONTH, 0.016)
    (account,) = found["accounts"]
    assert (account["account"], account["platform"]) == (f"{brand}-x", "x")
    assert [(each["event"], each["count"], each["price"], each["dollars"]) for each in account["events"]] == [
        ("post.mention.create", 3, 0.005, 0.015), ("like.create", 1, 0.001, 0.001), ("broadcast.start", 1, None, 0.0),
        ("post.delete", 1, 0.0, 0.0),
    ]  # fmt: skip
    assert found["not_counted"]
    march = api.client.get(f"/v1/brands/{brand}/charges?month=2026-03").json()
    assert [each["dollars"] for each in march["accounts"]] == [0.01]
    assert api.client.get(f"/v1/brands/{brand}/charges?month=2026-13").status_code == 422


def test_what_nobody_connected_costs_is_in_the_sum_of_all_and_in_nobodys_own(
    stack: Running, views: Database[Document]
) -> None:
    settings = settings_for(stack.kafka, stack.mongodb, views.name)
    settings = settings.model_copy(update={"x_monthly_budget": Decimal(250), "x_prices": "block.*=0.002"})
    for api in serve(settings, ready=True):
        one, other = own_brand(), own_brand()
        for each in (one, other):
            api.brand(each)
        tell(
            views, charge("post.create", 1, one), charge("follow.follow", 2, other), charge("like.create", 3),
            charge("block.block", 4, one),
        )  # fmt: skip
        found = api.client.get("/v1/charges").json()
        assert found["budget"] == 250
        assert found["dollars"] == pytest.approx(0.005 + 0.01 + 0.001 + 0.002)
        assert {each["account"]: each["dollars"] for each in found["accounts"]} == {
            f"{other}-x": 0.01, f"{one}-x": 0.007, None: 0.001,
        }  # fmt: skip
        assert api.client.get(f"/v1/brands/{one}/charges").json()["dollars"] == 0.007
        theirs = api.with_key(api.key([one], "admin"))
        assert theirs.get("/v1/charges").status_code == 403
        assert theirs.get(f"/v1/brands/{other}/charges").status_code == 404
        assert theirs.get(f"/v1/brands/{one}/charges").json()["dollars"] == 0.007
        assert api.with_key(api.key([one], "read")).get(f"/v1/brands/{one}/charges").status_code == 403


def test_what_may_be_expected_follows_from_what_is_said_or_from_the_brands_other_accounts(
    api: Served, views: Database[Document], brand: str
) -> None:
    where = f"/v1/brands/{brand}/charges/expected"
    nothing = api.client.get(where).json()
    assert (nothing["low"], nothing["parts"]) == (None, [])
    said = api.client.get(where, params={"mentions": 300}).json()
    assert 1.5 < said["low"] < said["high"]
    assert said["assumes"][0].startswith("in a month 300 replies")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    views["hourly"].insert_many(
        {
            "_id": f"{brand}/{number}", "brand": brand, "hour": hour - timedelta(hours=number), "drawn": 1,
            "counts": {"comment": 40, "post": 1},
        }
        for number in range(10)
    )  # fmt: skip
    views["hourly"].insert_one(
        {"_id": f"{brand}/old", "brand": brand, "hour": hour - timedelta(days=31), "counts": {"comment": 9_999}}
    )
    assert "400 comments and mentions" in api.client.get(where).json()["assumes"][0]
    assert api.client.get(where, params={"followers": -1}).status_code == 422


def test_the_accounts_page_shows_administrators_what_x_has_cost_and_may_cost(
    api: Served, views: Database[Document], brand: str
) -> None:
    tell(views, *(charge("post.mention.create", number, brand) for number in range(1_234)))
    visitor = api.with_key(None)
    visitor.post("/login", data={"key": ADMIN_KEY})
    page = visitor.get(f"/brands/{brand}/accounts").text
    assert "$6.17 this month" in page
    assert "1,234 × <code>post.mention.create</code>" in page
    assert "Nothing is known yet" in page
    page = visitor.get(f"/brands/{brand}/accounts", params={"followers": "12,000", "mentions": "<b>"}).text
    assert "Expected for this brand" in page
    assert 'value="12,000"' in page
    assert "whole number" in page
    assert "<b>" not in page
    reader = api.with_key(None)
    reader.post("/login", data={"key": api.key([brand], "read")})
    page = reader.get(f"/brands/{brand}/accounts").text
    assert "this month" not in page
    assert "Expected" not in page


def test_the_metrics_have_the_sum_the_limit_and_the_dearest_accounts(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "MOST_ACCOUNTS", 1)
    tell(views, charge("follow.follow", 1, "dear"), charge("like.create", 2, "cheap"), charge("like.create", 3))

    async def story() -> None:
        async with mongo.async_client(stack.mongodb) as client:
            await gauges.measure(client[views.name], Pricing(Prices.x(), Decimal(5)), NOW)

    asyncio.run(story())
    assert REGISTRY.get_sample_value("rapport_charges_month_dollars", {"platform": "x"}) == pytest.approx(0.012)
    (metric,) = (each for each in REGISTRY.collect() if each.name == "rapport_charges_account_dollars")
    assert {each.labels["account"]: each.value for each in metric.samples} == {"dear-x": 0.01}


def test_a_wrong_price_or_limit_stops_the_start_and_is_named() -> None:
    assert ApiSettings(x_monthly_budget=Decimal(0)).pricing.budget is None
    for wrong in ({"x_prices": "like.create"}, {"x_monthly_budget": Decimal(-1)}, {"x_monthly_budget": "NaN"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            ApiSettings(**wrong)


@pytest.fixture
def run(api: Served, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command against the API."""
    monkeypatch.setenv("RAPPORT_API_URL", api.url)
    monkeypatch.setenv("RAPPORT_KEY", ADMIN_KEY)
    return lambda *words: CliRunner().invoke(app, [*words], catch_exceptions=False)


def test_the_commands_say_what_it_may_cost_before_it_is_connected_and_what_it_has_cost(
    api: Served, views: Database[Document], run: Any
) -> None:
    brand = own_brand()
    api.brand(brand)
    added = run(
        "accounts", "add", brand, f"{brand}-x", "--platform", "x", "--handle", "@shop", "--mentions", "300",
        "--connection", f"user={brand}",
    )  # fmt: skip
    assert added.exit_code == 0, added.output
    assert "expected on X: $" in added.stderr
    assert "300 replies" in added.stderr
    assert added.stdout.startswith("connected")
    tell(views, charge("follow.follow", 1, brand), charge("broadcast.start", 1, brand))
    said = run("accounts", "cost", brand)
    assert f"charged in {MONTH}: $0.01" in said.stdout
    assert "1 x broadcast.start: no price known" in said.stdout
    assert "--followers or --mentions" in said.stdout
    elsewhere = run("accounts", "add", brand, f"{brand}-d", "--platform", "desk", "--handle", "d")
    assert "X" not in elsewhere.stderr


def test_nothing_secret_is_printed_with_the_settings() -> None:
    assert "s3cret" not in ApiSettings(admin_key=SecretStr("s3cret")).described()
