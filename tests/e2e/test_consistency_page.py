"""The page of consistency in a real browser."""

import pytest
from playwright.sync_api import expect
from pymongo.database import Database

from rapport.kit.mongo import Document
from tests.e2e import portal_data
from tests.e2e.browser import browser
from tests.e2e.test_portal import Opened, opened
from tests.services.api import facts
from tests.services.api.calendar import data as calendar_data
from tests.services.api.conftest import Served

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser", "opened"]

BRAND = portal_data.BRAND
CONSISTENCY = f"/brands/{BRAND}/consistency"


@pytest.fixture
def filled(api: Served, opened: Opened, views: Database[Document]) -> None:
    """Twelve days with a post on each, and some that were planned."""
    facts.write(views, *facts.lately(BRAND))
    calendar_data.fill(api, views, BRAND)
    facts.turns(views)


@pytest.mark.usefixtures("filled")
def test_a_rhythm_is_set_and_the_score_is_there(opened: Opened) -> None:
    page = opened(CONSISTENCY)
    tile = page.locator(".tile").filter(has_text="Score")
    expect(tile).to_contain_text("Set a rhythm to get a score")
    page.get_by_label("The brand").fill("3,5")
    page.get_by_label("acme on Bluesky").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(tile).to_contain_text("of 100")
    expect(page.get_by_label("The brand")).to_have_value("3.5")
    expect(page.locator(".tile").filter(has_text="Rhythm kept")).to_contain_text("target 3.5 a week")
    expect(page.locator(".tile").filter(has_text="On time")).to_contain_text("33 %")
    expect(page.locator(".tile").filter(has_text="On time")).to_contain_text("of 3 planned posts, so between")
    account = page.get_by_role("row", name="acme bluesky")
    expect(account).to_contain_text("target 2 a week")
    page.get_by_role("link", name="30 days").click()
    expect(page.locator(".con-weeks tbody tr")).not_to_have_count(0)
    expect(page.locator(".con-weeks")).to_contain_text("of 3.5")


@pytest.mark.usefixtures("filled")
def test_a_rhythm_of_nothing_is_said_beside_its_field_and_stays_in_the_form(opened: Opened) -> None:
    page = opened(CONSISTENCY)
    page.get_by_label("The brand").fill("0")
    page.get_by_label("acme on Bluesky").fill("often")
    page.get_by_role("button", name="Save").click()
    wrong = "⚠ Enter a number above 0 and at most 200."
    expect(page.get_by_role("alert")).to_have_text([wrong, wrong])
    expect(page.get_by_label("The brand")).to_have_value("0")
    expect(page.get_by_label("acme on Bluesky")).to_have_value("often")


@pytest.mark.usefixtures("filled")
def test_who_may_only_look_has_no_form(api: Served, opened: Opened) -> None:
    page = opened(CONSISTENCY, key=api.key([BRAND], "read"))
    expect(page.get_by_role("heading", name="Weeks")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


@pytest.mark.usefixtures("filled")
def test_on_a_phone_nothing_is_wider_than_the_screen(opened: Opened) -> None:
    page = opened(CONSISTENCY, width=390)
    expect(page.get_by_role("link", name="Consistency", exact=True)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
