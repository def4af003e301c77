"""How soon views answer where one brand has a million followers: a real API and MongoDB, at a steady rate."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pymongo.database import Database

from bench.client import percentile
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
from rapport.domain.counting import sum_up
from rapport.domain.relationship import DEFAULT
from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from rapport.local import ports
from rapport.local.stack import Running
from services.api.ids import follower_ref
from services.api.projection.documents import (
    exchange_document,
    follower_document,
    interaction_document,
    stage_fields,
)
from services.api.repositories import indexes
from services.api.upkeep import communities as upkeep_of_communities
from services.api.upkeep.loop import Desk

Figures = dict[str, float | int | str]

BRAND = "bench"
ADMIN_KEY = "rp_test_admin_" + "0123456789abcdef" * 4
PER_SECOND = 50
SECONDS = 6
AT_ONCE = 5_000
YEAR = 365
EXCHANGES, POSTS, ENTRIES, REACHED = 0.3, 0.026, 0.3, 0.02
"""So many per follower: exchanges in the last 90 days, posts in a year, entries of a giveaway, acts of outreach."""
CLIENTS, OF_CLIENT = 500, 200
"""The agency's other clients, and followers of each."""
PER_SECOND_ACROSS = 2
"""The page of all clients is not asked for by clients."""
PLANNED = 0.5
"""So many planned posts per post."""
_KINDS = ("comment", "reaction", "share", "follow", "message", "vote")
PATHS = (
    "overview",
    "followers?sort=last_seen",
    "followers?sort=trust",
    "followers?sort=know&stage=buys",
    "followers?sort=like&stage=trusts",
    "followers?sort=last_seen&stage=new",
    "followers/{follower}",
    "movers",
    "answering",
    "identities",
    "identities/suggestions",
    "identities/{follower}",
    "exchanges?state=open",
    "exchanges?state=answered_late",
    "mix",
    "mix?from={year_ago}&to={today}",
    "mix/posts",
    "new",
    "new/{today}",
    "outreach",
    "outreach/today",
    "campaigns",
    "campaigns/spring",
    "campaigns/spring/entries",
    "campaigns/spring/effect",
    "consistency",
    "consistency?from={year_ago}&to={today}",
    "calendar",
    "calendar?from={month_ago}&to={today}",
    "communities",
    *(f"communities/{name}/{what}" for name in ("warm", "away") for what in ("members", "events")),
)
PAGES = (
    "",
    *("/live", "/chart", "/exchanges", "/followers", "/followers/{follower}", "/identities", "/movers", "/mix", "/new"),
    *("/new/chart", "/campaigns", "/campaigns/spring", "/communities", "/communities/warm", "/consistency"),
    *("/calendar", "/calendar?view=month"),
)
"""Of the portal, below a brand's page."""
RULES = {
    "warm": "stage is at least knows and (trust > 5 or comments >= 1) and last seen within 90 days",
    "away": "last seen more than 60 days ago and bot is no",
}
"""Communities: of a few, and of most."""


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


def _insert(views: Database[Document], collection: str, documents: Iterable[Document]) -> None:
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


def _reached(dice: random.Random, number: int, many: int, now: datetime) -> Document:
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


