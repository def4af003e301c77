"""How the scorer's rows and the log fit together, and how to go on where they do not, at a stated price."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CoordinatorNotAvailableError, GroupCoordinatorNotAvailableError

from rapport.contracts.topics import CONVERSATIONS, SCORER_GROUP
from rapport.kit.broker.kafka_login import login
from services.scorer.agents import agents
from services.scorer.fenced.agent import Agent
from services.scorer.fenced.position import Standing, Trouble, standings
from services.scorer.fenced.producer import Producer
from services.scorer.fenced.state import POSITION, Position

GROUPS_SECONDS = 10.0
_LAST = 2_000
"""Records at the end of a changelog among which its position is looked for first: every transaction writes it."""


class Found(NamedTuple):
    """One partition of what an agent reads."""

    agent: str
    standing: Standing

    def cost(self) -> str | None:
        """What going on would give up; None where nothing is wrong, or where going on is not possible."""
        reached, first, rows = self.standing.reached or 0, self.standing.first, self.standing.rows or 0
        name = f"{self.standing.source.topic}:{self.standing.source.partition}"
        if self.standing.trouble is Trouble.DELETED:
            return (
                f"{name}: up to {first - reached:,} records between {reached} and {first} were never processed and are "
                "gone. Comments among them have no clock, answers among them answer nothing, and nothing of them counts"
            )
        if self.standing.trouble is Trouble.GROUP_AHEAD:
            return (
                f"{name}: the group goes back from {self.standing.committed} to {rows}. If somebody had moved it, "
                "nothing is lost; if the changelog had lost its end, what was said of these records is said again"
            )
        if self.standing.trouble is Trouble.RECREATED:
            return (
                f"{name}: what the former topic held after {reached} was never processed, if there was any. All that "
                f"the new one holds, from {first} to {self.standing.end}, is processed"
            )
        return None


def look(bootstrap: str, heard: Callable[[], object] = lambda: None) -> list[Found]:
    """Every partition that the scorer reads; `heard` is called after each. Raises KafkaError."""
    return asyncio.run(_look(bootstrap, heard))


def accept(bootstrap: str, wanted: list[Found], heard: Callable[[], object] = lambda: None) -> None:
    """Gives up what `Found.cost` says, so that the scorer goes on. Raises KafkaError.

    Writes as the partition's owner does, under its transactional id: a worker that still has it is fenced.
    """
    asyncio.run(_accept(bootstrap, wanted, heard))


def _agents(bootstrap: str) -> list[Agent]:
    return agents(bootstrap, Path(), grace_seconds=0, session_seconds=0)


async def _look(bootstrap: str, heard: Callable[[], object]) -> list[Found]:
    await _wait_for_groups(bootstrap)
    found = []
    for agent in _agents(bootstrap):
        for partition in range(CONVERSATIONS.partitions):
            found += [Found(agent.name, each) for each in await standings_of(agent, partition)]
            heard()
    return found


async def _wait_for_groups(bootstrap: str) -> None:
    """Returns once Kafka has a place for positions of groups: it makes one when somebody first asks for it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **login())
    until = time.monotonic() + GROUPS_SECONDS
    try:
        await admin.start()
        while True:
            try:
                await admin.list_consumer_group_offsets(SCORER_GROUP, partitions=[])
            except (CoordinatorNotAvailableError, GroupCoordinatorNotAvailableError):
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.5)
            else:
                return
    finally:
        await admin.close()


async def standings_of(agent: Agent, partition: int) -> list[Standing]:
    """Where the sources of one partition of an agent stand, by its changelog. Raises KafkaError."""
    position = await _position(agent, partition)
    sources = [TopicPartition(source, partition) for source in agent.sources]
    return await standings(position, agent.bootstrap, agent.group, sources)


async def _accept(bootstrap: str, wanted: list[Found], heard: Callable[[], object]) -> None:
    for agent in _agents(bootstrap):
        for partition in sorted({each.standing.source.partition for each in wanted if each.agent == agent.name}):
            agreed = {each.standing.source for each in wanted if each.agent == agent.name and each.cost() is not None}
            producer = Producer(agent, partition)
            await producer.start()
            try:
                # Only now nobody else writes the position any more.
                await _move(agent, partition, producer, agreed)
            finally:
                await producer.stop()
            heard()


async def _move(agent: Agent, partition: int, producer: Producer, agreed: set[TopicPartition]) -> None:
    position = await _position(agent, partition)
    if position is None:
        return
    offsets = {}
    for standing in await standings_of(agent, partition):
        source = f"{standing.source.topic}:{partition}"
        if standing.source not in agreed or standing.trouble is None:
            continue
        if standing.trouble is not Trouble.GROUP_AHEAD:
            position.next[source] = standing.first
            position.last.pop(source, None)
            position.passed.pop(source, None)
        offsets[standing.source] = position.next.get(source, 0)
    if not offsets:
        return
    row = msgspec.json.encode(position)
    await producer.kafka.begin_transaction()
    await producer.kafka.send_and_wait(
        agent.changelog, row, key=POSITION, partition=partition, headers=list(agent.changelog_headers)
    )
    await producer.kafka.send_offsets_to_transaction(offsets, agent.group)
    await producer.kafka.commit_transaction()


async def _position(agent: Agent, partition: int) -> Position | None:
    """The position by the changelog; None where it holds none."""
    changelog = TopicPartition(agent.changelog, partition)
    reader = AIOKafkaConsumer(
        bootstrap_servers=agent.bootstrap, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", **login(),
    )  # fmt: skip
    try:
        await reader.start()
        reader.assign([changelog])
        first = (await reader.beginning_offsets([changelog]))[changelog]
        end = (await reader.end_offsets([changelog]))[changelog]
        many = _LAST
        while True:
            start = max(first, end - many)
            if (value := await _last_position(reader, changelog, start, end)) is not None:
                return msgspec.json.decode(value, type=Position)
            if start == first:
                return None
            many *= 20
    finally:
        await reader.stop()


async def _last_position(reader: AIOKafkaConsumer, changelog: TopicPartition, start: int, end: int) -> bytes | None:
    reader.seek(changelog, start)
    value: bytes | None = None
    while await reader.position(changelog) < end:
        for record in (await reader.getmany(changelog, timeout_ms=500)).get(changelog, ()):
            if record.key == POSITION and record.value is not None:
                value = record.value
    return value
