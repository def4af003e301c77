"""Leases on a real Kafka: one process at a time, and nothing that it remembered is lost on the way to the next."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from rapport.contracts import codec
from rapport.contracts.cursors import Claim, Position, key_of_cursor, partition_of_brand, position_key
from rapport.contracts.topics import CURSORS
from rapport.kit.broker import kafka
from services.ingest.broker import Broker
from services.ingest.leases.leases import Leases, LostError

DEADLINE = 60.0
LOG = logging.getLogger("test")

pytestmark = pytest.mark.anyio


async def until(condition: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:g} s: {what}") from None


@asynccontextmanager
async def process(bootstrap: str, folder: Path, name: str) -> AsyncIterator[Leases]:
    """The leases of one ingest process."""
    broker = Broker(lambda: kafka.producer(bootstrap, name), LOG)
    broker.start()
    leases = Leases(bootstrap, name, broker, folder / name, LOG)
    leases.start()
    try:
        yield leases
    finally:
        await leases.close()
        await asyncio.to_thread(broker.close)


def holds(leases: Leases, brand: str) -> bool:
    lease = leases.of(brand)
    return lease is not None and leases.holds(lease)


async def remember(leases: Leases, brand: str, position: str) -> None:
    lease = leases.of(brand)
    assert lease is not None
    await leases.put(lease, [Position(account="a", list=brand, position=position, claim=lease.claim)])


def remembered(leases: Leases, brand: str) -> str | None:
    found = leases.get(position_key("a", brand))
    return found.position if found else None


async def test_what_one_process_remembers_the_next_one_knows(stack: Any, tmp_path: Path) -> None:
    brand = f"brand-{uuid4().hex}"
    async with process(stack.kafka, tmp_path, "first") as first:
        await until(lambda: holds(first, brand), "the first to hold it")
        await remember(first, brand, "41")
        await remember(first, brand, "42")
        assert remembered(first, brand) == "42"
    async with process(stack.kafka, tmp_path, "second") as second:
        await until(lambda: holds(second, brand), "the second to hold it")
        assert remembered(second, brand) == "42"


async def test_two_processes_never_hold_the_same_account(stack: Any, tmp_path: Path) -> None:
    brands = [f"brand-{number}" for number in range(60)]
    async with process(stack.kafka, tmp_path, "first") as first:
        await until(lambda: all(holds(first, brand) for brand in brands), "the first to hold all")
        async with process(stack.kafka, tmp_path, "second") as second:

            def shared() -> bool:
                assert not [brand for brand in brands if holds(first, brand) and holds(second, brand)]
                return all(holds(first, brand) or holds(second, brand) for brand in brands) and any(
                    holds(second, brand) for brand in brands
                )

            await until(shared, "the two to share them")
        await until(lambda: all(holds(first, brand) for brand in brands), "the first to hold all again")


async def test_a_claim_of_another_process_ends_a_lease_and_what_comes_late_counts_for_nothing(
    stack: Any, tmp_path: Path
) -> None:
    brand = f"brand-{uuid4().hex}"
    partition = partition_of_brand(brand)
    async with process(stack.kafka, tmp_path, "first") as first:
        await until(lambda: holds(first, brand), "the first to hold it")
        old = first.of(brand)
        assert old is not None
        await remember(first, brand, "7")
        other = Claim(instance="another")
        _write(stack.kafka, partition, key_of_cursor(other, partition), codec.encode(other))
        await until(lambda: old.ended, "the lease to end")
        with pytest.raises(LostError):
            await first.put(old, [Position(account="a", list=brand, position="8", claim=old.claim)])
        # The broker still says that it is this process's, so it claims it again.
        await until(lambda: holds(first, brand), "the first to hold it again")
        again = first.of(brand)
        assert again is not None
        assert again.claim > old.claim
        await remember(first, brand, "9")
        late = Position(account="a", list=brand, position="1", claim=old.claim)
        _write(stack.kafka, partition, key_of_cursor(late, partition), codec.encode(late))
    async with process(stack.kafka, tmp_path, "second") as second:
        await until(lambda: holds(second, brand), "the second to hold it")
        assert remembered(second, brand) == "9"


async def test_what_cannot_be_read_is_skipped_and_what_is_forgotten_stays_forgotten(stack: Any, tmp_path: Path) -> None:
    brand = f"brand-{uuid4().hex}"
    partition = partition_of_brand(brand)
    _write(stack.kafka, partition, b"nonsense", b"{")
    async with process(stack.kafka, tmp_path, "first") as first:
        await until(lambda: holds(first, brand), "the first to hold it")
        await remember(first, brand, "7")
        lease = first.of(brand)
        assert lease is not None
        await first.put(lease, (), [position_key("a", brand)])
        assert remembered(first, brand) is None
    async with process(stack.kafka, tmp_path, "second") as second:
        await until(lambda: holds(second, brand), "the second to hold it")
        assert remembered(second, brand) is None


def _write(bootstrap: str, partition: int, key: bytes, value: bytes) -> None:
    producer = kafka.producer(bootstrap, "test")
    try:
        headers = codec.headers("rapport.cursor.v1", id="test", source="/test")
        producer.send(CURSORS.name, value, key, partition=partition, headers=headers).get(30)
    finally:
        producer.close()
