"""Rows that nothing rests on any more leave the state: 90 days after they last changed, by the log's time.

Which rows those are is for `services.scorer.lifetimes` to say.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from services.scorer.fenced.batch import Batch, decoder
from services.scorer.fenced.state import Store

DAY_MS = 86_400_000
KEPT = 90 * DAY_MS
"""As long as the log is kept, what is sent again is recognised. Interactions that old open no clock either."""
LOOK_EVERY = 5_000
PASS_EVERY = 7 * DAY_MS
"""Most rows stay, and are looked at in every pass: after an outage, a week of the log is worth one pass at most."""


class _Seen(Struct):
    """The part of a row that says when it last changed, if it says so."""

    seen: int = 0


Over = Callable[[bytes, Any, int, Batch], bool]
"""Whether nothing rests on a row any more, old as it is: of its key, the row, the clock and other rows."""


class Pruner:
    """Goes through the rows of some kinds, a chunk at a time, and begins again a week after it began."""

    def __init__(self, kinds: Mapping[bytes, tuple[type[Any], Over]]) -> None:
        """`kinds`: by the prefix of their keys, the shape of the rows, and which of them may go."""
        self._kinds = kinds
        self._decode = msgspec.json.Decoder(_Seen).decode
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
        shape, is_over = self._kinds[prefix]
        decode = decoder(shape).decode
        for key, value in rows:
            if clock - self._decode(value).seen <= KEPT or not is_over(key, decode(value), clock, batch):
                continue
            row = batch.row(key, shape)
            # Read again: this very batch may have changed it.
            if row is not None and clock - row.seen > KEPT and is_over(key, row, clock, batch):
                batch.drop(key)

    def _through(self, stored: Store) -> Iterator[tuple[bytes, list[tuple[bytes, bytes]]]]:
        for prefix in self._kinds:
            for rows in stored.chunks(prefix):
                yield prefix, rows
