"""What the cursors topic says, in a file of this process: the newest record of each key, and how far it was read."""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rapport.contracts import codec
from rapport.contracts.cursors import AccountState, Cursor, Position, Remembered, key_of_cursor
from rapport.contracts.errands import ErrandState
from services.ingest.connectors.file import open_file, transaction

KEPT = timedelta(days=90)
"""How long what somebody wrote, and how an errand ended, is remembered: as long as the log keeps what came of it."""
FORMAT = 1
"""Of the file. One of another format is thrown away and read from the topic again."""

# A key has some 120 bytes, and an address 70, and their indexes would repeat them. Digests are all that is needed.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS row (
  key BLOB NOT NULL PRIMARY KEY, partition INTEGER NOT NULL, claim INTEGER NOT NULL, at INTEGER NOT NULL,
  kept_until INTEGER, thing INTEGER, actor INTEGER, value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS row_kept ON row (partition, kept_until) WHERE kept_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS row_thing ON row (thing) WHERE thing IS NOT NULL;
CREATE INDEX IF NOT EXISTS row_actor ON row (actor) WHERE actor IS NOT NULL;
CREATE TABLE IF NOT EXISTS place (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS latest (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS skipped (partition INTEGER PRIMARY KEY, first INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS topic (id TEXT NOT NULL, read_at INTEGER NOT NULL);
PRAGMA user_version = {FORMAT};
"""
_DECODE = msgspec.json.Decoder(Cursor)


class BrokenError(sqlite3.DatabaseError):
    """The file is damaged, or not one of ours. What it should hold can be read from the topic."""


def is_broken(error: BaseException) -> bool:
    """Whether an error says that the file is damaged, and not that the disk is full or that others write."""
    return isinstance(error, BrokenError) or getattr(error, "sqlite_errorname", None) in _DAMAGES


_DAMAGES = frozenset({"SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ"})


class Taken(NamedTuple):
    """A record of the topic, or one that was just written to it. Without a value its key is gone."""

    offset: int
    key: bytes
    value: bytes | None
    cursor: Cursor | None


class Rows:
    """Of all partitions. For one thread; several may open the same file.

    Raises sqlite3.Error where the file cannot be used, and BrokenError where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_file(path, "")
        try:
            (version,) = self._file.execute("PRAGMA user_version").fetchone()
            (tables,) = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if version != FORMAT and tables:
                raise BrokenError(f"it has format {version}, and not {FORMAT}")
            self._file.executescript(_SCHEMA)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def topic(self) -> tuple[str, datetime] | None:
        """The id of the topic that this is a copy of, and when something was last read from it."""
        found = self._file.execute("SELECT id, read_at FROM topic").fetchone()
        return (found[0], datetime.fromtimestamp(found[1]).astimezone()) if found else None

    def begin(self, topic: str, now: datetime) -> None:
        """Notes which topic this is a copy of. When it was last read stays, where it was read before."""
        before = self.topic()
        if before is not None and before[0] == topic:
            return
        with transaction(self._file):
            self._file.execute("DELETE FROM topic")
            self._file.execute("INSERT INTO topic VALUES (?, ?)", (topic, int(now.timestamp())))

    def places(self) -> dict[int, int]:
        """The offset of the first record that was not read yet, by partition."""
        return dict(self._file.execute("SELECT partition, next FROM place"))

    def latest(self) -> dict[int, int]:
        """When the latest record that was read was appended, in ms, by partition.

        Not where an older version of ours, which did not note it, has read on.
        """
        return dict(
            self._file.execute(
                "SELECT partition, at FROM latest JOIN place USING (partition) WHERE latest.next = place.next"
            )
        )

    def skipped(self) -> dict[int, int]:
        """The offset of the first record that could not be read, by partition: a later version may read it."""
        return dict(self._file.execute("SELECT partition, first FROM skipped"))

    def go_back(self, places: Mapping[int, int]) -> None:
        """Reads on from there, by partition, where something was skipped."""
        with transaction(self._file):
            self._file.executemany(
                "UPDATE place SET next = ? WHERE partition = ?", [(at, n) for n, at in places.items()]
            )
            self._file.execute("DELETE FROM skipped")

    def read(
        self, partition: int, records: Iterable[Taken], next_: int, now: datetime, latest: int,
        skipped: int | None = None,
    ) -> None:  # fmt: skip
        """Takes in what was read of a partition, how far that is, and the first record that could not be read.

        `latest` is when the latest of them was appended, in ms.
        """
        with transaction(self._file):
            self._take(partition, records)
            if skipped is not None:
                self._file.execute("INSERT OR IGNORE INTO skipped VALUES (?, ?)", (partition, skipped))
            self._file.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (partition, next_))
            self._file.execute(
                "INSERT INTO latest VALUES (?, ?, ?) ON CONFLICT (partition) DO UPDATE"
                " SET next = excluded.next, at = max(at, excluded.at)",
                (partition, next_, latest),
            )
            self._file.execute("UPDATE topic SET read_at = ?", (int(now.timestamp()),))

    def wrote(self, partition: int, records: Iterable[Taken]) -> None:
        """Takes in what this process has just written to a partition. It will read it there again."""
        with transaction(self._file):
            self._take(partition, records)

    def get(self, key: bytes) -> Any:
        """The cursor with this key; None where there is none."""
        found = self._file.execute("SELECT value FROM row WHERE key = ?", (_digest(key),)).fetchone()
        return _decoded(found[0]) if found else None

    def find(self, thing: str) -> list[tuple[int, Remembered]]:
        """What is remembered of a thing for good, for whichever account, each with its partition."""
        rows = self._file.execute("SELECT partition, value FROM row WHERE thing = ?", (_number(thing),))
        found = [(partition, _decoded(value)) for partition, value in rows]
        return [each for each in found if each[1].thing == thing]

    def known_to(self, actor: str) -> set[str]:
        """The accounts for which something by a person is remembered for good."""
        rows = self._file.execute("SELECT value FROM row WHERE actor = ?", (_number(actor),))
        return {found.account for found in map(_decoded, (row[0] for row in rows)) if found.actor == actor}

    def outlived(self, partition: int, now: datetime, most: int) -> list[bytes]:
        """The keys of what does not have to be remembered any more, some of them."""
        found = self._file.execute(
            "SELECT value FROM row WHERE partition = ? AND kept_until < ? LIMIT ?",
            (partition, int(now.timestamp()), most),
        )
        return [key_of_cursor(_decoded(row[0]), partition) for row in found]

    def _take(self, partition: int, records: Iterable[Taken]) -> None:
        """In any order: of one key the highest claim counts, and of one claim the last record."""
        for offset, key, value, cursor in records:
            if value is None or cursor is None:
                self._file.execute("DELETE FROM row WHERE key = ? AND at <= ?", (_digest(key), offset))
            elif isinstance(cursor, Position | Remembered | AccountState | ErrandState):
                # A claim is written before what is written under it. One that was not is of another topic, whose
                # records were brought here, and it must not hold up the claims of this one.
                claim = min(cursor.claim, offset)
                lasting = cursor if isinstance(cursor, Remembered) and cursor.lasting else None
                thing, actor = (_number(lasting.thing), _number(lasting.actor)) if lasting else (None, None)
                self._file.execute(
                    "INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
                    " SET partition = excluded.partition, claim = excluded.claim, at = excluded.at,"
                    " kept_until = excluded.kept_until, thing = excluded.thing, actor = excluded.actor,"
                    " value = excluded.value"
                    " WHERE (excluded.claim, excluded.at) >= (row.claim, row.at)",
                    (_digest(key), partition, claim, offset, _kept_until(cursor), thing, actor, value),
                )


def read(value: bytes | None) -> Cursor | None:
    """The cursor in a record's value; None for a record that says that its key is gone. Raises UndecodableError."""
    found: Cursor | None = None if value is None else codec.decode("rapport.cursor.v1", value)
    return found


def _kept_until(cursor: Cursor) -> int | None:
    """Until when it has to be remembered, in seconds of Unix time; None for good."""
    match cursor:
        case Remembered(lasting=True, gone_at=None):
            return None
        case Remembered():
            since = cursor.gone_at or cursor.seen_at
        case ErrandState():
            since = cursor.at
        case _:
            return None
    try:
        return int((since + KEPT).timestamp())
    except OverflowError:  # of the last months of the year 9999
        return None


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()


def _number(text: str) -> int:
    """As large as a number in the file may be. Two texts that share one are told apart by what the rows say."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)


def _decoded(value: bytes) -> Any:
    try:
        return _DECODE.decode(value)
    except msgspec.DecodeError as error:  # it could be read when it came
        raise BrokenError(f"a row cannot be read: {error}") from error
