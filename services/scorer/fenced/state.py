"""The rows of one partition of one agent: in RocksDB, with the changelog as the truth behind it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct
from rocksdict import AccessType, BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch

from rapport.kit.broker.kafka_login import login

log = logging.getLogger("rapport.scorer.state")

_MARKER = b"\x00marker"
"""Where the changelog was read up to. Local: never in the changelog, and no row's key begins with a zero byte."""
POSITION = b'["position"]'
"""The one row that every transaction writes: how far the sources are processed, and the partition's clock."""

_MEMTABLE_BYTES = 16 * 2**20
_CACHE_BYTES = 256 * 2**20
"""RocksDB's defaults, 192 MiB of memtables and a cache without bounds per partition, are made for one database."""
_cache: list[Cache] = []
"""The one block cache of the process, made when first needed."""
_CHUNK = 2_000
_SIZES = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")


class StaleError(Exception):
    """The local rows are so old that later deletions may be gone from the changelog: they have to be read again."""


class RefusedError(RuntimeError):
    """The state and the log do not fit together. The text says why, and what a person can do."""


class Position(Struct):
    """How far the sources are processed: the next offset per `topic:partition`, and the partition's clock (ms)."""

    next: dict[str, int]
    clock: int
    last: dict[str, int] = {}
    """When (ms) the log appended the last record processed, per `topic:partition`: what a recreated topic has not."""
    format: int = 0
    """Of the rows: that of the latest version which wrote any."""
    passed: dict[str, int] = {}
    """Up to where nothing is left to read, where that is beyond `next`: behind it are markers of transactions.

    It is apart from `next` for the sake of versions that do not know it: they take the offset before `next` for that of
    the last record, and refuse to go on where there is none.
    """

    def reached(self, source: str) -> int | None:
        """Up to where nothing of a `topic:partition` is left to read; None where nothing was ever read."""
        found = max(self.next.get(source, -1), self.passed.get(source, -1))
        return None if found < 0 else found


class Store:
    """The RocksDB of one partition. Keys and values are bytes."""

    def __init__(self, path: Path) -> None:
        """Opens the database at `path`, and makes it where there is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_MEMTABLE_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_compression_type(DBCompressionType.lz4())
        table = BlockBasedOptions()
        if not _cache:
            _cache.append(Cache(_CACHE_BYTES))
        table.set_block_cache(_cache[0])
        table.set_bloom_filter(10, False)
        options.set_block_based_table_factory(table)
        self._database = Rdict(str(path), options, access_type=AccessType.read_write())

    def get(self, key: bytes) -> bytes | None:
        """The value of a row, or None."""
        found: bytes | None = self._database.get(key)
        return found

    def marker(self) -> int | None:
        """The changelog offset up to which (excluded) the rows are here; None in a new database."""
        found = self.get(_MARKER)
        return None if found is None else int(found)

    def write(self, changes: list[tuple[bytes, bytes | None]], marker: int) -> None:
        """Puts rows and marker in together or not at all."""
        together = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                together.delete(key)
            else:
                together.put(key, value)
        together.put(_MARKER, str(marker).encode())
        self._database.write(together)

    def chunks(self, prefix: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """The rows whose key begins with `prefix`, in lists.

        No iterator stays open between two lists: it would keep the database locked while the caller does other things.
        """
        after: bytes | None = None
        while True:
            chunk: list[tuple[bytes, bytes]] = []
            rows: Any = self._database.items(from_key=prefix if after is None else after + b"\x00")
            for key, value in rows:
                if not key.startswith(prefix):
                    break
                chunk.append((key, value))
                if len(chunk) == _CHUNK:
                    break
            # The iterator would live as long as this generator does, and with it the lock.
            del rows
            if not chunk:
                return
            yield chunk
            after = chunk[-1][0]

    def size(self) -> int:
        """Bytes on disk and in memory that is still to be written to disk."""
        return sum(self._database.property_int_value(name) or 0 for name in _SIZES)

    def close(self) -> None:
        """Closes the database; what was written stays."""
        self._database.close()


async def restore(
    store: Store, bootstrap: str, changelog: TopicPartition, stale_after: int, read: Callable[[int, int], object]
) -> int:
    """Reads what `store` lacks from the changelog and gives the number of records.

    `read` is called after each part, with the number of records in it and that of offsets still to be read.

    Call it when nobody else can write the changelog any more. It ends when the reader's position reaches the end, which
    moves past transaction markers and past what compaction took away. Raises RefusedError where the changelog lost what
    the store has seen, and StaleError where the store is older than `stale_after` (ms) by the log's time.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=4 * 2**20,
        **login(),
    )
    try:
        await consumer.start()
        consumer.assign([changelog])
        first = (await consumer.beginning_offsets([changelog]))[changelog]
        end = (await consumer.end_offsets([changelog]))[changelog]
        marker = store.marker()
        if marker is not None and not first <= marker <= end:
            raise RefusedError(
                f"the local rows were read from {changelog.topic}[{changelog.partition}] up to {marker}, but it "
                f"now holds {first} to {end}: the changelog was recreated or cut off. If its content is right, delete "
                "the local data of this partition and start again; if not, restore the topic first"
            )
        if marker is None and first > 0:
            raise RefusedError(
                f"{changelog.topic}[{changelog.partition}] begins at offset {first} instead of 0: rows were cut off. A "
                "changelog is compacted, never deleted; restore the topic, because nothing else has all rows: "
                "docs/recovery.md"
            )
        position = first if marker is None else marker
        consumer.seek(changelog, position)
        count = 0
        read(0, max(0, end - position))
        here = position_of(store)
        while position < end:
            found = await consumer.getmany(changelog, timeout_ms=500, max_records=5_000)
            records = found.get(changelog, ())
            if here is not None and any(record.timestamp - here.clock > stale_after for record in records):
                raise StaleError
            changes = [(record.key, record.value) for record in records]
            position = await consumer.position(changelog)
            if changes or position > (store.marker() or 0):
                store.write(changes, position)
            count += len(changes)
            read(len(changes), max(0, end - position))
        return count
    finally:
        await consumer.stop()


def position_of(store: Store) -> Position | None:
    """The position row, or None where nothing was ever processed."""
    value = store.get(POSITION)
    return None if value is None else msgspec.json.decode(value, type=Position)
