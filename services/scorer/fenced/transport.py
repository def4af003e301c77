"""A Faust transport that hands agents batches and leaves commits to the lanes.

Broker URLs begin with `fenced://`. An agent's event then has a `Chunk` as its value: all that one fetch brought of one
partition, cut to a bounded number. Faust commits no offsets of these topics; the lanes' transactions do.

Nothing of a partition is fetched before its lane says from where. What it says begins a session, and each chunk carries
the session that it was fetched in: chunks of one session follow on each other without a gap. A chunk that a rebalance
left behind somewhere between the broker and a lane is of an older session, and with it comes what would be missing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, cast

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from faust import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from rapport.kit.broker.kafka_login import login

_ASK_SECONDS = 5.0
CHUNK = 500
"""Records per event: no partition makes the others wait for long."""
_WAIT_SECONDS = 1.0
_WAIT_FOR_LANES_SECONDS = 0.1
PASS_SECONDS = 1.0
"""How often partitions without new records are asked how far they were read."""


class Chunk(NamedTuple):
    """Records of one partition, in order, and the session in which they were fetched.

    One without records says up to which offset (excluded) the session has `passed` the partition: everything before
    it was in the chunks of this session so far, or is nothing to be processed, such as the marker of a transaction.
    """

    records: list[Any]
    session: object
    passed: int | None = None


class BatchSchema(Schema[Any, Any]):
    """Takes what the transport made: the value is a `Chunk` already, the key nothing."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002 - Faust's signature
        """No key: a batch has none."""
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002 - Faust's signature
        """The chunk."""
        return message.value


class _Thread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the group's coordinator."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            # Assigns partition p of each topic to the same member, where all have the same count.
            partition_assignment_strategy=[RangePartitionAssignor],
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            **login(),
        )


def _message(tp: TP, chunk: Chunk, offset: int, timestamp: int, generation: int) -> ConsumerMessage:
    """A chunk as Faust hands it on, as if it were the record at `offset`; `timestamp` in ms."""
    return ConsumerMessage(
        tp.topic, tp.partition, offset, timestamp / 1000, 1, [], None, cast(Any, chunk), None, tp=tp,
        generation_id=generation,
    )  # fmt: skip


