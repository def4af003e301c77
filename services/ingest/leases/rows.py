"""What the cursors topic says, in a file of this process. It is a copy: it begins empty, and a claim fills it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from rapport.contracts import codec
from rapport.contracts.cursors import AccountState, Cursor, Position, Remembered
from rapport.contracts.errands import ErrandState
from services.ingest.connectors.file import open_file, transaction

KEPT = timedelta(days=90)
"""How long what somebody wrote, and how an errand ended, is remembered: as long as the log keeps what came of it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS row (
  key BLOB NOT NULL PRIMARY KEY, partition INTEGER NOT NULL, claim INTEGER NOT NULL, kept_until INTEGER,
  value BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS row_partition ON row (partition, kept_until);
"""
_DECODE = msgspec.json.Decoder(Cursor)


class Rows:
    """Of all partitions that this process has. For one thread; several may open the same file.

    Raises sqlite3.Error where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_file(path, _SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def begin(self, partition: int) -> None:
        """Forgets a partition. In pieces, because others wait meanwhile."""
        some = "DELETE FROM row WHERE key IN (SELECT key FROM row WHERE partition = ? LIMIT 1000)"
        while self._file.execute(some, (partition,)).rowcount:
            pass

    def take(
        self, partition: int, records: Iterable[tuple[bytes, bytes | None, Cursor | None]], newest_claim: int
    ) -> None:
        """Takes in keys with values as in the topic, in its order; without a value the key is gone.

        A claim above `newest_claim` is of another topic, which this one has replaced: it counts as the lowest.
        """
        with transaction(self._file):
            for key, value, cursor in records:
                if value is None or cursor is None:
                    self._file.execute("DELETE FROM row WHERE key = ?", (key,))
                    continue
                if not isinstance(cursor, Position | Remembered | AccountState | ErrandState):
                    continue
                since = (
                    cursor.seen_at if isinstance(cursor, Remembered)
                    else cursor.at if isinstance(cursor, ErrandState)
                    else None
                )  # fmt: skip
                until = int((since + KEPT).timestamp()) if since is not None else None
                self._file.execute(
                    "INSERT INTO row VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
                    " SET partition = excluded.partition, claim = excluded.claim,"
                    " kept_until = excluded.kept_until, value = excluded.value"
                    " WHERE excluded.claim >= row.claim",
                    (key, partition, cursor.claim if cursor.claim <= newest_claim else -1, until, value),
                )

    def get(self, key: bytes) -> Any:
        """The cursor with this key; None where there is none."""
        found = self._file.execute("SELECT value FROM row WHERE key = ?", (key,)).fetchone()
        return _DECODE.decode(found[0]) if found else None

    def outlived(self, partition: int, now: datetime, most: int) -> list[bytes]:
        """The keys of what does not have to be remembered any more, some of them."""
        found = self._file.execute(
            "SELECT key FROM row WHERE partition = ? AND kept_until < ? LIMIT ?",
            (partition, int(now.timestamp()), most),
        )
        return [row[0] for row in found]


def read(value: bytes | None) -> Cursor | None:
    """The cursor in a record's value; None for a record that says that its key is gone. Raises UndecodableError."""
    found: Cursor | None = None if value is None else codec.decode("rapport.cursor.v1", value)
    return found
