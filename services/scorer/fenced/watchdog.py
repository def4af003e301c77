"""Notices work that is not done: a worker that is alive and keeps its partitions, but makes no progress."""

from collections.abc import Hashable


class Watchdog:
    """Remembers how far each of several things had come, and since when."""

    def __init__(self, patience: float) -> None:
        """`patience` (s): how long something may be unfinished without moving."""
        self._patience = patience
        self._seen: dict[Hashable, tuple[object, float]] = {}

    def stalled(self, what: Hashable, done: object, *, unfinished: bool, now: float) -> float | None:
        """For how long (s) `what` has stood at `done` although it is unfinished; None while that is no concern.

        `done` is anything that changes with progress, and `now` is in seconds.
        """
        known = self._seen.get(what)
        if not unfinished or known is None or known[0] != done:
            self._seen[what] = (done, now)
            return None
        stood = now - known[1]
        return stood if stood > self._patience else None

    def forget(self) -> None:
        """Forgets everything, for instance because the partitions changed."""
        self._seen.clear()
