"""Tiles, tables and charts of a page agree on data with all that is counted apart; and one is not called many."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from pymongo.database import Database

from rapport.contracts.events import DecisionRef
from services.api.alerts.documents import alert_document
from services.api.communities import upkeep as upkeep_of_communities
from services.api.exchanges.documents import exchange_document
from services.api.http.ids import follower_ref
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from services.api.projector.upkeep.loop import TaskRun
from services.api.web import pages
from tests.services.api import facts, samples
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.conftest import Served, zone_at_noon
from tests.services.api.connecting.world import stored_attempt
from tests.services.api.web.portal_session import logged_in

pytestmark = pytest.mark.stack

BRAND = "acme"
HOME = f"/brands/{BRAND}"
ACCOUNT = f"{BRAND}-account"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW - 5 * DAY
ADA = "did:plc:ada"


def exchanges(views: Database[Any], *some: Any) -> None:
    """Writes snapshots as the projector does."""
    documents = [exchange_document(each, 1) for each in some]
    writing.write(views, Batch(exchanges={each["_id"]: each for each in documents}))


def text_of(page: str) -> str:
    """What a page reads, without its markup."""
    plain = re.sub(r"<(script|style|textarea|svg)\b.*?</\1>", " ", page, flags=re.S)
    plain = re.sub(r"<input[^>]*>", " ", plain)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", plain)).split())


def read(browser: httpx.Client, path: str) -> str:
    """The text of a page."""
    answer = browser.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return text_of(answer.text)


def number(text: str, pattern: str) -> int:
    """The number that a text has at a place."""
    found = re.search(pattern, text)
    assert found is not None, f"no {pattern!r} in {text[:800]}"
    return int(found[1])


def connect(api: Served, at: datetime = START) -> None:
    """The brand with one account, connected at a time. It is noon there: no day ends while its pages are read."""
    api.brand(BRAND, timezone=zone_at_noon(NOW))
    account = {"id": ACCOUNT, "platform": "bluesky", "handle": "acme", "connected_at": at.isoformat()}
    assert api.client.post(f"/v1/brands/{BRAND}/accounts", json=account).status_code == 201


def test_the_tiles_of_a_brand_are_its_chart_and_its_lists(api: Served, views: Database[Any]) -> None:
    connect(api)
    spam = DecisionRef(by="ops", at=NOW, why="spam")
    exchanges(
        views,
        samples.exchange("due", BRAND, NOW - HOUR),
        samples.exchange("overdue", BRAND, NOW - 30 * HOUR, breached_at=NOW - 6 * HOUR),
        *(
            samples.exchange(
                f"met-{n}", BRAND, NOW - (30 + n) * HOUR, state="answered", answered_at=NOW - 28 * HOUR,
                response_seconds=3600.0,
            )
            for n in range(3)
        ),
        samples.exchange(
            "late", BRAND, NOW - 60 * HOUR, state="answered_late", breached_at=NOW - 36 * HOUR,
            answered_at=NOW - 30 * HOUR, response_seconds=3600.0 * 30,
        ),
        samples.exchange("gone", BRAND, NOW - 40 * HOUR, state="cancelled", cancelled_because="deleted"),
        samples.exchange(
            "spam", BRAND, NOW - 50 * HOUR, state="cancelled", cancelled_because="spam", breached_at=NOW - 26 * HOUR,
            decision=spam,
        ),
        samples.exchange("merged", BRAND, NOW - 45 * HOUR, state="superseded"),
        samples.exchange("before-1", BRAND, NOW - 6 * DAY, backfilled=True),
        samples.exchange(
            "before-2", BRAND, NOW - 7 * DAY, state="answered", backfilled=True, answered_at=NOW - 6 * DAY,
            response_seconds=3600.0,
        ),
        samples.exchange("before-3", BRAND, NOW - 8 * DAY, state="answered_late", backfilled=True),
    )  # fmt: skip
    alert = alert_document(samples.alert("a1", BRAND, "overdue", "breach", NOW - 6 * HOUR, unconfirmed=True))
    writing.write(views, Batch(alerts={alert["_id"]: alert}))
    with logged_in(api) as browser:
        page, chart = read(browser, HOME), browser.get(f"{HOME}/chart").json()
        markup = browser.get(HOME).text
        opened = read(browser, f"{HOME}/exchanges?state=open&backfilled=false")
    charted = {name: sum(chart[name]) for name in ("answered", "answered_late", "open")}
    tile_open, overdue = number(page, r"Open (\d+) \d+ due within"), number(page, r"Overdue (?:⚠ )?(\d+)")
    fell_due = "that fell due in 30 days"
    met, due = number(page, rf"(\d+) of \d+ {fell_due}"), number(page, rf"\d+ of (\d+) {fell_due}")
    assert charted == {"answered": met, "answered_late": due - met - overdue, "open": tile_open}
    assert (tile_open, overdue, met, due) == (2, 1, 3, 5)
    assert markup.count("data-countdown") == tile_open, "and so many wait for an answer"
    assert "1 spam" in page
    assert "Cancelled and merged conversations, and those from before you connected, are not counted" in page
    assert opened.count("When do you open?") == tile_open
    assert "Unconfirmed" in page


def test_new_relationships_of_a_day_are_its_tile_its_list_and_its_row(api: Served, views: Database[Any]) -> None:
    connect(api, NOW - timedelta(seconds=1))
    for name, at in (("old", NOW - 2 * DAY), ("before", NOW - HOUR), ("new", NOW)):
        who = f"did:plc:{name}"
        facts.write(views, samples.follower(who, BRAND, at, name=name), facts.on("p", f"c-{name}", BRAND, at, who))
    facts.turns(views)
    with logged_in(api) as browser:
        page, home = read(browser, f"{HOME}/new"), read(browser, HOME)
    today = number(page, r"Today (\d+)")
    assert today == number(page, r"In 30 days (\d+)") == 1
    assert page.count("Began when they") == today
    assert sum(int(each) for each in re.findall(r"\d{4}-\d\d-\d\d (\d+)", page.split("As a table")[1])) == today
    assert "Without people from before the account was connected" in page
    # The brand's page counts whoever was first seen, and says so.
    assert number(home, r"(\d+) first seen today") >= today


def test_the_posts_of_a_brand_are_those_of_its_weeks_and_accounts_or_words_say_why_not(
    api: Served, views: Database[Any]
) -> None:
    connect(api, NOW - 40 * DAY)
    posts = [facts.post(f"p{n}", BRAND, NOW - n * DAY, account=ACCOUNT) for n in range(1, 6)]
    facts.write(views, *posts, facts.post("q", BRAND, NOW - 3 * DAY, account="gone-account"))
    facts.write(views, facts.about("p5", "p5-gone", BRAND, NOW - DAY, "brand-person", kind="delete"))
    facts.settled(views)
    with logged_in(api) as browser:
        page, mix = read(browser, f"{HOME}/consistency"), read(browser, f"{HOME}/mix")
    published = number(page, r"Rhythm kept –? ?(\d+) posts")
    weeks = page.split("Against the rhythm")[1].split("The target counts")[0]
    assert sum(int(each) for each in re.findall(r"\d{4} (\d+)", weeks)) == published == 5
    assert "1 post of accounts that are no longer connected counts for the brand only." in page
    assert number(mix, r"(\d+) of \d+ posts unsorted") == published
    assert number(mix, r"of (\d+) posts unsorted") == published
    formats = mix.split("Formats")[1]
    assert sum(int(each) for each in re.findall(r"(\d+) of \d+ posts,", formats)) == published


def test_entries_answers_and_members_are_as_many_as_are_listed(api: Served, views: Database[Any]) -> None:
    connect(api, NOW - 40 * DAY)
    campaign_data.fill(api, views, BRAND)
    rule = {"id": "coffee", "name": "Coffee", "rule": 'wrote "coffee"'}
    assert api.client.post(f"/v1/brands/{BRAND}/communities", json=rule).status_code == 201
    for _ in range(2):
        upkeep_of_communities.follow(TaskRun(views, None, datetime.now(UTC)))
    with logged_in(api) as browser:
        listed = read(browser, f"{HOME}/campaigns")
        spring, refused = (
            read(browser, f"{HOME}/campaigns/spring"),
            browser.get(f"{HOME}/campaigns/spring?entries=refused"),
        )
        survey = read(browser, f"{HOME}/campaigns/next")
        cards, members = read(browser, f"{HOME}/communities"), browser.get(f"{HOME}/communities/coffee").text
        entries = browser.get(f"{HOME}/campaigns/spring").text
    valid = number(spring, r"Entries (\d+) valid")
    assert (
        valid
        == number(listed.split("A year of coffee")[1], r"(\d+) valid entr")
        == entries.count('<td data-label="Entered">')
    )
    assert number(spring, r"valid (\d+) refused") == refused.text.count('<td data-label="Reason">') > 0
    answers = number(survey, r"What do we roast next\? (\d+) answers")
    counts = [int(each) for each in re.findall(r"(?:Guji|Huila|Kenya) (\d+)", survey.split("roast next?")[1])]
    assert sum(counts[:3]) == answers == number(survey, r"(\d+) by vote")
    belong = number(cards, r"(\d+) members")
    assert belong == number(text_of(members), r"(\d+) members") == len(set(re.findall(r'/followers/[^"]+', members)))


# --- one is not called many ------------------------------------------------------------------------------------------

NOUNS = (
    "answers", "attempts", "brands", "comments", "days", "entries", "exchanges", "followers", "gaps", "hours",
    "members", "mentions", "messages", "minutes", "people", "posts", "relationships", "replies", "rows", "times",
    "weeks", "winners", "words", "votes", "fields", "conditions", "accounts", "shares", "reactions", "questions",
)  # fmt: skip
MANY = re.compile(rf"(?<![\d.,:/–-])\b1 (?:[a-z]+ ){{0,1}}(?:{'|'.join(NOUNS)})\b")


def one_of_each(api: Served, views: Database[Any]) -> dict[str, str]:
    """A brand with one of everything, and what stands for each part of a path."""
    connect(api, NOW - 40 * DAY)
    window = {"starts_at": (NOW - 3 * DAY).isoformat(), "ends_at": (NOW + HOUR).isoformat()}
    needs = {"requirements": [{"kind": "comment"}], "winners": 1, "alternates": 0}
    question = {**campaign_data.ROAST}
    for body in (
        {"id": "one", "kind": "giveaway", "name": "One", "posts": ["at://post"], "giveaway": needs},
        {"id": "asked", "kind": "survey", "name": "Asked", "survey": {"questions": [question], "form": True}},
    ):
        answer = api.client.post(f"/v1/brands/{BRAND}/campaigns", json={**window, **body})
        assert answer.status_code == 201, answer.text
    at = NOW - HOUR
    vote = {"campaign": "asked", "text": "Guji", "kind": "vote", "post": None, "parent": None}
    facts.write(
        views,
        facts.post("post", BRAND, NOW - 2 * HOUR, "One post", account=ACCOUNT),
        samples.follower(ADA, BRAND, at, name="Ada"),
        facts.on("post", "c-1", BRAND, at, ADA, text="One coffee"),
        facts.about("v-1", "v-1", BRAND, at, ADA, **vote),
    )
    exchanges(
        views,
        samples.exchange("one", BRAND, at),
        samples.exchange(
            "met", BRAND, NOW - 3 * HOUR, state="answered", answered_at=NOW - 2 * HOUR, response_seconds=3600.0
        ),
    )
    alert = alert_document(samples.alert("a1", BRAND, "one", "warning", NOW))
    writing.write(views, Batch(alerts={alert["_id"]: alert}))
    plan = {"id": "plan", "account": ACCOUNT, "planned_at": (NOW + DAY).isoformat(), "text": "Next", "state": "planned"}
    assert api.client.post(f"/v1/brands/{BRAND}/calendar/posts", json=plan).status_code == 201
    rule = {"id": "all", "name": "All", "rule": 'wrote "coffee"'}
    assert api.client.post(f"/v1/brands/{BRAND}/communities", json=rule).status_code == 201
    facts.turns(views)
    campaign_data.turn(views)
    for _ in range(2):
        upkeep_of_communities.follow(TaskRun(views, None, datetime.now(UTC)))
    end = NOW - timedelta(minutes=1)
    views["campaigns"].update_one({"_id": f"{BRAND}/one"}, {"$set": {"ends_at": end, "until": end}})
    campaign_data.turn(views)
    answer = api.client.post(f"/v1/brands/{BRAND}/campaigns/one/draw", json={})
    assert answer.status_code in (200, 201), answer.text
    views["connection_attempts"].insert_one(stored_attempt(BRAND))
    proof = views["campaigns"].find_one({"_id": f"{BRAND}/one"})
    form = views["campaigns"].find_one({"_id": f"{BRAND}/asked"})
    assert proof is not None
    assert form is not None
    return {
        "/brands/{brand}/exchanges/{id}": "one",
        "/brands/{brand}/followers/{id}": follower_ref("bluesky", ADA),
        "/brands/{brand}/campaigns/{id}": "one asked",
        "/brands/{brand}/communities/{id}": "all",
        "/brands/{brand}/communities/{id}/edit": "all",
        "/brands/{brand}/communities/{id}/export": "all",
        "/brands/{brand}/calendar/{plan}": "plan",
        "/brands/{brand}/connect/{id}": "attempt-1",
        # These lead elsewhere and show nothing.
        "/brands/{brand}/connect/{id}/leave": "",
        "/connect/{vendor}": "",
        "/proof/{token}": proof["proof"],
        "/proof/{token}.json": proof["proof"],
        "/proof/{token}/verify.py": proof["proof"],
        "/s/{token}": form["form"],
    }


def paths(known: dict[str, str]) -> list[str]:
    """The path of each page of the portal. One that is new and takes an id has to be made known."""
    found = []
    for route in (route for module in (pages, *pages.MODULES) for route in module.router.routes):
        if not isinstance(route, APIRoute) or "GET" not in (route.methods or ()):
            continue
        path = route.path.replace("{brand}", BRAND)
        if "{" not in path:
            found.append(path)
            continue
        assert not known or route.path in known, f"{route.path}: what should be shown there?"
        found += [re.sub(r"\{\w+\}", name, path) for name in known.get(route.path, "").split()]
    return found


@pytest.mark.parametrize("filled", [True, False], ids=["one of each", "nothing"])
def test_no_page_calls_one_many(api: Served, views: Database[Any], filled: bool) -> None:
    known = one_of_each(api, views) if filled else {}
    if not filled:
        api.brand(BRAND)
    read_pages = 0
    with logged_in(api) as browser:
        for path in paths(known):
            answer = browser.get(path, params={"kind": "survey"} if path.endswith("campaigns/-new") else {})
            assert answer.status_code in (200, 204, 303, 401, 404 if not known else 200), (path, answer.text)
            if "html" in answer.headers.get("content-type", ""):
                read_pages += 1
                found = MANY.search(text_of(answer.text))
                assert found is None, f"{path}: {found[0]}"
    assert read_pages > 12
