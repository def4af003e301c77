"""What was imported already: one SQLite file on the machine that imports.

The log knows an id for 90 days. This file knows it for good, so a file that is imported again in a year counts once as
well, and one that was broken off goes on where it stopped.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS imported (account INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (account, id))
  WITHOUT ROWID;
"""
_TRIAL = "CREATE TEMP TABLE tried (id BLOB PRIMARY KEY) WITHOUT ROWID"
DIGEST_BYTES = 16


def usual_place() -> Path:
    """RAPPORT_LEDGER, else `rapport/imports.sqlite` in the user's folder for such files."""
    if given := os.environ.get("RAPPORT_LEDGER"):
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "rapport" / "imports.sqlite"


class Ledger:
    """Use it in one thread. A trial changes nothing in the file, but knows what it noted itself.

    `name` is the account's, the same for as long as it is the same account. Raises sqlite3.Error.
    """

    def __init__(self, path: Path, name: str, *, trial: bool = False) -> None:
        self._trial = trial
        self._account: int | None = None
        if trial and not path.exists():
            self._file = sqlite3.connect("", isolation_level=None)  # an empty database that leaves no file
            self._file.executescript(_SCHEMA)
        else:
            if not trial:
                path.parent.mkdir(parents=True, exist_ok=True)
            where = f"{path.absolute().as_uri()}?mode={'ro' if trial else 'rwc'}"
            self._file = sqlite3.connect(where, isolation_level=None, uri=True)
            if not trial:
                self._file.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
                self._file.execute("INSERT OR IGNORE INTO account (name) VALUES (?)", (name,))
        if trial:
            self._file.execute(_TRIAL)
        row = self._file.execute("SELECT number FROM account WHERE name = ?", (name,)).fetchone()
        self._account = row[0] if row else None

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def knows(self, id: str) -> bool:
        """Whether an interaction was imported for the account."""
        digest = _digest(id)
        if self._trial and self._file.execute("SELECT 1 FROM tried WHERE id = ?", (digest,)).fetchone():
            return True
        found = self._file.execute("SELECT 1 FROM imported WHERE account = ? AND id = ?", (self._account, digest))
        return found.fetchone() is not None

    def note(self, ids: Iterable[str]) -> None:
        """Notes what was imported: all of it or nothing."""
        table, row = ("tried", "(id) VALUES (?)") if self._trial else ("imported", "(id, account) VALUES (?, ?)")
        more = () if self._trial else (self._account,)
        self._file.execute("BEGIN")
        try:
            self._file.executemany(f"INSERT OR IGNORE INTO {table} {row}", [(_digest(each), *more) for each in ids])
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")


def _digest(id: str) -> bytes:
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]
