"""The copy of the cursors topic on the disk of this process.

It is read to its end once, and followed from then on, all partitions of it: so whichever this process is given, only
what came since has to be read. It outlives the process. What it has can be had again, so a copy that is damaged, or
of another topic, is thrown away.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from rapport.contracts import codec
from rapport.contracts.cursors import Claim
from rapport.contracts.topics import CURSORS, TOMBSTONES_DAYS
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.probe import room_in
from services.ingest import metrics
from services.ingest.leases.rows import BrokenError, Rows, Taken, read

POLL_MS = 300
"""How long one poll waits for something to come."""
AT_ONCE = 1_000
"""Records in one transaction: others who write to the file wait for so long, which is some 50 ms."""
FETCHED_BYTES = 262_144
"""Of a partition, ahead of what is taken in: 3 MiB for all of them, and all the memory that the copy needs."""
ANSWER_MS = 5_000
ROOM_BYTES = 64 * 1024 * 1024
"""What there must be before a process takes part. With less it would come and go, and each time all have to stop."""
TOO_OLD = timedelta(days=TOMBSTONES_DAYS / 2)
"""A copy that was not read for longer may not learn any more what is gone."""
TELL_SECONDS = 10.0
PLACES = tuple(TopicPartition(CURSORS.name, number) for number in range(CURSORS.partitions))


class Claimed(NamedTuple):
    """A claim that was read."""

    partition: int
    offset: int
    instance: str


class Copy:
    """For one thread, apart from `opened`, which any other may call for rows of its own."""

    def __init__(self, bootstrap: str, path: Path, log: logging.Logger) -> None:
        self._bootstrap = bootstrap
        self._path = path
        self._log = log
        self._lock = threading.Lock()
        self._thrown = 0
        self._rows: Rows | None = None
        self._consumer: Any = None
        self._next: dict[int, int] = {}
        self._broken = threading.Event()

    def opened(self, before: tuple[int, Rows] | None) -> tuple[int, Rows]:
        """Rows for the calling thread; those that it had from here `before`, while the file is the same.

        Raises sqlite3.Error.
        """
        with self._lock:
            if before is not None:
                if before[0] == self._thrown:
                    return before
                before[1].close()
            return self._thrown, Rows(self._path)

    def is_broken(self) -> None:
        """Whoever found that the file is damaged says so. May be called on any thread."""
        self._broken.set()

    def fill(self, stopped: Callable[[], bool]) -> None:
        """Reads to the end of the topic; returns sooner once `stopped` says so.

        Raises KafkaError, LookupError and OSError where the topic cannot be read, and sqlite3.Error.
        """
        room_in(self._path.parent, ROOM_BYTES)
        began = time.monotonic()
        topic = kafka_topics.topic_id(self._bootstrap, CURSORS.name)
        first = kafka_topics.offsets(self._bootstrap, PLACES, OffsetSpec.EARLIEST)
        end = kafka_topics.offsets(self._bootstrap, PLACES, OffsetSpec.LATEST)
        self._next = {place.partition: offset for place, offset in first.items()} | self._open(topic, first, end)
        self._consumer = kafka.consumer(
            self._bootstrap, None, "rapport-ingest-copy", auto_offset_reset="none", max_poll_records=AT_ONCE,
            max_partition_fetch_bytes=FETCHED_BYTES, fetch_max_wait_ms=POLL_MS,
        )  # fmt: skip
        self._consumer.assign(list(PLACES))
        for place in PLACES:
            self._consumer.seek(place, self._next[place.partition])
        already = sum(self._next.values())
        told = began
        while (missing := self._missing(end)) and not stopped():
            metrics.COPY_MISSING.set(missing)
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                self._log.info("the copy of %s: up to %d records are still to be read", CURSORS.name, missing)
            self.poll()
        metrics.COPY_MISSING.set(self._missing(end))
        self._log.info(
            "the copy of %s is complete after %.1f s and %d records: %.1f MB",
            CURSORS.name, time.monotonic() - began, sum(self._next.values()) - already, self._size() / 1e6,
        )  # fmt: skip

    def poll(self) -> list[Claimed]:
        """Takes in what has come, and returns the claims of it. Raises KafkaError and sqlite3.Error."""
        if self._broken.is_set():
            raise BrokenError("another thread could not read it")
        assert self._rows is not None
        try:
            polled = self._consumer.poll(timeout_ms=POLL_MS)
        except (OffsetOutOfRangeError, LogTruncationError) as error:
            self.throw_away(f"the topic does not go on where it was read: {error}")
            raise
        claims: list[Claimed] = []
        for place, records in polled.items():
            taken: list[Taken] = []
            skipped: int | None = None
            for record in records:
                try:
                    cursor = read(record.value)
                except codec.UndecodableError as error:
                    self._log.error(
                        "%s:%d offset %d is skipped: %s", place.topic, place.partition, record.offset, error
                    )
                    skipped = record.offset if skipped is None else skipped
                    continue
                if isinstance(cursor, Claim):
                    claims.append(Claimed(place.partition, record.offset, cursor.instance))
                else:
                    taken.append(Taken(record.offset, record.key or b"", record.value, cursor))
            following = records[-1].offset + 1
            latest = max(record.timestamp for record in records)
            self._rows.read(place.partition, taken, following, datetime.now(UTC), latest, skipped)
            self._next[place.partition] = following
        if polled:
            metrics.COPY_BYTES.set(self._size())
        return claims

    def next_of(self, partition: int) -> int:
        """The offset of the first record that was not read yet."""
        return self._next[partition]

    def close(self) -> None:
        """Ends the reading."""
        if self._consumer is not None:
            with suppress(KafkaError, OSError):
                self._consumer.close()
            self._consumer = None
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def throw_away(self, why: str) -> None:
        """Deletes the file. The next `fill` begins at the beginning. Raises OSError."""
        self._log.warning("the copy of %s is thrown away, and read again: %s", CURSORS.name, why)
        with self._lock:
            if self._rows is not None:
                self._rows.close()
                self._rows = None
            for each in self._files():
                each.unlink(missing_ok=True)
            self._thrown += 1
            self._broken.clear()

    def _open(self, topic: str, first: Mapping[Any, int], end: Mapping[Any, int]) -> dict[int, int]:
        """Opens the file, and says from where to read on, by partition."""
        with self._lock:
            self._rows = Rows(self._path)
        known, places = self._rows.topic(), self._rows.places()
        why = None
        if known is not None and known[0] != topic:
            why = "the topic has been replaced by another of its name"
        elif known is not None and datetime.now(UTC) - known[1] > TOO_OLD:
            why = f"it was not read since {known[1].isoformat()}"
        for place in PLACES:
            following = places.get(place.partition)
            if following is not None and not first[place] <= following <= end[place]:
                why = why or f"the topic does not go on where it was read, in partition {place.partition}"
        why = why or self._other_records(places)
        if why is not None:
            self.throw_away(why)
            with self._lock:
                self._rows = Rows(self._path)
            places = {}
        # A later version may have written what this process, as it was before, could not read.
        back = {number: max(at, first[PLACES[number]]) for number, at in self._rows.skipped().items()}
        self._rows.go_back(back)
        self._rows.begin(topic, datetime.now(UTC))
        return places | back

    def _other_records(self, places: Mapping[int, int]) -> str | None:
        """What is wrong if, where this was read, other records are now: the topic was put back, and written to since.

        All that was read had been appended by then. So what was appended later has to come behind it.
        """
        assert self._rows is not None
        since = {PLACES[number]: at + 1 for number, at in self._rows.latest().items()}
        for place, offset in kafka_topics.offsets_since(self._bootstrap, since).items():
            if offset is not None and offset < places[place.partition]:
                return f"the topic was put back, and has other records than were read in partition {place.partition}"
        return None

    def _missing(self, end: Mapping[Any, int]) -> int:
        """How many records are still to be read, at most: those that others have replaced are not there any more."""
        found = 0
        for place in PLACES:
            if self._next[place.partition] < end[place]:
                # What is at the end may be gone; then only the consumer knows how far it is.
                at = self._consumer.position(place, timeout_ms=ANSWER_MS)
                found += max(0, end[place] - at)
        return found

    def _size(self) -> int:
        return sum(each.stat().st_size for each in self._files() if each.exists())

    def _files(self) -> tuple[Path, ...]:
        return self._path, Path(f"{self._path}-wal"), Path(f"{self._path}-shm")