class FencedConsumer(driver.Consumer):
    """Faust's consumer, by batches."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._wanted: dict[TP, tuple[int, object]] = {}
        self._sessions: dict[TP, object] = {}
        self._told: dict[TP, tuple[object, int]] = {}
        """Up to where each partition is known to be passed, in which session."""
        self._asked = 0.0

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    def stop_fetching(self) -> None:
        """Fetches nothing until lanes say from where."""
        self._wanted.clear()
        self._sessions.clear()

    def read_from(self, tp: TP, offset: int, session: object) -> None:
        """Fetches a partition from `offset` on, in a new session, as soon as the fetch under way has ended."""
        self._wanted[tp] = offset, session

    async def perform_seek(self) -> None:
        """Not to where the group stands, as Faust would: the lanes' own rows say where."""

    async def _begin(self) -> None:
        """Between two fetches, so that what a fetch brings is of one session."""
        for tp, (offset, session) in list(self._wanted.items()):
            del self._wanted[tp]
            try:
                await self.seek_wait({tp: offset})
            except (KafkaError, TimeoutError) as error:
                # It was taken away meanwhile; if not, the worker's watchdog notices that nothing of it is read.
                self.log.warning("%r cannot be read from %d on: %r", tp, offset, error)
            else:
                self._sessions[tp] = session

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        await self._begin()
        begun = (active_partitions or set()) & set(self._sessions)
        if not begun:
            await asyncio.sleep(_WAIT_FOR_LANES_SECONDS)
            return {}
        waiting = len(begun) < len(self.assignment())
        return await super()._getmany(begun, min(timeout, _WAIT_FOR_LANES_SECONDS) if waiting else timeout)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - Faust's signature
        """One message per partition and CHUNK records."""
        records, _ = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        sessions = dict(self._sessions)
        if self.should_stop:
            return
        for partition, found in (records or {}).items():
            tp = TP(partition.topic, partition.partition)
            for start in range(0, len(found), CHUNK):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    # What is left of this fetch is lost to its session, so nothing more may come in it.
                    self._sessions.clear()
                    return
                chunk = found[start : start + CHUNK]
                last = chunk[-1]
                yield tp, _message(tp, Chunk(chunk, sessions.get(tp)), last.offset, last.timestamp, generation)
        for tp, offset in await self._passed(sessions, records or {}):
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            yield tp, _message(tp, Chunk([], sessions[tp], offset), offset - 1, 0, generation)

    async def _passed(self, sessions: dict[TP, object], records: Mapping[Any, Any]) -> list[tuple[TP, int]]:
        """Where the fetching stands in partitions that nothing came of, if that has moved since the last record."""
        now = time.monotonic()
        if now - self._asked < PASS_SECONDS:
            return []
        self._asked = now
        quiet = sessions.keys() - {TP(partition.topic, partition.partition) for partition in records}
        positions = await asyncio.gather(*(self._position(tp) for tp in quiet))
        found: list[tuple[TP, int]] = []
        for tp, position in zip(quiet, positions, strict=True):
            if position is not None and self._told.get(tp) != (sessions[tp], position):
                self._told[tp] = sessions[tp], position
                found.append((tp, position))
        return found

    async def _position(self, tp: TP) -> int | None:
        """Where the fetching stands; None where that cannot be told at once."""
        try:
            async with asyncio.timeout(PASS_SECONDS):
                found: int | None = await self.position(tp)
        except (TimeoutError, KafkaError):
            return None
        return found

    async def _drain_messages(self, fetcher: Any) -> None:
        callback = self.callback
        try:
            while not (self.should_stop or fetcher.should_stop):
                await asyncio.sleep(0)
                async for tp, message in self.getmany(timeout=_WAIT_SECONDS):
                    await self.wait_first(callback(message), self.suspend_flow.wait())
                    self._read_offset[tp] = message.offset + 1
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    def ack(self, message: Any) -> bool:
        """Forgets the message: it is with its lane, whose transaction is what counts."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _new_offset(self, tp: TP) -> int | None:  # noqa: ARG002 - Faust's signature
        return None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Says nothing. Faust would call a worker stuck that lets it commit nothing; the watchdog knows better."""


class FencedTransport(driver.Transport):
    """The transport of `fenced://` URLs."""

    Consumer = FencedConsumer


def member_id(app: Any) -> str | None:
    """The id that the worker believes to have in its group; None before it tries to join."""
    thread = getattr(app.consumer, "_thread", None)
    consumer = getattr(thread, "_consumer", None)
    return str(consumer._coordinator.member_id) if consumer is not None else None


def stop_fetching(app: Any) -> None:
    """Stops fetching until lanes say from where."""
    cast(FencedConsumer, app.consumer).stop_fetching()


def read_from(app: Any, offsets: Mapping[TP, int], session: object) -> None:
    """Fetches these partitions from these offsets on; their chunks carry `session`."""
    for tp, offset in offsets.items():
        cast(FencedConsumer, app.consumer).read_from(tp, offset, session)


def pause(app: Any, partitions: Mapping[str, int], paused: bool) -> None:
    """Stops or resumes fetching of one partition per topic."""
    consumer = cast(FencedConsumer, app.consumer)
    found = {TP(topic, partition) for topic, partition in partitions.items()} & set(consumer.assignment())
    if paused:
        consumer.pause_partitions(found)
    else:
        consumer.resume_partitions(found)


async def read_position(app: Any, topic: str, partition: int) -> int | None:
    """The offset up to which a partition is fetched; None where that cannot be told."""
    consumer = cast(FencedConsumer, app.consumer)
    tp = TP(topic, partition)
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            found: int | None = await consumer.position(tp) if tp in consumer.assignment() else None
    except (TimeoutError, KafkaError):
        return None
    return found
