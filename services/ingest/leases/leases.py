"""Leases: each account is read by one ingest process, and by another one soon after that has gone.

The accounts lie in the partitions of the cursors topic, and Kafka shares these among the processes that are there.
Each process has a copy of all partitions, and takes part once that is complete. If it is given a partition, it writes
a claim into it and reads up to there: then it knows all that was remembered. The offset of the claim is its number.
Whatever it writes carries that number, so that what a process writes late, not knowing that it has lost the partition,
is told apart from what its successor wrote.

A process reads only while the broker says that it is a member of the group, and ends as soon as it sees the claim of
another one. After a claim it waits a little, so that whoever had the partition before has seen it too.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kafka.errors import KafkaError

from rapport.contracts import codec
from rapport.contracts.cursors import Claim, Cursor, Remembered, key_of_cursor, partition_of_brand
from rapport.contracts.topics import CURSORS, INGEST_GROUP
from rapport.kit import backoff
from rapport.kit.broker import kafka
from rapport.kit.broker.member import GroupConsumer, GroupLostError, members
from rapport.kit.broker.producer import Producer, Record, Tombstone
from rapport.kit.health import Health
from services.ingest import metrics
from services.ingest.broker import SOURCE, Broker
from services.ingest.leases.copy import Claimed, Copy
from services.ingest.leases.rows import Rows, Taken, is_broken

GROUP_POLL_MS = 50
"""The group says who reads what. What is in the partitions comes to the copy, which waits for it."""
GROUP_FETCHED_BYTES = 4_096
"""What comes before a partition that was just assigned is paused is fetched in vain."""
SETTLE_SECONDS = 1.5
"""After a claim, before the first reading. Whoever had the partition before polls several times in it."""
LOOKED_WITHIN_SECONDS = 5.0
"""A process that was stopped for longer does not know what has happened since."""
CLAIMED_WITHIN_SECONDS, CLAIMED_AGAIN_SECONDS = 8.0, 2.0
STOP_SECONDS = 8.0
MAX_POLL_MS = 15_000
"""A process whose thread hangs for so long, on a broken disk for instance, loses its accounts to the others."""
OTHERS_SECONDS = 10.0
"""Between two looks whether other processes read the accounts while the copy is filled."""
FILLING = "copy filled"
PRUNE_SECONDS = 600.0
PRUNED_AT_ONCE = 500
PRUNED_IN_A_ROW = 20
"""Lots of one partition. What is left waits for the next round: that is more than a million a day, and the broker and
the other partitions have their turn."""
FILE = "leases.sqlite"


class LostError(Exception):
    """The account is another process's now, or may be."""


@dataclass(eq=False)
class Lease:
    """The right to read the accounts of a partition, from one claim on."""

    partition: int
    claim: int
    ready_at: float
    """Of the monotonic clock."""
    ended: bool = False


@dataclass
class _Claiming:
    """A claim on its way into the log. The producer's thread says what becomes of it."""

    began: float = field(default_factory=time.monotonic)
    offset: int | None = None
    error: BaseException | None = None

    def wrote(self, placed: Any) -> None:
        """The broker has it."""
        if placed.offset < 0:
            self.error = KafkaError("the broker did not say where a claim is")
        else:
            self.offset = int(placed.offset)

    def failed(self, error: BaseException) -> None:
        """It may be in the log, or not."""
        self.error = error


@dataclass
class _Loading:
    claim: int | None = None
    """None until it is written."""
    began: float = field(default_factory=time.monotonic)
    claiming: _Claiming | None = None
    again_at: float = 0.0
    """From when on it is tried again, of the monotonic clock."""
    seen: int = -1
    """The newest claim that was read meanwhile, whoever wrote it: the broker may say only later where ours is."""


