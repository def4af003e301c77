"""The replay's rows: one RocksDB, in which each part's keys begin with its name; and the shapes of the ledger's."""

from collections.abc import Iterable, Iterator

from msgspec import Raw, Struct

from rapport.contracts.rows import row_key
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import Store

STANDING = row_key("standing")
_NOTHING = Raw(b"null")

KindCounts = dict[str, int]
"""Interactions of an hour by kind."""
HourCounts = dict[str, KindCounts]
"""What a follower did, by hour."""


class Part:
    """The rows of one partition of one agent, or of the ledger; read as a handler reads its store."""

    def __init__(self, store: Store, name: str) -> None:
        """`name` must not be the beginning of another part's."""
        self.name = name.encode()
        self._store = store

    def get(self, key: bytes) -> bytes | None:
        """The value of a row, or None."""
        return self._store.get(self.name + key)

    def chunks(self, prefix: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """The rows whose key begins with `prefix`, in order, in lists."""
        before = len(self.name)
        for chunk in self._store.chunks(self.name + prefix):
            yield [(key[before:], value) for key, value in chunk]


def write(store: Store, changed: Iterable[tuple[Part, Batch]]) -> None:
    """Puts the changes of several parts in together or not at all."""
    store.write([(part.name + key, value) for part, batch in changed for key, value in batch.changes()], 0)


class Standing(Struct):
    """How far the log is replayed. A row of the ledger, written together with what came of it."""

    grace: int
    """ms; another one gives other breaches."""
    clocks: list[int]
    """ms, per partition of `conversations` that there were at this place in the log."""
    alerts: list[int]
    """How many alerts each partition of `conversations` gave."""
    next: dict[str, int] = {}
    """The offset after the last record taken, by the partition's name."""
    read: dict[str, int] = {}
    """Up to where it was read; above `next` where transactions ended that left nothing to take."""
    records: int = 0
    """Of the sources."""
    first: int | None = None
    """Append time (ms) of the earliest of them."""
    last: int | None = None
    refused: list[str] = []
    """Records (as their dead letters name them) of which the log, not the handler, said that they are too large."""

    def positions(self) -> dict[str, int]:
        """Where each partition goes on, by its name."""
        return {name: max(at, self.next.get(name, 0)) for name, at in {**self.next, **self.read}.items()}

    def note(self, times: list[int]) -> None:
        """Takes in the append times of records of a source."""
        if times:
            self.records += len(times)
            self.first = min(times) if self.first is None else min(self.first, *times)
            self.last = max(times) if self.last is None else max(self.last, *times)


class Shown(Struct, omit_defaults=True):
    """An interaction: the first record of its id in each partition that has one (nearly always one)."""

    where: str
    value: Raw
    others: list[tuple[str, Raw]] = []


class Newest(Struct):
    """The newest snapshot of an exchange."""

    brand: str
    revision: int
    value: Raw


class Said(Struct, omit_defaults=True):
    """An alert: the `place`-th of a partition of `conversations`, -1 where no record says it; how often it is in
    `alerts`."""

    brand: str
    lane: int = 0
    place: int = -1
    value: Raw = _NOTHING
    times: int = 0


class Letter(Struct, omit_defaults=True):
    """A dead letter: why it has to be there, if it has to; how often it is."""

    brand: str | None = None
    because: str | None = None
    times: int = 0


class Shared(Struct):
    """An interaction whose id is in several partitions may be in an hour."""


class Erased(Struct):
    """Somebody was erased."""
