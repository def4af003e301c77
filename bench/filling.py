"""Fills the views of a brand with a million followers, as the projector and the upkeep would."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from rapport.contracts.events import (
    Actor,
    ExchangeSnapshot,
    FirstComment,
    FollowerRef,
    Interaction,
    Object,
    Parent,
    PolicyRef,
)
from rapport.contracts.rows import FollowerRow
from rapport.domain.relationships.counting import sum_up
from rapport.domain.relationships.relationship import DEFAULT
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.exchanges.documents import exchange_document
from services.api.followers.documents import follower_document, stage_fields
from services.api.interactions.documents import InteractionDocument, interaction_document

BRAND = "bench"
AT_ONCE = 5_000
YEAR = 365
EXCHANGES, POSTS, ENTRIES, REACHED = 0.3, 0.026, 0.3, 0.02
"""Per follower: exchanges in the last 90 days, posts in a year, entries of a giveaway, acts of outreach."""
CLIENTS, OF_CLIENT = 500, 200
"""The agency's other clients, and the followers of each."""
PLANNED = 0.5
"""Planned posts per post."""
_KINDS = ("comment", "reaction", "share", "follow", "message", "vote")


def fill(views: Database[Document], many: int, brand: str = BRAND) -> None:
    """Writes followers as the projector does: most are new, some buy."""
    dice = random.Random(brand)
    now = datetime.now(UTC)
    collection = views["followers"]
    for start in range(0, many, AT_ONCE):
        documents = []
        for number in range(start, min(many, start + AT_ONCE)):
            seen = now - timedelta(minutes=dice.randrange(400 * 1440))
            row = FollowerRow(
                brand=brand, platform=dice.choice(("bluesky", "mastodon", "shop")), follower=f"f{number}", revision=1,
                first_seen=seen - timedelta(days=dice.randrange(100)), last_seen=seen, handle=f"@f{number}",
                name=f"Follower {number}", met=True, counts={"comment": 1},
            )  # fmt: skip
            for _ in range(dice.choice((1, 1, 1, 2, 4))):
                day = (seen - timedelta(days=dice.randrange(60))).date().isoformat()
                row.days[day] = {dice.choice(_KINDS): dice.randrange(1, 4)}
            if dice.random() < 0.01:
                row.days[seen.date().isoformat()] = {"purchase": 1}
            row.newest_day = max(row.days)
            sum_up(row, DEFAULT)
            document = follower_document(row, 1)
            documents.append({**document, **stage_fields(document, DEFAULT, now), "written_at": now})
        collection.insert_many(documents, ordered=False)


def fill_the_rest(views: Database[Document], many: int) -> None:
    """Writes what these followers did as the projector and the upkeep do: exchanges, posts, beginnings, entries."""
    dice, now = random.Random(2), datetime.now(UTC).replace(microsecond=0)
    _insert(views, "exchanges", (_exchange(dice, number, many, now) for number in range(round(many * EXCHANGES))))
    _insert(views, "posts", (_post(dice, number, now) for number in range(round(many * POSTS))))
    _insert(views, "planned_posts", (_planned(number, now) for number in range(round(many * POSTS * PLANNED))))
    _insert(views, "beginnings", (_beginning(dice, each) for each in _followers(views)))
    days: dict[str, dict[str, int]] = {}
    for each in views["beginnings"].find({"brand": BRAND}, {"at": 1, "platform": 1}):
        platforms = days.setdefault(each["at"].date().isoformat(), {})
        platforms[each["platform"]] = platforms.get(each["platform"], 0) + 1
    zone = "Europe/Oslo"
    _insert(
        views,
        "new_days",
        (
            {"_id": f"{BRAND}/{day}", "brand": BRAND, "day": day, "zone": zone, "platforms": platforms}
            for day, platforms in days.items()
        ),
    )
    entries = round(many * ENTRIES)
    _insert(views, "campaign_entries", (_entry(dice, number, now) for number in range(entries)))
    views["campaigns"].update_one(
        {"_id": f"{BRAND}/spring"}, {"$set": {"tally": {"valid": entries}, "counted_revision": 1, "counted_at": now}}
    )
    _insert(views, "interactions", (_reached(dice, number, many, now) for number in range(round(many * REACHED))))


def fill_agency(views: Database[Document]) -> None:
    """Writes what the agency's other clients have, each a little."""
    dice, now = random.Random(3), datetime.now(UTC).replace(microsecond=0)
    for number in range(CLIENTS):
        fill(views, OF_CLIENT, f"client{number}")
        exchanges = (
            _exchange(dice, each, OF_CLIENT, now, f"client{number}") for each in range(round(OF_CLIENT * EXCHANGES))
        )
        _insert(views, "exchanges", exchanges)


