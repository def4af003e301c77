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
from typing import NamedTuple

from aiokafka import TopicPartition
from prometheus_client import Counter, Gauge

from rapport.contracts.codec import NewerError
from services.scorer.fenced.agent import Agent, Record
from services.scorer.fenced.position import check_position
from services.scorer.fenced.producer import Producer, forgotten, lost
from services.scorer.fenced.state import StaleError, Store, position_of, restore
from services.scorer.fenced.transaction import Transactions

log = logging.getLogger("rapport.scorer.lane")

MOST_RECORDS = 500
"""Per transaction: enough to make its fixed cost small, few enough that handling them does not hold up other lanes."""
FULL = 4_000
"""With more records waiting than this, a lane pauses its partitions; below half of it they go on."""
PASSED_SECONDS = 30.0
"""After which a lane without work notes that it is past markers. A transaction of its own, so not after each record."""
MOST_OPENINGS = 3
"""Openings in a row without a transaction, after which a lane is given up, and the worker with it."""
_CLOSE_SECONDS = 15.0
_SESSIONS = 1.5
"""Sessions within which the group tells a lane that its partition is another's."""

RESTORED = Counter("rapport_scorer_restored_rows", "Changelog records read while restoring.", ["agent"])
TO_RESTORE = Gauge(
    "rapport_scorer_restoring_records", "Changelog records still to be read while restoring.", ["agent", "partition"]
)
ROWS_BYTES = Gauge("rapport_scorer_rows_bytes", "Size of the rows in RocksDB.", ["agent", "partition"])
OPENED_AGAIN = Counter("rapport_scorer_reopened_lanes", "Lanes opened again because their producer failed.", ["agent"])
WAITING = Gauge("rapport_scorer_waiting_records", "Records that wait in lanes.", ["agent", "partition"])


class _Passed(NamedTuple):
    """Nothing of a source is left to read before an offset, once the records in front of this are processed."""

    source: str
    offset: int


