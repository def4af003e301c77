"""Who was erased and still has threads in a partition: one walk finds the threads of several people of a brand."""

from collections.abc import Iterator

from rapport.contracts.rows import parts_of
from services.scorer.fenced.batch import Batch, decoder
from services.scorer.fenced.state import Store
from services.scorer.rows.erased import ERASED_ROWS, ErasedRow, erased_key
from services.scorer.rows.exchanges import threads_of
from services.scorer.walk import Walk

GATHER = 5_000
"""How long (ms of log time) a walk waits for others who are erased. It takes seconds where a brand has a million
threads, and no record of the partition is processed meanwhile; a hundred walks would take minutes."""

Noted = dict[str, dict[bytes, int]]
"""By brand and key of the `ErasedRow`: the partition's clock when it was noted."""


class Erasures:
    """Begins a walk a while after the first of a brand was erased; the clock decides, so the log alone does."""

    def __init__(self) -> None:
        self._waiting: Noted = {}
        self._walked_for: dict[str, frozenset[bytes]] = {}
        """By brand, who the walk under way is about."""
        self._all: set[bytes] = set()
        """The keys of all that were noted."""
        self._before: tuple[Noted, dict[str, frozenset[bytes]]] | None = None
        self._walk = Walk(threads_of)

    def open(self, stored: Store) -> None:
        """Goes on with what a predecessor had not finished."""
        self._waiting, self._walked_for, self._before = {}, {}, None
        self._all.clear()
        decode = decoder(ErasedRow).decode
        for chunk in stored.chunks(ERASED_ROWS):
            for key, value in chunk:
                self._all.add(key)
                row = decode(value)
                if row.unsettled:
                    self._waiting.setdefault(parts_of(key)[1], {})[key] = row.since
        self._walk.open(stored, [])

    def note(self, brand: str, key: bytes, clock: int, batch: Batch) -> None:
        """Notes that somebody of a brand was erased."""
        self._remember()
        batch.keep(key, ErasedRow(unsettled=True, since=clock))
        self._all.add(key)  # also after a rollback: its record is processed again
        self._waiting.setdefault(brand, {})[key] = clock

    def know(self, brand: str, platform: str, follower: str) -> bool:
        """Whether somebody was erased, without a look into the rows."""
        return bool(self._all) and erased_key(brand, platform, follower) in self._all

    def due(self, clock: int, batch: Batch) -> bool:
        """Whether a walk is under way. Begins those that are due at `clock`."""
        for brand, noted in self._waiting.items():
            if brand not in self._walked_for and min(noted.values()) + GATHER <= clock:
                self._remember()
                self._walked_for[brand] = frozenset(noted)
                self._walk.begin(brand, batch)
        return not self._walk.is_over

    def waits_for(self, batch: Batch) -> bool:
        """Whether a walk was begun in this very batch, and goes on with the next."""
        return self._walk.waits_for(batch)

    def threads(self, batch: Batch) -> Iterator[bytes]:
        """The keys of the next threads of people who were erased; notes the end of a walk."""
        brand, rows = self._walk.next()
        wanted = self._walked_for[brand]
        if rows is None:
            self._remember()
            for key in wanted:
                batch.keep(key, ErasedRow())
            left = {key: since for key, since in self._waiting.pop(brand).items() if key not in wanted}
            if left:
                self._waiting[brand] = left
            del self._walked_for[brand]
            return
        for thread, _ in rows:
            _, _, platform, _, follower = parts_of(thread)
            if erased_key(brand, platform, follower) in wanted:
                yield thread

    def committed(self) -> None:
        """The batch is in the log."""
        self._before = None
        self._walk.committed()

    def rolled_back(self) -> None:
        """Puts everything back to what it was before the batch."""
        if self._before is not None:
            self._waiting, self._walked_for = self._before
        self._before = None
        self._walk.rolled_back()

    def _remember(self) -> None:
        if self._before is None:
            self._before = {brand: dict(noted) for brand, noted in self._waiting.items()}, dict(self._walked_for)
