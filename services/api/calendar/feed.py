"""The calendar as iCalendar, for whoever has its address."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import icalendar

from rapport.domain.mix.posts import excerpt
from rapport.domain.platforms import platform_name
from rapport.kit.text import one_line, plain
from services.api.brands.repository import Brands
from services.api.calendar.documents import PlannedPost
from services.api.calendar.repository import Calendar
from services.api.calendar.schemas import CurrentFeed, Feed
from services.api.http.pools import FILES
from services.api.http.problems import ProblemError, not_found
from services.api.storage.tenants import Database, Tenants

BEFORE, AFTER = timedelta(days=60), timedelta(days=400)
"""What the feed shows, from now on."""
MOST = 2_000
LONGEST_SUMMARY = 400
TOKEN_BYTES = 24


async def current(database: Database, brand: str) -> CurrentFeed:
    """The address of the feed, if it has one. One that an older version made works, but cannot be shown."""
    found = await Calendar(database, Tenants.one(brand)).settings(brand)
    token = found.get("feed_token") if found else None
    return CurrentFeed(
        made=found is not None and found.get("feed") is not None, path=None if token is None else _path(token)
    )


async def renew(database: Database, brand: str, *, replace: bool) -> Feed:
    """Creates an address for the feed. With `replace` it may end an existing one. Raises ProblemError (409)."""
    if not replace and (await current(database, brand)).made:
        why = "the feed already has an address, which would stop working; send replace=true to end it"
        raise ProblemError(409, "conflict", why)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await Calendar(database, Tenants.one(brand)).set(brand, {"feed": _hash(token), "feed_token": token})
    return Feed(path=_path(token))


def _path(token: str) -> str:
    return f"/v1/calendar/{token}.ics"


async def read(database: Database, token: str, now: datetime) -> bytes:
    """A brand's planned posts as iCalendar. Raises ProblemError (404)."""
    found = await Calendar(database, Tenants(None)).of_feed(_hash(token))
    if found is None:
        raise not_found("calendar")
    tenants = Tenants.one(found["brand"])
    planned = await Calendar(database, tenants).between(now - BEFORE, now + AFTER, None, MOST)
    brand = await Brands(database, tenants).find(found["brand"])
    if brand is None:
        raise not_found("calendar")
    name = f"{one_line(brand['settings']['name'], LONGEST_SUMMARY)}: planned posts"
    return await FILES.run(found["brand"], _ical, name, planned)


def _ical(name: str, planned: Sequence[PlannedPost]) -> bytes:
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Rapport//Editorial calendar//EN")
    calendar.add("version", "2.0")
    # RFC 7986 5.1; most programs still read the older name only.
    calendar.add("name", name)
    calendar.add("x-wr-calname", name)
    for each in planned:
        if each["state"] == "cancelled":
            continue
        event = icalendar.Event()
        event.add("uid", f"{hashlib.sha256(each['_id'].encode()).hexdigest()[:32]}@rapport")
        event.add("dtstamp", each["updated_at"])
        event.add("dtstart", each["planned_at"])
        # RFC 5545 3.3.11: no control characters in text; strict readers refuse the whole calendar for one.
        said = excerpt(plain(each["text"])) or ", ".join(each["media"])
        event.add("summary", one_line(f"{platform_name(each['platform'])}: {said}", LONGEST_SUMMARY))
        event.add("description", plain(each["text"]))
        event.add("status", "CONFIRMED" if each["state"] == "planned" else "TENTATIVE")
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
