"""What a connector notes of the records of a stream, and how what an older version noted gets there."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.ingest.connectors.bluesky.connector import opened
from services.ingest.connectors.ledger import BEFORE_ALL_CLAIMS, THROUGH_AGAIN, Ledger
from services.ingest.connectors.older_ledger import KEPT, Entry, OlderLedger, count
from services.ingest.connectors.seen import Seen
from services.ingest.leases.leases import LostError
from tests.services.ingest.leases.held import Held

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SEEN = Seen("at://a/b/c", "acme", "comment", "acme:fan", "thread", None, "fan", None, "rev1")
FOLLOW = Seen("at://f/app.bsky.graph.follow/1", "acme", "follow", "b:f", None, None, "f", None, "r")
GATE = Seen("at://a/gate/1", "acme", "hide", "a:a", "t", "t", "a", None, "r", "at://f/p/1 at://f/p/2")

pytestmark = pytest.mark.anyio


class Story:
    """One process, its ledger, and the file of an older version beside it."""

    def __init__(self, folder: Path) -> None:
        self.leases = Held(folder)
        self.older = OlderLedger(folder / "older.sqlite")
        self.now = NOW
        self.ledger = Ledger("bluesky", self.leases, self.older, lambda: self.now, logging.getLogger("test"))

    async def moves(self, **brands: str) -> None:
        """Until nothing more can be moved. `brands` are those of the accounts that are connected."""
        while await self.ledger._move_some(brands):
            pass


@asynccontextmanager
async def story(folder: Path) -> AsyncIterator[Story]:
    made = Story(folder)
    try:
        yield made
    finally:
        await made.leases.close()
        made.older.close()


def noted_before(folder: Path, *entries: tuple[Seen, datetime | None], count: int = 0) -> None:
    """What an older version has in its file, with when it was deleted; and so many likes by strangers."""
    noted_before_too(folder, *entries)
    with contextlib.closing(sqlite3.connect(folder / "older.sqlite")) as file:
        file.executemany(
            "INSERT INTO seen VALUES (?, 'acme', 'reaction', 'b:x', NULL, NULL, 'x', NULL, 'r', 0, NULL, NULL)",
            [(f"at://x/like/{number:06}",) for number in range(count)],
        )
        file.execute("INSERT INTO cursor VALUES ('wss://host/subscribe', 7)")
        file.execute("INSERT INTO joined VALUES ('wss://host/subscribe', 'acme')")
        file.commit()


def noted_before_too(folder: Path, *entries: tuple[Seen, datetime | None]) -> None:
    """More that an older version has in its file, with when it was deleted."""
    OlderLedger(folder / "older.sqlite").close()
    with contextlib.closing(sqlite3.connect(folder / "older.sqlite")) as file:
        for seen, gone in entries:
            file.execute(
                "INSERT INTO seen (uri, account, kind, conversation, thread, post, follower, parent, rev, hidden, "
                "seen_at, gone_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                (
                    seen.uri, seen.account, seen.kind, seen.conversation, seen.thread, seen.post, seen.follower,
                    seen.parent, seen.rev, seen.hidden, None if gone is None else int(gone.timestamp()),
                ),
            )  # fmt: skip
        file.commit()


async def test_what_was_noted_is_found_by_address_and_by_person_also_by_the_next_process(tmp_path: Path) -> None:
    async with story(tmp_path) as first:
        await first.ledger.keep(first.leases.give("brand"), [SEEN, GATE], [])
        assert first.ledger.find(SEEN.uri) == [SEEN]
    async with story(tmp_path) as second:
        assert second.ledger.find(SEEN.uri) == [SEEN]
        assert second.ledger.find(GATE.uri) == [GATE]
        assert second.ledger.known_to("fan") == {"acme"}
        assert second.ledger.find("at://other") == []
        assert second.ledger.known_to("nobody") == set()


async def test_what_stands_is_kept_for_good_and_what_was_deleted_for_90_days(tmp_path: Path) -> None:
    async with story(tmp_path) as one:
        lease = one.leases.give("brand")
        await one.ledger.keep(lease, [SEEN, FOLLOW], [])
        assert one.leases._outlived(lease, NOW + timedelta(days=2_000)) == []
        await one.ledger.keep(lease, [], [SEEN])
        assert one.ledger.find(SEEN.uri) == [SEEN]
        assert one.leases._outlived(lease, NOW + KEPT) == []
        assert len(one.leases._outlived(lease, NOW + KEPT + timedelta(seconds=1))) == 1


async def test_what_a_stranger_made_too_large_is_left_out_and_what_stands_beside_it_is_noted(tmp_path: Path) -> None:
    async with story(tmp_path) as one:
        huge = Seen(f"at://a/b/{'x' * 600}", "acme", "comment", "a:b", None, None, "fan", None, "r")
        await one.ledger.keep(one.leases.give("brand"), [huge, SEEN], [])
        assert one.ledger.find(huge.uri) == []
        assert one.ledger.find(SEEN.uri) == [SEEN]


async def test_an_older_ledger_moves_and_both_are_looked_at_meanwhile(tmp_path: Path) -> None:
    noted_before(tmp_path, (FOLLOW, None), (GATE, None), (SEEN, NOW - timedelta(days=1)), count=1_200)
    async with story(tmp_path) as one:
        before = one.older.path.stat().st_size
        one.leases.give("brand")
        assert one.ledger.find(FOLLOW.uri) == [FOLLOW]
        assert one.ledger.known_to("x") == {"acme"}
        await one.ledger._move_some({"acme": "brand"})
        assert one.older.left
        for seen in (FOLLOW, GATE, SEEN):
            assert one.ledger.find(seen.uri) == [seen]
        await one.moves(acme="brand")
        assert not one.older.left
        assert count(one.older.path) == 0
        assert one.older.path.stat().st_size < before
        for seen in (FOLLOW, GATE, SEEN):
            assert one.ledger.find(seen.uri) == [seen]
        assert one.ledger.find("at://x/like/000700")[0].follower == "x"
        assert one.ledger.known_to("x") == {"acme"}
        lease = one.leases.give("brand")
        # What was deleted before it moved is forgotten when it would have been.
        assert len(one.leases._outlived(lease, NOW + KEPT - timedelta(hours=1))) == 1


async def test_what_was_noted_meanwhile_counts_more_than_what_is_moved(tmp_path: Path) -> None:
    noted_before(tmp_path, (GATE, None))
    newer = Seen(GATE.uri, "acme", "hide", "a:a", "t", "t", "a", None, "s", None)
    async with story(tmp_path) as one:
        lease = one.leases.give("brand")
        await one.ledger.keep(lease, [newer], [])
        assert one.ledger.find(GATE.uri) == [newer]
        entries = one.older.some(("", ""), 10)
        await one.moves(acme="brand")
        assert one.ledger.find(GATE.uri) == [newer]
        # Even where it came into the topic later.
        moved = one.ledger._remembered(entries[0].seen, BEFORE_ALL_CLAIMS, NOW, None)
        assert moved is not None
        await one.leases.put(lease, [moved])
        assert one.ledger.find(GATE.uri) == [newer]


async def test_what_another_process_reads_and_who_is_not_connected_stay_in_the_file(tmp_path: Path) -> None:
    noted_before(tmp_path, (FOLLOW, None))
    async with story(tmp_path) as one:
        await one.moves(acme="brand")
        await one.moves()
        one.leases.give("brand")
        one.leases.unsure = True
        await one.moves(acme="brand")
        assert count(one.older.path) == 1
        assert one.ledger.find(FOLLOW.uri) == [FOLLOW]
        one.leases.unsure = False
        await one.moves(acme="brand")
        await one.moves(acme="brand")
        assert count(one.older.path) == 0


async def test_what_cannot_be_moved_is_not_looked_through_again_until_more_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Millions may be in the file of accounts that are not connected any more."""
    noted_before(tmp_path, (FOLLOW, None), count=1_200)
    other = Seen("at://a/like/1", "other", "reaction", "o:z", None, None, "z", None, "r")
    gone = Seen("at://z/like/2", "gone", "reaction", "o:z", None, None, "z", None, "r")
    noted_before_too(tmp_path, (other, None), (gone, NOW - KEPT + timedelta(hours=1)))
    async with story(tmp_path) as one:
        lots: list[int] = []
        some = one.older.some

        def counted(after: tuple[str, str], most: int) -> list[Entry]:
            found = some(after, most)
            lots.append(len(found))
            return found

        async def looks(**brands: str) -> list[int]:
            lots.clear()
            await one.moves(**brands)
            return lots

        monkeypatch.setattr(one.older, "some", counted)
        one.leases.give("brand")
        assert sum(await looks(nobody="brand")) == 1_203
        assert await looks(nobody="brand") == []
        # An account that came while the file was looked through is not left out: its like was passed already.
        assert await one.ledger._move_some({"nobody": "brand", "another": "brand"})
        for _ in range(2):
            await one.moves(nobody="brand", another="brand", other="brand")
        assert (count(one.older.path), one.ledger.find(other.uri)) == (1_202, [other])
        assert await looks(nobody="brand", another="brand", other="brand") == []
        # What could not be written is tried again.
        one.leases.unsure = True
        assert await looks(acme="brand") == []
        one.leases.unsure = False
        put = one.leases.put

        async def loses(*_: Any) -> None:
            one.leases.unsure = True
            raise LostError

        monkeypatch.setattr(one.leases, "put", loses)
        await looks(acme="brand")
        assert count(one.older.path) == 1_202
        monkeypatch.setattr(one.leases, "put", put)
        one.leases.unsure = False
        await looks(acme="brand")
        assert count(one.older.path) == 1
        # And what need not be known any more leaves the file, whosever it is.
        assert await looks(acme="brand") == []
        one.now = NOW + THROUGH_AGAIN
        await looks(acme="brand")
        assert not one.older.left


