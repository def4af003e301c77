"""The pages of communities in a real browser: a rule that is picked or written, its errors, members, the export."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pymongo.database import Database

from rapport.kit.mongo import Document
from tests.e2e import portal_data
from tests.e2e.browser import browser
from tests.e2e.test_portal import Opened, opened
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.communities import data as community_data
from tests.services.api.conftest import Served

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser", "opened"]

BRAND = portal_data.BRAND
HOME = f"/brands/{BRAND}/communities"


@pytest.fixture
def filled(api: Served, opened: Opened, views: Database[Document]) -> None:
    """Communities with members, of people who took part in campaigns."""
    campaign_data.fill(api, views, BRAND)
    community_data.fill(api, views, BRAND)


def _add(page: Page, field: str) -> None:
    page.locator("#more").select_option(label=field)
    page.get_by_role("button", name="Add condition").click()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("scripts", [True, False])
def test_a_community_is_picked_condition_by_condition_and_fills_by_itself(
    opened: Opened, views: Database[Document], scripts: bool
) -> None:
    page = opened(HOME, scripts=scripts)
    page.get_by_role("link", name="New community").click()
    page.get_by_label("Name", exact=True).fill("Coffee & trust")
    _add(page, "What they wrote")
    words = page.get_by_role("group", name="Condition 1: What they wrote")
    words.get_by_label("Word or phrase").fill("coffee")
    _add(page, "Stage")
    stage = page.get_by_role("group", name="Condition 2: Stage")
    stage.get_by_label("Comparison").select_option(label="is at least")
    stage.get_by_label("Stage", exact=True).select_option(label="Buys")
    _add(page, "Last seen")
    page.get_by_role("group", name="Condition 3: Last seen").get_by_label("Days").fill("30")
    expect(words.get_by_label("Word or phrase")).to_have_value("coffee")
    stage.get_by_role("button", name="Remove condition 2").click()
    expect(page.get_by_role("group", name="Condition")).to_have_count(2)
    page.get_by_role("button", name="Try it", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("followers seen last match")
    page.get_by_text("The same rule as text").click()
    expect(page.get_by_label("Rule")).to_have_value('wrote "coffee" and last seen within 30 days')
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page).to_have_url(re.compile(r"/communities/coffee-trust$"))
    expect(page.get_by_role("status")).to_contain_text("being checked")
    community_data.turn(views)
    page.reload()
    expect(page.locator(".com-count")).to_have_text("6 members")
    expect(page.locator(".people tbody tr")).to_have_count(6)
    expect(page.locator(".com-events li").first).to_contain_text("joined when the rule was set")
    page.locator(".people a").first.click()
    expect(page.locator(".com-chips")).to_contain_text("Coffee & trust")


@pytest.mark.usefixtures("filled")
def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(opened: Opened) -> None:
    page = opened(f"{HOME}/-new")
    _add(page, "Trust (0 to 100)")
    _add(page, "Comments")
    trust = page.get_by_role("group", name="Condition 1: Trust")
    comments = page.get_by_role("group", name="Condition 2: Comments")
    trust.get_by_label("Number").fill("high")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(trust).to_contain_text("“trust” is compared with a whole number from 0 to 100, not with “high”.")
    expect(trust.get_by_label("Number")).to_have_value("high")
    expect(trust.get_by_label("Number")).to_have_attribute("aria-invalid", "true")
    expect(comments).to_contain_text("Enter a value.")
    trust.get_by_label("Comparison").select_option(label="is at least")
    trust.get_by_label("Number").fill("0")
    comments.get_by_role("button").click()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator("#rows")).to_contain_text("This matches everyone, so it makes no community.")
    trust.get_by_label("Number").fill("10")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator("#name-wrong")).to_contain_text("Enter a name of 1 to 200 characters.")


@pytest.mark.usefixtures("filled")
def test_a_wrong_text_is_marked_under_the_place(opened: Opened) -> None:
    page = opened(f"{HOME}/regulars/edit")
    text = page.get_by_label("Rule")
    expect(text).to_have_value(community_data.RULES["regulars"])
    text.fill("trust > 3 and\nstage is at least liked")
    page.get_by_role("button", name="Save the text").click()
    expect(page.locator("#text-wrong")).to_contain_text("did you mean “likes”?")
    place = page.locator(".com-place").inner_text().split("\n")
    assert place[0] == "stage is at least liked"
    assert place[1].rstrip() == " " * 18 + "^^^^^"
    expect(text).to_have_value("trust > 3 and\nstage is at least liked")
    text.fill("trust > 3 and\nstage is at least likes")
    page.get_by_role("button", name="Save the text").click()
    expect(page.locator(".com-rule")).to_have_text("trust > 3 and stage is at least likes")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.get_by_role("group", name="Condition 2: Stage")).to_be_visible()
    page.get_by_text("The same rule as text").click()
    text.fill("trust > 4")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#text-wrong")).to_contain_text("You changed this text, but you saved the conditions.")
    expect(text).to_have_value("trust > 4")


@pytest.mark.usefixtures("filled")
def test_the_members_are_exported_and_a_community_is_removed(opened: Opened) -> None:
    page = opened(f"{HOME}/coffee")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    assert download.value.suggested_filename == f"{BRAND}-coffee.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("id,platform,platform_id,handle,name,stage")
    assert len(lines) == 8
    page.get_by_text("Remove this community").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator(".com-card")).to_have_count(2)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_the_pages_fit(opened: Opened, width: int, scheme: str) -> None:
    page = opened(HOME, width=width, scheme=scheme)
    shots = os.environ.get("COMMUNITY_SHOTS")
    for number, path in enumerate(("", "/coffee", "/-new", "/away/edit", "/regulars/edit")):
        page.goto(f"{HOME}{path}")
        if path == "/away/edit":
            _add(page, "Platform")
            _add(page, "Campaigns")
            page.get_by_role("button", name="Try it", exact=True).click()
        if path == "/regulars/edit":
            page.get_by_label("Rule").fill("trust > 3 and stage is at least liked")
            page.get_by_role("button", name="Save the text").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if shots:
            page.screenshot(path=f"{shots}/{number}-{width}-{scheme}.png", full_page=True)
