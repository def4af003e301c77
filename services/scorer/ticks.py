"""Ticks: records that move the clock of one partition of `conversations`, and say how far it is scored."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaProducer

from rapport.contracts import codec
from rapport.contracts.events import Tick
from rapport.contracts.topics import CONVERSATIONS, key_of
from rapport.domain.times import utc
from rapport.kit.broker.kafka_login import login

log = logging.getLogger("rapport.scorer.ticks")

SEND_SECONDS = 10.0
"""How long one tick may take before it is given up, and its producer with it."""
_STOP_SECONDS = 2.0
_KEY = key_of("tick")


class Ticks:
    """One task and one producer for each partition, so that a partition that takes no ticks holds up no other."""

    def __init__(self, bootstrap: str, instance: str, every: float, scored: Callable[[int], int | None]) -> None:
        """`every` (s): the pause between two ticks of a partition. `scored`: until when (ms) it is scored, if known."""
        self._bootstrap = bootstrap
        self._headers = codec.headers("rapport.tick.v1", id="tick", source=f"/rapport/scorer/{instance}")
        self._every = every
        self._scored = scored
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def only(self, partitions: Iterable[int]) -> None:
        """Ticks these partitions from now on, and no others."""
        wanted = set(partitions)
        for partition in self._tasks.keys() - wanted:
            self._tasks.pop(partition).cancel()
        for partition in sorted(wanted - self._tasks.keys()):
            self._tasks[partition] = asyncio.create_task(self._tick(partition), name=f"ticks {partition}")

    async def stop(self) -> None:
        """Sends no more."""
        tasks = list(self._tasks.values())
        self.only(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tick(self, partition: int) -> None:
        producer: AIOKafkaProducer | None = None
        try:
            while True:
                await asyncio.sleep(self._every)
                try:
                    async with asyncio.timeout(SEND_SECONDS):
                        if producer is None:
                            producer = self._made()
                            await producer.start()
                        await producer.send_and_wait(
                            CONVERSATIONS.name, self._value(partition), key=_KEY, partition=partition,
                            headers=self._headers,
                        )  # fmt: skip
                except Exception as error:
                    # Whatever it was: a client that failed once may fail for good, and the clock stands meanwhile.
                    log.warning("the clocks of partition %d stand: no tick could be sent (%r)", partition, error)
                    ended, producer = producer, None
                    await _end(ended)
        finally:
            await _end(producer)

    def _value(self, partition: int) -> bytes:
        scored = self._scored(partition)
        return codec.encode(Tick(scored=utc(scored) if scored else None))

    def _made(self) -> AIOKafkaProducer:
        # Not idempotent: a tick that comes twice changes nothing, and an idempotent producer would try for ever.
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=False,
            request_timeout_ms=round(SEND_SECONDS * 1000),
            **login(),
        )


async def _end(producer: AIOKafkaProducer | None) -> None:
    if producer is None:
        return
    try:
        await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
    except Exception:
        # It waits for a tick that will never be delivered; its connections are closed without it.
        with contextlib.suppress(Exception):
            await asyncio.wait_for(producer.client.close(), _STOP_SECONDS)
