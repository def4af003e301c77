"""What a connector remembers: how far it has read each stream, and what it saw under each address.

One SQLite file per platform. Positions and what was seen are written in one transaction, and only after the broker has
everything up to there. So after a crash the stream is read again from a position before which nothing is missing.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path

from rapport.contracts.events import Kind
from services.ingest.connectors.file import open_file, transaction

KEPT = timedelta(days=90)
"""How long a deleted record is still known: as long as the log keeps what came of it. Until it is deleted it stays,
because a deletion may come years later and names nothing but an address."""

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
_GONE = "CREATE INDEX IF NOT EXISTS gone ON seen (gone_at) WHERE gone_at IS NOT NULL"


@dataclass(frozen=True)
class Seen:
    """What is noted of a record: enough to know what it was when only its address is named again.

    `uri` is its address on the platform, `rev` the version that was seen.
    """

    uri: str
    account: str
    kind: Kind
    conversation: str
    thread: str | None
    post: str | None
    follower: str
    parent: str | None
    rev: str
    hidden: str | None = None
    """Of what hides others: the addresses of those, separated by spaces."""


_COLUMNS = ", ".join(field.name for field in fields(Seen))


class Ledger:
    """For one thread. Raises sqlite3.Error where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._file = open_file(path, _SCHEMA)
        columns = {row[1] for row in self._file.execute("PRAGMA table_info(seen)")}
        for name, kind in (("gone_at", "INTEGER"), ("hidden", "TEXT")):
            if name not in columns:
                self._file.execute(f"ALTER TABLE seen ADD COLUMN {name} {kind}")
        self._file.execute(_GONE)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def position(self, source: str) -> int | None:
        """How far a stream was read."""
        row = self._file.execute("SELECT position FROM cursor WHERE source = ?", (source,)).fetchone()
        return int(row[0]) if row else None

    def forget(self, source: str) -> None:
        """Drops a stream's position, because the server says that it never reached it."""
        self._file.execute("DELETE FROM cursor WHERE source = ?", (source,))

    def joined(self, source: str) -> set[str]:
        """The accounts that a stream was read for when it was last opened."""
        return {row[0] for row in self._file.execute("SELECT account FROM joined WHERE source = ?", (source,))}

    def join(self, source: str, accounts: Iterable[str], position: int | None) -> None:
        """Notes which accounts a stream is read for now, and from where."""
        with transaction(self._file):
            self._file.execute("DELETE FROM joined WHERE source = ?", (source,))
            self._file.executemany("INSERT INTO joined VALUES (?, ?)", [(source, account) for account in accounts])
            self._move(source, position)

    def find(self, uri: str) -> list[Seen]:
        """What was noted under an address, by account."""
        rows = self._file.execute(f"SELECT {_COLUMNS} FROM seen WHERE uri = ?", (uri,))  # noqa: S608 - our own columns
        return [Seen(*row) for row in rows]

    def known_to(self, follower: str) -> set[str]:
        """The accounts for which something by a person was noted."""
        rows = self._file.execute("SELECT DISTINCT account FROM seen WHERE follower = ?", (follower,))
        return {row[0] for row in rows}

    def keep(
        self, source: str, position: int | None, seen: Iterable[Seen], now: datetime, gone: Iterable[str] = ()
    ) -> None:
        """Notes what was seen, which addresses are gone, and how far the stream was read: all of it or nothing."""
        at = int(now.timestamp())
        marks = ",".join("?" * (len(fields(Seen)) + 1))
        with transaction(self._file):
            self._file.executemany(
                f"INSERT OR REPLACE INTO seen ({_COLUMNS}, seen_at) VALUES ({marks})",  # noqa: S608 - our own columns
                [(*astuple(record), at) for record in seen],
            )
            self._file.executemany("UPDATE seen SET gone_at = ? WHERE uri = ?", [(at, uri) for uri in gone])
            self._move(source, position)

    def prune(self, now: datetime) -> int:
        """Drops what was deleted more than 90 days ago, and returns how much that was."""
        before = int((now - KEPT).timestamp())
        return self._file.execute("DELETE FROM seen WHERE gone_at < ?", (before,)).rowcount

    def _move(self, source: str, position: int | None) -> None:
        if position is not None:
            self._file.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (source, position))


class UnsavedLedger:
    """The ledger as it will be: what it holds, and on top of that what was seen since and is not saved yet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._noted: dict[str, dict[str, Seen]] = {}
        self.gone: set[str] = set()
        """Addresses whose records were deleted."""

    def find(self, uri: str) -> dict[str, Seen]:
        """What was noted under an address, by account."""
        return {record.account: record for record in self._ledger.find(uri)} | self._noted.get(uri, {})

    def of(self, account: str, uri: str) -> Seen | None:
        """What was noted under an address for one account."""
        return self.find(uri).get(account)

    def known_to(self, follower: str) -> set[str]:
        """The accounts for which something by a person was noted."""
        unsaved = {record.account for record in self.noted() if record.follower == follower}
        return self._ledger.known_to(follower) | unsaved

    def note(self, seen: Seen) -> None:
        """Adds what is to be saved."""
        self.gone.discard(seen.uri)  # the same path can be written to again
        self._noted.setdefault(seen.uri, {})[seen.account] = seen

    def noted(self) -> list[Seen]:
        """All that is to be saved."""
        return [seen for by_account in self._noted.values() for seen in by_account.values()]
