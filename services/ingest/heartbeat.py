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


async def beat(broker: Broker, instance: str, behind: Callable[[], Iterable[str]], log: logging.Logger) -> None:
    """Writes a heartbeat into every partition of `conversations`, now and again. Does not end.

    `behind` gives the accounts of which not everything may be in the log yet.
    """
    while True:
        event = Heartbeat(instance=instance, behind=tuple(sorted(behind())))
        try:
            await broker.append(records(event))
        except NotAcknowledgedError as error:
            log.warning("no heartbeat: %s", error)
        await asyncio.sleep(EVERY_SECONDS)


def records(event: Heartbeat) -> list[Record]:
    """One per partition."""
    headers = codec.headers("rapport.control.v1", id=f"heartbeat/{event.instance}", source=SOURCE)
    key, value = key_of("heartbeat", event.instance), codec.encode(event)
    return [Record(CONVERSATIONS.name, partition, key, value, headers) for partition in range(CONVERSATIONS.partitions)]
