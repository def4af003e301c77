"""A page is live while it is updated and its accounts are connected, and says so when either ends."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pymongo.database import Database

from rapport.contracts.controls import Heartbeat
from rapport.contracts.topics import CONVERSATIONS
from rapport.domain.times import ms
from rapport.local.servers.stack import Running
from services.api.listening.documents import heartbeat_document
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from tests.e2e.browser import browser
from tests.services.api.conftest import ADMIN_KEY, Served, serve, settings_for
from tests.services.api.listening.told import ticked

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser"]

STALE_MS = 30_000


def beat(views: Database[Any], **lacks: tuple[str, ...]) -> None:
    """A heartbeat of now, as the projector writes it."""
    document = heartbeat_document(Heartbeat(instance="ingest-1", **lacks), ms(datetime.now(UTC)))
    writing.write(views, Batch(heartbeats={"ingest-1": document}))


def connect(api: Served) -> None:
    """A brand with one account."""
    api.brand("acme")
    account = {"id": "acme-1", "platform": "youtube", "handle": "acme.tv", "connected_at": "2026-01-01T00:00:00Z"}
    answer = api.client.post("/v1/brands/acme/accounts", json=account)
    assert answer.status_code == 201, answer.text


def visit(browser: Browser, api: Served, path: str = "/brands/acme", *, scripts: bool = True) -> Page:
    """The page, logged in."""
    page = browser.new_context(base_url=api.url, java_script_enabled=scripts).new_page()
    page.goto(path)
    page.get_by_label("Key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)
    return page


@pytest.fixture
def stoppable(stack: Running, views: Database[Any]) -> Iterator[tuple[Served, Iterator[Served]]]:
    """An API, and what ends it when it goes on."""
    running = serve(settings_for(stack.kafka, stack.mongodb, views.name), ready=True)
    yield next(running), running
    next(running, None)


def test_an_account_that_was_never_connected_is_not_live_until_it_is(
    browser: Browser, api: Served, views: Database[Any]
) -> None:
    api.brand("acme")
    page = visit(browser, api)
    live, off = page.locator("[data-live]"), page.locator("#not-connected")
    expect(off).to_have_text("Not connected: this brand has no account yet")
    expect(live).to_have_count(0)
    account = {"id": "acme-1", "platform": "youtube", "handle": "acme.tv", "connected_at": "2026-01-01T00:00:00Z"}
    assert api.client.post("/v1/brands/acme/accounts", json=account).status_code == 201
    expect(off).to_have_text("Not connected")
    beat(views, behind=("acme-1",), disconnected=("acme-1",))
    # What is received is of no use to anybody before a scorer has each partition.
    expect(off).to_have_text("Out of date: what comes in is not counted yet")
    now = datetime.now(UTC)
    ticked(views, now, CONVERSATIONS.partitions - 1)
    expect(off).to_have_text("Out of date: what comes in is not counted yet")
    ticked(views, now - timedelta(minutes=2))
    expect(off).to_have_text(re.compile(r"Out of date: what came after .*\d\d:\d\d is not counted yet"))
    ticked(views, now + timedelta(minutes=1))
    expect(off).to_have_text("Not connected: acme.tv on YouTube")
    beat(views, behind=("acme-1",))
    expect(off).to_have_text("Catching up: acme.tv on YouTube")
    beat(views, behind=("of-another",), disconnected=("of-another",))
    expect(live).to_contain_text("Live")
    expect(live).to_be_visible()
    expect(off).to_have_count(0)
    page.context.close()


def test_a_page_is_not_live_any_more_when_its_server_is_gone(
    browser: Browser, stoppable: tuple[Served, Iterator[Served]], views: Database[Any]
) -> None:
    api, running = stoppable
    connect(api)
    beat(views)
    ticked(views, datetime.now(UTC) + timedelta(minutes=1))
    page = visit(browser, api)
    brands = visit(browser, api, "/")
    expect(page.locator("[data-live]")).to_be_visible()
    expect(page.locator("#stale")).to_be_hidden()
    next(running, None)
    expect(page.locator("#stale")).to_have_text(_since(), timeout=STALE_MS)
    expect(page.locator("[data-live]")).to_be_hidden()
    expect(brands.locator("#stale")).to_have_text(_since(), timeout=STALE_MS)
    page.context.close()
    brands.context.close()


def _since() -> re.Pattern[str]:
    return re.compile(r"^Not updated since \d\d:\d\d$")


def test_a_page_that_cannot_update_itself_does_not_call_itself_live(
    browser: Browser, api: Served, views: Database[Any]
) -> None:
    connect(api)
    beat(views)
    ticked(views, datetime.now(UTC) + timedelta(minutes=1))
    page = visit(browser, api, scripts=False)
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme")
    expect(page.get_by_text("Live")).to_be_hidden()
    page.context.close()
