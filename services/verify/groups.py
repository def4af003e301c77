"""Waits until scorer and projector have processed what was replayed: what differs after that will not go away."""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from rapport.contracts.topics import ALERTS, EXCHANGES, PROJECTOR_GROUP, RELATIONSHIPS_CHANGELOG, SCORER_GROUP, Topic
from services.verify.log import Log, UnverifiableError, name

LOOK_SECONDS = 0.3
PATIENCE_SECONDS = 60.0
"""A group that has work and commits nothing for this long is not running."""


class Rounds:
    """Waits for one replayed position after the other: round 1, 2, …; one at a time."""

    def __init__(self, log: Log) -> None:
        """Looks at the groups through `log`."""
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self.begun = 0
        self.done = 0
        """The last round whose records the views show completely."""

    def advance(self, reached: Mapping[TopicPartition, int]) -> None:
        """Begins the next round, to `reached` (the offset after the last record), where none is under way.

        Raises UnverifiableError where a group stands still.
        """
        if self._task is not None:
            if not self._task.done():
                return
            self._task.result()
            self.done = self.begun
        self.begun += 1
        self._task = asyncio.create_task(self._run(dict(reached)))

    async def stop(self) -> None:
        """Gives up the round under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, reached: Mapping[TopicPartition, int]) -> None:
        await self._wait_until_past(SCORER_GROUP, reached)
        # Its results are written now, and the relationships agent has to process them.
        exchanges = await self._lasts(EXCHANGES)
        await self._wait_until_past(SCORER_GROUP, exchanges)
        views = await self._lasts(ALERTS, RELATIONSHIPS_CHANGELOG)
        await self._wait_until_past(PROJECTOR_GROUP, {**reached, **exchanges, **views})

    async def _lasts(self, *topics: Topic) -> dict[TopicPartition, int]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._log.lasts(topics)
        except TimeoutError as error:
            names = " and ".join(topic.name for topic in topics)
            raise UnverifiableError(f"the end of {names} cannot be read: is the broker running?") from error

    async def _wait_until_past(self, group: str, wanted: Mapping[TopicPartition, int]) -> None:
        moved, before = time.monotonic(), None
        behind = dict.fromkeys(wanted, 0)
        while True:
            with contextlib.suppress(KafkaError):  # who keeps the group's offsets can change
                committed = await self._log.committed(group, wanted)
                behind = {each: at for each, at in committed.items() if at < wanted[each]}
            if not behind:
                return
            if behind != before:
                moved, before = time.monotonic(), behind
            elif time.monotonic() - moved > PATIENCE_SECONDS:
                each, at = next(iter(behind.items()))
                raise UnverifiableError(
                    f"the group {group} has been at {at} of {name(each)} for {PATIENCE_SECONDS:.0f} s and has to reach "
                    f"{wanted[each]}: what differs may only be late. Is it running?"
                )
            await asyncio.sleep(LOOK_SECONDS)
