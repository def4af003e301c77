"""An agent: topics, a folder, and a handler that processes its records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.scorer.fenced.batch import Batch, Headers
from services.scorer.fenced.state import Store
from services.scorer.fenced.turns import Turns


class Record(Protocol):
    """What aiokafka gives for a record, as far as it matters here."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Handler(Protocol):
    """What happens with the records of one partition. Called by one lane, never by two at once."""

    def open(self, stored: Store) -> None:
        """Prepares from the rows, all at once."""

    def opening(self, stored: Store) -> Iterator[None]:
        """Prepares from the rows, part by part; a lane goes through it once, before the first record."""

    def apply(self, record: Record, clock: int, batch: Batch) -> None:
        """Applies one record. `clock` (ms) is the partition's, this record included.

        An exception means that this record cannot be processed: it is dead-lettered, and nothing of it is kept. But
        NewerError means that a later version can process it, so the partition waits for one.
        """

    def sweep(self, clock: int, batch: Batch) -> bool:
        """Does a small part of what time alone makes due at `clock`; called after every record.

        True where more is due: it is done in transactions of its own, several parts in each, before the next record is
        applied, also by the next owner if this one dies, so what comes of it depends on the log alone.
        """

    def committed(self) -> None:
        """The batch is in the log."""

    def rolled_back(self) -> None:
        """The batch is not in the log and will be applied again, perhaps in parts."""


@dataclass(frozen=True)
class Agent:
    """What the lanes of one agent have in common."""

    name: str
    application: str
    group: str
    bootstrap: str
    data: Path
    sources: tuple[str, ...]
    changelog: str
    changelog_headers: Headers
    dead_letters: dict[str, str]
    """The dead-letter topic of each source."""
    handler: Callable[[int], Handler]
    stale_after: int
    """Age (ms of log time) from which local rows are read again: less than the changelog keeps tombstones."""
    turns: Turns = field(default_factory=Turns)
    """Shared by all agents of a process."""
    rows_format: int = 0
    """Of the rows as this version writes them. It does not touch rows that a later version has written."""
    put_aside: frozenset[str] = frozenset()
    """Records (`<topic>:<partition>:<offset>`) that are not waited at: they go to the dead letters."""
    session_seconds: float = 10.0
    """After which the group gives a silent worker's partitions to others."""
