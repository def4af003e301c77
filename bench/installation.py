"""What goes through the whole installation: how much, how soon it is visible, and whether kills lose any of it."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from statistics import median
from typing import Any

from bench.client import Agency, lag, percentile
from rapport.local.installation import Installation
from services.api.http.ids import follower_ref

Figures = dict[str, float | int | str]

SAMPLE_EVERY = 50
"""Four samples a second at 200/s. Each asks the API every 20 ms; more would measure the asking itself."""
ASK_SECONDS = 0.02


async def drained(agency: Agency) -> float:
    """Waits until no records are waiting, and returns how many seconds that took."""
    began = time.monotonic()
    quiet = 0
    # Transaction markers and ticks keep moving the last offsets; some dozens are not our records.
    while quiet < 3:
        quiet = quiet + 1 if sum(lag(agency.running.kafka).values()) < 200 else 0
        await asyncio.sleep(0.3)
    return time.monotonic() - began


async def throughput(agency: Agency, rate: int, seconds: int) -> Figures:
    """Sends batches of 50 at a steady rate, and counts how many records wait in the log."""
    batch = 50
    waiting: list[int] = []
    pending: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    for number in range(rate * seconds // batch):
        await asyncio.sleep(max(0.0, began + number * batch / rate - time.monotonic()))
        task = asyncio.create_task(agency.send(agency.interactions(batch)))
        pending.add(task)
        task.add_done_callback(pending.discard)
        if number % (rate * 5 // batch) == 0:
            waiting.append(sum((await asyncio.to_thread(lag, agency.running.kafka)).values()))
    await asyncio.gather(*pending)
    took = time.monotonic() - began
    half = len(waiting) // 2
    # A hiccup of the machine makes a peak; steady growth shows in the median.
    first, second = waiting[:half], waiting[half:]
    return {
        "asked_per_second": rate,
        "sent_per_second": round(rate * seconds / took),
        "waiting_in_first_half": f"median {median(first):.0f}, most {max(first)}",
        "waiting_in_second_half": f"median {median(second):.0f}, most {max(second)}",
        "drained_after_seconds": round(await drained(agency), 1),
    }


async def freshness(agency: Agency, rate: int, seconds: int) -> Figures:
    """The time from the door's 2xx until the API shows the exchange; single interactions at a steady rate."""
    took: list[float] = []
    door: list[float] = []
    pending: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        (made,) = agency.interactions(1)
        sampled = number % SAMPLE_EVERY == 0
        if sampled:
            made = {**made, "kind": "comment", "post": "sampled", "actor": {"id": f"sampled-{number}-{rate}"}}
            made.pop("parent", None)
        asked = time.monotonic()
        await agency.send([made])
        accepted = time.monotonic()
        door.append(accepted - asked)
        if sampled:
            follower = follower_ref("generic", made["actor"]["id"])
            where = f"/brands/{agency.brand}/exchanges"
            while not (await agency.ask("GET", where, follower=follower))["items"]:  # noqa: ASYNC110
                await asyncio.sleep(ASK_SECONDS)
            took.append(time.monotonic() - accepted)

    began = time.monotonic()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        task = asyncio.create_task(one(number))
        pending.add(task)
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)
    return {
        "per_second": rate,
        "samples": len(took),
        "visible_p50_ms": round(percentile(took, 0.5) * 1000),
        "visible_p99_ms": round(percentile(took, 0.99) * 1000),
        "visible_max_ms": round(max(took) * 1000),
        "door_p50_ms": round(percentile(door, 0.5) * 1000, 1),
        "door_p99_ms": round(percentile(door, 0.99) * 1000, 1),
    }


async def kills(agency: Agency, installation: Installation, many: int, times: int) -> Figures:
    """Kills the scorer with -9 while interactions come in, then looks for every one of them."""
    sent: Counter[str] = Counter()
    killed = 0
    batch = 500
    for number in range(many // batch):
        made = agency.interactions(batch, people=2_000)
        # A reply to a comment that never existed waits for it and counts for nobody, so no replies are sent.
        made = [each for each in made if each["kind"] != "reply"]
        await agency.send(made)
        sent.update(each["kind"] for each in made)
        if killed < times and number >= (killed + 1) * many / batch / (times + 1):
            status = installation.status()
            assert status is not None
            if "scorer" in status.pids:
                os.kill(status.pids["scorer"], signal.SIGKILL)
                killed += 1
    await drained(agency)
    counted: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = await agency.ask("GET", f"/brands/{agency.brand}/followers", **query)
        for follower in page["items"]:
            counted.update(follower["counts"])
        cursor = page["next"]
        if cursor is None:
            break
    difference = {kind: counted[kind] - sent[kind] for kind in sent | counted if counted[kind] != sent[kind]}
    return {
        "sent": sum(sent.values()),
        "kills": killed,
        "counted": sum(counted.values()),
        "differences": json.dumps(difference),
    }
