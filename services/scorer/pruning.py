"""Deletes rows that nothing needs any more, 90 days after they last changed, by the log's time.

`services.scorer.lifetimes` says which rows those are.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from services.scorer.fenced.batch import Batch, decoder
from services.scorer.fenced.state import Store

DAY_MS = 86_400_000
KEPT = 90 * DAY_MS
"""While the log is kept, repeated records are recognised. Interactions that old open no clock either."""
LOOK_EVERY = 5_000
PASS_EVERY = 7 * DAY_MS
"""Most rows stay, and every pass visits them: after an outage, a week of the log gets one pass at most."""


class Kind(NamedTuple):
    """Which rows of a kind may go.

    Most of those that are old enough stay, and `stays` sees that at a glance: in every pass it gets the key of each,
    and the few fields that `glance` decodes, `seen` among them. Where it does not know, `is_over` decides by the key,
    the row, the clock and other rows.
    """

    shape: type[Any]
    is_over: Callable[[bytes, Any, int, Batch], bool]
    glance: type[Any]
    stays: Callable[[bytes, Any], bool]


class Pruner:
    """Goes through the rows of some kinds, a chunk at a time, and begins again a week after it began."""

    def __init__(self, kinds: Mapping[bytes, Kind]) -> None:
        """`kinds`: by the prefix of their keys."""
        self._kinds = kinds
        self._chunks: Iterator[tuple[bytes, list[tuple[bytes, bytes]]]] = iter(())
        self._began = 0
        self._looked = 0
        self._stored: Store | None = None

    def open(self, stored: Store) -> None:
        """Starts again with these rows."""
        self._stored = stored
        self._chunks = iter(())
        self._began = self._looked = 0

    def prune(self, clock: int, batch: Batch) -> None:
        """Looks at the next chunk, if it is time."""
        if self._stored is None or clock - self._looked < LOOK_EVERY:
            return
        self._looked = clock
        found = next(self._chunks, None)
        if found is None:
            if clock - self._began < PASS_EVERY:
                return
            self._began = clock
            self._chunks = self._through(self._stored)
            found = next(self._chunks, None)
        if found is None:
            return
        prefix, rows = found
        kind = self._kinds[prefix]
        glance = decoder(kind.glance).decode
        for key, value in rows:
            seen = glance(value)
            if clock - seen.seen <= KEPT or kind.stays(key, seen):
                continue
            # Read again: this very batch may have changed it.
            row = batch.row(key, kind.shape)
            if row is not None and clock - row.seen > KEPT and kind.is_over(key, row, clock, batch):
                batch.drop(key)

    def _through(self, stored: Store) -> Iterator[tuple[bytes, list[tuple[bytes, bytes]]]]:
        for prefix in self._kinds:
            for rows in stored.chunks(prefix):
                yield prefix, rows