async def test_what_was_deleted_90_days_ago_does_not_move(tmp_path: Path) -> None:
    noted_before(tmp_path, (SEEN, NOW - KEPT - timedelta(hours=1)))
    async with story(tmp_path) as one:
        one.leases.give("brand")
        await one.moves(acme="brand")
        assert (count(one.older.path), one.ledger.find(SEEN.uri)) == (0, [])


async def test_a_move_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    noted_before(tmp_path, count=1_200)
    for lots in (1, 10):
        async with story(tmp_path) as one:
            one.leases.give("brand")
            for _ in range(lots):
                await one.ledger._move_some({"acme": "brand"})
            assert {len(one.ledger.find(f"at://x/like/{number:06}")) for number in range(1_200)} == {1}
            left = count(one.older.path)
    assert left == 0


async def test_a_file_whose_room_could_not_be_given_back_shrinks_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "older.sqlite"
    noted_before(tmp_path, count=60_000)
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM seen")
        file.commit()
    before = path.stat().st_size
    OlderLedger(path).close()
    assert path.stat().st_size < before / 10


def damages(path: Path, name: str) -> None:
    """Spoils the page where a table or an index begins."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        (page,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        (size,) = file.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)


async def test_what_is_damaged_in_the_file_of_an_older_version_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noted_before(tmp_path, (FOLLOW, None))
    damages(tmp_path / "older.sqlite", "seen")
    async with story(tmp_path) as one:
        await one.ledger.keep(one.leases.give("brand"), [SEEN], [])
        for _ in range(2):
            assert one.ledger.known_to(SEEN.follower) == {SEEN.account}
            assert one.ledger.find(SEEN.uri) == [SEEN]
        await asyncio.wait_for(one.ledger.move(lambda: {"acme": "brand"}), 30)
    assert [each.levelname for each in caplog.records if "damaged" in each.message] == ["ERROR"]


@pytest.mark.parametrize("name", ["all of it", "seen_follower"])
async def test_a_file_that_cannot_be_opened_is_put_aside(tmp_path: Path, name: str) -> None:
    noted_before(tmp_path, (FOLLOW, None))
    path = tmp_path / "older.sqlite"
    damages(path, name) if name == "seen_follower" else path.write_bytes(b"no database" * 1_000)
    older, verified = opened(path, logging.getLogger("test"))
    assert not older.left
    verified.note({"did:plc:a": "a.example"}, NOW)
    older.close()
    verified.close()
    assert (tmp_path / "older.sqlite.damaged").exists()


async def test_the_oldest_file_is_read_too(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "older.sqlite")) as file:
        file.executescript(
            """
            CREATE TABLE seen (
              uri TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL, conversation TEXT NOT NULL, thread TEXT,
              post TEXT, follower TEXT NOT NULL, parent TEXT, rev TEXT NOT NULL, seen_at INTEGER NOT NULL,
              PRIMARY KEY (uri, account)
            ) WITHOUT ROWID;
            CREATE INDEX seen_at ON seen (seen_at);
            INSERT INTO seen
              VALUES ('at://f/app.bsky.graph.follow/1', 'acme', 'follow', 'b:f', NULL, NULL, 'f', NULL, 'r', 0);
            """
        )
    for _ in range(2):
        async with story(tmp_path) as one:
            assert one.ledger.find(FOLLOW.uri) == [FOLLOW]
    async with story(tmp_path) as one:
        one.leases.give("brand")
        mover = asyncio.create_task(one.ledger.move(lambda: {"acme": "brand"}))
        await asyncio.wait_for(mover, 30)
        assert one.ledger.find(FOLLOW.uri) == [FOLLOW]
