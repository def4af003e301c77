"""Gives a stopped installation more partitions: topics grow, and the scorer's rows move to where their keys now are.

In an order in which it can end anywhere and be run again. Until all is done, topics have different numbers of
partitions, so no process starts to work.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition
from kafka import TopicPartition as AdminPartition
from kafka.admin import OffsetSpec

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat, PartitionsAdded
from rapport.contracts.events import Tick
from rapport.contracts.topics import (
    CATALOGUE,
    CONVERSATIONS,
    DEAD_LETTERS,
    EXCHANGES_CHANGELOG,
    NOTIFIER_GROUP,
    PROJECTOR_GROUP,
    RELATIONSHIPS_CHANGELOG,
    SCORER_GROUP,
    Topic,
    key_of,
)
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.member import members
from services.partitions.changelogs import Writer, reader_of, writers
from services.partitions.homes import ROWS, check, descendants, homes
from services.scorer import positions
from services.scorer.agents import STALE_AFTER, agents
from services.scorer.fenced.agent import Agent
from services.scorer.fenced.position import Standing
from services.scorer.fenced.producer import Producer
from services.scorer.fenced.state import POSITION, Position, Store, position_of, restore

QUIET_SECONDS = 12.0
"""An ingest process writes a heartbeat every 10 s into each partition, and a scorer a tick every few."""
_CHANGELOGS = (EXCHANGES_CHANGELOG, RELATIONSHIPS_CHANGELOG)
_LAST = DEAD_LETTERS[-1]
"""Grows when all is done."""
_GROUPS = (SCORER_GROUP, PROJECTOR_GROUP, NOTIFIER_GROUP)


class NotYetError(Exception):
    """The installation is not at rest, or not as it should be. The text says what to do."""


class LateError(NotYetError):
    """Something was written after it had begun, and by then the scorer cannot process it any more.

    With `leave` it is processed where it is when the scorer starts, in a partition that no longer has what it needs.
    """


class Moved(NamedTuple):
    """What was done: rows that went to one new partition, and rows of which each of them got a copy."""

    rows: int
    copies: int


def add(bootstrap: str, was: int, now: int, told: Callable[[str], object], *, leave: bool = False) -> Moved:
    """Makes `was` partitions `now`; `told` hears of each step. `leave`: see LateError.

    Raises WrongCountError, NotYetError, LateError, RefusedError (the scorer itself could not go on) and KafkaError.
    """
    check(was, now)
    return asyncio.run(_Change(bootstrap, was, now, told, leave).run())


class _Change:
    def __init__(self, bootstrap: str, was: int, now: int, told: Callable[[str], object], leave: bool) -> None:
        self._bootstrap = bootstrap
        self._leave = leave
        self._was, self._now = was, now
        self._told = told
        self._agents = agents(bootstrap, Path(), grace_seconds=0, session_seconds=0)
        self._topics = [topic for topic in CATALOGUE if topic.fixed is None]

    async def run(self) -> Moved:
        begun = await asyncio.to_thread(self._begun)
        self._told("looking whether everything is stopped and processed")
        await asyncio.to_thread(self._check_idle)
        await asyncio.to_thread(self._check_quiet)
        await self._processed(begun=bool(begun))
        await self._fence()
        at = await self._processed(begun=bool(begun))
        # From here on no process starts to work.
        await asyncio.to_thread(self._grow, _CHANGELOGS)
        moved = Moved(0, 0)
        # Rows are moved before the sources grow: if they have, this was interrupted after that.
        if CONVERSATIONS.name not in begun:
            for agent in self._agents:
                for partition in range(self._was):
                    self._told(f"moving the {agent.name} of partition {partition} of {self._was}")
                    done = await self._move(agent, partition)
                    moved = Moved(moved.rows + done.rows, moved.copies + done.copies)
        self._told("adding partitions to the other topics")
        left_to_grow = [topic for topic in self._topics if topic is not _LAST and topic is not CONVERSATIONS]
        await asyncio.to_thread(self._grow, left_to_grow)
        await asyncio.to_thread(self._grow, [CONVERSATIONS])
        await self._note(at)
        await self._processed(begun=True)
        await asyncio.to_thread(self._grow, [_LAST])
        return moved

    def _begun(self) -> set[str]:
        """The topics that have grown already. Raises NotYetError where the topics have other numbers, or all have."""
        try:
            found = kafka_topics.counts(self._bootstrap, [topic.name for topic in self._topics])
        except LookupError as error:
            raise NotYetError(str(error)) from error
        wrong = [f"{name} has {count}" for name, count in found.items() if count not in (self._was, self._now)]
        if wrong:
            raise NotYetError(
                f"RAPPORT_PARTITIONS is {self._was}, but {', '.join(wrong)}: set it to the number that the topics have"
            )
        grown = {name for name, count in found.items() if count == self._now}
        if len(grown) == len(self._topics):
            raise NotYetError(
                f"all topics have {self._now} partitions already: start with RAPPORT_PARTITIONS={self._now}"
            )
        return grown

    def _check_idle(self) -> None:
        for group in _GROUPS:
            if at_work := members(self._bootstrap, group):
                raise NotYetError(
                    f"{at_work} of the group {group} are at work: stop all processes. One that was killed is "
                    "listed for 10 s more"
                )

    def _check_quiet(self) -> None:
        partitions = kafka.partitions_of(self._topics)
        before = kafka_topics.offsets(self._bootstrap, partitions, OffsetSpec.LATEST)
        time.sleep(QUIET_SECONDS)
        after = kafka_topics.offsets(self._bootstrap, partitions, OffsetSpec.LATEST)
        busy = sorted({each.topic for each in before if before[each] != after[each]})
        if busy:
            raise NotYetError(
                f"something still writes to {', '.join(busy)}: stop all processes, ingest and the API too"
            )

    async def _processed(self, *, begun: bool) -> dict[str, int]:
        """The offset of each source's next record, by `topic:partition`.

        Raises NotYetError if the scorer has not processed everything, or could not go on.
        """
        at: dict[str, int] = {}
        behind: list[str] = []
        for agent in self._agents:
            for partition in range(self._was):
                for standing in await positions.standings_of(agent, partition):
                    if standing.trouble is not None:
                        raise NotYetError(standing.refusal())
                    name = kafka.name_of(standing.source)
                    at[name] = max(standing.reached or 0, standing.first)
                    many = await self._waiting(standing, at[name])
                    if many:
                        behind.append(f"{many:,} of {name}")
        if behind and begun:
            if not self._leave:
                raise LateError(
                    f"{', '.join(behind)} came after this had begun, so something was not stopped. Stop it, and run "
                    "this again with --leave: these records stay where they are. Comments among them get a clock that "
                    "an answer may not stop, settings among them are written again within a day, and who was erased "
                    "has to be erased again"
                )
            self._told(f"left where they are: {', '.join(behind)}")
        elif behind:
            raise NotYetError(
                f"the scorer has not processed {', '.join(behind)}: start the scorer alone, wait until `rapport "
                "doctor` shows no lag of its group, and stop it again"
            )
        return at

    async def _waiting(self, standing: Standing, begin: int) -> int:
        """How many records wait that a new partition would need. Each gets ticks and heartbeats of its own."""
        source, many = standing.source, 0
        if begin >= standing.end:
            return 0
        async with reader_of(self._bootstrap) as reader:
            reader.assign([source])
            reader.seek(source, begin)
            while await reader.position(source) < standing.end:
                for record in (await reader.getmany(source, timeout_ms=500)).get(source, ()):
                    many += not _comes_anew(record)
        return many

    async def _fence(self) -> None:
        for agent in self._agents:
            for partition in range(self._was):
                producer = Producer(agent, partition)
                await producer.start()
                await producer.stop()

    def _grow(self, topics: Iterable[Topic]) -> None:
        kafka_topics.add_partitions(self._bootstrap, [topic.name for topic in topics], self._now)

    async def _move(self, agent: Agent, partition: int) -> Moved:
        """Writes the rows of a partition to where they belong, then deletes what has left it."""
        with tempfile.TemporaryDirectory(prefix="rapport-partitions-") as folder:
            store = Store(Path(folder) / "rows")
            try:
                changelog = TopicPartition(agent.changelog, partition)
                await restore(store, self._bootstrap, changelog, STALE_AFTER, lambda _, __: None)
                position = position_of(store)
                if position is None:
                    return Moved(0, 0)
                async with writers(agent, descendants(partition, self._was, self._now)) as into:
                    copies = await self._copy(store, partition, into)
                    for number in into.keys() - {partition}:
                        await into[number].put(POSITION, msgspec.json.encode(_beginning(agent, number, position)))
                        await into[number].flush()
                    # Only now: if this ends before, the next run finds all that it has not copied.
                    rows = await self._delete(store, partition, into[partition])
                return Moved(rows, copies)
            finally:
                store.close()

    async def _copy(self, store: Store, partition: int, into: dict[int, Writer]) -> int:
        copies = 0
        for chunk in store.chunks(ROWS):
            for key, value in chunk:
                wanted = self._homes(store, partition, key, value)
                copies += len(wanted) > 1
                for home in wanted:
                    if home != partition:
                        await into[home].put(key, value)
        for writer in into.values():
            await writer.flush()
        return copies

    async def _delete(self, store: Store, partition: int, writer: Writer) -> int:
        rows = 0
        for chunk in store.chunks(ROWS):
            for key, value in chunk:
                if partition not in self._homes(store, partition, key, value):
                    rows += 1
                    await writer.put(key, None)
        await writer.flush()
        return rows

    def _homes(self, store: Store, partition: int, key: bytes, value: bytes) -> Sequence[int]:
        return homes(key, value, partition, self._was, self._now, store.get)

    async def _note(self, at: dict[str, int]) -> None:
        """Begins each new partition of `conversations` with a record of what happened."""
        event = PartitionsAdded(was=self._was, now=self._now, at=at)
        key, value = key_of("partitions"), codec.encode(event)
        its_id = f"partitions:{self._was}:{self._now}"
        headers = codec.headers("rapport.control.v1", id=its_id, source="/rapport/partitions")
        added = [AdminPartition(CONVERSATIONS.name, number) for number in range(self._was, self._now)]

        def write() -> None:
            ends = kafka_topics.offsets(self._bootstrap, added, OffsetSpec.LATEST)
            with closing(kafka.producer(self._bootstrap, "rapport-partitions")) as producer:
                for each in added:
                    if ends[each] == 0:
                        sent = producer.send(each.topic, value, key=key, headers=headers, partition=each.partition)
                        sent.get(timeout=kafka.REQUEST_MS / 1000)

        await asyncio.to_thread(write)


def _beginning(agent: Agent, number: int, known: Position) -> Position:
    """The position of a new partition: before its first record, at the clock of the one that it comes from."""
    return Position(next={f"{source}:{number}": 0 for source in agent.sources}, clock=known.clock, format=known.format)


def _comes_anew(record: Any) -> bool:
    try:
        event = codec.decode(codec.type_of(record.headers), record.value)
    except codec.UndecodableError:
        return False
    return isinstance(event, Tick | Heartbeat)
