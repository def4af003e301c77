"""The pages of the mix and of new relationships in a real browser."""

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
from tests.services.api import facts, samples
from tests.services.api.conftest import Served

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser", "opened"]

BRAND = portal_data.BRAND
MIX, NEW = f"/brands/{BRAND}/mix", f"/brands/{BRAND}/new"
SETTINGS = {
    "labels": {"business": 0.8, "personal": 0.2},
    "formats": {"image": 0.5},
    "rules": [{"label": "personal", "hashtag": "team"}],
}


@pytest.fixture
def filled(api: Served, opened: Opened, views: Database[Document]) -> None:
    """Some days of the brand's, with targets, a rule and a goal."""
    quiet = samples.follower("did:plc:quiet", BRAND, datetime(2026, 1, 2, tzinfo=UTC), name="Rosa Winter")
    facts.write(views, *facts.lately(BRAND), quiet)
    views["followers"].update_one({"follower": "did:plc:quiet"}, {"$set": {"stage": "trusts"}})
    assert api.client.put(f"/v1/brands/{BRAND}/mix/settings", json=SETTINGS).is_success
    assert api.client.put(f"/v1/brands/{BRAND}/new/goal", json={"goal": 3}).is_success
    facts.turns(views)


@pytest.mark.usefixtures("filled")
def test_an_unsorted_post_is_sorted_by_a_button_and_back(opened: Opened) -> None:
    page = opened(MIX)
    expect(page.get_by_role("link", name="6 of 12 posts unsorted")).to_be_visible()
    posts = page.locator(".mix-post")
    expect(posts).to_have_count(6)
    posts.first.get_by_role("button", name="Business").click()
    expect(page.get_by_role("status")).to_contain_text("Sorted as business: New in the shop")
    expect(posts).to_have_count(5)
    labels = page.get_by_role("region", name="Business and personal")
    expect(labels).to_contain_text("1 of 7 posts, so between 3 % and 51 % · target 80 %: below target")
    page.get_by_role("button", name="Undo").click()
    expect(posts).to_have_count(6)
    expect(page.get_by_role("status")).to_have_count(0)


@pytest.mark.usefixtures("filled")
def test_what_a_post_brings_comes_with_how_many_posts_it_is_made_of(opened: Opened) -> None:
    page = opened(MIX)
    row = page.get_by_role("row", name="Image 3 posts")
    expect(row.get_by_role("cell")).to_have_count(4)
    expect(row).to_contain_text("–")
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("row", name="Image 2 posts")).to_be_visible()


@pytest.mark.usefixtures("filled")
def test_targets_that_make_no_sense_are_said_beside_their_fields_and_stay_in_the_form(opened: Opened) -> None:
    page = opened(MIX)
    expect(page.get_by_label("Business", exact=True)).to_have_value("80")
    page.get_by_label("Image", exact=True).fill("much")
    page.get_by_label("Business", exact=True).fill("90")
    page.get_by_label("Rules").fill("personal: #team\nshop")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#wrong-image")).to_have_text("⚠ A share is a number from 0 to 100.")
    expect(page.locator("#wrong-business")).to_contain_text("Together these are 110 %")
    expect(page.locator("#wrong-rules")).to_contain_text("Line 2: write")
    expect(page.get_by_label("Image", exact=True)).to_have_value("much")
    expect(page.get_by_label("Rules")).to_have_value("personal: #team\nshop")
    page.get_by_label("Image", exact=True).fill("40 %")
    page.get_by_label("Business", exact=True).fill("70,5")
    page.get_by_label("Rules").fill("personal: #team\nbusiness: in the shop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Image", exact=True)).to_have_value("40")
    expect(page.get_by_label("Business", exact=True)).to_have_value("70.5")
    expect(page.get_by_label("Rules")).to_have_value("personal: #team\nbusiness: in the shop")


@pytest.mark.usefixtures("filled")
def test_the_page_of_new_relationships_has_today_the_days_who_began_with_what_and_whom_to_reach(opened: Opened) -> None:
    page = opened(NEW)
    expect(page.locator("[data-days] canvas")).to_be_visible()
    day = (datetime.now(UTC) - timedelta(minutes=50)).astimezone(ZoneInfo("Europe/Berlin")).date()
    page.get_by_label("Day", exact=True).fill(day.isoformat())
    page.get_by_role("button", name="Show").click()
    people = page.get_by_role("region", name="New", exact=False).filter(has=page.locator("#people-title"))
    expect(people).to_contain_text("Began when they commented")
    expect(people).to_contain_text("Lovely, when do you open?")
    reach = page.get_by_role("region", name="Whom to reach out to today")
    expect(reach).to_contain_text("Rosa Winter")
    expect(reach).to_contain_text("Trusts you, and has been quiet for")
    expect(page.get_by_role("region", name="What the brand did for others")).to_contain_text("Grace liked something of")
    page.get_by_text("As a table").click()
    expect(page.locator(".plain-table tbody tr")).to_have_count(30)
    page.locator(".plain-table tbody a").nth(3).click()
    expect(page.get_by_role("heading", name="New on")).to_be_visible()


@pytest.mark.usefixtures("filled")
def test_a_goal_that_is_none_is_said_beside_its_field(opened: Opened) -> None:
    page = opened(NEW)
    field = page.get_by_label("New relationships a day")
    expect(field).to_have_value("3")
    for wrong in ("0", "-2", "many", "0000009999999"):
        field.fill(wrong)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("A goal is a whole number from 1")
        expect(field).to_have_value(wrong)
    field.fill("12")
    field.press("Enter")
    expect(page.locator(".tile").first).to_contain_text("of 12")
    field.fill("")
    field.press("Enter")
    expect(page.locator(".tile").first).to_contain_text("No goal yet")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("path", [MIX, NEW])
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_nothing_sticks_out_at_any_width(opened: Opened, path: str, width: int, scheme: Any) -> None:
    page = opened(path, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    _named(page)


def _named(page: Page) -> None:
    """Every field has a name that a screen reader can tell."""
    fields = page.locator("input:not([type=hidden]), textarea")
    for number in range(fields.count()):
        assert fields.nth(number).evaluate("each => each.labels.length") == 1


@pytest.mark.usefixtures("filled")
def test_who_may_only_read_sees_no_button_and_the_pages_work_without_scripts(opened: Opened, api: Served) -> None:
    page = opened(MIX, key=api.key([BRAND], "read"), scripts=False)
    expect(page.locator(".mix-post")).to_have_count(6)
    expect(page.get_by_role("button", name="Business")).to_have_count(0)
    page.goto(NEW)
    expect(page.get_by_role("region", name="New today")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
