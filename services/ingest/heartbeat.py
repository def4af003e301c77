"""Heartbeats say that ingest is running and which accounts are behind, so that breaches can be marked unconfirmed."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.topics import CONVERSATIONS, key_of
from rapport.kit.broker.producer import NotAcknowledgedError, Record
from services.ingest.broker import SOURCE, Broker

EVERY_SECONDS = 10.0
"""A sixth of the minute after which the scorer takes ingest for absent."""


async def beat(
    broker: Broker,
    instance: str,
    behind: Callable[[], Iterable[str]],
    log: logging.Logger,
    disconnected: Callable[[], Iterable[str]] = tuple,
) -> None:
    """Writes heartbeats into every partition of `conversations`. Does not end.

    `behind` returns the accounts whose interactions may not all be in the log yet, `disconnected` those of them that
    are not being read. `broker` is for heartbeats only: it replaces its producer after every error, which must not cost
    an interaction its acknowledgement. A partition that takes no heartbeat does not hold up the others.
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
