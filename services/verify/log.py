"""Reads the topics: what is committed, each partition in order, to given ends. Writes nothing."""

import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from rapport.contracts import codec
from rapport.contracts.controls import PartitionsAdded
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    CONVERSATIONS_DEAD,
    CONVERSATIONS_UNSEEN,
    ENGAGEMENTS,
    ENGAGEMENTS_DEAD,
    ENGAGEMENTS_UNSEEN,
    EXCHANGES_DEAD,
    Topic,
)
from rapport.domain.times import utc
from rapport.kit.broker.kafka_login import login

SOURCES = (CONVERSATIONS, ENGAGEMENTS)
"""What everything is recomputed from."""
FOLLOWED = (
    *SOURCES, ALERTS, CONVERSATIONS_DEAD, ENGAGEMENTS_DEAD, EXCHANGES_DEAD, CONVERSATIONS_UNSEEN, ENGAGEMENTS_UNSEEN,
)  # fmt: skip
MOST_RECORDS = 500
"""Given at once, as many as the scorer takes into one transaction."""
STALLED_SECONDS = 60.0
"""If no record comes for this long although there are some, the broker is away or a transaction hangs."""
_POLL_MS = 500
_BACK = 8

_SOURCE_NAMES = frozenset(topic.name for topic in SOURCES)


class UnverifiableError(RuntimeError):
    """Verifying is not possible. The text says why, and what a person can do."""


def partitions(topics: Iterable[Topic]) -> list[TopicPartition]:
    """All partitions of topics."""
    return [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]


def name(partition: TopicPartition) -> str:
    """A partition as it is named in words and rows."""
    return f"{partition.topic}:{partition.partition}"


