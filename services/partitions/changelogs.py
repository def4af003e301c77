"""Reads the log, and writes rows to the changelogs in the scorer's place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer

from rapport.contracts.rows import MOVED
from rapport.kit.broker.kafka_login import login
from services.scorer.fenced.agent import Agent
from services.scorer.fenced.batch import Headers
from services.scorer.fenced.producer import Producer

_MOST_ROWS, _MOST_BYTES = 1_000, 2**20
"""In one transaction."""


class Writer:
    """Writes rows to one partition of a changelog, some in one transaction."""

    def __init__(self, agent: Agent, partition: int) -> None:
        self._agent = agent
        self._partition = partition
        self._producer = Producer(agent, partition)
        self._rows: list[tuple[bytes, bytes | None]] = []
        self._bytes = 0

    async def start(self) -> None:
        """Whoever wrote to the partition before can do so no more."""
        await self._producer.start()

    async def stop(self) -> None:
        """What was not flushed is not written."""
        await self._producer.stop()

    async def put(self, key: bytes, value: bytes | None) -> None:
        """Writes a row, or that it has moved (None), with this transaction or the next."""
        self._rows.append((key, value))
        self._bytes += len(key) + len(value or b"")
        if len(self._rows) >= _MOST_ROWS or self._bytes >= _MOST_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Returns once everything put is in the log."""
        rows, self._rows, self._bytes = self._rows, [], 0
        if not rows:
            return
        producer: Any = self._producer.kafka
        headers: Headers = self._agent.changelog_headers
        await producer.begin_transaction()
        sent = [
            await producer.send(
                self._agent.changelog, value, key=key, partition=self._partition,
                headers=list(headers if value is not None else (*headers, MOVED)),
            )
            for key, value in rows
        ]  # fmt: skip
        await asyncio.gather(*sent)
        await producer.commit_transaction()


@contextlib.asynccontextmanager
async def writers(agent: Agent, numbers: Iterable[int]) -> AsyncIterator[dict[int, Writer]]:
    """One for each of these partitions of an agent's changelog."""
    async with contextlib.AsyncExitStack() as ending:
        found: dict[int, Writer] = {}
        for number in numbers:
            found[number] = Writer(agent, number)
            ending.push_async_callback(found[number].stop)
            await found[number].start()
        yield found


@contextlib.asynccontextmanager
async def reader_of(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, for the partitions that it is then given."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="none", **login(),
    )  # fmt: skip
    try:
        await reader.start()
        yield reader
    finally:
        await reader.stop()
