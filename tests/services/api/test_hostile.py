"""Text from outside in everything that the API and the portal show to people: pages, exports, feeds.

The routes come from the application and the texts from the database, so a new page, export or field is covered too.
"""

import csv
import io
from typing import Any

import httpx
import pytest
from icalendar import Calendar
from pymongo.database import Database
from starlette.routing import Route

from rapport.kit.mongo import Document
from rapport.kit.text import plain
from services.api.app import create_app
from services.api.http.files.spreadsheet import unguarded
from services.api.http.ids import follower_ref
from tests.e2e import portal_data
from tests.services.api.calendar import data as calendar_data
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.communities import data as community_data
from tests.services.api.conftest import ADMIN_KEY, Served, settings_for
from tests.services.api.connecting.world import stored_attempt

pytestmark = pytest.mark.stack

HOSTILE = "\u202e\u2066=cmd()\x00\x07\x0b\x1b[2J\x85\u2028\u200b\u200f<b>"
FORBIDDEN = set("\u202e\u2066\x00\x07\x0b\x1b\x85\u2028\u200b\u200f")
MARK = "\u200f"
OURS = ("/calendar/export", "/calendar/-export", "/calendar/{plan}", "/communities/{id}/edit")
"""How addresses end of what the brand's own people wrote, and go on with: it keeps marks of right-to-left scripts."""
OUTSIDE = {
    *("handle", "name", "text", "owner", "why", "url", "avatar_url", "last_error", "label", "description", "title"),
    *("answered_by", "by", "question", "word", "words", "media", "excerpt"),
}
"""Keys of stored documents that hold what people wrote."""


def spoil(value: Any, key: str = "") -> Any:
    """A stored value with hostile characters before every text from outside."""
    if isinstance(value, dict):
        return {name: each if name == "_id" else spoil(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [spoil(each, key) for each in value]
    if isinstance(value, str) and key in OUTSIDE and not (key == "media" or key == "label"):
        return HOSTILE + value
    return value


@pytest.fixture
def spoiled(api: Served, views: Database[Document]) -> Served:
    """An API over two brands with a past, in which every text from outside is hostile."""
    portal_data.fill(views)
    campaign_data.fill(api, views, portal_data.BRAND)
    community_data.fill(api, views, portal_data.BRAND)
    calendar_data.fill(api, views, portal_data.BRAND)
    views["connection_attempts"].insert_one(stored_attempt(portal_data.BRAND))
    for name in views.list_collection_names():
        if name in ("keys", "probes"):
            continue
        for document in views[name].find():
            views[name].replace_one({"_id": document["_id"]}, spoil(document))
    return api


def filled(path: str, feed: str) -> str:
    follower = follower_ref("bluesky", "did:plc:1")
    thing = (
        "attempt-1"
        if "/connect" in path
        else "coffee"
        if "communities" in path
        else "spring"
        if "campaigns" in path
        else "open-1"
    )
    thing = follower if "followers" in path else "roast" if "calendar" in path else thing
    values = {
        "brand": portal_data.BRAND,
        "id": thing,
        "account": calendar_data.ACCOUNT,
        "follower": follower,
        "day": "2026-11-25",
        "campaign": "spring",
        "community": "coffee",
        "plan": "roast",
        "post": "roast",
        "token": feed,
        "vendor": "facebook",
    }
    for name, value in values.items():
        path = path.replace("{" + name + "}", value)
    return path


def is_for_people(answer: httpx.Response) -> bool:
    return answer.headers.get("content-type", "").partition(";")[0] in ("text/html", "text/csv", "text/calendar")


def test_no_page_export_or_feed_lets_through_what_steers_or_reorders(spoiled: Served) -> None:
    app = create_app(settings_for("127.0.0.1:1", "mongodb://127.0.0.1:1", "x"))
    routes = [one for each in app.routes for one in getattr(getattr(each, "original_router", None), "routes", [each])]
    paths = [each.path for each in routes if isinstance(each, Route) and "GET" in (each.methods or ())]
    assert len(paths) > 60
    # This one leads to a vendor.
    paths.remove("/brands/{brand}/connect/{id}/leave")
    with httpx.Client(base_url=spoiled.url, follow_redirects=True, timeout=60) as portal:
        assert portal.post("/login", data={"key": ADMIN_KEY}).status_code == 200
        made = spoiled.client.post(f"/v1/brands/{portal_data.BRAND}/calendar/feed")
        feed = made.json()["path"].removeprefix("/v1/calendar/").removesuffix(".ics")
        shown: dict[str, str] = {}
        for path in paths:
            client = spoiled.client if path.startswith("/v1") else portal
            with client.stream("GET", filled(path, feed)) as answer:
                if not is_for_people(answer) or "event-stream" in answer.headers["content-type"]:
                    continue
                answer.read()
            shown[path] = answer.text
            found = (FORBIDDEN - ({MARK} if path.endswith(OURS) else set())) & set(answer.text)
            assert not found, (path, [hex(ord(character)) for character in found])
            assert "<b>" not in answer.text or "text/html" not in answer.headers["content-type"], path
            if "text/csv" in answer.headers["content-type"]:
                check_cells(path, answer.text)
            if "text/calendar" in answer.headers["content-type"]:
                events = Calendar.from_ical(answer.content).walk("VEVENT")
                assert events
                assert all(unfolded.isprintable() or "\t" in unfolded for unfolded in answer.text.split("\r\n"))
    # The texts were really there.
    assert sum("=cmd()" in text for text in shown.values()) >= 15, sorted(shown)
    assert sum(path.endswith("export") for path in shown) >= 4, sorted(shown)


def check_cells(path: str, text: str) -> None:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) > 1, path
    for row in rows:
        for cell in row:
            bare = plain(cell).strip()
            assert not bare.startswith(("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠")), (path, cell)
    assert any("=cmd()" in unguarded(cell) for row in rows for cell in row), path
