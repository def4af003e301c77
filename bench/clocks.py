"""Many open clocks on one worker: how late alerts are, what open clocks cost, and how soon the worker is back."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from aiokafka import AIOKafkaProducer
from kafka import TopicPartition

from bench.client import percentile
from rapport.contracts import codec
from rapport.contracts.controls import PolicyRule, PolicyVersion, When
from rapport.contracts.events import Actor, Interaction, Object
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    ENGAGEMENTS,
    EXCHANGES,
    SCORER_GROUP,
    key_of,
    partition_of,
)
from rapport.domain.exchanges.addressing import key
from rapport.domain.times import ms
from rapport.kit.broker import kafka
from rapport.kit.broker.kafka_login import login
from rapport.local import ports
from rapport.local.servers.stack import Running

Figures = dict[str, float | int | str]

BRAND = "bench"
TICK_SECONDS = 5
SOON_SECONDS = 20
IDLE_SECONDS = 30
DUE_PER_SECOND = 20
DUE_FOR_SECONDS = 60
DUE_AT_ONCE = 2_000
MARKERS = 100
_HEADERS = codec.headers("rapport.interaction.v1", id="bench", source="/bench")


class Worker:
    """A scorer process with its rows in `folder`."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._folder = folder
        self._port = ports.usual_or_free(0)
        self._environment = {
            **os.environ,
            "RAPPORT_KAFKA": bootstrap,
            "RAPPORT_DATA": str(folder),
            "RAPPORT_PORT": str(self._port),
            "RAPPORT_INSTANCE": "bench",
            "RAPPORT_TICK_SECONDS": str(TICK_SECONDS),
            "RAPPORT_BREACH_GRACE_SECONDS": "0",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts it, and returns how many seconds it took to be ready."""
        began = time.monotonic()
        with (self._folder.parent / "scorer.log").open("ab") as log:
            command = [sys.executable, "-m", "rapport.cli", "scorer"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        while not self._ready():
            if self._process.poll() is not None:
                raise RuntimeError(f"the scorer ended with code {self._process.returncode}")
            time.sleep(0.1)
        return time.monotonic() - began

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/readyz", timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Ends it as a deployment does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def wipe(self) -> None:
        """Takes its rows away."""
        shutil.rmtree(self._folder)
        self._folder.mkdir()

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        assert self._process is not None
        used = psutil.Process(self._process.pid).cpu_times()
        return float(used.user + used.system)

    @property
    def memory(self) -> float:
        """MiB of main memory."""
        assert self._process is not None
        return float(psutil.Process(self._process.pid).memory_info().rss) / 2**20


class _Log:
    """Comments in, alerts out, without the services in between."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._number = 0
        self._alerts = kafka.consumer(bootstrap, None, "bench")
        self._parts = [TopicPartition(ALERTS.name, number) for number in range(ALERTS.partitions)]
        self._alerts.assign(self._parts)

    async def policy(self) -> None:
        """Mentions are due soon, everything else in a day; no warnings."""
        rules = (
            PolicyRule(target_seconds=SOON_SECONDS, when=When(kind="mention"), warn_at=()),
            PolicyRule(target_seconds=86_400, warn_at=()),
        )
        event = PolicyVersion(brand=BRAND, version=1, effective_from=datetime.now(UTC) - timedelta(days=1), rules=rules)
        headers = codec.headers("rapport.control.v1", id="bench", source="/bench")
        async with self._producer() as producer:
            for partition in range(CONVERSATIONS.partitions):
                await producer.send_and_wait(
                    CONVERSATIONS.name, codec.encode(event), key=key_of("control"), partition=partition, headers=headers
                )

    async def comments(self, many: int, kind: Any = "comment", per_second: int | None = None) -> None:
        """Each in a thread of its own."""
        began = time.monotonic()
        async with self._producer() as producer:
            sent: Any = None
            for number in range(many):
                if per_second is not None:
                    await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
                event = self._comment(kind)
                where = key(event)
                partition = partition_of(where, CONVERSATIONS.partitions)
                sent = await producer.send(
                    CONVERSATIONS.name, codec.encode(event), key=where, partition=partition, headers=_HEADERS
                )
            await producer.flush()
            await sent

    def _comment(self, kind: Any) -> Interaction:
        self._number += 1
        now = datetime.now(UTC)
        return Interaction(
            id=f"{kind}-{self._number}", brand=BRAND, platform="generic", account="bench-1", kind=kind,
            actor=Actor(id=f"person-{self._number}"), object=Object(id=f"{kind}-{self._number}"),
            conversation=f"post-{self._number}", thread=f"post-{self._number}", occurred_at=now, observed_at=now,
            text="Where can I buy one of these, and do you ship to Norway?",
        )  # fmt: skip

    def _producer(self) -> Any:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", linger_ms=5, max_batch_size=262_144, **login()
        )

    def alerts_from_here(self) -> None:
        """Forgets those that are there."""
        self._alerts.seek_to_end(*self._parts)
        for part in self._parts:
            self._alerts.position(part)

    async def lateness(self, many: int) -> list[float]:
        """Waits for so many alerts; gives for each the seconds from its due time to its record."""
        found: list[float] = []
        while len(found) < many:
            for records in (await asyncio.to_thread(self._alerts.poll, 500)).values():
                for record in records:
                    alert = codec.decode(codec.type_of(record.headers), record.value)
                    found.append((record.timestamp - ms(alert.due_at)) / 1000)
        return found

    async def processed(self) -> None:
        """Returns once the worker is through with all that it reads."""
        reader = kafka.consumer(self._bootstrap, SCORER_GROUP, "bench")
        parts = kafka.partitions_of((CONVERSATIONS, ENGAGEMENTS, EXCHANGES))
        try:
            while True:
                ends = reader.end_offsets(parts)
                # Markers of transactions are counted as records that nobody commits.
                if sum(max(0, ends[part] - (reader.committed(part) or 0)) for part in parts) < MARKERS:
                    return
                await asyncio.sleep(0.5)
        finally:
            reader.close()


