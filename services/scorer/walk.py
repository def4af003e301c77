"""Walks through stored rows, part by part, because something changed that concerns all of them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import Store

Rows = list[tuple[bytes, bytes]]
PART = 50
"""Rows that are visited in one go: some milliseconds."""


class Walk:
    """What is still to be walked through, by name, and how far each walk has come.

    It is the rows that keep which names are left: a new owner of the partition gets them from there.
    """

    def __init__(self, prefix: Callable[[str], bytes]) -> None:
        """`prefix`: what the keys of a name's rows begin with."""
        self._prefix = prefix
        self._left: dict[str, Iterator[Rows] | None] = {}
        self._before: list[str] | None = None
        """The names that were left when the batch began, once something has changed in it."""
        self._begun_in: Batch | None = None
        self._stored: Store | None = None

    def open(self, stored: Store, left: Iterable[str]) -> None:
        """Goes on with what a predecessor had not finished."""
        self._stored = stored
        self._left = dict.fromkeys(left)
        self._before = self._begun_in = None

    def begin(self, name: str, batch: Batch) -> None:
        """Begins with a name, or begins again with it."""
        self._remember()
        self._left[name] = None
        self._begun_in = batch

    def waits_for(self, batch: Batch) -> bool:
        """Whether a walk was begun in this very batch: the store, which it goes through, does not have its rows yet."""
        return self._begun_in is batch

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return not self._left

    def next(self) -> tuple[str, Rows | None]:
        """A name and its next rows; None after the last, when the name is taken off the list."""
        assert self._stored is not None, "opened before it sweeps"
        self._remember()
        name, parts = next(iter(self._left.items()))
        if parts is None:
            parts = self._left[name] = _parts(self._stored, self._prefix(name))
        found = next(parts, None)
        if found is None:
            del self._left[name]
        return name, found

    def committed(self) -> None:
        """The store has what the batch had."""
        self._before = self._begun_in = None

    def rolled_back(self) -> None:
        """The names are those from before the batch, and each walk begins again."""
        self._left = dict.fromkeys(self._left if self._before is None else self._before)
        self._before = self._begun_in = None

    def _remember(self) -> None:
        if self._before is None:
            self._before = list(self._left)


def _parts(stored: Store, prefix: bytes) -> Iterator[Rows]:
    for chunk in stored.chunks(prefix):
        rows = iter(chunk)
        while part := list(islice(rows, PART)):
            yield part
