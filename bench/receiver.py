"""How much one ingest process takes in of what a platform pushes: signed deliveries of Facebook, into a real Kafka."""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.client import percentile
from rapport.contracts.events import Account
from rapport.local.servers.stack import Running
from tests.deliveries.signing import meta
from tests.services.ingest.service import CONNECTED_AT, Ingest, brand_with, publish

Figures = dict[str, float | int | str]

PAGE, SECRET = "44444444", "a-secret"
AT_ONCE = 100
SENDERS = 8
SINGLE_PER_SECOND = 200
LARGE = 1_000


async def receiver(running: Running, folder: Path, seconds: int) -> Figures:
    """Batches of 100 comments as fast as they are taken; then single changes at a steady rate; then 1,000 at once."""
    ingest = Ingest(running.kafka, folder, RAPPORT_FACEBOOK_SECRETS=SECRET)
    account = Account(
        id="page", platform="facebook", handle="Bench", connected_at=CONNECTED_AT, door_secrets=("s",),
        connection={"page": PAGE},
    )  # fmt: skip
    try:
        await asyncio.to_thread(ingest.start().ready)
        await asyncio.to_thread(publish, running.kafka, brand_with(account))
        await asyncio.to_thread(ingest.knows, account)
        async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as client:
            numbers = itertools.count()
            found = await _batches(client, ingest, numbers, seconds)
            found |= await _single(client, numbers, seconds)
            began = time.monotonic()
            await _push(client, *_signed(numbers, LARGE))
            return {**found, "thousand_answered_after_ms": round(1000 * (time.monotonic() - began))}
    finally:
        ingest.close()


async def _batches(client: httpx.AsyncClient, ingest: Ingest, numbers: Iterator[int], seconds: int) -> Figures:
    prepared = [_signed(numbers, AT_ONCE) for _ in range(40 * seconds)]
    left = iter(prepared)
    before, began = ingest.cpu_seconds(), time.monotonic()
    taken = 0

    async def send() -> None:
        nonlocal taken
        for body, headers in left:
            if time.monotonic() - began > seconds:
                return
            await _push(client, body, headers)
            taken += AT_ONCE

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    took, used = time.monotonic() - began, ingest.cpu_seconds() - before
    return {
        "batches_of": AT_ONCE,
        "taken_per_second": round(taken / took),
        "taken_per_cpu_second": round(taken / used),
        "cpu_percent": round(100 * used / took),
    }


async def _single(client: httpx.AsyncClient, numbers: Iterator[int], seconds: int) -> Figures:
    prepared = [_signed(numbers, 1) for _ in range(SINGLE_PER_SECOND * seconds)]
    took: list[float] = []

    async def one(body: bytes, headers: dict[str, str]) -> None:
        asked = time.monotonic()
        await _push(client, body, headers)
        took.append(time.monotonic() - asked)

    began = time.monotonic()
    async with asyncio.TaskGroup() as pending:
        for number, (body, headers) in enumerate(prepared):
            await asyncio.sleep(max(0.0, began + number / SINGLE_PER_SECOND - time.monotonic()))
            pending.create_task(one(body, headers))
    return {
        "single_per_second": SINGLE_PER_SECOND,
        "single_p50_ms": round(1000 * percentile(took, 0.5), 1),
        "single_p99_ms": round(1000 * percentile(took, 0.99), 1),
    }


def _signed(numbers: Iterator[int], many: int) -> tuple[bytes, dict[str, str]]:
    now = int(time.time())
    changes = [
        {
            "field": "feed",
            "value": {
                "item": "comment", "verb": "add", "from": {"id": str(7_000 + number % 5_000), "name": "Ada Lovelace"},
                "post_id": f"{PAGE}_{number % 200}", "parent_id": f"{PAGE}_{number % 200}",
                "comment_id": f"{number % 200}_{os.getpid()}{number}", "created_time": now,
                "message": "Is the Yirgacheffe back? I have been waiting for it since the summer.",
                "post": {"status_type": "added_photos", "is_published": True, "id": f"{PAGE}_{number % 200}"},
            },
        }
        for number in itertools.islice(numbers, many)
    ]  # fmt: skip
    body = json.dumps({"object": "page", "entry": [{"id": PAGE, "time": now, "changes": changes}]}).encode()
    return body, meta(body, SECRET, datetime.now(UTC))


async def _push(client: httpx.AsyncClient, body: bytes, headers: dict[str, str]) -> None:
    answer = await client.post("/v1/platforms/facebook", content=body, headers=headers)
    assert answer.status_code == httpx.codes.OK, answer.text