class Leases:
    """The partitions that this process has. Its methods are for the event loop; a thread keeps it current."""

    def __init__(self, bootstrap: str, instance: str, broker: Broker, folder: Path, log: logging.Logger) -> None:
        """`folder` is where the copy of what is remembered lies. `broker` puts what is written into the log."""
        self._bootstrap = bootstrap
        self._instance = instance
        self._broker = broker
        self._log = log
        self._copy = Copy(bootstrap, folder / FILE, log)
        self._producer = Producer(lambda: kafka.producer(bootstrap, "rapport-ingest-claims"))
        self._held: dict[int, Lease] = {}
        self._loading: dict[int, _Loading] = {}
        self._consumer: GroupConsumer | None = None
        self._looked = -1e9
        self._no_claims_until = 0.0
        """Of the monotonic clock."""
        self._filling = True
        self._asked_others = -1e9
        self._changed: Callable[[], None] = lambda: None
        self._stop = threading.Event()
        self._opened: tuple[int, Rows] | None = None
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def listen(self, changed: Callable[[], None]) -> None:
        """`changed` is called on the thread after each change of what is held."""
        self._changed = changed

    def start(self) -> None:
        """Begins to take part. Waits for Kafka as long as it takes."""
        self._thread.start()

    async def leave(self) -> None:
        """Gives up all leases, so that another process takes over at once. What is remembered can be looked up yet."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    async def close(self) -> None:
        """Leaves, and closes its files."""
        await self.leave()
        if self._opened is not None:
            self._opened[1].close()

    def of(self, brand: str) -> Lease | None:
        """The lease that the accounts of a brand are read under; None where they are not this process's."""
        return self._held.get(partition_of_brand(brand))

    def held(self) -> dict[int, Lease]:
        """All leases, by partition, as of now. May be called on any thread."""
        return dict(self._held)

    def knows(self, brand: str) -> bool:
        """Whether it is certain that another process reads the accounts of a brand, or that this one can."""
        consumer = self._consumer
        if consumer is None or consumer.reason() is not None:
            return False
        lease = self.of(brand)
        return self.holds(lease) if lease is not None else partition_of_brand(brand) not in self._loading

    def filling(self) -> str | None:
        """Why not to end another process for this one: its copy is not complete, and others read the accounts.

        Where nobody else does, nothing is gained by waiting, and what is pushed here would be refused.
        """
        return FILLING if self._filling else None

    def share(self) -> float:
        """The part of all accounts that is this process's, from 0 to 1."""
        return len(self._held) / CURSORS.partitions

    def holds(self, lease: Lease) -> bool:
        """Whether the accounts of a lease may be read now."""
        now = time.monotonic()
        consumer = self._consumer
        return (
            not lease.ended
            and now >= lease.ready_at
            and now - self._looked < LOOKED_WITHIN_SECONDS
            and consumer is not None
            and consumer.reason() is None
        )

    def get(self, key: bytes) -> Any:
        """What is remembered under a key of `key_of_cursor`. Raises sqlite3.Error."""
        with self._rows() as rows:
            return rows.get(key)

    def find(self, thing: str) -> list[tuple[int, Remembered]]:
        """What is remembered of a thing for good, each with its partition. Raises sqlite3.Error."""
        with self._rows() as rows:
            return rows.find(thing)

    def known_to(self, actor: str) -> set[str]:
        """The accounts for which something by a person is remembered for good. Raises sqlite3.Error."""
        with self._rows() as rows:
            return rows.known_to(actor)

    async def put(self, lease: Lease, cursors: Sequence[Cursor], gone: Iterable[bytes] = ()) -> None:
        """Remembers, in order. Returns once the log has it. Raises LostError and NotAcknowledgedError."""
        if not self.holds(lease):
            raise LostError
        keyed: list[tuple[bytes, Cursor | None]] = [(key_of_cursor(each, lease.partition), each) for each in cursors]
        keyed += [(key, None) for key in gone]
        values = [(key, None if cursor is None else codec.encode(cursor), cursor) for key, cursor in keyed]
        offsets = await self._broker.append([_record(lease.partition, key, value) for key, value, _ in values])
        with self._rows() as rows:
            rows.wrote(lease.partition, [Taken(at, *each) for at, each in zip(offsets, values, strict=True)])

    async def prune(self, now: Callable[[], datetime]) -> None:
        """Forgets what nobody has to remember any more, again and again. Does not end."""
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            await self._prune_some(now)

    async def _prune_some(self, now: Callable[[], datetime]) -> None:
        for lease in list(self._held.values()):
            try:
                for _ in range(PRUNED_IN_A_ROW):
                    if not self.holds(lease) or not (keys := self._outlived(lease, now())):
                        break
                    await self.put(lease, (), keys)
            except Exception as error:  # it is tried again
                self._log.warning("what is old was not forgotten: %s: %s", type(error).__name__, error)

    def _outlived(self, lease: Lease, now: datetime) -> list[bytes]:
        with self._rows() as rows:
            return rows.outlived(lease.partition, now, PRUNED_AT_ONCE)

    @contextmanager
    def _rows(self) -> Iterator[Rows]:
        """Those of the event loop."""
        try:
            self._opened = self._copy.opened(self._opened)
            yield self._opened[1]
        except sqlite3.Error as error:
            if is_broken(error):
                self._copy.is_broken()
            raise

    def _run(self) -> None:
        delays = backoff.delays()
        try:
            while not self._stop.is_set():
                try:
                    self._take_part()
                except Exception as error:  # accounts have to be read whatever happens: log it and start over
                    known = isinstance(error, KafkaError | OSError | GroupLostError | LookupError | sqlite3.Error)
                    self._log.warning("leases: %s: %s; starting over", type(error).__name__, error, exc_info=not known)
                    if is_broken(error):
                        self._throw_away(error)
                    self._stop.wait(next(delays))
        finally:
            self._producer.close(1.0)

    def _throw_away(self, why: Exception) -> None:
        try:
            self._copy.throw_away(str(why))
        except OSError as error:  # it is tried again at the next start
            self._log.error("leases: the copy could not be deleted: %s", error)

    def _take_part(self) -> None:
        consumer: GroupConsumer | None = None
        try:
            self._filling, self._asked_others = True, -1e9
            self._copy.fill(self._fills)
            if self._stop.is_set():
                return
            self._filling = False
            consumer = self._consumer = GroupConsumer(
                self._bootstrap,
                INGEST_GROUP,
                "rapport-ingest-leases",
                {CURSORS.name: CURSORS.partitions},
                Health(),
                self._stop,
                fetch_max_wait_ms=GROUP_POLL_MS,
                max_partition_fetch_bytes=GROUP_FETCHED_BYTES,
                max_poll_interval_ms=MAX_POLL_MS,
            )
            while not self._stop.is_set():
                consumer.poll(GROUP_POLL_MS)
                consumer.pause(*consumer.assignment())
                claims = self._copy.poll()
                now = time.monotonic()
                if now - self._looked > LOOKED_WITHIN_SECONDS:
                    self._end(list(self._held), "this process did not look for a while")
                    self._loading.clear()
                self._looked = now
                self._follow(consumer, claims)
        finally:
            self._end(list(self._held), "this process has left")
            self._loading.clear()
            if consumer is not None:
                consumer.close()
            self._copy.close()

    def _fills(self) -> bool:
        """Looks now and then, while the copy is filled, whether others read the accounts; whether to stop."""
        if time.monotonic() - self._asked_others > OTHERS_SECONDS:
            try:
                self._filling = members(self._bootstrap, INGEST_GROUP) > 0
            except (KafkaError, OSError) as error:
                self._log.warning("leases: it is not known who else reads: %s: %s", type(error).__name__, error)
            self._asked_others = time.monotonic()
        return self._stop.is_set()

    def _follow(self, consumer: GroupConsumer, claims: Iterable[Claimed]) -> None:
        mine = {each.partition for each in consumer.assignment()}
        self._end([each for each in self._held if each not in mine], "it was given to another process")
        for partition in set(self._loading) - mine:
            del self._loading[partition]
        for each in claims:
            self._saw(each)
        for partition, loading in list(self._loading.items()):
            if loading.claim is not None and self._copy.next_of(partition) > loading.claim:
                self._hold(partition, loading.claim, loading.began)
        fresh = mine - set(self._held) - set(self._loading)
        member = consumer.reason() is None  # else it may only believe that it is one
        if member:
            self._loading |= {partition: _Loading() for partition in fresh}
        for partition, loading in list(self._loading.items()):
            if loading.claim is None:
                self._go_on_claiming(partition, loading, member=member)

    def _go_on_claiming(self, partition: int, loading: _Loading, *, member: bool) -> None:
        """Begins to write a claim, or looks what became of it. A partition that takes none holds up no other."""
        now = time.monotonic()
        if loading.claiming is None and member and now >= max(loading.again_at, self._no_claims_until):
            loading.claiming = self._claim(partition)
        claiming = loading.claiming
        if claiming is None:
            return
        if claiming.offset is not None:
            loading.claim = claiming.offset
            if loading.seen > loading.claim:
                del self._loading[partition]  # somebody has claimed it since
            return
        error = claiming.error
        if error is None and now - claiming.began > CLAIMED_WITHIN_SECONDS:
            self._producer.lose()
            error = KafkaError(f"it was not written within {CLAIMED_WITHIN_SECONDS:.0f} s")
        if error is not None:
            self._log.warning("a claim of partition %d: %s: %s", partition, type(error).__name__, error)
            loading.claiming, loading.again_at = None, now + CLAIMED_AGAIN_SECONDS

    def _claim(self, partition: int) -> _Claiming:
        claim, claiming = Claim(instance=self._instance), _Claiming()
        try:
            sent = self._producer.append(_record(partition, key_of_cursor(claim, partition), codec.encode(claim)))
            sent.then(claiming.wrote, claiming.failed)
        except (KafkaError, OSError) as error:
            # It may have taken long to fail, and would for each of the others.
            self._no_claims_until = time.monotonic() + CLAIMED_AGAIN_SECONDS
            claiming.failed(error)
        return claiming

    def _saw(self, claimed: Claimed) -> None:
        partition = claimed.partition
        held, loading = self._held.get(partition), self._loading.get(partition)
        own = held.claim if held is not None else loading.claim if loading is not None else None
        if loading is not None:
            loading.seen = max(loading.seen, claimed.offset)
        if own is not None and claimed.offset > own:
            # If it is still given to this process, the next poll finds that, and it is claimed again.
            self._end([partition], f"{claimed.instance} has claimed it")
            self._loading.pop(partition, None)

    def _hold(self, partition: int, claim: int, began: float) -> None:
        del self._loading[partition]
        now = time.monotonic()
        self._held[partition] = Lease(partition, claim, now + SETTLE_SECONDS)
        metrics.LEASES.set(len(self._held))
        self._log.info(
            "partition %d of the accounts is read here, claim %d, after %.1f s", partition, claim, now - began
        )
        self._changed()

    def _end(self, partitions: Iterable[int], why: str) -> None:
        ended = [self._held.pop(each) for each in partitions if each in self._held]
        for lease in ended:
            lease.ended = True
            self._log.info("partition %d of the accounts is not read here any more: %s", lease.partition, why)
        if ended:
            metrics.LEASES.set(len(self._held))
            self._changed()


def _record(partition: int, key: bytes, value: bytes | None) -> Record | Tombstone:
    if value is None:
        return Tombstone(CURSORS.name, partition, key)
    headers = codec.headers("rapport.cursor.v1", id=f"cursor/{partition}", source=SOURCE)
    return Record(CURSORS.name, partition, key, value, headers)
