"""A lane: the records of one partition of one agent, in order, batch by batch, each batch one Kafka transaction.

While a transaction is under way the next records gather, and the next transaction takes them all. So latency stays low
at any rate, and the lanes of a worker overlap.
"""

import asyncio
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
)
from prometheus_client import Counter, Gauge, Histogram

from services.scorer.fenced.batch import Batch, Headers, Output
from services.scorer.fenced.state import (
    POSITION,
    Position,
    StaleError,
    Store,
    check_position,
    position_of,
    restore,
)

log = logging.getLogger("rapport.scorer.lane")

MOST_RECORDS = 500
"""Per transaction: enough to make its fixed cost small, few enough that handling them does not hold up other lanes."""
FULL = 4_000
"""Records waiting in a lane above which its partitions are paused, and below half of which they go on."""
TRANSACTION_TIMEOUT_MS = 10_000
"""How long others wait at most for the open transaction of a worker that was stopped in the middle of it."""
_BATCH_BYTES = 512 * 1024
_CLOSE_SECONDS = 15.0
_FENCED_SECONDS = 15.0
"""Within which the group tells a lane that its partition is another's; a little more than a session."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_FENCED = (ProducerFenced, InvalidProducerEpoch)

RECORDS = Counter("rapport_scorer_records", "Records processed.", ["agent"])
DEAD = Counter("rapport_scorer_dead_letters", "Records put into a dead-letter topic.", ["agent"])
TRANSACTION_SECONDS = Histogram(
    "rapport_scorer_transaction_seconds", "From the first record taken to the transaction committed.", ["agent"]
)
RESTORED = Counter("rapport_scorer_restored_rows", "Changelog records read while restoring.", ["agent"])
WAITING = Gauge("rapport_scorer_waiting_records", "Records that wait in lanes.", ["agent", "partition"])


class Record(Protocol):
    """What aiokafka gives for a record, as far as it matters here."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Handler(Protocol):
    """What happens with the records of one partition. Called by one lane, never by two at once."""

    def open(self, stored: Store) -> None:
        """Prepares from the rows; called once, before the first record."""

    def apply(self, record: Record, clock: int, batch: Batch) -> None:
        """Applies one record. `clock` (ms) is the partition's, this record included.

        An exception means that this record cannot be processed: it is dead-lettered, and nothing of it is kept.
        """

    def sweep(self, clock: int, batch: Batch) -> bool:
        """Does a bounded part of what time alone makes due at `clock`; called after every record.

        True where more is due: it is done in transactions of its own before the next record is applied, also by the
        next owner if this one dies, so what comes of it depends on the log alone.
        """

    def committed(self) -> None:
        """The batch is in the log."""

    def rolled_back(self) -> None:
        """The batch is not in the log and will be applied again, perhaps in parts."""


@dataclass(frozen=True)
class Agent:
    """What the lanes of one agent have in common."""

    name: str
    application: str
    group: str
    bootstrap: str
    data: Path
    sources: tuple[str, ...]
    changelog: str
    changelog_headers: Headers
    dead_letters: dict[str, str]
    """The dead-letter topic of each source."""
    handler: Callable[[int], Handler]
    stale_after: int
    """Age (ms of log time) from which on local rows are read anew: less than the tombstones of the changelog live."""


