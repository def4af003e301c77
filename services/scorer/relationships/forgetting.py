"""Drops what followers are called once the platform's terms no longer let it be kept, by the partition's clock.

The rows are found by the time: a follower with something to drop has one row more, whose key begins with it.
"""

from rapport.contracts.rows import FollowerRow, parts_of
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import Store
from services.scorer.rows.relationships import FORGETS, ForgetRow, follower_key, forget_key

LOOK_EVERY = 5_000
"""ms of the log's time."""


class Forgetting:
    """Looks for followers whose time has come, every five seconds of the log's time."""

    def __init__(self) -> None:
        self._stored: Store | None = None
        self._looked = 0

    def open(self, stored: Store) -> None:
        """Starts with these rows."""
        self._stored, self._looked = stored, 0

    def forget(self, clock: int, batch: Batch) -> bool:
        """Drops what is over at `clock`, a chunk of rows at a time; says whether there may be more."""
        if self._stored is None or clock - self._looked < LOOK_EVERY:
            return False
        self._looked = clock
        rows = next(iter(self._stored.chunks(FORGETS)), [])
        due = [key for key, _ in rows if _time_of(key) <= clock]
        for key in due:
            batch.drop(key)
            row = batch.row(follower_key(*parts_of(key)[2:]), FollowerRow)
            if row is None:
                continue
            forget_names(row, clock)
            note_when_to_forget(row, batch)
            # In the same revision: what is shown has a time of its own, and nothing else changes.
            batch.keep(follower_key(row.brand, row.platform, row.follower), row)
        if due and len(due) == len(rows):
            self._looked = 0
            return True
        return False

    def rolled_back(self) -> None:
        """Looks again."""
        self._looked = 0


def forget_names(row: FollowerRow, clock: int) -> None:
    """Drops what a follower is called as far as its time is over at `clock` (ms)."""
    for part in [part for part, until in row.kept_until.items() if until <= clock]:
        setattr(row, part, None)
        del row.kept_until[part]


def note_when_to_forget(row: FollowerRow, batch: Batch) -> None:
    """Has a follower looked at when the next of its names has to be dropped."""
    wanted = min(row.kept_until.values(), default=0)
    its = row.brand, row.platform, row.follower
    if row.forget_at and row.forget_at != wanted:
        batch.drop(forget_key(row.forget_at, *its))
    if wanted and (row.forget_at != wanted):
        batch.keep(forget_key(wanted, *its), ForgetRow())
    row.forget_at = wanted


def _time_of(key: bytes) -> int:
    return int(parts_of(key)[1])
