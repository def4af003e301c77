"""The editorial calendar in a real browser."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect
from pymongo.database import Database

from rapport.kit.mongo import Document
from tests.e2e import portal_data
from tests.e2e.browser import browser
from tests.e2e.test_portal import Opened, opened
from tests.services.api.calendar import data as calendar_data
from tests.services.api.conftest import Served

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser", "opened"]

PATH = f"/brands/{portal_data.BRAND}/calendar"


@pytest.fixture
def filled(api: Served, opened: Opened, views: Database[Document]) -> None:
    """A week around now, with something of everything."""
    calendar_data.fill(api, views, portal_data.BRAND)


@pytest.mark.usefixtures("filled")
def test_a_month_shows_what_was_planned_and_what_became_of_it(opened: Opened) -> None:
    now = datetime.now(UTC)

    def month_of(hours: int) -> Page:
        """The month of what was planned or published so many hours ago: it may be the last one."""
        day = (now - timedelta(hours=hours)).astimezone(ZoneInfo(portal_data.TIMEZONE)).date()
        return opened(f"{PATH}?view=month&day={day}")

    for status, text, hours in (
        ("Published", "A new roast from Guji", 26),
        ("Published late", "Our team at work", 4),
        ("Missing", "Nobody will ever see", 2),
    ):
        entry = month_of(hours).locator("a.cal-entry", has_text=text)
        expect(entry.get_by_text(status, exact=True)).to_be_visible()
        expect(entry.get_by_text("(unconfirmed)")).to_have_count(1 if status == "Missing" else 0)
    expect(opened(f"{PATH}/gone").locator(".badges")).to_contain_text("could not hear whether it was published")
    page = month_of(5)
    free = page.locator(".cal-unplanned", has_text="Good morning everybody")
    free.get_by_text("Match to a planned post").click()
    # The one that has a post may have the wrong one, and comes after those that have none.
    expect(free.get_by_label("Plan").locator("option[value=roast]")).to_have_count(1)
    free.get_by_label("Plan").select_option(value="gone")
    free.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("link", name="Week", exact=True)).to_have_attribute("aria-current", "true")


@pytest.mark.usefixtures("filled")
def test_a_post_is_planned_in_a_form_which_says_what_is_wrong_beside_the_field_and_keeps_the_rest(
    opened: Opened, api: Served
) -> None:
    page = opened(PATH)
    page.get_by_role("link", name="Plan a post").click()
    at = datetime.now(UTC) + timedelta(days=1)
    page.get_by_label("Time (").fill(f"{at:%Y-%m-%d}T10:30")
    page.get_by_label("Owner").fill("Grace")
    page.get_by_label("Campaign").fill("none")
    page.get_by_role("button", name="Schedule").click()
    expect(page.locator("#text-wrong")).to_have_text("A post needs text or media.")
    expect(page.locator("#campaign-wrong")).to_have_text("The brand has no campaign 'none'.")
    expect(page.get_by_label("Owner")).to_have_value("Grace")
    page.get_by_label("Campaign").fill("")
    page.get_by_label("Text", exact=True).fill("Words for tomorrow")
    page.get_by_label("image").check()
    page.get_by_role("button", name="Schedule").click()
    page.locator("a.cal-entry", has_text="Words for tomorrow").click()
    expect(page.get_by_label("image")).to_be_checked()
    page.get_by_role("button", name="Decline").click()
    expect(page.locator("#why-wrong")).to_contain_text("Give a reason")
    page.get_by_label("Reason for declining").fill("too many words")
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_role("region", name="Client approval")).to_contain_text("too many words")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("region", name="Client approval")).to_contain_text("Approved by administrator")


@pytest.mark.usefixtures("filled")
def test_a_file_is_looked_at_first_and_the_feed_has_an_address_that_can_be_seen(opened: Opened) -> None:
    page = opened(PATH)
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    rows = f"planned_at,account,text\n{at},{calendar_data.ACCOUNT},From a file\nsoon,x,y\n"
    file: Any = {"name": "plan.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("status")).to_contain_text("1 good row, 1 bad. Nothing is planned yet.")
    page.get_by_role("button", name="Schedule the 1 good row").click()
    expect(page.get_by_role("status")).to_contain_text("1 added, 0 changed, 1 left out.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    assert download.value.suggested_filename == f"{portal_data.BRAND}-calendar.csv"
    assert "From a file" in download.value.path().read_text()
    page.get_by_role("button", name="Create an iCalendar address").click()
    page.get_by_text("Show the iCalendar address").click()
    expect(page.locator(".cal-feed")).to_contain_text(".ics")
    page.get_by_text("Create a new iCalendar address").click()
    expect(page.get_by_text("stops working")).to_be_visible()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", [PATH, f"{PATH}?view=month", f"{PATH}/roast"])
def test_nothing_reaches_over_the_edge(opened: Opened, path: str, width: int) -> None:
    page = opened(path, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