def _insert(views: Database[Document], collection: str, documents: Iterable[Any]) -> None:
    for part in parts(documents, AT_ONCE):
        views[collection].insert_many(part, ordered=False)


def _followers(views: Database[Document]) -> Iterable[Document]:
    return views["followers"].find({"brand": BRAND}, {"platform": 1, "follower": 1, "first_seen": 1})


def _exchange(dice: random.Random, number: int, many: int, now: datetime, brand: str = BRAND) -> Document:
    opened = now - timedelta(minutes=dice.randrange(90 * 1440))
    took = timedelta(minutes=dice.randrange(20, 3000))
    open_still = now - opened < timedelta(hours=30) and dice.random() < 0.3
    late = took > timedelta(days=1)
    snapshot = ExchangeSnapshot(
        id=f"{brand}-x{number}", brand=brand, platform="bluesky", account="a",
        conversation=f"c{number}", thread=f"t{number}",
        follower=FollowerRef(id=f"f{dice.randrange(many)}"), first=FirstComment(id=f"o{number}", text="How much?"),
        comments=1, opened_at=opened, due_at=opened + timedelta(days=1), revision=1, policy=PolicyRef(1, 0),
        state="open" if open_still else "answered_late" if late else "answered",
        breached_at=opened + timedelta(days=1) if late and not open_still else None,
        answered_at=None if open_still else opened + took,
        response_seconds=None if open_still else took.total_seconds(),
    )  # fmt: skip
    return {**exchange_document(snapshot, 1), "written_at": now}


def _post(dice: random.Random, number: int, now: datetime) -> Document:
    return {
        "_id": f"{BRAND}/bluesky/post{number}", "brand": BRAND, "platform": "bluesky", "account": "a",
        "post": f"at://post{number}", "published_at": now - timedelta(minutes=dice.randrange(YEAR * 1440)),
        "text": "Good morning", "url": None, "format": dice.choice(("image", "video", "text")),
        "comments": dice.randrange(40), "reactions": dice.randrange(900), "shares": dice.randrange(9),
        "new_relationships": dice.randrange(5), "label": dice.choice(("business", "personal", "unsorted")),
        "label_by": "rule", "labelled_with": 1,
    }  # fmt: skip


def _planned(number: int, now: datetime) -> Document:
    at = now + timedelta(days=30) - timedelta(minutes=number * YEAR * 1440 // 13_000)
    past = at <= now
    return {
        "_id": f"{BRAND}/plan{number}", "brand": BRAND, "plan": f"plan{number}", "account": "a", "platform": "bluesky",
        "planned_at": at, "text": "Good morning", "media": [], "label": "business", "campaign": None, "owner": None,
        "post": None, "state": "planned", "approval": "not_needed", "approval_by": None, "approval_at": None,
        "approval_why": None, "published": f"{BRAND}/bluesky/post{number}" if past else None,
        "published_at": at if past else None, "missing_since": None, "told": None, "untold": False, "revision": 1,
        "created_at": at, "updated_at": at,
    }  # fmt: skip


def _beginning(dice: random.Random, follower: Document) -> Document:
    return {
        "_id": follower["_id"], "brand": BRAND, "platform": follower["platform"], "follower": follower["follower"],
        "at": follower["first_seen"], "new": True, "kind": dice.choice(_KINDS), "account": "a",
        "post": f"at://post{dice.randrange(20_000)}", "url": None, "interaction": f"i-{follower['_id']}", "text": "Hi",
    }  # fmt: skip


def _entry(dice: random.Random, number: int, now: datetime) -> Document:
    return {
        "_id": f"{BRAND}/spring/bluesky/f{number}", "brand": BRAND, "campaign": "spring", "platform": "bluesky",
        "follower": f"f{number}", "hash": f"{dice.getrandbits(256):064x}", "valid": number % 20 > 0,
        "reasons": [] if number % 20 else ["no_follow"], "fulfilled": [], "duplicates": 0,
        "at": now - timedelta(seconds=dice.randrange(86_400)), "objects": [f"o{number}"],
    }  # fmt: skip


def _reached(dice: random.Random, number: int, many: int, now: datetime) -> InteractionDocument:
    at = now - timedelta(minutes=dice.randrange(90 * 1440))
    return interaction_document(
        Interaction(
            id=f"r{number}",
            brand=BRAND,
            platform="bluesky",
            account="a",
            kind="reaction",
            actor=Actor(id="staff"),
            object=Object(id=f"l{number}"),
            parent=Parent(id=f"p{number}", actor=f"f{dice.randrange(many)}"),
            conversation=f"c{number}",
            thread=f"t{number}",
            occurred_at=at,
            observed_at=at,
            staff=True,
        )
    )
