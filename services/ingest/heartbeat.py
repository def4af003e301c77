"""Ingest says that it is there, and what it lacks, so that a breach announced meanwhile can be called unconfirmed."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.topics import CONVERSATIONS, key_of
from services.ingest.broker import SOURCE, Broker, NotAcknowledgedError, Record

EVERY_SECONDS = 10.0
"""A sixth of the minute after which the scorer takes silence for absence."""


async def beat(
    broker: Broker,
    instance: str,
    behind: Callable[[], Iterable[str]],
    log: logging.Logger,
    disconnected: Callable[[], Iterable[str]] = tuple,
) -> None:
    """Writes a heartbeat into every partition of `conversations`, now and again. Does not end.

    `behind` gives the accounts of which not everything may be in the log yet, `disconnected` those of them whose stream
    is not open. `broker` is for heartbeats alone: it
    takes a new producer after every error, which must not cost an interaction its acknowledgement. A partition that
    takes no heartbeat holds up no other.
    """

    async def one(partition: int) -> None:
        while True:
            event = Heartbeat(
                instance=instance, behind=tuple(sorted(behind())), disconnected=tuple(sorted(disconnected()))
            )
            try:
                await broker.append([record(event, partition)])
            except NotAcknowledgedError as error:
                log.warning("no heartbeat in partition %d: %s", partition, error)
            await asyncio.sleep(EVERY_SECONDS)

    async with asyncio.TaskGroup() as partitions:
        for partition in range(CONVERSATIONS.partitions):
            partitions.create_task(one(partition))


def record(event: Heartbeat, partition: int) -> Record:
    """A heartbeat for one partition."""
    headers = codec.headers("rapport.control.v1", id=f"heartbeat/{event.instance}", source=SOURCE)
    return Record(CONVERSATIONS.name, partition, key_of("heartbeat", event.instance), codec.encode(event), headers)
