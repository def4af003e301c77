"""What a connector has to remember: how far it has read each stream, and what it saw under each address.

One SQLite file. Both are written in one transaction, and only after the broker has everything up to there, so that
after a crash the stream is read again from a place before which nothing is missing.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, fields
from datetime import datetime, timedelta
from pathlib import Path

from services.ingest.connectors.bluesky_facts import Seen

KEPT = timedelta(days=90)
"""So long after its deletion a record is still known: as long as the log keeps what came of it. Before it is deleted it
stays, for a deletion may come after years, and names nothing but an address."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
  uri TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL, conversation TEXT NOT NULL, thread TEXT, post TEXT,
  follower TEXT NOT NULL, parent TEXT, rev TEXT NOT NULL, seen_at INTEGER NOT NULL,
  gone_at INTEGER,
  PRIMARY KEY (uri, account)
) WITHOUT ROWID;
DROP INDEX IF EXISTS seen_at;  -- of older versions, which forgot what stood
CREATE INDEX IF NOT EXISTS seen_follower ON seen (follower);
CREATE TABLE IF NOT EXISTS cursor (source TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
DROP TABLE IF EXISTS handle;  -- of older versions, which verified nothing
CREATE TABLE IF NOT EXISTS verified (did TEXT PRIMARY KEY, handle TEXT NOT NULL, asked_at INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS joined (source TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY (source, account))
  WITHOUT ROWID;
"""
_GONE = "CREATE INDEX IF NOT EXISTS gone ON seen (gone_at) WHERE gone_at IS NOT NULL"
_COLUMNS = ", ".join(field.name for field in fields(Seen))


class Ledger:
    """For one thread. Raises sqlite3.Error where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path, isolation_level=None)
        # A crash of the process loses nothing; one of the machine at most the newest commits, which are read again.
        self._file.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        if "gone_at" not in {row[1] for row in self._file.execute("PRAGMA table_info(seen)")}:
            self._file.execute("ALTER TABLE seen ADD COLUMN gone_at INTEGER")
        self._file.execute(_GONE)

    def close(self) -> None:
        """Ends its use."""
        self._file.close()

    def position(self, source: str) -> int | None:
        """How far a stream was read."""
        row = self._file.execute("SELECT position FROM cursor WHERE source = ?", (source,)).fetchone()
        return int(row[0]) if row else None

    def forget(self, source: str) -> None:
        """Drops a stream's position, because the server says that it never was there."""
        self._file.execute("DELETE FROM cursor WHERE source = ?", (source,))

    def joined(self, source: str) -> set[str]:
        """The accounts that a stream was read for when it was last opened."""
        return {row[0] for row in self._file.execute("SELECT account FROM joined WHERE source = ?", (source,))}

    def join(self, source: str, accounts: Iterable[str], position: int | None) -> None:
        """Notes for which accounts a stream is read now, and from where."""
        with self._together():
            self._file.execute("DELETE FROM joined WHERE source = ?", (source,))
            self._file.executemany("INSERT INTO joined VALUES (?, ?)", [(source, account) for account in accounts])
            self._move(source, position)

    def find(self, uri: str) -> list[Seen]:
        """What was noted under an at-uri, by account."""
        rows = self._file.execute(f"SELECT {_COLUMNS} FROM seen WHERE uri = ?", (uri,))  # noqa: S608 - our own columns
        return [Seen(*row) for row in rows]

    def known_to(self, follower: str) -> set[str]:
        """The accounts that something of a person was noted for."""
        rows = self._file.execute("SELECT DISTINCT account FROM seen WHERE follower = ?", (follower,))
        return {row[0] for row in rows}

    def keep(
        self, source: str, position: int | None, seen: Iterable[Seen], now: datetime, gone: Iterable[str] = ()
    ) -> None:
        """Notes what was seen, which at-uris are gone, and how far the stream was read: all of it or nothing."""
        at = int(now.timestamp())
        marks = ",".join("?" * 10)
        with self._together():
            self._file.executemany(
                f"INSERT OR REPLACE INTO seen ({_COLUMNS}, seen_at) VALUES ({marks})",  # noqa: S608 - our own columns
                [(*astuple(one), at) for one in seen],
            )
            self._file.executemany("UPDATE seen SET gone_at = ? WHERE uri = ?", [(at, uri) for uri in gone])
            self._move(source, position)

    def _move(self, source: str, position: int | None) -> None:
        if position is not None:
            self._file.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (source, position))

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def handles(self, dids: Iterable[str], asked_since: datetime) -> dict[str, str]:
        """Handles verified since then, by DID; empty where a DID has none that leads back to it."""
        wanted = list(dids)
        marks = ",".join("?" * len(wanted))
        rows = self._file.execute(
            f"SELECT did, handle FROM verified WHERE did IN ({marks}) AND asked_at >= ?",  # noqa: S608 - marks only
            (*wanted, int(asked_since.timestamp())),
        )
        return dict(rows.fetchall())

    def name(self, handles: Mapping[str, str], now: datetime) -> None:
        """Notes handles by DID, as of now."""
        rows = [(did, handle, int(now.timestamp())) for did, handle in handles.items()]
        with self._together():
            self._file.executemany("INSERT OR REPLACE INTO verified VALUES (?, ?, ?)", rows)

    def prune(self, now: datetime) -> int:
        """Drops what was deleted more than 90 days ago, and gives how many."""
        before = int((now - KEPT).timestamp())
        self._file.execute("DELETE FROM verified WHERE asked_at < ?", (before,))
        return self._file.execute("DELETE FROM seen WHERE gone_at < ?", (before,)).rowcount
