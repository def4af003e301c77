"""Handles that were verified, kept in the file of the ledger."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from services.ingest.connectors.file import open_file, transaction

FORGOTTEN_AFTER = timedelta(days=90)
"""As long as the log keeps what a person did."""

_SCHEMA = """
DROP TABLE IF EXISTS handle;  -- of older versions, which verified nothing
CREATE TABLE IF NOT EXISTS verified (did TEXT PRIMARY KEY, handle TEXT NOT NULL, asked_at INTEGER NOT NULL)
  WITHOUT ROWID;
"""


class VerifiedHandles:
    """For one thread. Raises sqlite3.Error where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._file = open_file(path, _SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def find(self, dids: Iterable[str], asked_since: datetime) -> dict[str, str]:
        """Handles verified since then, by DID; empty where a DID has none that leads back to it."""
        wanted = list(dids)
        marks = ",".join("?" * len(wanted))
        rows = self._file.execute(
            f"SELECT did, handle FROM verified WHERE did IN ({marks}) AND asked_at >= ?",  # noqa: S608 - marks only
            (*wanted, int(asked_since.timestamp())),
        )
        return dict(rows.fetchall())

    def note(self, handles: Mapping[str, str], now: datetime) -> None:
        """Notes handles by DID, as of now."""
        rows = [(did, handle, int(now.timestamp())) for did, handle in handles.items()]
        with transaction(self._file):
            self._file.executemany("INSERT OR REPLACE INTO verified VALUES (?, ?, ?)", rows)

    def expire(self, dids: Iterable[str], as_if_asked: datetime) -> None:
        """What was verified of these people counts as if it had been asked then, or earlier where it was."""
        at = int(as_if_asked.timestamp())
        with transaction(self._file):
            self._file.executemany(
                "UPDATE verified SET asked_at = min(asked_at, ?) WHERE did = ? AND handle <> ''",
                [(at, did) for did in dids],
            )

    def prune(self, now: datetime) -> None:
        """Drops what was asked more than 90 days ago."""
        before = int((now - FORGOTTEN_AFTER).timestamp())
        self._file.execute("DELETE FROM verified WHERE asked_at < ?", (before,))
