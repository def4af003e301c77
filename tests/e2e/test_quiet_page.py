"""Quiet accounts and late platforms in a real browser: a question beside the page's dot, and what is usual."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Page, expect
from pymongo.database import Database

from services.api.exchanges.documents import exchange_document
from tests.e2e.browser import browser
from tests.e2e.test_portal import CONTRAST
from tests.services.api import samples
from tests.services.api.conftest import ADMIN_KEY, Served
from tests.services.api.listening.test_quiet import LAST, NOW, connect, weeks
from tests.services.api.listening.told import judged, listened, running, told

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser"]

WIDTHS = (390, 1280)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

Opened: TypeAlias = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, api: Served) -> Iterator[Opened]:
    """Opens a page in a browser of its own, logged in; fails on any error in the console."""
    contexts, errors = [], []

    def visit(path: str, width: int, scheme: Any = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=api.url)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(path)
        page.get_by_label("Key").fill(ADMIN_KEY)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login" not in url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def silent(api: Served, views: Database[Any]) -> tuple[str, str]:
    """A brand whose account has been silent for nine hours, where half an hour is usual."""
    brand, account = connect(api)
    told(views, weeks(brand, account))
    listened(views, NOW - timedelta(weeks=9), NOW)
    judged(views, NOW)
    running(views)
    return brand, account


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_quiet_account_is_a_question_and_the_page_stays_live(
    opened: Opened, views: Database[Any], silent: tuple[str, str], width: int, scheme: str
) -> None:
    brand, account = silent
    page = opened(f"/brands/{brand}", width, scheme)
    quiet = page.locator("#quiet")
    expect(quiet).to_contain_text("Hillside on Facebook has been quiet since")
    expect(quiet).to_contain_text("usually about 2 an hour at this time")
    expect(page.locator("[data-live]")).to_contain_text("Live")
    expect(page.locator(".pulse-quiet")).to_be_visible()
    expect(page.locator("#not-connected")).to_have_count(0)
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate(CONTRAST) == []
    quiet.get_by_role("link", name="Is it still connected?").click()
    expect(page).to_have_url(re.compile(r"/accounts$"))
    row = page.locator(f'[data-account="{account}"]')
    expect(row.locator(".badge")).to_have_text(re.compile(r"\?\s*Quiet"))
    expect(row).to_contain_text("Nothing is known to be wrong. Does the platform still send?")
    expect(row).to_contain_text("In the last 24 hours something came in 30 minutes, usually in about")
    expect(row).to_contain_text("Facebook tells us within 5 s; 95 % within 5 s (7 days)")
    expect(row.locator(f'time[datetime^="{LAST:%Y-%m-%dT%H:%M}"]')).to_have_count(2)
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate(CONTRAST) == []
    page.go_back()
    told(views, [samples.interaction("again", brand, datetime.now(UTC), account=account, platform="facebook")])
    expect(page.locator("#quiet")).to_have_count(0)
    expect(page.locator(".pulse-quiet")).to_have_count(0)
    expect(page.locator("[data-live]")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_an_exchange_says_what_was_the_platforms_part(
    opened: Opened, api: Served, views: Database[Any], width: int
) -> None:
    brand, account = connect(api)
    at = NOW - timedelta(hours=9)
    answered = samples.exchange(
        "late", brand, at, account=account, platform="facebook", state="answered",
        answered_at=at + timedelta(hours=5), response_seconds=18_000.0,
        received_at=at + timedelta(hours=3, minutes=10),
    )  # fmt: skip
    at_once = samples.exchange(
        "at-once", brand, at, account=account, platform="facebook", received_at=at + timedelta(seconds=2)
    )
    views["exchanges"].insert_many([dict(exchange_document(each, 1)) for each in (answered, at_once)])
    page = opened(f"/brands/{brand}/exchanges/late", width)
    clock = page.locator("section", has=page.get_by_role("heading", name="Clock"))
    for term, said in (
        ("Received here", "3 h 10 min later"),
        ("Facebook took", "3 h 10 min"),
        ("The team took", "1 h 50 min"),
        ("Response time", "5 h"),
    ):
        expect(clock.locator("div", has=page.locator("dt", has_text=term)).locator("dd")).to_contain_text(said)
    expect(clock).to_contain_text("1 hour and 50 minutes of them after it was received")
    assert page.evaluate(OVERFLOW) == 0
    page.goto(f"/brands/{brand}/exchanges/at-once")
    expect(clock).to_contain_text("Opened")
    expect(clock).not_to_contain_text("Received here")
    found = api.client.get(f"/v1/brands/{brand}/exchanges/late").json()
    assert (found["platform_seconds"], found["team_seconds"], found["response_seconds"]) == (11_400, 6_600, 18_000)
