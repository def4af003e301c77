"""Whether a partition's rows fit the log, and what is the matter where they do not."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from rapport.kit.broker.kafka_login import login
from services.scorer.fenced.state import Position, RefusedError

ACCEPT = "`rapport positions accept` does so, and says what is lost"


class Trouble(Enum):
    """Why going on would lose or repeat records."""

    ROWS_GONE = "the rows are gone"
    GROUP_AHEAD = "the group is ahead of the rows"
    DELETED = "records were deleted before they were processed"
    RECREATED = "the topic was recreated"


class Standing(NamedTuple):
    """Where the rows, the group and the log of one source partition stand. Offsets are of the next record."""

    source: TopicPartition
    group: str
    rows: int | None
    """None where nothing of the source was ever processed."""
    reached: int | None
    """The same, behind the markers that are known to follow; None where nothing was ever read."""
    committed: int | None
    first: int
    end: int
    trouble: Trouble | None

    def refusal(self) -> str:
        """What is the matter, and what a person can do."""
        name = f"{self.source.topic}:{self.source.partition}"
        if self.trouble is Trouble.ROWS_GONE:
            return (
                f"group {self.group} has processed {name} up to {self.committed}, but the rows that came of it are "
                "gone: the changelog was lost. Restore it, or reset the group's offsets and rebuild into empty views"
            )
        if self.trouble is Trouble.GROUP_AHEAD:
            return (
                f"group {self.group} stands at {self.committed} of {name}, the rows at {self.rows or 0}: somebody "
                "moved the group's offsets, or the changelog lost its end. Set the offsets back to where the rows "
                f"stand; {ACCEPT}"
            )
        if self.trouble is Trouble.DELETED:
            return (
                f"{name} begins at {self.first}, the rows stand at {self.reached}: records were deleted before they "
                f"were processed. Retention is shorter than the outage was. Accept the loss, and go on; {ACCEPT}"
            )
        seen = (
            f"{name} ends at {self.end}, the rows stand at {self.reached}"
            if self.reached is not None and self.end < self.reached
            else f"{name} has another record than the last one that was processed, before {self.rows}"
        )
        return f"{seen}: the topic was recreated. Restore it, or go on with what it holds now; {ACCEPT}"


async def check_position(found: Position | None, bootstrap: str, group: str, sources: list[TopicPartition]) -> Position:
    """The position to go on from. Raises RefusedError where going on would lose or repeat records."""
    for standing in await standings(found, bootstrap, group, sources):
        if standing.trouble is not None:
            raise RefusedError(standing.refusal())
    return found or Position(next={}, clock=0)


async def standings(
    found: Position | None, bootstrap: str, group: str, sources: Sequence[TopicPartition]
) -> list[Standing]:
    """Where each source stands. Raises KafkaError."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **login())
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **login())
    try:
        await consumer.start()
        await admin.start()
        committed = {
            source: known.offset
            for source, known in (await admin.list_consumer_group_offsets(group, partitions=list(sources))).items()
            if known.offset >= 0
        }
        first = await consumer.beginning_offsets(sources)
        end = await consumer.end_offsets(sources)
    finally:
        await admin.close()
        await consumer.stop()
    standing = []
    for source in sources:
        name = f"{source.topic}:{source.partition}"
        rows, reached = (found.next.get(name), found.reached(name)) if found else (None, None)
        known = Standing(source, group, rows, reached, committed.get(source), first[source], end[source], None)
        standing.append(known._replace(trouble=await _trouble(known, found, bootstrap)))
    return standing


async def _trouble(known: Standing, found: Position | None, bootstrap: str) -> Trouble | None:
    rows, ahead, name = known.rows or 0, known.committed or 0, f"{known.source.topic}:{known.source.partition}"
    if found is None or known.reached is None:
        if ahead:
            return Trouble.ROWS_GONE
        # With rows of other sources it is no fresh start: what there was of this one was never processed.
        return Trouble.DELETED if found is not None and known.first > 0 else None
    if ahead > rows:
        return Trouble.GROUP_AHEAD
    if known.first > known.reached:
        return Trouble.DELETED
    if known.end < known.reached:
        return Trouble.RECREATED
    at, appended = rows - 1, found.last.get(name)
    if appended is not None and known.first <= at and await _appended(bootstrap, known.source, at) != appended:
        return Trouble.RECREATED
    return None


async def _appended(bootstrap: str, source: TopicPartition, offset: int) -> int | None:
    """When the log appended the record at an offset; None where there is none. Raises KafkaError."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="none", **login()
    )
    try:
        await consumer.start()
        consumer.assign([source])
        consumer.seek(source, offset)
        while await consumer.position(source) == offset:
            for record in (await consumer.getmany(source, timeout_ms=500, max_records=1)).get(source, ()):
                return int(record.timestamp) if record.offset == offset else None
        return None
    finally:
        await consumer.stop()
