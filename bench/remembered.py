"""What it costs that much is remembered of a brand's Bluesky account, and how soon another process reads it."""

import asyncio
import logging
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from rapport.contracts import codec
from rapport.contracts.cursors import Remembered, key_of_cursor, partition_of_brand
from rapport.contracts.events import Account
from rapport.contracts.topics import CURSORS
from rapport.kit.broker import kafka
from rapport.local.servers.stack import Running
from services.ingest.leases.copy import Copy
from services.ingest.leases.leases import FILE
from tests.services.ingest.jetstream import Jetstream, commit
from tests.services.ingest.service import Ingest, Log, brand_with, publish
from tests.waiting import until

Figures = dict[str, float | int | str]

BRANDS = 48
LOOKED_UP = 20_000
PATIENCE_SECONDS = 600.0
FAN, LIKE = "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "app.bsky.feed.like"


async def remembered(running: Running, folder: Path, things: int) -> Figures:
    """`things` likes of one brand's posts lie in the topic. Two processes share all brands, and one is killed."""
    return await asyncio.to_thread(_measured, running, folder, things)


def _measured(running: Running, folder: Path, things: int) -> Figures:
    with Jetstream() as jetstream:
        accounts = [
            Account(
                id=f"brand{number}-bluesky", platform="bluesky", handle=f"brand{number}.example",
                connected_at=datetime.now(UTC), door_secrets=("s",),
                connection={"jetstream": jetstream.address, "did": f"did:plc:{uuid4().hex[:24]}"},
            )
            for number in range(BRANDS)
        ]  # fmt: skip
        brands = [brand_with(account, id=f"brand{number}") for number, account in enumerate(accounts)]
        for each in ("one", "two"):
            (folder / each).mkdir()
        one, two = Ingest(running.kafka, folder / "one"), Ingest(running.kafka, folder / "two")
        log = Log(running.kafka)
        try:
            found: Figures = {"things": things} | _fill(running, folder, brands[0].id, accounts[0], things)
            publish(running.kafka, *brands)
            began = time.monotonic()
            one.start().ready()
            until(lambda: one.metric(_LEASES) == CURSORS.partitions, "it to read all", PATIENCE_SECONDS)
            found["first_start_seconds"] = round(time.monotonic() - began, 1)
            found["first_start_cpu_seconds"] = round(one.cpu_seconds(), 1)
            one.stop()
            began = time.monotonic()
            one.start().ready()
            until(lambda: one.metric(_LEASES) == CURSORS.partitions, "it to read all again", PATIENCE_SECONDS)
            found["restart_seconds"] = round(time.monotonic() - began, 1)
            found["restart_cpu_seconds"] = round(one.cpu_seconds(), 1)
            copy = folder / "one" / "ingest" / FILE
            found["copy_bytes_each"] = round(sum(each.stat().st_size for each in copy.parent.glob(f"{FILE}*")) / things)
            two.start().ready()
            until(lambda: _leases(one) + _leases(two) == CURSORS.partitions > _leases(one), "two to share them")
            until(lambda: jetstream.open() and len(jetstream.open()) == 2, "two connections")
            # The one with the large brand has to go.
            holder, other = (one, two) if _holds(one, brands[0].id) else (two, one)
            holder.stop(signal.SIGKILL)
            killed = time.monotonic()
            at = int(datetime.now(UTC).timestamp() * 1_000_000)
            for number, account in enumerate(accounts):
                subject = {"uri": f"at://{account.connection['did']}/app.bsky.feed.post/1"}
                jetstream.send(at, commit(FAN, at, LIKE, f"new{number}", {"subject": subject}))
            jetstream.send(at, commit(FAN, at, LIKE, "thing7", operation="delete"))
            until(lambda: _leases(other) == CURSORS.partitions, "the other to take over")
            found["taken_over_after_seconds"] = round(time.monotonic() - killed, 1)
            until(lambda: all(log.interactions(each.id) for each in brands), "what was liked meanwhile")
            found["likes_read_after_seconds"] = round(time.monotonic() - killed, 1)
            until(lambda: any(each.undo for each in log.interactions(brands[0].id)), "the like to be taken back")
            found["taken_back_after_seconds"] = round(time.monotonic() - killed, 1)
            claims = [line.rpartition("after ")[2] for line in other.log.read_text().splitlines() if _CLAIM in line]
            found["slowest_claim_seconds"] = max(float(each.split()[0]) for each in claims[-_leases_of(claims) :])
            found["memory_mib"] = _memory(other.pid)
            return found | _looked_up(running, copy)
        finally:
            log.close()
            one.close()
            two.close()


_LEASES = "rapport_ingest_leases"
_CLAIM = "of the accounts is read here, claim"


def _leases(ingest: Ingest) -> float:
    return ingest.metric(_LEASES)


def _leases_of(claims: list[str]) -> int:
    """How many of them, at most, were for what was taken over."""
    return min(len(claims), CURSORS.partitions // 2)


def _holds(ingest: Ingest, brand: str) -> bool:
    said = f"partition {partition_of_brand(brand)} of the accounts is "
    lines = [line for line in ingest.log.read_text().splitlines() if said in line]
    return bool(lines) and " is read here, claim" in lines[-1]


def _fill(running: Running, folder: Path, brand: str, account: Account, things: int) -> Figures:
    """Writes what is remembered, as ingest does."""
    partition = partition_of_brand(brand)
    producer = kafka.producer(running.kafka, "bench")
    now = datetime.now(UTC)
    did = account.connection["did"]
    size = 0
    for number in range(things):
        thing = Remembered(
            account=account.id, thing=f"at://{FAN}/{LIKE}/thing{number}", kind="reaction", actor=FAN,
            conversation=f"{did}:{FAN}", seen_at=now, claim=-1, post=f"at://{did}/app.bsky.feed.post/3lqk7n2bv4c2x",
            version="3lqk7n2bv4c2x", lasting=True,
        )  # fmt: skip
        headers = codec.headers("rapport.cursor.v1", id=f"cursor/{partition}", source="/rapport/ingest")
        key, value = key_of_cursor(thing, partition), codec.encode(thing)
        size += len(value)
        producer.send(CURSORS.name, value, key, partition=partition, headers=headers)
    producer.flush(300)
    producer.close()
    segments = list(folder.rglob(f"{CURSORS.name}-{partition}/*.log"))
    stored = sum(each.stat().st_size for each in segments)
    found: Figures = {"value_bytes_each": round(size / things)}
    return found | ({"topic_bytes_each": round(stored / things)} if stored else {})


def _looked_up(running: Running, path: Path) -> Figures:
    """How much of a core it takes to find out that nothing is remembered of an address, as of most that are deleted."""
    _, rows = Copy(running.kafka, path, logging.getLogger("bench")).opened(None)
    began = time.process_time()
    for number in range(LOOKED_UP):
        assert not rows.find(f"at://did:plc:nobody/{LIKE}/{number}")
    took = time.process_time() - began
    rows.close()
    return {"lookup_us": round(took / LOOKED_UP * 1e6, 1)}


def _memory(pid: int) -> int:
    """Of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) // 1024
