"""How soon views answer where one brand has a million followers: a real API and MongoDB, at a steady rate."""

import asyncio
import os
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pymongo.database import Database

from bench.client import percentile
from rapport.contracts.rows import FollowerRow
from rapport.domain.counting import sum_up
from rapport.domain.relationship import DEFAULT
from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local import ports
from rapport.local.stack import Running
from services.api.ids import follower_ref
from services.api.projection.documents import follower_document, stage_fields
from services.api.repositories import indexes

Figures = dict[str, float | int | str]

BRAND = "bench"
ADMIN_KEY = "rp_test_admin_" + "0123456789abcdef" * 4
PER_SECOND = 50
SECONDS = 10
AT_ONCE = 5_000
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
)


def fill(views: Database[Document], many: int) -> None:
    """Writes followers as the projector does: most are new, some buy."""
    dice = random.Random(1)
    now = datetime.now(UTC)
    collection = views["followers"]
    for start in range(0, many, AT_ONCE):
        documents = []
        for number in range(start, min(many, start + AT_ONCE)):
            seen = now - timedelta(minutes=dice.randrange(400 * 1440))
            row = FollowerRow(
                brand=BRAND, platform=dice.choice(("bluesky", "mastodon", "shop")), follower=f"f{number}", revision=1,
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


async def views(running: Running, folder: Path, many: int) -> Figures:
    """Fills a database, serves it, and asks each view at PER_SECOND for SECONDS."""
    with mongo.client(running.mongodb) as client:
        await asyncio.to_thread(indexes.create, client["rapport"])
        began = time.monotonic()
        await asyncio.to_thread(fill, client["rapport"], many)
        filled = time.monotonic() - began
        (one,) = client["rapport"]["followers"].find({"stage": "trusts"}).limit(1)
    port = ports.usual_or_free(0)
    environment = {
        **os.environ,
        "RAPPORT_KAFKA": running.kafka,
        "RAPPORT_MONGODB": running.mongodb,
        "RAPPORT_ADMIN_KEY": ADMIN_KEY,
        "RAPPORT_PORT": str(port),
    }
    found: Figures = {"followers": many, "filled_after_seconds": round(filled)}
    with (folder / "api.log").open("ab") as log:
        command = [sys.executable, "-m", "rapport.cli", "api"]
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as asking:
            await _ready(asking)
            made = await asking.post("/v1/brands", json={"id": BRAND, "name": "Bench", "timezone": "Europe/Oslo"})
            made.raise_for_status()
            for path in PATHS:
                where = path.format(follower=follower_ref(one["platform"], one["follower"]))
                took = await _ask(asking, f"/v1/brands/{BRAND}/{where}")
                name = path.replace("{follower}", "one").replace("?", " ")
                found[name] = f"p50 {percentile(took, 0.5) * 1000:.1f} ms, p99 {percentile(took, 0.99) * 1000:.1f} ms"
    finally:
        process.terminate()
        await process.wait()
    return found


async def _ready(asking: httpx.AsyncClient) -> None:
    while True:
        try:
            if (await asking.get("/readyz")).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.2)


async def _ask(asking: httpx.AsyncClient, path: str) -> list[float]:
    took: list[float] = []

    async def one(at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        began = time.monotonic()
        answer: Any = await asking.get(path)
        answer.raise_for_status()
        took.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*(one(began + number / PER_SECOND) for number in range(PER_SECOND * SECONDS)))
    return took