async def views(running: Running, folder: Path, many: int) -> Figures:
    """Fills a database, serves it, and asks each view at PER_SECOND for SECONDS."""
    with mongo.client(running.mongodb) as client:
        await asyncio.to_thread(indexes.create, client["rapport"])
        began = time.monotonic()
        await asyncio.to_thread(fill, client["rapport"], many)
        filled = time.monotonic() - began
        (one,) = client["rapport"]["followers"].find({"stage": "trusts"}).limit(1)
    port, internal = ports.usual_or_free(0), ports.usual_or_free(0)
    environment = {
        **os.environ,
        "RAPPORT_KAFKA": running.kafka,
        "RAPPORT_MONGODB": running.mongodb,
        "RAPPORT_ADMIN_KEY": ADMIN_KEY,
        "RAPPORT_PORT": str(port),
        "RAPPORT_INTERNAL_PORT": str(internal),
    }
    found: Figures = {"followers": many}
    with (folder / "api.log").open("ab") as log:
        command = [sys.executable, "-m", "rapport.cli", "api"]
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as asking:
            await _ready(asking, f"http://127.0.0.1:{internal}/readyz")
            made = await asking.post("/v1/brands", json={"id": BRAND, "name": "Bench", "timezone": "Europe/Oslo"})
            made.raise_for_status()
            account = {"id": "a", "platform": "bluesky", "handle": "bench", "connected_at": "2026-01-01T00:00:00Z"}
            (await asking.post(f"/v1/brands/{BRAND}/accounts", json=account)).raise_for_status()
            await _campaign(asking)
            for number in range(CLIENTS):
                one_more = {"id": f"client{number}", "name": f"Client {number}", "timezone": "Europe/Oslo"}
                (await asking.post("/v1/brands", json=one_more)).raise_for_status()
            began = time.monotonic()
            with mongo.client(running.mongodb) as client:
                await asyncio.to_thread(fill_the_rest, client["rapport"], many)
                await asyncio.to_thread(fill_agency, client["rapport"])
                found["communities_after_seconds"] = await _communities(asking, client["rapport"])
            found["filled_after_seconds"] = round(filled + time.monotonic() - began)
            today = datetime.now(UTC).date()
            names = {
                "follower": follower_ref(one["platform"], one["follower"]),
                "today": today.isoformat(),
                "month_ago": (today - timedelta(days=30)).isoformat(),
                "year_ago": (today - timedelta(days=YEAR)).isoformat(),
            }
            await asking.post("/login", data={"key": ADMIN_KEY})
            asked = {path: f"/v1/brands/{BRAND}/{path}" for path in PATHS}
            asked |= {f"page {path or '/'}": f"/brands/{BRAND}{path}" for path in PAGES}
            for path, where in asked.items():
                name = path.replace("{follower}", "one").replace("?", " ")
                found[name] = await _ask(asking, where.format(**names))
            found[f"of {CLIENTS + 1} brands: overview"] = await _ask(asking, "/v1/overview", PER_SECOND_ACROSS)
    finally:
        process.terminate()
        await process.wait()
    return found


async def _campaign(asking: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    made = await asking.post(
        f"/v1/brands/{BRAND}/campaigns",
        json={
            "id": "spring", "kind": "giveaway", "name": "Spring", "posts": ["at://post1"],
            "starts_at": (now - timedelta(days=1)).isoformat(), "ends_at": (now + timedelta(days=1)).isoformat(),
            "giveaway": {"requirements": [{"kind": "comment", "word": "coffee"}], "winners": 1, "alternates": 0},
        },
    )  # fmt: skip
    made.raise_for_status()


async def _communities(asking: httpx.AsyncClient, views: Database[Document]) -> float:
    """Makes the communities, and judges everybody; gives the seconds."""
    for name, rule in RULES.items():
        content = {"id": name, "name": name, "rule": rule}
        (await asking.post(f"/v1/brands/{BRAND}/communities", json=content)).raise_for_status()
    began = time.monotonic()
    while views["communities"].find_one({"checked_revision": {"$ne": 1}}):
        await asyncio.to_thread(upkeep_of_communities.follow, Desk(views, None, datetime.now(UTC)))
    return round(time.monotonic() - began, 1)


async def _ready(asking: httpx.AsyncClient, probe: str) -> None:
    while True:
        try:
            if (await asking.get(probe)).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.2)


async def _ask(asking: httpx.AsyncClient, path: str, per_second: int = PER_SECOND) -> str:
    """How long answers took at a steady rate, and before that the very first one."""
    took: list[float] = []

    async def one(at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        began = time.monotonic()
        answer: Any = await asking.get(path)
        answer.raise_for_status()
        took.append(time.monotonic() - began)

    await one(0)
    first = took.pop()
    began = time.monotonic()
    await asyncio.gather(*(one(began + number / per_second) for number in range(per_second * SECONDS)))
    p50, p99 = (percentile(took, share) * 1000 for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, the first {first * 1000:.0f} ms"
