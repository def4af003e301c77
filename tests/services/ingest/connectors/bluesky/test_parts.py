"""Where a stream is opened, what it may write, and what it keeps, as leases come and go."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts.cursors import partition_of_brand
from rapport.contracts.events import Account
from rapport.kit.broker.producer import NotAcknowledgedError
from services.ingest.connectors.bluesky.frames import LIKE
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.parts import Parts
from services.ingest.connectors.bluesky.source import Source, Wire
from services.ingest.connectors.ledger import Ledger
from services.ingest.connectors.older_ledger import OlderLedger
from services.ingest.connectors.seen import UnsavedLedger
from tests.services.ingest.connectors.bluesky.test_hostile_stream import FAN, NOW, Kept, streaming
from tests.services.ingest.jetstream import commit
from tests.services.ingest.leases.held import Held

pytestmark = pytest.mark.anyio


def us(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


NOW_US = us(NOW)


def brand_of(name: str, connected_at: datetime = NOW - timedelta(days=9)) -> Watched:
    account = Account(id=f"{name}-1", platform="bluesky", handle=name, connected_at=connected_at, door_secrets=())
    did = f"did:plc:{name}"
    return Watched(name, account, did, frozenset({did}))


def two_partitions() -> tuple[str, str]:
    """Brands that lie in different ones."""
    first = "brand0"
    return first, next(
        name for name in (f"brand{number}" for number in range(1, 99))
        if partition_of_brand(name) != partition_of_brand(first)
    )  # fmt: skip


ONE, TWO = (brand_of(name) for name in two_partitions())


class Process:
    """What a process has of one stream."""

    def __init__(self, folder: Path, wire: Wire = "jetstream") -> None:
        self.leases = Held(folder)
        self.older = OlderLedger(folder / "older.sqlite")
        self.ledger = Ledger("bluesky", self.leases, self.older, lambda: NOW, self.leases._log)
        self.parts = Parts(Source("wss://host/subscribe", wire), self.leases, self.ledger, self.older)
        self.clock = 1_000.0

    def watches(self, *watched: Watched) -> bool:
        """Under the leases that it has; whether it has to be opened again."""
        leases = [(self.leases.of(one.brand), one) for one in watched]
        return self.parts.watch([(lease, one) for lease, one in leases if lease is not None])

    async def reads_to(self, position: int, *brought: str) -> None:
        """Everything up to a position is in the log."""
        parts = await self.parts.still(self.parts.read())
        self.clock += 60
        await self.parts.keep(parts, position, UnsavedLedger(self.ledger), self.clock, set(brought))

    async def ends(self) -> None:
        await self.leases.close()
        self.older.close()


async def test_a_new_account_is_read_from_when_it_was_connected_and_then_from_where_it_is(tmp_path: Path) -> None:
    one = Process(tmp_path)
    one.leases.give(ONE.brand)
    recent = brand_of(ONE.brand, NOW - timedelta(hours=1))
    assert one.watches(recent)
    assert await one.parts.open_at(NOW) == us(NOW - timedelta(hours=1))
    await one.reads_to(NOW_US)
    assert not one.watches(recent)
    assert await one.parts.open_at(NOW) == NOW_US
    await one.ends()
    again = Process(tmp_path)
    again.leases.give(ONE.brand)
    again.watches(recent)
    assert await again.parts.open_at(NOW) == NOW_US
    await again.ends()


async def test_it_is_opened_at_the_lowest_position_and_again_when_it_is_given_a_lower_one(tmp_path: Path) -> None:
    before = Process(tmp_path)
    for brand, position in ((TWO.brand, NOW_US - 9_000_000), (ONE.brand, NOW_US - 60_000_000)):
        before.leases.give(brand)
        before.watches(ONE if brand == ONE.brand else TWO)
        await before.parts.open_at(NOW)
        await before.reads_to(position)
        before.leases.take(brand)
    await before.ends()
    one = Process(tmp_path)
    one.leases.give(TWO.brand)
    assert one.watches(TWO)
    assert await one.parts.open_at(NOW) == NOW_US - 9_000_000
    await one.reads_to(NOW_US)
    one.leases.give(ONE.brand)
    assert one.watches(TWO, ONE)
    assert await one.parts.open_at(NOW) == NOW_US - 60_000_000
    # What is read again for the other does not set back its position.
    await one.reads_to(NOW_US - 30_000_000)
    assert {part.lease.partition: part.position for part in one.parts.all()} == {
        partition_of_brand(TWO.brand): NOW_US,
        partition_of_brand(ONE.brand): NOW_US - 30_000_000,
    }
    await one.ends()


async def test_what_was_given_since_it_was_opened_gets_no_position_of_what_is_being_read(tmp_path: Path) -> None:
    before = Process(tmp_path)
    before.leases.give(ONE.brand)
    before.watches(ONE)
    await before.parts.open_at(NOW)
    await before.reads_to(NOW_US - 60_000_000)
    await before.ends()
    one = Process(tmp_path)
    one.leases.give(TWO.brand)
    one.watches(TWO)
    await one.parts.open_at(NOW)
    await one.reads_to(NOW_US - 1_000_000)
    one.leases.give(ONE.brand)
    assert one.watches(TWO, ONE)
    await one.reads_to(NOW_US)
    assert await one.parts.open_at(NOW) == NOW_US - 60_000_000
    await one.ends()


async def test_somebody_who_comes_back_is_read_from_the_connection_on(tmp_path: Path) -> None:
    one = Process(tmp_path)
    one.leases.give(ONE.brand)
    recent = brand_of(ONE.brand, NOW - timedelta(hours=2))
    other = Watched(ONE.brand, brand_of("other").account, "did:plc:other", frozenset({"did:plc:other"}))
    one.watches(other, recent)
    await one.parts.open_at(NOW)
    await one.reads_to(NOW_US)
    assert one.watches(other)
    await one.reads_to(NOW_US + 1_000_000)
    assert one.watches(other, recent)
    assert await one.parts.open_at(NOW) == us(NOW - timedelta(hours=2))
    await one.ends()


async def test_a_relay_is_read_along_where_nobody_has_read_before(tmp_path: Path) -> None:
    one = Process(tmp_path, "repos")
    one.leases.give(ONE.brand)
    assert not one.watches(ONE)
    assert await one.parts.open_at(NOW) is None
    await one.reads_to(70)
    one.leases.give(TWO.brand)
    assert not one.watches(ONE, TWO)
    await one.reads_to(90)
    await one.ends()
    next_ = Process(tmp_path, "repos")
    next_.leases.give(TWO.brand)
    assert next_.watches(TWO)
    assert await next_.parts.open_at(NOW) == 90
    await next_.ends()


async def read_before(folder: Path, position: int, wire: Wire = "jetstream") -> None:
    """A process has read for ONE up to there, and ONE is not connected any more."""
    before = Process(folder, wire)
    before.leases.give(ONE.brand)
    before.watches(ONE)
    await before.parts.open_at(NOW)
    await before.reads_to(position)
    await before.ends()


async def test_who_comes_long_after_the_last_of_a_partition_does_not_take_its_position(tmp_path: Path) -> None:
    await read_before(tmp_path, NOW_US)
    later = NOW + timedelta(days=90)
    one = Process(tmp_path)
    one.leases.give(ONE.brand)
    fresh = Watched(ONE.brand, brand_of("fresh", later - timedelta(hours=1)).account, "did:plc:f", frozenset())
    assert one.watches(fresh)
    assert await one.parts.open_at(later) == us(later - timedelta(hours=1))
    await one.ends()


async def test_who_is_connected_again_long_after_is_read_from_that_on(tmp_path: Path) -> None:
    await read_before(tmp_path, NOW_US)
    later = NOW + timedelta(days=90)
    one = Process(tmp_path)
    one.leases.give(ONE.brand)
    assert one.watches(brand_of(ONE.brand, later - timedelta(hours=2)))
    assert await one.parts.open_at(later) == us(later - timedelta(hours=2))
    await one.ends()


async def test_who_comes_to_a_relay_long_after_the_last_of_a_partition_is_read_along(tmp_path: Path) -> None:
    await read_before(tmp_path, 70, "repos")
    fresh = Watched(ONE.brand, brand_of("fresh").account, "did:plc:f", frozenset())
    one = Process(tmp_path, "repos")
    one.leases.give(ONE.brand)
    assert not one.watches(fresh)
    assert await one.parts.open_at(NOW) is None
    await one.reads_to(9_000)
    await one.ends()
    again = Process(tmp_path, "repos")
    again.leases.give(ONE.brand)
    assert again.watches(fresh)
    assert await again.parts.open_at(NOW) == 9_000
    await again.ends()


async def test_whom_a_relay_is_read_for_is_noted_also_of_a_partition_that_came_later(tmp_path: Path) -> None:
    await read_before(tmp_path, 70, "repos")
    fresh = Watched(ONE.brand, brand_of("fresh").account, "did:plc:f", frozenset())
    one = Process(tmp_path, "repos")
    one.leases.give(TWO.brand)
    one.watches(TWO)
    await one.parts.open_at(NOW)
    await one.reads_to(8_000)
    one.leases.give(ONE.brand)
    assert not one.watches(TWO, fresh)
    await one.reads_to(9_000)
    await one.ends()
    again = Process(tmp_path, "repos")
    again.leases.give(ONE.brand)
    again.watches(fresh)
    assert await again.parts.open_at(NOW) == 9_000
    await again.ends()


async def test_a_server_that_never_reached_a_position_is_read_from_now(tmp_path: Path) -> None:
    one = Process(tmp_path, "repos")
    one.leases.give(ONE.brand)
    one.watches(ONE)
    await one.parts.open_at(NOW)
    await one.reads_to(70)
    await one.parts.forget()
    assert await one.parts.open_at(NOW) is None
    await one.reads_to(3)
    await one.ends()
    next_ = Process(tmp_path, "repos")
    next_.leases.give(ONE.brand)
    next_.watches(ONE)
    assert await next_.parts.open_at(NOW) == 3
    await next_.ends()


async def test_a_position_that_is_still_to_come_is_set_back_to_now(tmp_path: Path) -> None:
    """A server's clock, or one frame of it, was wrong by years."""
    ahead = us(NOW + timedelta(days=3_000))
    one = Process(tmp_path)
    for brand in (ONE, TWO):
        one.leases.give(brand.brand)
    one.watches(ONE, TWO)
    await one.parts.open_at(NOW)
    await one.reads_to(ahead)
    # Also without another process: the connection breaks, and is opened again.
    assert await one.parts.open_at(NOW) == NOW_US
    await one.reads_to(ahead)
    one.leases.take(TWO.brand)
    await one.ends()
    two = Process(tmp_path)
    two.leases.give(ONE.brand)
    two.watches(ONE)
    assert await two.parts.open_at(NOW) == NOW_US
    await two.ends()
    # It stands in the topic before anything is read.
    three = Process(tmp_path)
    three.leases.give(ONE.brand)
    three.watches(ONE)
    assert await three.parts.open_at(NOW + timedelta(hours=1)) == NOW_US
    await three.ends()


