"""How soon views answer at a steady rate when one brand has a million followers: a real API and a real MongoDB."""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pymongo.database import Database

from bench.client import percentile
from bench.filling import BRAND, CLIENTS, YEAR, fill, fill_agency, fill_the_rest
from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local import ports
from rapport.local.servers.stack import Running
from services.api.communities import upkeep as upkeep_of_communities
from services.api.http.ids import follower_ref
from services.api.projector.upkeep.loop import TaskRun
from services.api.storage import indexes

Figures = dict[str, float | int | str]

ADMIN_KEY = "rp_test_admin_" + "0123456789abcdef" * 4
PER_SECOND = 50
SECONDS = 6
PER_SECOND_ACROSS = 2
"""Only the agency asks for the page of all clients."""
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
        await asyncio.to_thread(upkeep_of_communities.follow, TaskRun(views, None, datetime.now(UTC)))
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
    """How long answers took at a steady rate, and how long the very first one took."""
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
