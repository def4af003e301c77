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

from aiokafka import TopicPartition
from prometheus_client import Counter, Gauge

from services.scorer.fenced.agent import Agent, Record
from services.scorer.fenced.state import StaleError, Store, check_position, position_of, restore
from services.scorer.fenced.transaction import FENCED, Producer, Transactions

log = logging.getLogger("rapport.scorer.lane")

MOST_RECORDS = 500
"""Per transaction: enough to make its fixed cost small, few enough that handling them does not hold up other lanes."""
FULL = 4_000
"""Records waiting in a lane above which its partitions are paused, and below half of which they go on."""
_CLOSE_SECONDS = 15.0
_FENCED_SECONDS = 15.0
"""Within which the group tells a lane that its partition is another's; a little more than a session."""

RESTORED = Counter("rapport_scorer_restored_rows", "Changelog records read while restoring.", ["agent"])
WAITING = Gauge("rapport_scorer_waiting_records", "Records that wait in lanes.", ["agent", "partition"])


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
        self.done = 0
        """Changes with every row restored and every record processed."""
        self._read_from = read_from
        self._session = object()
        self._pause = pause
        self._paused = False
        self._crashed = crashed
        self._waiting: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._closed = asyncio.Event()
        self._ending = False
        self._busy = False
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

    @property
    def unfinished(self) -> bool:
        """Whether it restores, or has records that are not processed."""
        return not self.ready or bool(self._waiting) or self._busy

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
        except FENCED as error:
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
        producer = Producer(agent, self.partition)
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
            transactions = Transactions(agent, self.partition, producer, store, handler, position)
            await transactions.finish()
            self._read_from(
                {source: position.next.get(f"{source}:{self.partition}", 0) for source in agent.sources}, self._session
            )
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
            self.ready, self._ending = False, True
            try:
                await producer.stop()
            finally:
                # However that ends: as long as it is open, the next lane of this partition cannot open it.
                if store is not None:
                    store.close()