async def clocks(running: Running, folder: Path, counts: list[int]) -> Figures:
    """Opens as many clocks as each of `counts` says, in turn, and measures at each; restarts at the last."""
    rows = folder / "worker"
    rows.mkdir()
    worker, log = Worker(running.kafka, rows), _Log(running.kafka)
    found: Figures = {}
    await asyncio.to_thread(worker.start)
    try:
        await log.policy()
        there = 0
        for count in counts:
            began = time.monotonic()
            await log.comments(count - there)
            await log.processed()
            name = f"{count:,}_open".replace(",", "_")
            found[f"{name}_opened_per_second"] = round((count - there) / (time.monotonic() - began))
            there = count
            used = worker.cpu
            await asyncio.sleep(IDLE_SECONDS)
            found[f"{name}_idle_cpu_percent"] = round(100 * (worker.cpu - used) / IDLE_SECONDS, 1)
            log.alerts_from_here()
            await log.comments(DUE_AT_ONCE, "mention")
            await log.processed()
            used = worker.cpu
            await log.lateness(DUE_AT_ONCE)
            found[f"{name}_cpu_ms_per_breach"] = round(1000 * (worker.cpu - used) / DUE_AT_ONCE, 2)
            found[f"{name}_memory_mib"] = round(worker.memory)
        log.alerts_from_here()
        many = DUE_PER_SECOND * DUE_FOR_SECONDS
        _, late = await asyncio.gather(log.comments(many, "mention", DUE_PER_SECOND), log.lateness(many))
        found["alert_late_p50_seconds"] = round(percentile(late, 0.5), 2)
        found["alert_late_p99_seconds"] = round(percentile(late, 0.99), 2)
        found["tick_seconds"] = TICK_SECONDS
        await asyncio.to_thread(worker.stop)
        found["ready_on_its_disk_after_seconds"] = round(await asyncio.to_thread(worker.start), 1)
        await asyncio.to_thread(worker.stop)
        worker.wipe()
        found["ready_on_an_empty_disk_after_seconds"] = round(await asyncio.to_thread(worker.start), 1)
        found["memory_after_mib"] = round(worker.memory)
    finally:
        await asyncio.to_thread(worker.stop)
    return found
