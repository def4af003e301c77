"""The copy of the cursors topic on a real Kafka: it outlives its process, and is read again where it cannot be used."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from rapport.contracts import codec
from rapport.contracts.cursors import Position, key_of_cursor, partition_of_brand, position_key
from rapport.contracts.topics import CURSORS
from rapport.kit.broker import kafka, kafka_topics
from services.ingest.leases.copy import PLACES, TOO_OLD, Copy
from services.ingest.leases.leases import FILE, FILLING
from services.ingest.leases.rows import Taken
from tests.services.ingest.leases.test_leases import holds, process, remember, remembered, until

LOG = logging.getLogger("test")
MARK = position_key("nobody", "this row is in the file alone")


def write(bootstrap: str, partition: int, key: bytes, value: bytes) -> None:
    with closing(kafka.producer(bootstrap, "test")) as producer:
        headers = codec.headers("rapport.cursor.v1", id="test", source="/test")
        producer.send(CURSORS.name, value, key, partition=partition, headers=headers).get(30)


def remembers(bootstrap: str) -> bytes:
    """Writes a position that nobody else has, and returns its key."""
    position = Position(account=f"account-{uuid4().hex}", list="x", position="1", claim=0)
    write(bootstrap, 5, key_of_cursor(position, 5), codec.encode(position))
    return key_of_cursor(position, 5)


@contextmanager
def filled(bootstrap: str, path: Path) -> Iterator[Copy]:
    """A copy that has been read to the end."""
    copy = Copy(bootstrap, path, LOG)
    try:
        copy.fill(lambda: False)
        yield copy
    finally:
        copy.close()


def has(copy: Copy, key: bytes) -> bool:
    opened = copy.opened(None)[1]
    try:
        return opened.get(key) is not None
    finally:
        opened.close()


def mark(path: Path) -> None:
    """Puts a row into the file that the topic does not have: whoever reads the topic anew has not got it."""
    position = Position(account="nobody", list="this row is in the file alone", position="1", claim=0)
    with closing(Copy("nowhere", path, LOG).opened(None)[1]) as rows:
        rows.wrote(5, [Taken(0, MARK, codec.encode(position), position)])


def run(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute(sql, values)
        file.commit()


def test_a_copy_outlives_its_process_and_only_what_came_since_is_read(stack: Any, tmp_path: Path) -> None:
    before = remembers(stack.kafka)
    with filled(stack.kafka, tmp_path / FILE) as copy:
        assert has(copy, before)
    mark(tmp_path / FILE)
    since = remembers(stack.kafka)
    with filled(stack.kafka, tmp_path / FILE) as copy:
        assert has(copy, before)
        assert has(copy, since)
        assert has(copy, MARK)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: run(path, "UPDATE topic SET id = 'another'"),
        lambda path: run(path, "UPDATE topic SET read_at = read_at - ?", int(TOO_OLD.total_seconds()) + 60),
        lambda path: run(path, "UPDATE place SET next = next + 1000000 WHERE partition = 5"),
        lambda path: run(path, "UPDATE latest SET at = 1 WHERE partition = 5"),
        lambda path: path.write_bytes(b"no database at all" * 1_000),
        lambda path: run(path, "PRAGMA user_version = 99"),
    ],
    ids=["another topic", "not read for long", "beyond the end", "other records", "damaged", "another format"],
)
def test_a_copy_that_cannot_be_used_is_thrown_away(stack: Any, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path, before = tmp_path / FILE, remembers(stack.kafka)
    with filled(stack.kafka, path):
        pass
    mark(path)
    spoil(path)
    copy = Copy(stack.kafka, path, LOG)
    try:
        try:
            copy.fill(lambda: False)
        except sqlite3.Error as error:
            copy.throw_away(str(error))
            copy.fill(lambda: False)
        assert has(copy, before)
        assert not has(copy, MARK)
    finally:
        copy.close()


def test_a_topic_that_was_trimmed_beyond_the_copy_is_read_anew(stack: Any, tmp_path: Path) -> None:
    path = tmp_path / FILE
    with filled(stack.kafka, path):
        pass
    mark(path)
    run(path, "UPDATE place SET next = 0 WHERE partition = 5")
    place = PLACES[5]
    remembers(stack.kafka)
    with closing(kafka.admin(stack.kafka)) as admin:
        # A topic that is only compacted cannot be trimmed.
        topic = ConfigResource(ConfigResourceType.TOPIC, CURSORS.name, configs={"cleanup.policy": "compact,delete"})
        admin.alter_configs([topic])
        try:
            admin.delete_records({place: 1})
        finally:
            kafka_topics.raise_settings(stack.kafka, [CURSORS])
    after = remembers(stack.kafka)
    with filled(stack.kafka, path) as copy:
        assert has(copy, after)
        assert not has(copy, MARK)


def test_what_an_earlier_version_could_not_read_is_read_by_the_next(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(value: bytes | None) -> Any:
        raise codec.NewerError("a later version has written it")

    with filled(stack.kafka, tmp_path / FILE):
        pass
    key = remembers(stack.kafka)
    with monkeypatch.context() as earlier:
        earlier.setattr("services.ingest.leases.copy.read", cannot)
        with filled(stack.kafka, tmp_path / FILE) as copy:
            assert not has(copy, key)
    mark(tmp_path / FILE)
    with filled(stack.kafka, tmp_path / FILE) as copy:
        assert has(copy, key)
        assert has(copy, MARK)  # it was not read from the beginning
    with closing(Copy("nowhere", tmp_path / FILE, LOG).opened(None)[1]) as rows:
        assert rows.skipped() == {}


@pytest.mark.anyio
async def test_a_process_takes_part_once_its_copy_is_complete(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brand, complete, filling = f"brand-{uuid4().hex}", threading.Event(), threading.Event()
    fill = Copy.fill

    def slowly(copy: Copy, stopped: Callable[[], bool]) -> None:
        filling.set()
        assert complete.wait(60)
        fill(copy, stopped)

    monkeypatch.setattr(Copy, "fill", slowly)
    async with process(stack.kafka, tmp_path, "one") as leases:
        await until(filling.is_set, "it to begin")
        assert leases._consumer is None
        assert not leases.knows(brand)
        complete.set()
        await until(lambda: holds(leases, brand), "it to have the lease")


@pytest.mark.anyio
async def test_a_process_that_fills_its_copy_is_ready_only_where_nobody_else_reads(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brand, complete = f"brand-{uuid4().hex}", threading.Event()
    fill = Copy.fill

    def slowly(copy: Copy, stopped: Callable[[], bool]) -> None:
        while not complete.is_set() and not stopped():
            time.sleep(0.05)
        fill(copy, stopped)

    monkeypatch.setattr("services.ingest.leases.leases.OTHERS_SECONDS", 0.2)
    async with process(stack.kafka, tmp_path, "one") as one:
        await until(lambda: holds(one, brand), "it to have the lease")
        assert one.filling() is None
        monkeypatch.setattr(Copy, "fill", slowly)
        async with process(stack.kafka, tmp_path, "two") as two:
            for _ in range(20):
                assert two.filling() == FILLING
                await asyncio.sleep(0.05)
            await one.leave()
            await until(lambda: two.filling() is None, "it to be ready, as the one that read has gone")
            complete.set()
            await until(lambda: holds(two, brand), "it to have the lease")
            assert two.filling() is None


@pytest.mark.anyio
async def test_a_file_that_is_damaged_while_it_is_used_is_read_again(stack: Any, tmp_path: Path) -> None:
    brand = f"brand-{uuid4().hex}"
    async with process(stack.kafka, tmp_path, "one") as leases:
        await until(lambda: holds(leases, brand), "it to have the lease")
        await remember(leases, brand, "41")
        lease = leases.of(brand)
        assert lease is not None
        # What it reads of itself would put the row right again.
        end = kafka_topics.offsets(stack.kafka, PLACES, OffsetSpec.LATEST)[PLACES[lease.partition]]
        await until(lambda: leases._copy.next_of(lease.partition) >= end, "it to read what it wrote")
        run(tmp_path / "one" / FILE, "UPDATE row SET value = x'7b'")
        try:
            read = remembered(leases, brand)
        except sqlite3.DatabaseError:
            pass
        else:
            assert lease.ended, "it is read only once the process has noticed by itself"
            assert read in (None, "41")
        await until(lambda: lease.ended, "it to notice")
        await until(lambda: holds(leases, brand), "it to have the lease again")
        assert remembered(leases, brand) == "41"


@pytest.mark.anyio
async def test_what_another_process_writes_is_there_before_its_partition_is_claimed(stack: Any, tmp_path: Path) -> None:
    brand = f"brand-{uuid4().hex}"
    async with process(stack.kafka, tmp_path, "one") as one, process(stack.kafka, tmp_path, "two") as two:

        def reader() -> Any:
            return next((each for each in (one, two) if holds(each, brand)), None)

        await until(lambda: two.held() and one.held() and reader(), "the two to share them")
        holder = reader()
        other = two if holder is one else one
        await remember(holder, brand, "43")
        await until(lambda: remembered(other, brand) == "43", "the other to have it too")
        assert partition_of_brand(brand) not in other.held()
