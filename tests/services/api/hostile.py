"""A brand with one of everything, and what a stranger might send about it; shared by the tests that walk all routes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.app import create_app
from services.api.http.ids import follower_ref
from services.api.settings import ApiSettings
from services.api.web import frame
from tests.e2e import portal_data
from tests.services.api import taken
from tests.services.api.calendar import data as calendar_data
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.communities import data as community_data
from tests.services.api.conftest import Served

BRAND = portal_data.BRAND
TEMPLATES = sorted(Path(frame.__file__).parents[1].glob("*/templates/*.html"))

VALUES = (
    "", " ", "\0", "a\0b", "a\nb", "http://[", "//[::", "/\\[", "9999-12-26", "9999-12-31", "0001-01-01", "2026-02-30",
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00.9999999Z", "2026-W01-1", "1e999", "nan",
    "-1", "0", "²", "٣", "1_000", "9" * 30, "9" * 5000, '"', "'", "%", "%00", "{}", "[]", "[[[[", "$where",
    "../..", "a/b", "\u202e", "\ufeff", "🙂" * 300, "a" * 3000, "(" * 3000, 'trust > "', "true", "null",
)  # fmt: skip
"""What breaks parsers of numbers, days, times, addresses, and rules."""


def fill(api: Served, views: Database[Document]) -> None:
    """Makes the brand."""
    portal_data.fill(views)
    campaign_data.fill(api, views, BRAND)
    community_data.fill(api, views, BRAND)
    calendar_data.fill(api, views, BRAND)


def ids(views: Database[Document]) -> dict[str, str]:
    """Something that is there, for each parameter of a path."""
    survey = views["campaigns"].find_one({"form": {"$ne": None}})
    assert survey is not None
    return {
        "brand": BRAND,
        "account": "aurora-account",
        "follower": follower_ref("bluesky", "did:plc:1"),
        "day": "2026-11-25",
        "campaign": "spring",
        "community": "coffee",
        "plan": "roast",
        "post": "roast",
        "token": survey["form"],
        "key": "nokey",
        "version": "1",
    }


def address(path: str, known: dict[str, str], **other: str) -> str:
    """A route's path with ids in it; `{id}` is of what the path is about."""
    about = next((name for name in ("follower", "campaign", "community") if f"/{name[:-1]}" in path), None)
    thing = known[about] if about else "open-1"
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: {**known, "id": thing, **other}.get(found[1], "x"), path)


def pages(method: str) -> Iterator[Any]:
    """The portal's routes with this method."""
    for route in taken._routes(create_app(ApiSettings()).routes):
        if method in (route.methods or ()) and not route.path.startswith("/v1"):
            yield route


def form_fields() -> list[str]:
    """Every name of a field in the templates."""
    found = {name for file in TEMPLATES for name in re.findall(r'name="([^"{]+)"', file.read_text())}
    return sorted(found)