async def test_a_number_of_a_relay_is_no_time(tmp_path: Path) -> None:
    one = Process(tmp_path, "repos")
    one.leases.give(ONE.brand)
    one.watches(ONE)
    await one.parts.open_at(NOW)
    await one.reads_to(2 * NOW_US)
    assert await one.parts.open_at(NOW) == 2 * NOW_US
    await one.ends()


async def test_the_position_of_an_older_version_counts_until_there_is_one(tmp_path: Path) -> None:
    OlderLedger(tmp_path / "older.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "older.sqlite")) as file:
        file.execute("INSERT INTO cursor VALUES ('wss://host/subscribe', ?)", (NOW_US - 5_000_000,))
        file.execute("INSERT INTO joined VALUES ('wss://host/subscribe', ?)", (ONE.account.id,))
        file.commit()
    one = Process(tmp_path)
    one.leases.give(ONE.brand)
    one.leases.give(TWO.brand)
    recent = brand_of(TWO.brand, NOW - timedelta(seconds=1))
    one.watches(ONE, recent)
    assert await one.parts.open_at(NOW) == NOW_US - 5_000_000
    assert sorted(part.position or 0 for part in one.parts.all()) == [NOW_US - 5_000_000, NOW_US - 1_000_000]
    await one.reads_to(NOW_US)
    await one.ends()
    again = Process(tmp_path)
    again.leases.give(ONE.brand)
    again.watches(ONE)
    assert await again.parts.open_at(NOW) == NOW_US
    await again.ends()


async def test_one_partition_that_cannot_be_written_does_not_hold_back_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Process(tmp_path)
    failing = one.leases.give(ONE.brand)
    one.leases.give(TWO.brand)
    one.watches(ONE, TWO)
    began = await one.parts.open_at(NOW)
    put = one.leases.put

    async def fails(lease: Any, *rest: Any) -> None:
        if lease is failing:
            raise NotAcknowledgedError("the broker did not answer")
        await put(lease, *rest)

    monkeypatch.setattr(one.leases, "put", fails)
    with pytest.raises(NotAcknowledgedError):
        await one.reads_to(NOW_US)
    assert {part.lease.partition: part.position for part in one.parts.all()} == {
        partition_of_brand(ONE.brand): began,
        partition_of_brand(TWO.brand): NOW_US,
    }
    await one.ends()


async def test_the_position_of_an_older_version_counts_once(tmp_path: Path) -> None:
    OlderLedger(tmp_path / "older.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "older.sqlite")) as file:
        file.execute("INSERT INTO cursor VALUES ('wss://host/subscribe', ?)", (NOW_US - 5_000_000,))
        file.execute("INSERT INTO joined VALUES ('wss://host/subscribe', ?)", (ONE.account.id,))
        file.commit()
    await read_before(tmp_path, NOW_US)
    with closing(sqlite3.connect(tmp_path / "leases.sqlite")) as file:
        file.execute("DELETE FROM row")  # the topic was made anew
        file.commit()
    later = NOW + timedelta(days=90)
    one = Process(tmp_path)
    one.leases.give(ONE.brand)
    one.watches(ONE)
    assert await one.parts.open_at(later) == us(later - timedelta(hours=24))
    await one.ends()


def like(brand: Watched, rkey: str, operation: str = "create") -> str:
    record = None if operation == "delete" else {"subject": {"uri": f"at://{brand.did}/app.bsky.feed.post/1"}}
    return json.dumps(commit(FAN, NOW_US, LIKE, rkey, record, operation=operation))


async def taking(stream: Any, *frames: str) -> None:
    await asyncio.wait_for(stream._take(frames), 30)


async def test_what_concerns_an_account_that_went_to_another_process_is_left_to_that(tmp_path: Path) -> None:
    kept = Kept()
    async with streaming(tmp_path, kept, NOW, [ONE, TWO]) as (stream, leases):
        leases.take(ONE.brand)
        await taking(stream, like(ONE, "a"), like(TWO, "b"))
        assert [each.brand for each in kept.interactions()] == [TWO.brand]
        assert leases.find(f"at://{FAN}/{LIKE}/a") == []
        assert len(leases.find(f"at://{FAN}/{LIKE}/b")) == 1


async def test_nothing_is_written_while_it_is_not_certain_whose_the_accounts_are(tmp_path: Path) -> None:
    kept = Kept()
    async with streaming(tmp_path, kept, NOW, [ONE, TWO]) as (stream, leases):
        leases.unsure = True
        assert stream._parts.unsure() == {ONE.account.id, TWO.account.id}
        take = asyncio.create_task(taking(stream, like(ONE, "a"), like(TWO, "b")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(take), 1)
        assert kept.records == []
        leases.take(ONE.brand)
        leases.unsure = False
        await take
        assert [each.brand for each in kept.interactions()] == [TWO.brand]


async def test_a_like_that_another_process_saw_is_taken_back(tmp_path: Path) -> None:
    first, second = Kept(), Kept()
    async with streaming(tmp_path, first, NOW, [ONE]) as (stream, _):
        await taking(stream, like(ONE, "a"))
    async with streaming(tmp_path, second, NOW, [ONE]) as (stream, _):
        await taking(stream, like(ONE, "a", "delete"))
    (liked,), (undone,) = first.interactions(), second.interactions()
    assert (undone.kind, undone.undo, undone.object) == ("reaction", True, liked.object)
