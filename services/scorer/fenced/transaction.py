"""The transactions of one partition of one agent: records in; rows, outputs and offsets out, all of them or none."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from prometheus_client import Counter, Histogram

from rapport.domain.platforms import NAMES
from rapport.kit.broker import dead_letters
from services.scorer.fenced.agent import Agent, Handler, Record
from services.scorer.fenced.applying import apply
from services.scorer.fenced.batch import Batch, Output
from services.scorer.fenced.producer import Producer
from services.scorer.fenced.state import POSITION, Position, Store

log = logging.getLogger("rapport.scorer.transaction")

MOST_PARTS = 40
"""Parts of what is due that go into one transaction."""
HELD_SECONDS = 1.0
"""How long parts are gathered for it, because alerts wait for its end. The outcome does not depend on the split."""
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

RECORDS = Counter("rapport_scorer_records", "Records processed.", ["agent"])
DEAD = Counter("rapport_scorer_dead_letters", "Records put into a dead-letter topic.", ["agent"])
BATCH_RECORDS = Histogram(
    "rapport_scorer_batch_records",
    "Records processed in one transaction.",
    ["agent"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500),
)
REPAIRED = Counter(
    "rapport_scorer_repaired_interactions",
    "Comments, mentions, messages and answers that a platform had not pushed and that asking found.",
    ["platform"],
)
# A series that begins with its first one cannot show that one: it has to be there before, as zero.
for _platform in NAMES:
    REPAIRED.labels(_platform)
TRANSACTION_SECONDS = Histogram(
    "rapport_scorer_transaction_seconds", "From the first record taken to the transaction committed.", ["agent"]
)


class Transactions:
    """Turns records into committed transactions, one after the other, and keeps the position that they make."""

    def __init__(
        self,
        agent: Agent,
        partition: int,
        producer: Producer,
        store: Store,
        handler: Handler,
        position: Position,
        moved: Callable[[int], object],
    ) -> None:
        """`moved` is called for each record applied, each part done of what is due, and each transaction of records."""
        DEAD.labels(agent.name)  # there before it first counts, or its first would not show
        self._agent = agent
        self._partition = partition
        self._producer = producer
        self._store = store
        self._handler = handler
        self._position = position
        self._passed: dict[str, int] = {}
        self._moved = moved
        self.committed = 0
        """Transactions so far."""

    @property
    def clock(self) -> int:
        """Up to which time of the log (ms) records were processed. What is due by then may still be under way."""
        return self._position.clock

    def note_passed(self, source: str, offset: int) -> None:
        """Nothing is left to read of a source before `offset`; goes along with the next transaction.

        The offsets between the last record and there are markers of transactions, and what was never committed.
        """
        name = f"{source}:{self._partition}"
        if offset > (self._position.reached(name) or 0):
            self._passed[name] = max(offset, self._passed.get(name, 0))

    @property
    def has_passed(self) -> bool:
        """Whether the position is behind what was noted."""
        return bool(self._passed)

    async def move(self) -> None:
        """Writes how far the sources were passed, and nothing else."""
        await self._transact(Batch(self._store), self._after([]))

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
            BATCH_RECORDS.labels(self._agent.name).observe(done)
            self._moved(1)
            fresh = fresh[done:]

    async def finish(self) -> None:
        """Does everything that is due at the partition's clock."""
        more = True
        while more:
            batch = Batch(self._store)
            async with self._agent.turns.turn() as turn:
                began = time.monotonic()
                for _ in range(MOST_PARTS):
                    more = self._handler.sweep(self._position.clock, batch)
                    self._moved(1)
                    await turn.pause()
                    if not more or time.monotonic() - began > HELD_SECONDS:
                        break
            if batch.empty:
                self._handler.committed()
            else:
                await self._transact(batch, self._after([]))

    async def _some(self, records: list[Record]) -> int:
        """One transaction for as many of the records as go into one; gives how many.

        Where the log refuses it for its size, half as many are tried, down to the culprit, which is dead-lettered.
        """
        batch, many, more = await self._apply(records)
        try:
            await self._transact(batch, self._after(records[:many]))
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
                await self._bury(records[0], f"{reason}; nor the record itself", whole=False)
        if more:
            await self.finish()
        return many

    async def _bury(self, record: Record, reason: str, *, whole: bool = True) -> None:
        batch = Batch(self._store)
        batch.emit(self._dead_letter(record, reason, whole=whole))
        await self._transact(batch, self._after([record]))

    async def _apply(self, records: list[Record]) -> tuple[Batch, int, bool]:
        """Applies the records in order, up to one after which more is due than goes along; how many, and whether so.

        One that cannot be processed is dead-lettered, and the rest applied afresh.
        """
        async with self._agent.turns.turn() as turn:
            for applied in apply(
                records, self._position.clock, self._handler, self._store, dead={}, put_aside=self._agent.put_aside,
                bury=lambda record, reason, batch: batch.emit(self._dead_letter(record, reason)), failed=self._failed,
            ):  # fmt: skip
                if applied is not None:
                    return applied.batch, applied.done, applied.more
                await turn.pause()
                self._moved(1)
        raise AssertionError("applying ends with what was applied")

    def _failed(self, record: Record) -> None:
        log.exception(
            "%s %s:%d offset %d cannot be processed",
            self._agent.name, record.topic, record.partition, record.offset,
        )  # fmt: skip

    def _after(self, records: Iterable[Record]) -> Position:
        known = self._position
        following, clock, last = dict(known.next), known.clock, dict(known.last)
        for record in records:
            source = f"{record.topic}:{record.partition}"
            following[source], last[source] = record.offset + 1, record.timestamp
            clock = max(clock, record.timestamp)
        passed = {
            source: offset
            for source, offset in {**known.passed, **self._passed}.items()
            if offset > following.get(source, 0)
        }
        return Position(next=following, clock=clock, last=last, passed=passed, format=self._agent.rows_format)

    async def _transact(self, batch: Batch, position: Position) -> None:
        with self._agent.turns.writing:
            await self._write(batch, position)

    async def _write(self, batch: Batch, position: Position) -> None:
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
        offsets = {
            TopicPartition(source.rpartition(":")[0], self._partition): offset
            for source, offset in position.next.items()
            if offset != self._position.next.get(source)
        }
        if offsets:
            await producer.send_offsets_to_transaction(offsets, agent.group)
        await producer.commit_transaction()
        self.committed += 1
        for platform, many in batch.repaired.items():
            REPAIRED.labels(platform).inc(many)
        marker = max(
            metadata.offset + count
            for (topic, count, _), metadata in zip(sent, delivered, strict=True)
            if topic == agent.changelog
        )
        self._store.write(changes, marker)
        self._position = position
        self._passed = {
            source: offset for source, offset in self._passed.items() if offset > (position.reached(source) or 0)
        }
        self._handler.committed()
        for span in batch.spans:
            span.end(agent=agent.name)
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
        letter = dead_letters.letter(record, reason, whole=whole)
        topic = self._agent.dead_letters[record.topic]
        return Output(topic, record.partition, letter.key, letter.value, tuple(letter.headers))
