"""SQLite files of connectors: how one is opened and written to."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


def open_file(path: Path, schema: str) -> sqlite3.Connection:
    """A connection for one thread, with the tables of `schema`. Raises sqlite3.Error where the file cannot be used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(path, isolation_level=None)
    # A crash of the process loses nothing; one of the machine at most the newest commits, which are read again.
    file.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + schema)
    return file


@contextlib.contextmanager
def transaction(file: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        file.execute("ROLLBACK")
        raise
    file.execute("COMMIT")
