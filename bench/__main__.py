"""Measures an installation of its own and prints what it found, as words and with `--json` as one line of JSON."""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from bench.client import Agency, lag, percentile
from bench.clocks import clocks
from bench.views import views
from rapport.kit.kafka_login import KafkaLogin
from rapport.local.installation import Installation
from rapport.local.stack import Stack
from services.api.ids import follower_ref
from tests.faults.hostile.run import HostileRun, hostile_run
from tests.faults.long_run import aloud, long_run
from tests.services.notifier.receivers import WebhookReceiver

Figures = dict[str, float | int | str]

SAMPLE_EVERY = 50
"""At 200/s four samples a second: each asks the API every 20 ms, and more would measure the asking."""
ASK_SECONDS = 0.02
LONG_RUN = "long-run"
HOSTILE = "hostile"


def _progress(name: str, how_far: str) -> None:
    if "unexpectedly" in how_far:
        print(f"  {name}: {how_far}", file=sys.stderr)


async def _drained(agency: Agency) -> float:
    """Waits until nothing waits any more; gives the seconds."""
    began = time.monotonic()
    quiet = 0
    # Transaction markers and ticks keep the last offsets moving; some dozens are none of our records.
    while quiet < 3:
        quiet = quiet + 1 if sum(lag(agency.line.kafka).values()) < 200 else 0
        await asyncio.sleep(0.3)
    return time.monotonic() - began


async def throughput(agency: Agency, rate: int, seconds: int) -> Figures:
    """Interactions per second in batches of 50, and how many wait in the log meanwhile."""
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
            waiting.append(sum((await asyncio.to_thread(lag, agency.line.kafka)).values()))
    await asyncio.gather(*pending)
    took = time.monotonic() - began
    half = len(waiting) // 2
    # A hiccup of the machine makes a peak; what grows shows in the median.
    first, second = waiting[:half], waiting[half:]
    return {
        "asked_per_second": rate,
        "sent_per_second": round(rate * seconds / took),
        "waiting_in_first_half": f"median {median(first):.0f}, most {max(first)}",
        "waiting_in_second_half": f"median {median(second):.0f}, most {max(second)}",
        "drained_after_seconds": round(await _drained(agency), 1),
    }


