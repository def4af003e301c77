"""What a follower and an interaction take: bytes in Kafka, RocksDB and MongoDB, and processor time of each process.

`python -m deploy.sizing` computes what an agency needs from these figures.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench.client import Agency
from bench.installation import Figures, drained
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    ENGAGEMENTS,
    EXCHANGES,
    EXCHANGES_CHANGELOG,
    RELATIONSHIPS_CHANGELOG,
    Topic,
)
from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.local.installation import Installation

IDLE_SECONDS = 60
IDLE_POLLS = 3
BATCH = 100
PER_SECOND = 500
"""Slow enough that nothing waits on two cores, so that no batch is larger than usual."""
FACTS = (CONVERSATIONS, ENGAGEMENTS, EXCHANGES, ALERTS)
CHANGELOGS = (EXCHANGES_CHANGELOG, RELATIONSHIPS_CHANGELOG)
_ROWS = "rapport_scorer_rows_bytes"


@dataclass(frozen=True)
class Look:
    """Sizes in bytes, and processor seconds by process, at one moment."""

    at: float
    facts: int
    """The topics that are kept for 90 days."""
    control: int
    """The conversations alone: what ticks and heartbeats add to while nothing happens."""
    changelogs: int
    """The newest record of each row, as compaction leaves it; before compression."""
    rows: int
    """RocksDB, with what is still in memory."""
    documents: int
    """MongoDB's files of documents, compressed."""
    indexes: int
    cpu: dict[str, float]


async def storage(agency: Agency, installation: Installation, folder: Path, people: int, many: int) -> Figures:
    """Measures an idle installation, then one with a follow from each of `people`, then `many` interactions of them."""
    first = await asyncio.to_thread(_look, installation, folder)
    await asyncio.sleep(IDLE_SECONDS)
    idle = await asyncio.to_thread(_look, installation, folder)
    follows = [
        {**made, "id": f"follow-{number}", "kind": "follow", "actor": {"id": f"person-{number}"}}
        for number, made in enumerate(agency.interactions(people))
    ]
    for made in follows:
        for name in ("post", "text", "parent"):
            made.pop(name, None)
    await _send(agency, follows)
    met = await asyncio.to_thread(_look, installation, folder)
    await _send(agency, agency.interactions(many, people))
    busy = await asyncio.to_thread(_look, installation, folder)
    idle_seconds = idle.at - first.at
    control = (idle.control - first.control) / idle_seconds
    shares = {
        name: (busy.cpu[name] - met.cpu[name] - (busy.at - met.at) * (idle.cpu[name] - first.cpu[name]) / idle_seconds)
        for name in busy.cpu
    }
    return {
        "followers": people,
        "interactions": many,
        "control_bytes_per_partition_second": round(control / CONVERSATIONS.partitions, 1),
        **_per("follower", idle, met, people, control),
        **_per("interaction", met, busy, many, control),
        **{f"{name}_cpu_us_per_interaction": round(1e6 * used / many) for name, used in sorted(shares.items())},
    }


def _per(what: str, before: Look, after: Look, many: int, control: float) -> Figures:
    return {
        f"log_bytes_per_{what}": round((after.facts - before.facts - control * (after.at - before.at)) / many),
        f"changelog_bytes_per_{what}": round((after.changelogs - before.changelogs) / many),
        f"rocksdb_bytes_per_{what}": round((after.rows - before.rows) / many),
        f"mongodb_bytes_per_{what}": round((after.documents - before.documents) / many),
        f"mongodb_index_bytes_per_{what}": round((after.indexes - before.indexes) / many),
    }


async def _send(agency: Agency, made: list[dict[str, object]]) -> None:
    began = time.monotonic()
    for start in range(0, len(made), BATCH):
        await asyncio.sleep(max(0.0, began + start / PER_SECOND - time.monotonic()))
        await agency.send(made[start : start + BATCH])
    await drained(agency)


def _look(installation: Installation, folder: Path) -> Look:
    running = installation.status()
    assert running is not None
    at = time.monotonic()
    logs = {topic.name: _log_bytes(folder, topic) for topic in FACTS}
    text = httpx.get(f"{running.internal['scorer']}/metrics").text
    rows = sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(_ROWS))
    with mongo.client(running.mongodb) as client:
        client.admin.command("fsync")  # so that the files are as large as what they hold
        stats = client["rapport"].command("dbStats")
    return Look(
        at=at,
        facts=sum(logs.values()),
        control=logs[CONVERSATIONS.name],
        changelogs=sum(_live_bytes(running.kafka, topic) for topic in CHANGELOGS),
        rows=round(rows),
        documents=round(stats["storageSize"]),
        indexes=round(stats["indexSize"]),
        cpu={name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in running.pids.items()},
    )


def _log_bytes(folder: Path, topic: Topic) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"**/{topic.name}-*/*.log"))


def _live_bytes(bootstrap: str, topic: Topic) -> int:
    """Keys, values and headers of the newest record of each key."""
    live: dict[bytes, int] = {}
    consumer = kafka.consumer(bootstrap, None, "bench", max_poll_records=5_000)
    try:
        consumer.subscribe([topic.name])
        idle = 0
        while idle < IDLE_POLLS:
            polled = consumer.poll(1_000)
            idle = 0 if polled else idle + 1
            for records in polled.values():
                for record in records:
                    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
                    size = len(record.key) + len(record.value or b"") + headers
                    live[record.key] = size if record.value is not None else 0
        return sum(live.values())
    finally:
        consumer.close()
