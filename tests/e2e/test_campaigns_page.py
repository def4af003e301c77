"""The pages of campaigns in a real browser, on facts as the projector writes them."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Page, expect
from pymongo.database import Database

from rapport.kit.mongo import Document
from tests.e2e.browser import browser
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.conftest import ADMIN_KEY, Served

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser"]

BRAND = "aurora"
HOME = f"/brands/{BRAND}/campaigns"
WIDTHS = (390, 1280)

Opened: TypeAlias = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, api: Served, views: Database[Document]) -> Iterator[Opened]:
    """Opens a page in a browser of its own, logged in unless `key` is None; fails on any error in the console."""
    api.brand(BRAND)
    campaign_data.fill(api, views, BRAND)
    contexts = []
    errors: list[str] = []

    def visit(
        path: str, key: str | None = ADMIN_KEY, width: int = 1280, scheme: Any = "light", scripts: bool = True
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            base_url=api.url,
            java_script_enabled=scripts,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(path)
        if key is not None:
            page.get_by_label("Key").fill(key)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(lambda url: "/login" not in url)
        return page

    yield visit
    for context in contexts:
        context.close()
    # A form that is refused answers 422.
    assert [error for error in errors if "the server responded with a status of 4" not in error] == []


def test_what_runs_is_planned_and_has_ended_is_listed(opened: Opened) -> None:
    page = opened(HOME)
    expect(page.get_by_role("region", name="Running").get_by_role("link")).to_have_text(
        ["A grinder", "The next roast"], use_inner_text=True
    )
    expect(page.get_by_role("region", name="Planned")).to_contain_text("Nothing is planned.")
    expect(page.get_by_role("region", name="Ended")).to_contain_text("5 valid entries")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_giveaway_is_drawn_once_somebody_has_ticked_that_they_are_sure(opened: Opened, scripts: bool) -> None:
    page = opened(f"{HOME}/spring", scripts=scripts)
    expect(page.get_by_role("region", name="Entries")).to_contain_text("Mira Okafor")
    page.get_by_role("link", name="2 refused").click()
    expect(page.get_by_role("region", name="Entries")).to_contain_text("does not have the word")
    expect(page.get_by_role("region", name="Entries")).to_contain_text("does not follow")
    page.get_by_label("A public value").fill("3 17 22")
    if scripts:
        # Without this the browser asks by itself.
        page.get_by_label("this draw is final").evaluate("box => box.removeAttribute('required')")
        page.get_by_role("button", name="Draw").click()
        expect(page.get_by_role("alert")).to_contain_text("Confirm that this draw is final")
        expect(page.get_by_label("A public value")).to_have_value("3 17 22")
    page.get_by_label("this draw is final").check()
    page.get_by_role("button", name="Draw").click()
    winners = page.get_by_role("region", name="Winners")
    expect(winners.locator(".cmp-winners > li")).to_have_count(2)
    winners.get_by_text("Cannot be reached?").first.click()
    winners.get_by_label("Reason for replacing").first.fill("No answer for a week.")
    winners.get_by_role("button", name="Replace this winner").first.click()
    expect(winners.locator(".cmp-winners > li")).to_have_count(3)
    expect(winners).to_contain_text("No answer for a week.")
    winners.get_by_role("link", name="The proof").click()
    expect(page.get_by_role("heading", name="2 of 5 entries won")).to_be_visible()
    expect(page.locator("main")).to_contain_text("3 17 22")


def test_the_form_says_beside_each_field_what_is_wrong_and_keeps_what_was_typed(opened: Opened) -> None:
    page = opened(f"{HOME}/-new?kind=giveaway")
    now = datetime.now(UTC)
    page.get_by_label("Name", exact=True).fill("A cup of its own")
    page.get_by_label("Starts").fill(f"{now + timedelta(days=3):%Y-%m-%dT%H:%M}")
    page.get_by_label("Ends").fill(f"{now + timedelta(days=2):%Y-%m-%dT%H:%M}")
    page.get_by_label("Winners").fill("0")
    page.get_by_role("textbox", name="Hashtag").fill("two words")
    page.get_by_role("button", name="Create").click()
    for name, sentence in (("hashtag", "A hashtag is one word of letters and digits."),):
        expect(page.locator(f"#{name}-wrong")).to_contain_text(sentence)
        expect(page.locator(f"#{name}")).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#{name}")).to_have_attribute("aria-describedby", f"{name}-wrong")
    expect(page.get_by_role("textbox", name="Hashtag")).to_have_value("two words")
    page.get_by_role("textbox", name="Hashtag").fill("#CupOfItsOwn")
    page.get_by_role("button", name="Create").click()
    for name, sentence in (
        ("ends", "The campaign would end before it starts."),
        ("winners", "At least one winner is needed."),
        ("requirements", "An entry needs at least one requirement."),
    ):
        expect(page.locator(f"#{name}-wrong")).to_contain_text(sentence)
    expect(page.get_by_label("Name", exact=True)).to_have_value("A cup of its own")
    page.get_by_label("Ends").fill(f"{now + timedelta(days=4):%Y-%m-%dT%H:%M}")
    page.get_by_label("Winners").fill("1")
    page.get_by_label("a comment on a post").check()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="A cup of its own")).to_be_visible()
    expect(page.locator("main")).to_contain_text("#CupOfItsOwn")
    assert page.url.endswith("/campaigns/a-cup-of-its-own")


def test_a_survey_is_made_answered_by_its_form_and_shown_with_intervals(opened: Opened) -> None:
    page = opened(f"{HOME}/-new?kind=survey")
    now = datetime.now(UTC)
    page.get_by_label("Name", exact=True).fill("Opening hours")
    page.get_by_label("Starts").fill(f"{now - timedelta(days=1):%Y-%m-%dT%H:%M}")
    page.get_by_label("Ends").fill(f"{now + timedelta(days=1):%Y-%m-%dT%H:%M}")
    first = page.get_by_role("group", name="Question 1")
    first.get_by_label("Question", exact=True).fill("When shall we open?")
    first.get_by_label("Answers to choose from").fill("Early: seven, 7\nLate: seven, 9")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#starts-wrong")).to_contain_text("This date is in the past. Save anyway?")
    page.get_by_label("Save it with a start in the past").check()
    page.get_by_role("button", name="Create").click()
    expect(page.locator("[id='q1.options-wrong']")).to_contain_text("“seven” would choose more than one option.")
    first.get_by_label("Answers to choose from").fill("Early: seven, 7\nLate: nine, 9")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="The public form").click()
    form = page.url.partition("/s/")[2]
    visitor = opened(f"/s/{form}", key=None, scripts=False)
    visitor.get_by_role("button", name="Send").click()
    expect(visitor.get_by_role("alert")).to_contain_text("Answer at least one question.")
    visitor.get_by_label("Late").check()
    visitor.get_by_role("button", name="Send").click()
    expect(visitor.get_by_role("status")).to_contain_text("Thank you")
    page.goto(f"{HOME}/opening-hours")
    expect(page.get_by_role("region", name="When shall we open?")).to_contain_text(
        re.compile(r"1 · 100 % \(21–100 %\)")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(opened: Opened, api: Served, width: int, scheme: str) -> None:
    api.client.post(f"/v1{HOME}/spring/draw", json={})
    found = api.client.get(f"/v1{HOME}/spring").json()
    form = api.client.get(f"/v1{HOME}/next").json()["survey"]["form"]
    page = opened(HOME, width=width, scheme=scheme)
    for path in (
        HOME,
        f"{HOME}/spring",
        f"{HOME}/spring?entries=refused",
        f"{HOME}/next",
        f"{HOME}/-new?kind=giveaway",
        f"{HOME}/-new?kind=survey",
        found["giveaway"]["proof"],
        form,
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
