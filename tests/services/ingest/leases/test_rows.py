"""The file with the copy of the cursors topic: of each key the right record, in whatever order they are taken in."""

import errno
import itertools
import logging
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rapport.contracts import codec
from rapport.contracts.cursors import Cursor, Position, Remembered, key_of_cursor, position_key
from services.ingest.leases.copy import Copy
from services.ingest.leases.rows import KEPT, Rows, Taken, is_broken

NOW = datetime(2026, 11, 29, 20, tzinfo=UTC)
KEY = position_key("a", "notifications")


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    made = Rows(tmp_path / "rows.sqlite")
    yield made
    made.close()


def wrote(offset: int, cursor: Cursor) -> Taken:
    return Taken(offset, key_of_cursor(cursor, 0), codec.encode(cursor), cursor)


def position(offset: int, at: str, claim: int) -> Taken:
    return wrote(offset, Position(account="a", list="notifications", position=at, claim=claim))


def at(rows: Rows) -> str | None:
    found = rows.get(KEY)
    return found.position if found else None


def test_of_one_key_the_highest_claim_counts_and_of_one_claim_the_last_record(tmp_path: Path) -> None:
    records = (position(4, "10", 3), position(5, "11", 3), position(8, "12", 7), position(9, "9", 3))
    for number, order in enumerate(itertools.permutations(records)):
        rows = Rows(tmp_path / f"{number}.sqlite")
        rows.wrote(0, order)
        assert at(rows) == "12", order
        rows.close()


def test_what_was_written_does_not_go_back_when_it_is_read_later(rows: Rows) -> None:
    first, second, gone = position(4, "10", 3), position(5, "11", 3), Taken(6, KEY, None, None)
    rows.wrote(0, [first, second])
    rows.read(0, [first], 5, NOW, 0)
    assert at(rows) == "11"
    rows.wrote(0, [gone, position(7, "12", 3)])
    rows.read(0, [second, gone], 7, NOW, 0)
    assert at(rows) == "12"
    rows.wrote(0, [Taken(8, KEY, None, None)])
    assert at(rows) is None


def test_claims_of_a_topic_that_this_one_has_replaced_hold_up_nothing(rows: Rows) -> None:
    rows.read(0, [position(0, "1000", 5_000)], 1, NOW, 0)
    assert at(rows) == "1000"
    rows.read(0, [position(4, "1001", 3)], 5, NOW, 0)
    assert at(rows) == "1001"


def test_rows_and_how_far_they_were_read_outlive_the_process(tmp_path: Path) -> None:
    first = Rows(tmp_path / "rows.sqlite")
    first.begin("an-id", NOW)
    first.read(3, [position(4, "10", 3)], 5, NOW + timedelta(hours=1), 0)
    first.close()
    second = Rows(tmp_path / "rows.sqlite")
    assert (at(second), second.places()) == ("10", {3: 5})
    assert second.topic() == ("an-id", NOW + timedelta(hours=1))
    second.close()


def test_when_the_latest_record_was_appended_is_known_unless_an_older_version_read_on(rows: Rows) -> None:
    assert rows.latest() == {}
    rows.read(3, [position(4, "10", 3)], 5, NOW, 1_000)
    rows.read(3, [position(5, "11", 3)], 6, NOW, 900)  # the next leader's clock is behind
    rows.read(4, [], 9, NOW, 2_000)
    assert rows.latest() == {3: 1_000, 4: 2_000}
    rows._file.execute("INSERT OR REPLACE INTO place VALUES (3, 8)")
    assert rows.latest() == {4: 2_000}
    rows.read(3, [], 9, NOW, 3_000)
    assert rows.latest() == {3: 3_000, 4: 2_000}


def test_what_somebody_wrote_is_outlived_after_90_days(rows: Rows) -> None:
    thing = Remembered(
        account="a", thing="1", kind="comment", actor="ada", conversation="a:ada", seen_at=NOW, claim=3
    )  # fmt: skip
    rows.wrote(0, [wrote(4, thing), position(5, "10", 3)])
    assert rows.outlived(0, NOW + KEPT, 10) == []
    assert rows.outlived(1, NOW + KEPT * 2, 10) == []
    assert rows.outlived(0, NOW + KEPT + timedelta(seconds=1), 10) == [key_of_cursor(thing, 0)]


def read_all(path: Path) -> None:
    rows = Rows(path)
    for number in range(2_000):
        rows.get(position_key(f"a{number}", "x"))


@pytest.mark.parametrize("what", ["nonsense", "another format", "a damaged page", "a value that is none"])
def test_a_damaged_file_says_so(tmp_path: Path, what: str) -> None:
    path = tmp_path / "rows.sqlite"
    if what == "nonsense":
        path.write_bytes(b"this is no database, whatever its name says" * 200)
    elif what == "another format":
        older = sqlite3.connect(path)
        older.execute("CREATE TABLE row (key BLOB NOT NULL PRIMARY KEY, value BLOB)")
        older.close()
    else:
        rows = Rows(path)
        rows.wrote(0, [wrote(n, Position(account=f"a{n}", list="x", position="1", claim=0)) for n in range(2_000)])
        rows.close()
        if what == "a damaged page":
            whole = path.read_bytes()
            path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
        else:
            file = sqlite3.connect(path)
            file.execute("UPDATE row SET value = x'7b'")
            file.commit()
            file.close()
    with pytest.raises(sqlite3.Error) as caught:
        read_all(path)
    assert is_broken(caught.value), repr(caught.value)


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows.sqlite")
    rows._file.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError) as caught:
        rows.wrote(0, [wrote(n, Position(account=f"a{n}", list="x", position="1", claim=0)) for n in range(2_000)])
    assert not is_broken(caught.value)
    rows.close()


def test_a_copy_is_not_filled_where_there_is_no_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, start: int, size: int) -> None:
        if size > 8 * 1024 * 1024:
            raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "posix_fallocate", full)
    copy = Copy("localhost:1", tmp_path / "leases.sqlite", logging.getLogger("test"))
    with pytest.raises(OSError, match="no space left"):
        copy.fill(lambda: False)
    assert list(tmp_path.iterdir()) == []


def test_what_was_seen_at_the_end_of_all_times_stops_nobody(rows: Rows) -> None:
    seen = datetime(9999, 12, 31, tzinfo=UTC)
    late = Remembered(account="a", thing="t", kind="comment", actor="x", conversation="c", seen_at=seen, claim=1)
    rows.wrote(0, [wrote(5, late)])
    assert rows.get(key_of_cursor(late, 0)) == late


def test_a_start_is_no_reading(rows: Rows) -> None:
    rows.begin("topic", NOW)
    rows.begin("topic", NOW + timedelta(days=9))
    assert rows.topic() == ("topic", NOW)
    rows.begin("another", NOW + timedelta(days=9))
    assert rows.topic() == ("another", NOW + timedelta(days=9))