async def freshness(agency: Agency, rate: int, seconds: int) -> Figures:
    """From the door's 2xx to the API showing the exchange, single interactions at a steady rate."""
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
    """The scorer killed with -9 while interactions come in; then every one of them is looked for."""
    sent: Counter[str] = Counter()
    killed = 0
    batch = 500
    for number in range(many // batch):
        made = agency.interactions(batch, people=2_000)
        # A reply whose comment never was waits for it and counts for nobody; so only what stands alone is sent.
        made = [each for each in made if each["kind"] != "reply"]
        await agency.send(made)
        sent.update(each["kind"] for each in made)
        if killed < times and number >= (killed + 1) * many / batch / (times + 1):
            status = installation.status()
            assert status is not None
            if "scorer" in status.pids:
                os.kill(status.pids["scorer"], signal.SIGKILL)
                killed += 1
    await _drained(agency)
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


async def _clocks(most: int) -> Figures:
    counts = [count for count in (10_000, 100_000) if count < most] + [most]
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        stack = Stack(Path(folder) / "stack")
        running = await asyncio.to_thread(stack.up, bound=True, any_port=True)
        try:
            print("measuring clocks …", file=sys.stderr)
            before = os.getloadavg()[0]
            return {**await clocks(running, Path(folder), counts), "load_before": round(before, 1)}
        finally:
            await asyncio.to_thread(stack.down)


async def _views(followers: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        stack = Stack(Path(folder) / "stack")
        running = await asyncio.to_thread(stack.up, bound=True, any_port=True)
        try:
            print("measuring views …", file=sys.stderr)
            before = os.getloadavg()[0]
            return {**await views(running, Path(folder), followers), "load_before": round(before, 1)}
        finally:
            await asyncio.to_thread(stack.down)


def _long_run(interactions: int, faults: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        stack = Stack(Path(folder) / "stack")
        before = os.getloadavg()[0]
        try:
            running = stack.up(bound=True, any_port=True)
            print("measuring long-run …", file=sys.stderr)
            run = long_run(running, Path(folder), seed=0, interactions=interactions, faults=faults, say=aloud)
        finally:
            stack.down()
        assert run.verified is not None
        return {
            "interactions": run.interactions,
            **dict(sorted(run.faults.items())),
            "alerts": run.alerts,
            "seconds": round(run.seconds),
            "differences": json.dumps([*run.wrong, *run.verified.differences]),
            "load_before": round(before, 1),
        }


async def _hostile(seconds: int) -> Figures:
    """How soon one client's comments are visible while another's 180 interactions/s are friendly, then hostile."""
    found: Figures = {}
    for name, hostile in (("friendly", False), ("hostile", True)):
        webhooks, installation = WebhookReceiver(), Installation()
        with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
            settings = {"RAPPORT_WEBHOOK_ALLOW_PRIVATE": "true"}
            try:
                await asyncio.to_thread(installation.start, Path(folder), _progress, settings, any_port=True)
                print(f"measuring {name} …", file=sys.stderr)
                run = await hostile_run(
                    installation, webhooks, seconds=seconds, per_second=200, hostile=hostile, kills=False, say=aloud
                )
            finally:
                await asyncio.to_thread(installation.stop)
                webhooks.close()
        found |= {f"{name}_{figure}": value for figure, value in _visible(run).items()}
    return found


def _visible(run: HostileRun) -> Figures:
    return {
        "visible_p50_ms": round(percentile(run.visible, 0.5) * 1000),
        "visible_p99_ms": round(percentile(run.visible, 0.99) * 1000),
        "answered_by_the_door": sum(run.hostile.values()),
        "differences": json.dumps(run.wrong[:10]),
    }


async def _measure(arguments: argparse.Namespace) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    if "clocks" in arguments.what:
        found["clocks"] = await _clocks(arguments.open)
    if "views" in arguments.what:
        found["views"] = await _views(arguments.followers)
    if LONG_RUN in arguments.what:
        found[LONG_RUN] = await asyncio.to_thread(_long_run, arguments.interactions, arguments.faults)
    if HOSTILE in arguments.what:
        found[HOSTILE] = await _hostile(arguments.seconds)
    through = [name for name in arguments.what if name not in ("clocks", "views", LONG_RUN, HOSTILE)]
    if not through:
        return found
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        installation = Installation()
        began = time.monotonic()
        line = await asyncio.to_thread(
            installation.start, Path(folder), _progress, {"RAPPORT_TICK_SECONDS": "1"}, any_port=True
        )
        try:
            found["start"] = {"ready_after_seconds": round(time.monotonic() - began, 1)}
            for name in through:
                agency = Agency(line, f"bench-{name}")
                await agency.connect()
                print(f"measuring {name} …", file=sys.stderr)
                before = os.getloadavg()[0]
                if name == "freshness":
                    found[name] = await freshness(agency, 200, arguments.seconds)
                elif name == "throughput":
                    found[name] = await throughput(agency, arguments.rate, arguments.seconds)
                else:
                    found[name] = await kills(agency, installation, 56_000, 3)
                found[name]["load_before"] = round(before, 1)
                await agency.close()
        finally:
            await asyncio.to_thread(installation.stop)
    return found


def main() -> int:
    """Runs what was asked for; exit code 1 where anything was lost or doubled."""
    # The servers that are started here ask for this login, and every client here gives it.
    os.environ.update(KafkaLogin.of("bench", secrets.token_hex(16)).environment())
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    usual = ("freshness", "throughput", "kills", "clocks", "views")
    every = (*usual, LONG_RUN, HOSTILE)
    parser.add_argument(
        "what", nargs="*", default=list(usual), help=f"some of {', '.join(every)}; all but the last two by default"
    )
    parser.add_argument("--open", type=int, default=100_000, help="how many clocks are open at most")
    parser.add_argument("--seconds", type=int, default=40, help="how long freshness and throughput are measured")
    parser.add_argument("--rate", type=int, default=1_000, help="interactions per second of throughput")
    parser.add_argument("--followers", type=int, default=100_000, help="how many followers the views have")
    parser.add_argument("--interactions", type=int, default=300_000, help="how many the long run feeds")
    parser.add_argument("--faults", type=int, default=30, help="how often the long run takes a worker away")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - set(every):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    found = asyncio.run(_measure(arguments))
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, figures in found.items():
            print(f"{name}:")
            for figure, value in figures.items():
                print(f"  {figure.replace('_', ' ')}: {value}")
    differences = [
        value for figures in found.values() for name, value in figures.items() if name.endswith("differences")
    ]
    return 1 if any(value not in ("{}", "[]") for value in differences) else 0


if __name__ == "__main__":
    sys.exit(main())
