"""Measures an installation of its own, and prints the figures in words or, with `--json`, as one line of JSON."""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench.accounts import accounts
from bench.client import Agency, percentile
from bench.clocks import clocks
from bench.installation import freshness, kills, throughput
from bench.kept import keep
from bench.receiver import receiver
from bench.remembered import remembered
from bench.storage import storage
from bench.views import views
from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.local.installation import Installation
from rapport.local.servers.stack import Running, Stack
from tests.faults.hostile.run import HostileRun, hostile_run
from tests.faults.long_run import aloud, long_run
from tests.services.notifier.receivers import WebhookReceiver

Figures = dict[str, float | int | str]

LONG_RUN = "long-run"
HOSTILE = "hostile"
STORAGE = "storage"
RECEIVER = "receiver"
ACCOUNTS = "accounts"
REMEMBERED = "remembered"
STORED = (20_000, 40_000)
"""Followers and interactions, of which each one's bytes are measured."""


def _progress(name: str, how_far: str) -> None:
    if "unexpectedly" in how_far:
        print(f"  {name}: {how_far}", file=sys.stderr)


@contextlib.asynccontextmanager
async def _servers(what: str) -> AsyncIterator[tuple[Running, Path, float]]:
    """Kafka and MongoDB, a folder, and the machine's load before it is measured."""
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        stack = Stack(Path(folder) / "stack")
        running = await asyncio.to_thread(stack.up, bound=True, any_port=True)
        try:
            print(f"measuring {what} …", file=sys.stderr)
            yield running, Path(folder), round(os.getloadavg()[0], 1)
        finally:
            await asyncio.to_thread(stack.down)


async def _clocks(most: int) -> Figures:
    counts = [count for count in (10_000, 100_000) if count < most] + [most]
    async with _servers("clocks") as (running, folder, before):
        return {**await clocks(running, folder, counts), "load_before": before}


async def _views(followers: int) -> Figures:
    async with _servers("views") as (running, folder, before):
        return {**await views(running, folder, followers), "load_before": before}


async def _receiver(seconds: int) -> Figures:
    async with _servers(RECEIVER) as (running, folder, before):
        return {**await receiver(running, folder, seconds), "load_before": before}


async def _accounts(seconds: int) -> Figures:
    async with _servers(ACCOUNTS) as (running, folder, before):
        return {**await accounts(running, folder, seconds), "load_before": before}


async def _remembered(things: int) -> Figures:
    async with _servers(REMEMBERED) as (running, folder, before):
        return {**await remembered(running, folder, things), "load_before": before}


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
    """How soon one client's comments are visible while another sends 180 a second, first friendly, then hostile."""
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


async def _storage() -> Figures:
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        installation = Installation()
        running = await asyncio.to_thread(installation.start, Path(folder), _progress, {}, any_port=True)
        try:
            print("measuring storage …", file=sys.stderr)
            before = os.getloadavg()[0]
            agency = Agency(running, "bench-storage")
            await agency.connect()
            found = await storage(agency, installation, Path(folder), *STORED)
            await agency.close()
            return {**found, "load_before": round(before, 1)}
        finally:
            await asyncio.to_thread(installation.stop)


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
    if RECEIVER in arguments.what:
        found[RECEIVER] = await _receiver(arguments.seconds)
    if ACCOUNTS in arguments.what:
        found[ACCOUNTS] = await _accounts(arguments.seconds)
    if REMEMBERED in arguments.what:
        found[REMEMBERED] = await _remembered(arguments.things)
    if LONG_RUN in arguments.what:
        found[LONG_RUN] = await asyncio.to_thread(_long_run, arguments.interactions, arguments.faults)
    if HOSTILE in arguments.what:
        found[HOSTILE] = await _hostile(arguments.seconds)
    if STORAGE in arguments.what:
        found[STORAGE] = await _storage()
    alone = ("clocks", "views", RECEIVER, ACCOUNTS, REMEMBERED, LONG_RUN, HOSTILE, STORAGE)
    through = [name for name in arguments.what if name not in alone]
    if not through:
        return found
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        installation = Installation()
        began = time.monotonic()
        running = await asyncio.to_thread(
            installation.start, Path(folder), _progress, {"RAPPORT_TICK_SECONDS": "1"}, any_port=True
        )
        try:
            found["start"] = {"ready_after_seconds": round(time.monotonic() - began, 1)}
            for name in through:
                agency = Agency(running, f"bench-{name}")
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
    """Runs what was asked for. Returns 1 if anything was lost or counted twice."""
    # The servers started here ask for this login, and every client here uses it.
    os.environ.update(KafkaLogin.of("bench", secrets.token_hex(16)).variables())
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    usual = ("freshness", "throughput", "kills", "clocks", "views", RECEIVER, ACCOUNTS, REMEMBERED, STORAGE)
    every = (*usual, LONG_RUN, HOSTILE)
    parser.add_argument(
        "what", nargs="*", default=list(usual), help=f"some of {', '.join(every)}; all but the last two by default"
    )
    parser.add_argument("--open", type=int, default=100_000, help="how many clocks are open at most")
    parser.add_argument("--seconds", type=int, default=40, help="how long freshness and throughput are measured")
    parser.add_argument("--rate", type=int, default=1_000, help="interactions per second of throughput")
    parser.add_argument("--followers", type=int, default=100_000, help="how many followers the views have")
    parser.add_argument("--things", type=int, default=200_000, help="how much is remembered of one account")
    parser.add_argument("--interactions", type=int, default=300_000, help="how many the long run feeds")
    parser.add_argument("--faults", type=int, default=30, help="how often the long run takes a worker away")
    parser.add_argument("--keep", action="store_true", help="note the figures in bench/figures.json, for the docs")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - set(every):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    found = asyncio.run(_measure(arguments))
    if arguments.keep:
        keep(found)
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
