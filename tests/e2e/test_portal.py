"""The portal in a real browser, on views as the projector writes them."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from msgspec import structs
from playwright.sync_api import Browser, Page, expect
from pymongo.database import Database

from rapport.contracts.controls import Decided, FollowerErased
from rapport.contracts.events import DecisionRef
from rapport.local.servers.stack import Running
from services.api.exchanges.documents import exchange_document
from services.api.http.ids import follower_ref
from tests.e2e import portal_data
from tests.e2e.browser import browser
from tests.services.api import samples
from tests.services.api.conftest import ADMIN_KEY, Served, own_brand
from tests.services.api.log import controls

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
__all__ = ["browser"]

FOLLOWER = follower_ref("bluesky", "did:plc:0")
PAGES = (
    "/",
    f"/brands/{portal_data.BRAND}",
    f"/brands/{portal_data.BRAND}/exchanges",
    f"/brands/{portal_data.BRAND}/exchanges/open-0",
    f"/brands/{portal_data.BRAND}/followers?sort=trust",
    f"/brands/{portal_data.BRAND}/followers/{FOLLOWER}",
    f"/brands/{portal_data.BRAND}/movers",
    f"/brands/{portal_data.BRAND}/identities",
    f"/brands/{portal_data.BRAND}/exchanges/friday",
    f"/brands/{portal_data.BRAND}/exchanges/decided",
    "/brands/nobody",
)
WIDTHS = (390, 1280)

Opened: TypeAlias = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, api: Served, views: Database[Any]) -> Iterator[Opened]:
    """Opens a page in a browser of its own, logged in unless `key` is None; fails on any error in the console."""
    portal_data.fill(views)
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
        page.on(
            "request", lambda request: None if request.url.startswith(api.url) else errors.append(f"to {request.url}")
        )
        page.goto(path)
        if key is not None:
            page.get_by_label("Key").fill(key)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(lambda url: "/login" not in url)
        return page

    yield visit
    for context in contexts:
        context.close()
    # A page that answers 401 or 404 is what some tests ask for.
    assert [error for error in errors if "the server responded with a status of 4" not in error] == []


def test_a_key_opens_what_it_is_for_and_leads_back_to_where_one_wanted_to_go(opened: Opened) -> None:
    page = opened(f"/brands/{portal_data.BRAND}/exchanges/open-2")
    expect(page).to_have_url(re.compile(r"/brands/aurora/exchanges/open-2$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Jonas Lindqvist")
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert ADMIN_KEY.rsplit("_", 1)[1] not in cookie["value"]
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(f"/brands/{portal_data.BRAND}")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_wrong_key_is_refused_in_words(opened: Opened) -> None:
    page = opened("/login", key=None)
    page.get_by_label("Key").fill("rp_test_wrong_" + "0" * 64)
    page.get_by_label("Key").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("unknown, expired or revoked")
    assert page.context.cookies() == []


def test_a_session_ends_with_its_key_and_cannot_be_forged(opened: Opened, api: Served) -> None:
    key = api.key([portal_data.OTHER], "read")
    page = opened(f"/brands/{portal_data.OTHER}", key=key)
    expect(page.get_by_role("heading", level=1)).to_have_text("Harbour Books")
    page.goto(f"/brands/{portal_data.BRAND}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")
    (cookie,) = page.context.cookies()
    value = cookie["value"]
    assert api.with_key(None).get("/", cookies={"rapport_session": value}).status_code == 200
    forged = value[::-1]
    assert api.with_key(None).get("/", cookies={"rapport_session": forged}).status_code == 303
    api.client.delete(f"/v1/keys/{key.split('_')[2]}")
    page.goto("/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_link_in_a_mail_opens_its_page_for_somebody_who_is_logged_in(opened: Opened, api: Served) -> None:
    page = opened("/")
    link = f"{api.url}/brands/{portal_data.BRAND}/exchanges/open-2"
    mail = f'<meta charset="utf-8"><a href="{link}">Look at it</a>'
    other_site = "http://localhost:" + api.url.rpartition(":")[2] + "/static/mail.html"
    page.context.route(other_site, lambda route: route.fulfill(body=mail, content_type="text/html"))
    webmail = page.context.new_page()
    webmail.goto(other_site)
    webmail.get_by_role("link").click()
    expect(webmail).to_have_url(re.compile(r"/brands/aurora/exchanges/open-2$"))
    expect(webmail.get_by_role("heading", level=1)).to_contain_text("Jonas Lindqvist")


def test_a_form_of_another_site_is_refused_even_where_the_cookie_comes_along(opened: Opened, api: Served) -> None:
    (cookie,) = opened("/").context.cookies()
    client = api.with_key(None)
    client.cookies.set("rapport_session", cookie["value"])
    path = f"/brands/{portal_data.BRAND}/new/goal"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for target in ("/login", "/logout", path):
            answer = client.post(target, data={"key": ADMIN_KEY, "goal": "5"}, headers=headers)
            assert answer.status_code == 403, (target, headers)
    assert api.client.get(f"/v1{path}").json()["goal"] is None


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        *(
            (each, "/")
            for each in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "x")
        ),
        *((each, "/") for each in ("http://[", "/\t/evil.example", "/\n/evil.example", "\\\\evil.example", "", "evil")),
        *((each, each) for each in ("/", "/brands/aurora?day=2026-11-23#person", "/brands/a%2Fb/c//d?next=//x")),
    ],
)
def test_after_the_login_one_stays_on_this_portal(api: Served, wanted: str, leads_to: str) -> None:
    answer = api.client.post("/login", data={"key": ADMIN_KEY, "next": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, leads_to)
    assert api.client.get("/login", params={"next": wanted}).status_code == 200


def test_the_brand_page_shows_what_waits_and_counts_down(opened: Opened) -> None:
    page = opened(f"/brands/{portal_data.BRAND}")
    rows = page.locator("tr[data-exchange]")
    expect(rows).to_have_count(6)
    expect(rows.first).to_contain_text("Overdue")
    expect(rows.first.locator("time.countdown")).to_contain_text("overdue")
    second = rows.nth(1).locator("time.countdown")
    before = second.inner_text()
    expect(second).not_to_have_text(before)
    expect(second).to_have_text(re.compile(r"in \d min \d+ s"))
    expect(page.locator("#chart canvas")).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.locator("#chart-table tbody tr")).to_have_count(14)


def test_what_the_projector_writes_appears_without_a_reload_and_keeps_focus_and_chart(
    opened: Opened, views: Database[Any]
) -> None:
    page = opened(f"/brands/{portal_data.BRAND}")
    expect(page.locator("#chart canvas")).to_be_visible()
    page.locator("#exchange-open-3").focus()
    now = datetime.now(UTC)
    views["exchanges"].insert_one(
        exchange_document(samples.exchange("brand-new", portal_data.BRAND, now - timedelta(hours=30)), 1)
    )
    expect(page.locator("tr[data-exchange=brand-new]")).to_be_visible()
    expect(page.locator(".tile").first).to_contain_text("2")
    expect(page.locator("#exchange-open-3")).to_be_focused()
    expect(page.locator("#chart canvas")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_scrolls_sideways_and_text_is_legible(opened: Opened, scheme: str) -> None:
    for width in WIDTHS:
        page = opened("/", width=width, scheme=scheme)
        for path in PAGES:
            page.goto(path)
            page.wait_for_load_state("load")
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
            poor = page.evaluate(CONTRAST)
            assert poor == [], (path, width, scheme)
        page.locator("h1").evaluate(
            "element => { element.style.color = getComputedStyle(document.body).backgroundColor }"
        )
        assert len(page.evaluate(CONTRAST)) == 1, "the measure itself has to notice"


def test_an_exchange_says_in_words_why_it_was_due_when_it_was(opened: Opened) -> None:
    for width in WIDTHS:
        page = opened(f"/brands/{portal_data.BRAND}/exchanges/friday", width=width)
        clock = page.locator("section", has=page.get_by_role("heading", name="Clock"))
        expect(clock).to_contain_text("18:05. Support hours were closed until Monday")
        expect(clock).to_contain_text("so the 4 hours would have run out on Monday at 13:00.")
        expect(clock).to_contain_text("Grace answered on Monday at 12:00, in time, after 3 hours of support hours.")
        expect(clock.locator("dt", has_text="Closed")).to_be_visible()
        expect(clock.locator("div", has_text="Escalation").locator("dd")).to_contain_text("14:00")
        page.goto(f"/brands/{portal_data.BRAND}/exchanges/open-0")
        expect(page.locator(".step-escalation")).to_contain_text("Some data from the platform was missing")


@pytest.mark.parametrize("scripts", [True, False])
def test_somebody_says_that_no_reply_is_needed_and_takes_it_back(
    opened: Opened, api: Served, stack: Running, views: Database[Any], scripts: bool
) -> None:
    brand = own_brand()
    api.brand(brand)
    key = api.key([brand], "write")
    open_one = samples.exchange("one", brand, datetime.now(UTC) - timedelta(hours=1))
    views["exchanges"].insert_one(exchange_document(open_one, 1))
    page = opened(f"/brands/{brand}/exchanges/one", key=key, width=390, scripts=scripts)
    why = page.get_by_label("Reason")
    why.fill("They rang us.")
    page.get_by_label("It is spam").check()
    page.get_by_label("It is spam").uncheck()
    page.get_by_role("button", name="No reply needed").click()
    expect(page.get_by_role("status")).to_contain_text("Your decision is saved")
    assert page.evaluate(CONTRAST) == []
    (decided,) = _decided(stack, brand)
    assert (decided.exchange, decided.why, decided.spam, decided.by) == ("one", "They rang us.", False, "test")

    said = DecisionRef(by=decided.by, at=decided.at, why=decided.why)
    ended = structs.replace(open_one, state="cancelled", cancelled_because="no_reply_needed", decision=said, revision=2)
    views["exchanges"].replace_one({"_id": "one"}, exchange_document(ended, 1))
    if not scripts:
        page.reload()
    expect(page.get_by_role("status")).to_have_count(0)
    decision = page.locator("section", has=page.get_by_role("heading", name="No reply needed"))
    expect(decision).to_contain_text("They rang us.")
    decision.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("Your decision is saved")
    assert [each.undone for each in _decided(stack, brand)] == [False, True]
    views["exchanges"].replace_one({"_id": "one"}, exchange_document(structs.replace(open_one, revision=3), 1))
    if not scripts:
        page.reload()
    expect(why).to_be_visible()


def test_what_is_wrong_about_a_decision_is_said_beside_it(opened: Opened, views: Database[Any]) -> None:
    page = opened(f"/brands/{portal_data.BRAND}/exchanges/open-2", width=390)
    form = page.locator("form.decide")
    form.evaluate("form => { form.noValidate = true; form.why.removeAttribute('maxlength') }")
    page.get_by_label("It is spam").check()
    page.get_by_role("button", name="No reply needed").click()
    expect(form.get_by_role("alert")).to_contain_text("Say in a few words why it needs no reply.")
    expect(page.get_by_label("It is spam")).to_be_checked()
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    form.evaluate("form => form.why.removeAttribute('maxlength')")
    page.get_by_label("Reason").fill("w" * 501)
    page.get_by_role("button", name="No reply needed").click()
    expect(form.get_by_role("alert")).to_contain_text("This has 501 characters; 500 is the most.")
    expect(page.get_by_label("Reason")).to_have_value("w" * 501)
    expect(page.get_by_label("Reason")).to_have_attribute("aria-describedby", "why-wrong")
    page.goto(f"/brands/{portal_data.BRAND}/exchanges/open-2?noted=no-reply-needed&at=1")
    expect(page.get_by_role("status")).to_have_count(0)
    views["exchanges"].update_one({"_id": "open-2"}, {"$set": {"state": "answered", "answered_at": datetime.now(UTC)}})
    page.get_by_label("Reason").fill("too late")
    page.get_by_role("button", name="No reply needed").click()
    expect(page.get_by_role("alert")).to_contain_text("This exchange was answered, so there is nothing to decide.")


def test_only_a_key_that_may_write_decides_and_only_from_here(opened: Opened, api: Served) -> None:
    path = f"/brands/{portal_data.BRAND}/exchanges/decided"
    page = opened(path, key=api.key([portal_data.BRAND], "read"))
    expect(page.get_by_text("They rang us, and all is well.").last).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    page.goto(f"/brands/{portal_data.BRAND}/exchanges/open-2")
    expect(page.locator("form.decide")).to_have_count(0)
    (cookie,) = page.context.cookies()
    with api.with_key(None) as client:
        client.cookies.set("rapport_session", cookie["value"])
        assert client.post(f"{path}/reply-needed").status_code == 403
    page = opened(path)
    (cookie,) = page.context.cookies()
    with api.with_key(None) as client:
        client.cookies.set("rapport_session", cookie["value"])
        for form in ("reply-needed", "no-reply-needed"):
            answer = client.post(f"{path}/{form}", data={"why": "x"}, headers={"Origin": "https://evil.example"})
            assert answer.status_code == 403
        foreign = client.post(
            f"/brands/{portal_data.OTHER}/exchanges/decided/reply-needed", headers={"Origin": api.url}
        )
        assert foreign.status_code == 404
    with api.with_key(None) as client:
        answer = client.post(f"{path}/reply-needed", headers={"Origin": api.url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def _decided(stack: Running, brand: str) -> list[Decided]:
    found = (each for written in controls(stack.kafka, brand).values() for each in written)
    return sorted((each for each in found if isinstance(each, Decided)), key=lambda each: each.at)


def test_somebody_says_who_is_the_same_person_and_takes_it_back(opened: Opened, api: Served) -> None:
    path = f"/brands/{portal_data.BRAND}/followers"
    other = follower_ref("bluesky", "did:plc:2")
    page = opened(f"{path}/{FOLLOWER}")
    card = page.get_by_role("region", name="Linked profiles")
    expect(card).to_contain_text("Not linked")
    card.get_by_label("Other profile").fill(f"{api.url}{path}/{FOLLOWER}")
    card.get_by_label("How you know").fill("She told me.")
    card.get_by_role("button", name="Link").click()
    expect(card.get_by_role("alert")).to_have_text("A follower is the same person as itself already.")
    expect(card.get_by_label("How you know")).to_have_value("She told me.")
    card.get_by_label("Other profile").fill(f"{api.url}{path}/{other}")
    card.get_by_role("button", name="Link").click()
    expect(card).to_contain_text("Linked by administrator: She told me.")
    card.get_by_role("link").click()
    expect(page).to_have_url(re.compile(re.escape(other)))
    expect(card.get_by_role("link")).to_have_attribute("href", f"{path}/{FOLLOWER}")
    card.get_by_role("button", name="Unlink").click()
    expect(card).to_contain_text("Not linked")
    assert api.client.get(f"/v1/brands/{portal_data.BRAND}/identities").json()["items"] == []


def test_a_person_is_forgotten_once_somebody_wrote_their_name(opened: Opened, api: Served, stack: Running) -> None:
    def erased() -> list[list[str]]:
        said = controls(stack.kafka, portal_data.BRAND).values()
        return [[each.follower for each in some if isinstance(each, FollowerErased)] for some in said]

    before = erased()  # other tests forget people of this brand, too
    path = f"/brands/{portal_data.BRAND}/followers"
    page = opened(f"{path}/{FOLLOWER}")
    page.get_by_text("Forget this person").click()
    page.get_by_label("To confirm").fill("yes")
    page.get_by_role("button", name="Forget for good").click()
    expect(page.get_by_role("alert")).to_have_text("That is not their name. Type it as shown above, or copy it.")
    expect(page.get_by_label("To confirm")).to_have_value("yes")
    page.get_by_label("To confirm").fill(page.get_by_role("heading", level=1).inner_text().upper())
    page.get_by_role("button", name="Forget for good").click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    assert erased() == [[*some, "did:plc:0"] for some in before]


def test_a_file_of_links_is_looked_at_first_and_taken_once_somebody_agrees(opened: Opened, api: Served) -> None:
    page = opened(f"/brands/{portal_data.BRAND}/followers")
    page.get_by_role("link", name="Link profiles").click()
    rows = (
        "platform_a,follower_a,platform_b,follower_b,why",
        "bluesky,did:plc:1,bluesky,did:plc:2,she said so",
        "bluesky,did:plc:1,bluesky,nobody,a mistake",
    )
    file = {"name": "links.csv", "mimeType": "text/csv", "buffer": "\n".join(rows).encode()}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("status")).to_contain_text("1 good row, 1 bad. Nothing is linked yet.")
    expect(page.get_by_role("cell", name="'nobody' on Bluesky is not a follower here")).to_be_visible()
    assert api.client.get(f"/v1/brands/{portal_data.BRAND}/identities").json()["items"] == []
    page.get_by_role("button", name="Link the 1 good row").click()
    expect(page.get_by_role("status")).to_contain_text("1 linked, 1 skipped.")
    (link,) = api.client.get(f"/v1/brands/{portal_data.BRAND}/identities").json()["items"]
    assert (link["why"], link["source"]) == ("she said so", "import")
    page.locator("input[type=file]").set_input_files({**file, "buffer": b"a,b"})  # type: ignore[arg-type]
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 1: unknown column a")


def test_a_followers_page_says_what_changed_and_what_would_raise_the_stage(opened: Opened) -> None:
    page = opened(f"/brands/{portal_data.BRAND}/movers")
    for heading in ("Warming", "Cooling", "Lost", "Buyers gone quiet"):
        expect(page.get_by_role("region", name=heading, exact=True)).to_be_visible()
    warmest = page.get_by_role("region", name="Warming").get_by_role("link").first
    warmest.click()
    expect(page.get_by_role("heading", name="Relationship")).to_be_visible()
    expect(page.locator(".mover-points").first).to_contain_text("in 7 days")
    page.goto(f"/brands/{portal_data.BRAND}/followers/{follower_ref('bluesky', 'did:plc:0')}")
    expect(page.get_by_text("What would raise the stage")).to_be_visible()


def test_hostile_text_is_text(opened: Opened) -> None:
    page = opened(f"/brands/{portal_data.BRAND}")
    expect(page).to_have_title("Café Aurora · Rapport")
    expect(page.locator("tr[data-exchange=open-0] .name")).to_have_text(portal_data.HOSTILE_NAME)
    for path in PAGES[1:6]:
        page.goto(path)
        assert page.locator("main img").count() == 0
        assert page.locator("main script").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
        assert "owned" not in page.title() or "<script>" in page.title()
    page.goto(PAGES[1])
    arabic = page.locator("tr[data-exchange=open-1] .said > span")
    assert arabic.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_the_policy_of_content_forbids_everything_but_ones_own(api: Served) -> None:
    policy = api.client.get("/login").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_everything_can_be_reached_by_keyboard(opened: Opened) -> None:
    page = opened(f"/brands/{portal_data.BRAND}")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "focus has to be visible"
        reached.append(page.evaluate("document.activeElement.id"))
    assert "all-exchanges" in reached
    assert "exchange-open-1" in reached
    page.locator("#exchange-open-1").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/exchanges/open-1$"))


# WCAG 2.1, 1.4.3: the contrast of each text with what lies behind it, 4.5 to 1, or 3 to 1 where it is large.
CONTRAST = r"""
() => {
  const parse = (text) => {
    const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    context.fillStyle = text; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(".visually-hidden, .skip, svg")) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(parse(style.color)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio >= (large ? 3 : 4.5)) continue;
    poor.push(`${element.className} ${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
}
"""
