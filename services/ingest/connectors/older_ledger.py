"""The file in which older versions kept what a connector remembers. It is emptied into the cursors topic."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.ingest.connectors.file import open_file, transaction
from services.ingest.connectors.seen import Seen
from services.ingest.leases.rows import is_broken

SHRUNK_FROM_PAGES = 1_000
"""Of so many empty pages on, a start takes the time for it."""
KEPT = timedelta(days=90)
"""How long a deleted record is still known: as long as the log keeps what came of it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
  uri TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL, conversation TEXT NOT NULL, thread TEXT, post TEXT,
  follower TEXT NOT NULL, parent TEXT, rev TEXT NOT NULL, seen_at INTEGER NOT NULL,
  gone_at INTEGER, hidden TEXT,
  PRIMARY KEY (uri, account)
) WITHOUT ROWID;
DROP INDEX IF EXISTS seen_at;  -- of older versions, which also forgot what was not deleted
CREATE INDEX IF NOT EXISTS seen_follower ON seen (follower);
CREATE TABLE IF NOT EXISTS cursor (source TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS joined (source TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY (source, account))
  WITHOUT ROWID;
"""


log = logging.getLogger("rapport.ingest")

_COLUMNS = ", ".join(field.name for field in fields(Seen))


@dataclass(frozen=True)
class Entry:
    """What is in the file, with when it was seen and when it was seen to be deleted."""

    seen: Seen
    seen_at: datetime
    gone_at: datetime | None


class OlderLedger:
    """For one thread. Raises sqlite3.Error where the file cannot be used.

    What is damaged in it is not found any more, and stops nobody: what was moved before is in the topic.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken = False
        self._file = open_file(path, _SCHEMA)
        try:
            columns = {row[1] for row in self._file.execute("PRAGMA table_info(seen)")}
            for name, kind in (("gone_at", "INTEGER"), ("hidden", "TEXT")):
                if name not in columns:
                    self._file.execute(f"ALTER TABLE seen ADD COLUMN {name} {kind}")
            self._left = self._any()
            self._shrink(SHRUNK_FROM_PAGES)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    @property
    def left(self) -> bool:
        """Whether anything is left in it."""
        return self._left

    def position(self, source: str) -> int | None:
        """How far a stream was read."""
        rows = self._rows("SELECT position FROM cursor WHERE source = ?", source)
        return int(rows[0][0]) if rows else None

    def joined(self, source: str) -> frozenset[str]:
        """The accounts that a stream was read for."""
        return frozenset(row[0] for row in self._rows("SELECT account FROM joined WHERE source = ?", source))

    def took_over(self, source: str, accounts: Iterable[str]) -> None:
        """How far a stream was read for these is in the topic now, and what is said here does not count any more."""
        with contextlib.suppress(sqlite3.DatabaseError), transaction(self._file):
            self._file.executemany(
                "DELETE FROM joined WHERE source = ? AND account = ?", [(source, account) for account in accounts]
            )

    def find(self, uri: str) -> list[Seen]:
        """What was noted under an address, by account."""
        if not self._left:
            return []
        found = f"SELECT {_COLUMNS} FROM seen WHERE uri = ?"  # noqa: S608 - our own columns
        return [Seen(*row) for row in self._rows(found, uri)]

    def known_to(self, follower: str) -> set[str]:
        """The accounts for which something by a person was noted."""
        if not self._left:
            return set()
        return {row[0] for row in self._rows("SELECT DISTINCT account FROM seen WHERE follower = ?", follower)}

    def give_up(self, why: Exception) -> None:
        """Nothing more is looked for in the file, because it is damaged."""
        log.error("%s is damaged; what has not moved out of it is not known any more: %s", self.path, why)
        self._left = False
        self.broken = True

    def some(self, after: tuple[str, str], most: int) -> list[Entry]:
        """Entries in the order of their addresses and accounts, from behind one of them on."""
        rows = self._file.execute(
            f"SELECT {_COLUMNS}, seen_at, gone_at FROM seen"  # noqa: S608 - our own columns
            " WHERE (uri, account) > (?, ?) ORDER BY uri, account LIMIT ?",
            (*after, most),
        )
        return [Entry(Seen(*row[:-2]), _time(row[-2]), None if row[-1] is None else _time(row[-1])) for row in rows]

    def drop(self, entries: Iterable[Seen]) -> None:
        """Drops what is in the topic now, or need not be known any more."""
        with transaction(self._file):
            self._file.executemany(
                "DELETE FROM seen WHERE uri = ? AND account = ?", [(each.uri, each.account) for each in entries]
            )
        self._left = self._any()
        self._shrink(1)

    def _rows(self, sql: str, value: str) -> list[tuple[Any, ...]]:
        if self.broken:
            return []
        try:
            return self._file.execute(sql, (value,)).fetchall()
        except sqlite3.Error as error:
            if not is_broken(error):
                raise
            self.give_up(error)
            return []

    def _shrink(self, empty_pages: int) -> None:
        """Gives its room back once nothing is left. Where others use it, or the disk is full, a start does."""
        with contextlib.suppress(sqlite3.OperationalError):
            (empty,) = self._file.execute("PRAGMA freelist_count").fetchone()
            if not self._left and empty >= empty_pages:
                self._file.executescript("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")

    def _any(self) -> bool:
        return self._file.execute("SELECT 1 FROM seen LIMIT 1").fetchone() is not None


def count(path: Path) -> int:
    """How many entries a file holds. For any thread: it takes a minute for some millions. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        (found,) = file.execute("SELECT count(*) FROM seen").fetchone()
        return int(found)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