class Log:
    """Reads FOLLOWED, looks at the ends of other topics, and at what groups have committed."""

    def __init__(self, bootstrap: str) -> None:
        """Prepares; `start` connects."""
        common: dict[str, Any] = {
            "bootstrap_servers": bootstrap,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",  # a position that retention has overtaken is an error, never skipped
            "max_partition_fetch_bytes": 4 * 2**20,
            **login(),
        }
        self._reader = AIOKafkaConsumer(isolation_level="read_committed", **common)
        self._probe = AIOKafkaConsumer(isolation_level="read_committed", **common)
        # Sees the end of what open transactions wrote, which `read_committed` does not.
        self._edge = AIOKafkaConsumer(isolation_level="read_uncommitted", **common)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **login())
        self.cut: frozenset[str] = frozenset()
        """Partitions of topics that are no source and lack their beginning."""

    async def connect(self) -> list[PartitionsAdded]:
        """Connects, and gives the additions of partitions that the log knows of, the first one first.

        Raises KafkaError where no broker answers.
        """
        for client in (self._reader, self._probe, self._edge, self._admin):
            await client.start()
        found: list[PartitionsAdded] = []
        count = CONVERSATIONS.partitions
        while (added := await self._first_of(TopicPartition(CONVERSATIONS.name, count - 1))) is not None:
            found.insert(0, added)
            count = added.was
        return found

    async def start(self, known: Mapping[str, int]) -> None:
        """Stands at `known` (next offset by partition's name), else at the beginning.

        Raises UnverifiableError where a source lacks its beginning, or the log does not hold what is known, and
        KafkaError where no broker answers.
        """
        every = partitions(FOLLOWED)
        self._reader.assign(every)
        first = await self._reader.beginning_offsets(every)
        end = await self._reader.end_offsets(every)
        lost: list[str] = []
        for partition in every:
            position = known.get(name(partition))
            if position is not None and not first[partition] <= position <= end[partition]:
                raise UnverifiableError(
                    f"what is kept was read from {name(partition)} up to {position}, but the log now holds "
                    f"{first[partition]} to {end[partition]}: it was cut or recreated meanwhile, so what is kept is "
                    "useless. Start again with an empty folder"
                )
            self._reader.seek(partition, first[partition] if position is None else position)
            if position is None and first[partition] > 0 and partition.topic in _SOURCE_NAMES:
                lost.append(f"{name(partition)} {await self._since(partition, first[partition], end[partition])}")
        if lost:
            raise UnverifiableError(
                f"retention has removed the beginning of {', '.join(lost)}. Exchanges can depend on comments, "
                "decisions and policies from before, and relationships on what was taken back since, so a difference "
                "would mean nothing. Verify with --keep DIR from early on: it continues from what it had recomputed, "
                "as long as it runs more often than records are removed"
            )
        self.cut = frozenset(name(partition) for partition in every if first[partition] > 0)

    async def stop(self) -> None:
        """Closes the connections."""
        for client in (self._reader, self._probe, self._edge):
            await client.stop()
        await self._admin.close()

    async def ends(self) -> dict[TopicPartition, int]:
        """The ends of FOLLOWED as they now are."""
        found: dict[TopicPartition, int] = await self._reader.end_offsets(partitions(FOLLOWED))
        return found

    async def positions(self) -> dict[str, int]:
        """Up to where FOLLOWED is read, by the partitions' names."""
        return {name(each): await self._reader.position(each) for each in partitions(FOLLOWED)}

    async def left(self, ends: Mapping[TopicPartition, int]) -> int:
        """How many offsets of the sources are still before `ends`."""
        found = 0
        for partition, end in ends.items():
            if partition.topic in _SOURCE_NAMES:
                found += max(0, end - await self._reader.position(partition))
        return found

    async def read(self, ends: Mapping[TopicPartition, int], *, exactly: bool = False) -> AsyncIterator[list[Any]]:
        """What there is up to `ends`, at most MOST_RECORDS of one partition at once.

        What lies beyond may be among it, unless it is to be read up to there `exactly`.

        Raises UnverifiableError where retention removes records before they are read, or nothing comes.
        """
        moved = time.monotonic()
        while True:
            behind = [each for each, end in ends.items() if await self._reader.position(each) < end]
            if not behind:
                return
            before = [await self._reader.position(each) for each in behind]
            try:
                found = await self._reader.getmany(*behind, timeout_ms=_POLL_MS, max_records=4 * MOST_RECORDS)
            except OffsetOutOfRangeError as error:
                raise UnverifiableError(f"retention removed records before they were read here: {error}") from error
            for partition, records in found.items():
                if exactly and await self._reader.position(partition) > ends[partition]:
                    records = [record for record in records if record.offset < ends[partition]]
                    self._reader.seek(partition, ends[partition])
                for start in range(0, len(records), MOST_RECORDS):
                    yield records[start : start + MOST_RECORDS]
            if before != [await self._reader.position(each) for each in behind]:
                moved = time.monotonic()
            elif time.monotonic() - moved > STALLED_SECONDS:
                raise UnverifiableError(
                    f"{name(behind[0])} ends at {ends[behind[0]]} and has given nothing from {before[0]} on for "
                    f"{STALLED_SECONDS:.0f} s: is the broker running?"
                )

    async def lasts(self, topics: Iterable[Topic]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition that has one.

        Not the end: that is after the marker of the last transaction too, which nobody commits past.
        """
        found: dict[TopicPartition, int] = {}
        every = partitions(topics)
        first, end = await self._edge.beginning_offsets(every), await self._edge.end_offsets(every)
        for partition in every:
            back = _BACK
            while partition not in found and end[partition] > first[partition]:
                start = max(first[partition], end[partition] - back)
                self._probe.assign([partition])
                self._probe.seek(partition, start)
                while await self._probe.position(partition) < end[partition]:
                    for record in (await self._probe.getmany(partition, timeout_ms=_POLL_MS)).get(partition, ()):
                        if record.offset < end[partition]:
                            found[partition] = record.offset + 1
                if start == first[partition]:
                    break
                back *= _BACK
        return found

    async def committed(self, group: str, wanted: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offsets that a group has committed; 0 where it has none."""
        asked = list(wanted)
        found = await self._admin.list_consumer_group_offsets(group, partitions=asked)
        return {each: max(0, found[each].offset) if each in found else 0 for each in asked}

    async def _first_of(self, partition: TopicPartition) -> PartitionsAdded | None:
        """What the first record of a partition of `conversations` says of partitions that were added, if it does."""
        first = (await self._edge.beginning_offsets([partition]))[partition]
        end = (await self._edge.end_offsets([partition]))[partition]
        self._probe.assign([partition])
        self._probe.seek(partition, first)
        while first == 0 and await self._probe.position(partition) < end:
            for record in (await self._probe.getmany(partition, timeout_ms=_POLL_MS, max_records=1)).get(partition, ()):
                try:
                    event = codec.decode(codec.type_of(record.headers), record.value)
                except codec.UndecodableError:
                    return None
                return event if isinstance(event, PartitionsAdded) else None
        return None

    async def _since(self, partition: TopicPartition, first: int, end: int) -> str:
        if first >= end:
            return "(nothing is left)"
        try:
            found = await self._reader.getmany(partition, timeout_ms=5_000, max_records=1)
        except KafkaError as error:
            logging.getLogger("rapport.verify").debug("%s cannot be read: %r", name(partition), error)
            found = {}
        for records in found.values():
            return f"(it begins at offset {first}, of {utc(records[0].timestamp):%Y-%m-%dT%H:%M:%SZ})"
        return f"(it begins at offset {first})"
