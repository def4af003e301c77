"""Who was erased and still has threads in a partition: those of a brand are looked for together, in one passage."""

from collections.abc import Iterator

import msgspec

from rapport.contracts.rows import THREAD, parts_of, row_key
from rapport.domain.erasing import erased_name
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import Store
from services.scorer.passage import Passage
from services.scorer.rows import ErasedRow, erased_key

GATHER = 5_000
"""How long (ms of log time) a passage waits for others who are erased. It takes seconds where a brand has a million
threads, and no record of the partition is processed meanwhile; a hundred passages would take minutes."""
_ERASED = row_key("erased")[:-1] + b","

Waiting = dict[str, dict[bytes, int]]
"""By brand and key of the `ErasedRow`: the partition's clock when it was noted."""


class Erasures:
    """Begins a passage a while after the first of a brand was erased; the clock decides, so the log alone does."""

    def __init__(self) -> None:
        self._waiting: Waiting = {}
        self._looked_for: dict[str, frozenset[bytes]] = {}
        """By brand, whom the passage under way is about."""
        self._all: set[bytes] = set()
        """The keys of all that were noted."""
        self._before: tuple[Waiting, dict[str, frozenset[bytes]]] | None = None
        self._passage = Passage(lambda brand: row_key(THREAD, brand)[:-1] + b",")

    def open(self, stored: Store) -> None:
        """Takes up what a predecessor was not through with."""
        self._waiting, self._looked_for, self._before = {}, {}, None
        self._all.clear()
        decode = msgspec.json.Decoder(ErasedRow).decode
        for chunk in stored.chunks(_ERASED):
            for key, value in chunk:
                self._all.add(key)
                row = decode(value)
                if row.unsettled:
                    self._waiting.setdefault(parts_of(key)[1], {})[key] = row.since
        self._passage.open(stored, [])

    def note(self, brand: str, key: bytes, clock: int, batch: Batch) -> None:
        """Notes that somebody of a brand was erased."""
        self._remember()
        batch.keep(key, ErasedRow(unsettled=True, since=clock))
        self._all.add(key)  # also after a rollback: its record is processed again
        self._waiting.setdefault(brand, {})[key] = clock

    def know(self, brand: str, platform: str, follower: str) -> bool:
        """Whether somebody was erased, without a look into the rows."""
        return bool(self._all) and erased_key(brand, erased_name(brand, platform, follower)) in self._all

    def due(self, clock: int, batch: Batch) -> bool:
        """Whether there is something to look at. Begins what is due at `clock`."""
        for brand, noted in self._waiting.items():
            if brand not in self._looked_for and min(noted.values()) + GATHER <= clock:
                self._remember()
                self._looked_for[brand] = frozenset(noted)
                self._passage.begin(brand, batch)
        return not self._passage.is_over

    def waits_for(self, batch: Batch) -> bool:
        """Whether a passage was begun in this very batch, and goes on with the next."""
        return self._passage.waits_for(batch)

    def threads(self, batch: Batch) -> Iterator[bytes]:
        """The keys of the next threads that are of somebody who was erased; notes the end of a passage."""
        brand, rows = self._passage.next()
        wanted = self._looked_for[brand]
        if rows is None:
            self._remember()
            for key in wanted:
                batch.keep(key, ErasedRow())
            left = {key: since for key, since in self._waiting.pop(brand).items() if key not in wanted}
            if left:
                self._waiting[brand] = left
            del self._looked_for[brand]
            return
        for thread, _ in rows:
            _, _, platform, _, follower = parts_of(thread)
            if erased_key(brand, erased_name(brand, platform, follower)) in wanted:
                yield thread

    def committed(self) -> None:
        """What was noted stays."""
        self._before = None
        self._passage.committed()

    def rolled_back(self) -> None:
        """Puts everything back to what it was before the batch."""
        if self._before is not None:
            self._waiting, self._looked_for = self._before
        self._before = None
        self._passage.rolled_back()

    def _remember(self) -> None:
        if self._before is None:
            self._before = {brand: dict(noted) for brand, noted in self._waiting.items()}, dict(self._looked_for)