class Lane:
    """One partition of one agent, for one generation of the group."""

    def __init__(
        self,
        agent: Agent,
        partition: int,
        *,
        pause: Callable[[bool], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        """`pause(True)` stops fetching for the lane, `pause(False)` resumes; `crashed` gets what ends the process."""
        self.agent = agent
        self.partition = partition
        self.ready = False
        self.done = 0
        """Changes with every row restored and every record processed."""
        self._pause = pause
        self._paused = False
        self._crashed = crashed
        self._waiting: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._closed = asyncio.Event()
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to restore, then to process."""
        self._task = asyncio.create_task(self._run(), name=f"lane {self.agent.name} {self.partition}")

    def put(self, records: Iterable[Record]) -> None:
        """Adds records of the lane's sources, each source's in order."""
        self._waiting.extend(records)
        self._wake.set()
        self._flow()

    @property
    def unfinished(self) -> bool:
        """Whether it restores, or has records that are not processed."""
        return not self.ready or bool(self._waiting) or self._busy

    async def close(self) -> None:
        """Lets the transaction under way end, then gives everything back. What waits is left for the next owner."""
        self._closing = True
        self._closed.set()
        self._wake.set()
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=_CLOSE_SECONDS if self.ready else 0)
        for task in late:
            task.cancel()
            await asyncio.wait([task])

    def _moved(self, many: int) -> None:
        self.done += many

    def _flow(self) -> None:
        waiting = len(self._waiting)
        WAITING.labels(self.agent.name, str(self.partition)).set(waiting)
        if not self._paused and waiting > FULL:
            self._paused = True
            self._pause(True)
        elif self._paused and waiting < FULL // 2:
            self._paused = False
            self._pause(False)

    async def _run(self) -> None:
        try:
            await self._process()
        except _FENCED as error:
            await self._fenced(error)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._crashed(error)

    async def _fenced(self, error: BaseException) -> None:
        """Ends quietly where the partition is another's; where it stays here, its transaction took too long."""
        try:
            async with asyncio.timeout(_FENCED_SECONDS):
                await self._closed.wait()
            log.info("%s[%d] belongs to another worker now", self.agent.name, self.partition)
        except TimeoutError:
            self._crashed(error)

    async def _process(self) -> None:
        agent = self.agent
        # The order matters: nobody may write the changelog any more when it is read.
        producer = _Producer(agent, self.partition)
        store: Store | None = None
        try:
            await producer.start()
            began = time.monotonic()
            folder = agent.data / agent.application / agent.name / str(self.partition)
            store = Store(folder)
            changelog = TopicPartition(agent.changelog, self.partition)
            try:
                rows = await restore(store, agent.bootstrap, changelog, agent.stale_after, self._moved)
            except StaleError:
                log.warning("%s[%d] was away for too long; its rows are read anew", agent.name, self.partition)
                store.close()
                shutil.rmtree(folder)
                store = Store(folder)
                rows = await restore(store, agent.bootstrap, changelog, agent.stale_after, self._moved)
            RESTORED.labels(agent.name).inc(rows)
            sources = [TopicPartition(source, self.partition) for source in agent.sources]
            position = await check_position(position_of(store), agent.bootstrap, agent.group, sources)
            handler = agent.handler(self.partition)
            handler.open(store)
            log.info(
                "%s[%d] ready after %.1f s: %d rows restored, at %s",
                agent.name, self.partition, time.monotonic() - began, rows, position.next or "the beginning",
            )  # fmt: skip
            transactions = _Transactions(agent, self.partition, producer, store, handler, position)
            await transactions.finish()
            self.ready = True
            while not self._closing:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting and not self._closing:
                    taken = [self._waiting.popleft() for _ in range(min(MOST_RECORDS, len(self._waiting)))]
                    self._flow()
                    self._busy = True
                    await transactions.commit(taken)
                    self._busy = False
                    self._moved(len(taken))
        finally:
            self.ready = False
            await producer.stop()
            if store is not None:
                store.close()


class _Producer:
    """The transactional producer of a partition: whoever starts it last is the only one that can write."""

    def __init__(self, agent: Agent, partition: int) -> None:
        self._agent = agent
        self._partition = partition
        self.kafka = self._made()

    def _made(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._agent.bootstrap,
            transactional_id=f"{self._agent.application}-{self._agent.name}-{self._partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=_BATCH_BYTES,
            acks="all",
        )

    async def start(self) -> None:
        await self.kafka.start()

    async def renew(self) -> None:
        """Gives the transaction up and begins with a new producer.

        After a refused batch aiokafka (0.14) counts on from it, and the broker takes nothing more: out of sequence.
        Raises ProducerFenced where the partition had another owner in between: what it wrote is not in the rows here.
        """
        before = self._generation
        await self.kafka.abort_transaction()
        await self.stop()
        self.kafka = self._made()
        await self.kafka.start()
        if self._generation != (before[0], before[1] + 1):
            raise ProducerFenced

    @property
    def _generation(self) -> tuple[int, int]:
        """The producer's id and epoch. Each start of anyone with the same transactional id raises the epoch by one."""
        manager: Any = self.kafka._txn_manager
        return manager.producer_id, manager.producer_epoch

    async def stop(self) -> None:
        try:
            await asyncio.wait_for(self.kafka.stop(), timeout=5)
        except (TimeoutError, KafkaError) as error:
            log.warning("%s[%d] could not end its producer: %r", self._agent.name, self._partition, error)


class _Transactions:
    """The loop's inner part: records in, one committed transaction out."""

    def __init__(
        self,
        agent: Agent,
        partition: int,
        producer: _Producer,
        store: Store,
        handler: Handler,
        position: Position,
    ) -> None:
        self._agent = agent
        self._partition = partition
        self._producer = producer
        self._store = store
        self._handler = handler
        self._position = position

    async def commit(self, records: list[Record]) -> None:
        """Processes records whose offsets are not processed yet; the others are dropped."""
        fresh = [
            record
            for record in records
            if record.offset >= self._position.next.get(f"{record.topic}:{record.partition}", 0)
        ]
        while fresh:
            with TRANSACTION_SECONDS.labels(self._agent.name).time():
                done = await self._some(fresh)
            RECORDS.labels(self._agent.name).inc(done)
            fresh = fresh[done:]

    async def finish(self) -> None:
        """Does everything that is due at the partition's clock."""
        more = True
        while more:
            batch = Batch(self._store)
            more = self._handler.sweep(self._position.clock, batch)
            if not batch.empty:
                await self._transact(batch, self._position, [])

    async def _some(self, records: list[Record]) -> int:
        """One transaction for as many of the records as go into one; gives how many.

        Where the log refuses it for its size, half as many are tried, down to the culprit, which is dead-lettered.
        """
        batch, many, more = self._apply(records)
        taken = records[:many]
        try:
            await self._transact(batch, self._after(taken), taken)
        except _TOO_LARGE as error:
            self._handler.rolled_back()
            await self._producer.renew()
            if many > 1:
                return await self._some(records[: many // 2])
            more = True
            reason = f"{type(error).__name__}: the log refuses what this record would write"
            try:
                await self._bury(records[0], reason)
            except _TOO_LARGE:
                await self._producer.renew()
                await self._bury(records[0], f"{reason}; nor with its value", whole=False)
        if more:
            await self.finish()
        return many

    async def _bury(self, record: Record, reason: str, *, whole: bool = True) -> None:
        batch = Batch(self._store)
        batch.emit(self._dead_letter(record, reason, whole=whole))
        await self._transact(batch, self._after([record]), [record])

    def _apply(self, records: list[Record]) -> tuple[Batch, int, bool]:
        """Applies the records in order, up to one after which more is due than goes along; how many, and whether so.

        One that cannot be processed is dead-lettered, and the rest applied afresh.
        """
        dead: dict[int, str] = {}
        while True:
            batch = Batch(self._store)
            clock = self._position.clock
            for place, record in enumerate(records):
                clock = max(clock, record.timestamp)
                if place in dead:
                    batch.emit(self._dead_letter(record, dead[place]))
                else:
                    try:
                        self._handler.apply(record, clock, batch)
                    except Exception as error:
                        log.exception(
                            "%s %s:%d offset %d cannot be processed",
                            self._agent.name, record.topic, record.partition, record.offset,
                        )  # fmt: skip
                        dead[place] = f"{type(error).__name__}: {error}"
                        break
                if self._handler.sweep(clock, batch):
                    return batch, place + 1, True
            else:
                return batch, len(records), False
            self._handler.rolled_back()

    def _after(self, records: list[Record]) -> Position:
        following, last = dict(self._position.next), dict(self._position.last)
        for record in records:
            source = f"{record.topic}:{record.partition}"
            following[source], last[source] = record.offset + 1, record.timestamp
        clock = max(self._position.clock, *(record.timestamp for record in records))
        return Position(next=following, clock=clock, last=last)

    async def _transact(self, batch: Batch, position: Position, records: list[Record]) -> None:
        agent, producer = self._agent, self._producer.kafka
        batch.keep(POSITION, position)
        changes = batch.changes()
        await producer.begin_transaction()
        rows = [Output(agent.changelog, self._partition, key, value, agent.changelog_headers) for key, value in changes]
        sent = await self._send([*rows, *batch.outputs])
        # aiokafka commits a transaction even after a failed send, so each delivery is awaited and its error raised.
        delivered: list[Any] = await asyncio.gather(*(future for _, _, future in sent), return_exceptions=True)
        for failure in delivered:
            if isinstance(failure, BaseException):
                raise failure
        offsets = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        if offsets:
            await producer.send_offsets_to_transaction(offsets, agent.group)
        await producer.commit_transaction()
        marker = max(
            metadata.offset + count
            for (topic, count, _), metadata in zip(sent, delivered, strict=True)
            if topic == agent.changelog
        )
        self._store.write(changes, marker)
        self._position = position
        self._handler.committed()
        dead = sum(1 for output in batch.outputs if output.topic in agent.dead_letters.values())
        if dead:
            DEAD.labels(agent.name).inc(dead)

    async def _send(self, outputs: list[Output]) -> list[tuple[str, int, Any]]:
        """Queues the outputs in batches per partition; gives topic, number of records and delivery of each batch."""
        producer = self._producer.kafka
        by_partition: dict[tuple[str, int], list[Output]] = {}
        for output in outputs:
            by_partition.setdefault((output.topic, output.partition), []).append(output)
        sent: list[tuple[str, int, Any]] = []
        for (topic, partition), some in by_partition.items():
            builder, count = producer.create_batch(), 0
            for output in some:
                if (
                    builder.append(key=output.key, value=output.value, timestamp=None, headers=list(output.headers))
                    is None
                ):
                    sent.append((topic, count, await producer.send_batch(builder, topic, partition=partition)))
                    builder, count = producer.create_batch(), 0
                    builder.append(key=output.key, value=output.value, timestamp=None, headers=list(output.headers))
                count += 1
            sent.append((topic, count, await producer.send_batch(builder, topic, partition=partition)))
        return sent

    def _dead_letter(self, record: Record, reason: str, *, whole: bool = True) -> Output:
        """Key, value and headers as they came, and the reason; with it a record can be too large to be kept `whole`."""
        where = f"{record.topic}:{record.partition}:{record.offset}"
        return Output(
            topic=self._agent.dead_letters[record.topic],
            partition=record.partition,
            key=record.key or b"",
            value=record.value if whole else None,
            headers=(
                *record.headers,
                ("rapport_dead_because", reason[:1000].encode()),
                ("rapport_dead_from", where.encode()),
            ),
        )