class Lane:
    """One partition of one agent, for one generation of the group."""

    def __init__(
        self,
        agent: Agent,
        partition: int,
        *,
        read_from: Callable[[dict[str, int], object], None],
        pause: Callable[[bool], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        """`read_from` begins to fetch the sources from offsets, in the session that its records are to be `put` with.

        `pause(True)` stops fetching for the lane, `pause(False)` resumes; `crashed` gets what ends the process.
        """
        self.agent = agent
        self.partition = partition
        self.ready = False
        self.waits_for: str | None = None
        """What only a later version can go on with; None where this one can."""
        self.done = 0
        """Changes with every row restored and every record processed."""
        self.clock: int | None = None
        """Up to which time of the log (ms) everything is processed; None while it restores."""
        self._read_from = read_from
        self._session = object()
        self._pause = pause
        self._paused = False
        self._crashed = crashed
        self._waiting: deque[Record | _Passed] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._closed = asyncio.Event()
        self._ending = False
        self._busy = False
        self._transactions: Transactions | None = None
        self._store: Store | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to restore, then to process."""
        self._task = asyncio.create_task(self._run(), name=f"lane {self.agent.name} {self.partition}")

    def put(self, records: Iterable[Record], session: object) -> None:
        """Adds records of the lane's sources, each source's in order.

        Drops those of another session: they were on their way to the lane before this one, and what was before them is
        nowhere any more. To take them would be to skip that.
        """
        if session is not self._session:
            return
        self._waiting.extend(records)
        self._wake.set()
        self._flow()

    def passed(self, source: str, offset: int, session: object) -> None:
        """Says that nothing of a source is left to read before `offset` but what was `put`."""
        if session is self._session:
            self._waiting.append(_Passed(source, offset))
            self._wake.set()

    @property
    def unfinished(self) -> bool:
        """Whether it restores, or has records that are not processed."""
        return self.waits_for is None and (not self.ready or bool(self._waiting) or self._busy)

    def measure(self) -> None:
        """Sets the metric of how large its rows are."""
        if self._store is not None:
            ROWS_BYTES.labels(self.agent.name, str(self.partition)).set(self._store.size())

    async def close(self) -> None:
        """Lets the transaction under way end, then gives everything back. What waits is left for the next owner.

        One that restores is stopped at once; one that ends by itself, as the group's word came later, is left to.
        """
        self._closing = True
        self._closed.set()
        self._wake.set()
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=_CLOSE_SECONDS if self.ready or self._ending else 0)
        for task in late:
            task.cancel()
            await asyncio.wait([task])

    async def _woken(self, within: float | None) -> bool:
        """Waits until something is to be done; False where nothing was `within` some seconds."""
        try:
            async with asyncio.timeout(within):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    def _moved(self, many: int) -> None:
        self.done += many

    def _restored(self, many: int, left: int) -> None:
        self.done += many
        TO_RESTORE.labels(self.agent.name, str(self.partition)).set(left)

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
        openings = 0
        while True:
            self._transactions = None
            try:
                await self._process()
                return
            except asyncio.CancelledError:
                raise
            except NewerError as error:
                self._wait_for_another(error)
                return
            except BaseException as error:
                openings = 1 if self._transactions and self._transactions.committed else openings + 1
                if not lost(error) or openings > MOST_OPENINGS:
                    self._crashed(error)
                    return
                if await self._taken_away(error):
                    log.info("%s[%d] belongs to another worker now", self.agent.name, self.partition)
                    return
                log.warning("%s[%d] is opened again, its producer failed: %r", self.agent.name, self.partition, error)
            OPENED_AGAIN.labels(self.agent.name).inc()
            self._begin_again()

    def _wait_for_another(self, error: NewerError) -> None:
        """Leaves the partition as it is for a worker of a later version. The other lanes go on."""
        self.waits_for = f"{self.agent.name}[{self.partition}] waits for a scorer of a later version: {error}"
        log.error("%s", self.waits_for)
        self._begin_again()
        self._pause(True)

    async def _taken_away(self, error: BaseException) -> bool:
        """Whether the partition is another's. Where it stays here, its transaction took too long."""
        if self._closing or forgotten(error):
            return self._closing
        # To open it again at once would fence its new owner, if there is one that this worker has not heard of.
        try:
            async with asyncio.timeout(_SESSIONS * self.agent.session_seconds):
                await self._closed.wait()
        except TimeoutError:
            return False
        return True

    def _begin_again(self) -> None:
        """Forgets what waits: it is read again, in a session of its own."""
        self._session = object()
        self._waiting.clear()
        self._flow()
        self._ending = self._busy = False

    async def _process(self) -> None:
        agent = self.agent
        # The order matters: nobody may write the changelog any more when it is read.
        producer = Producer(agent, self.partition)
        store: Store | None = None
        try:
            await producer.start()
            began = time.monotonic()
            folder = agent.data / agent.application / agent.name / str(self.partition)
            store = Store(folder)
            changelog = TopicPartition(agent.changelog, self.partition)
            try:
                rows = await restore(store, agent.bootstrap, changelog, agent.stale_after, self._restored)
            except StaleError:
                log.warning("%s[%d] was away for too long; its rows are read again", agent.name, self.partition)
                store.close()
                shutil.rmtree(folder)
                store = Store(folder)
                rows = await restore(store, agent.bootstrap, changelog, agent.stale_after, self._restored)
            RESTORED.labels(agent.name).inc(rows)
            sources = [TopicPartition(source, self.partition) for source in agent.sources]
            found = position_of(store)
            # First: a later version's position may mean something else.
            if found is not None and found.format > agent.rows_format:
                raise NewerError(
                    f"its rows have the format {found.format}, and this version knows up to {agent.rows_format}"
                )
            position = await check_position(found, agent.bootstrap, agent.group, sources)
            handler = agent.handler(self.partition)
            async with agent.turns.turn() as turn:
                for _ in handler.opening(store):
                    self._moved(1)
                    await turn.pause()
            log.info(
                "%s[%d] ready after %.1f s: %d rows restored, at %s",
                agent.name, self.partition, time.monotonic() - began, rows, position.next or "the beginning",
            )  # fmt: skip
            self._store = store
            transactions = self._transactions = Transactions(
                agent, self.partition, producer, store, handler, position, self._moved
            )
            await transactions.finish()
            self._read_from(
                {source: position.reached(f"{source}:{self.partition}") or 0 for source in agent.sources}, self._session
            )
            self.clock = transactions.clock
            self.ready = True
            while not self._closing:
                if not await self._woken(PASSED_SECONDS if transactions.has_passed else None):
                    await transactions.move()
                while self._waiting and not self._closing:
                    taken = [self._waiting.popleft() for _ in range(min(MOST_RECORDS, len(self._waiting)))]
                    self._flow()
                    self._busy = True
                    await transactions.commit([each for each in taken if not isinstance(each, _Passed)])
                    self._busy = False
                    self.clock = transactions.clock
                    for each in taken:
                        if isinstance(each, _Passed):
                            transactions.note_passed(*each)
            if transactions.has_passed:
                await transactions.move()
        finally:
            self.ready, self._ending = False, True
            self._store = self.clock = None
            for metric in (WAITING, TO_RESTORE, ROWS_BYTES):
                # The partition's next owner may be another worker.
                metric.remove(agent.name, str(self.partition))
            try:
                await producer.stop()
            finally:
                # However that ends: as long as it is open, the next lane of this partition cannot open it.
                if store is not None:
                    store.close()
