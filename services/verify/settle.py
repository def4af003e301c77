"""What differs while the log goes on: compared again and again, until it agrees or will certainly stay different."""

import time
from collections.abc import Callable, Iterator, Mapping

from services.verify.compare import AT_ONCE, Comparison, Difference, Found

MOVING_FACTOR = 10
"""What still changes after this many times the settling time stays undecided."""

Subject = tuple[str, str]
"""Its kind and its id."""


class _Open:
    """One subject that differs."""

    def __init__(self, differences: list[Difference], number: int, now: float) -> None:
        self.differences = differences
        self.round = number
        """The first round that began after this last changed."""
        self.changed = self.began = now
        self.low: dict[str, int] | None = None
        """Of an hour: counts that must be in MongoDB by now."""
        self.next_low: tuple[int, dict[str, int]] | None = None
        """Counts that must be there once a round is done, and its number."""


class Settling:
    """The subjects that differ."""

    def __init__(
        self,
        comparison: Comparison,
        hour: Callable[[str], dict[str, int]],
        settle: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hour` gives the log's counts of an hour as replayed; `settle` in seconds."""
        self._comparison = comparison
        self._hour = hour
        self._settle = settle
        self._clock = clock
        self._open: dict[Subject, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, differing: Mapping[str, list[Difference]], number: int) -> None:
        """Takes in what differs by id. `number`: the next round that begins."""
        now = self._clock()
        for one, differences in differing.items():
            self._open[(differences[0].what, one)] = _Open(differences, number, now)

    def hours(self, done: int, number: int) -> Found:
        """MongoDB's documents of the hours that differ; to be read before the log is replayed further.

        An hour that is being counted is never quite as the log has it. So it is right where it lies between what the
        log had when a round began that is done by now, and what the log has after it was read.
        """
        ids = [one for what, one in self._open if what == "hour"]
        for one in ids:
            each = self._open[("hour", one)]
            if each.next_low is not None and each.next_low[0] <= done:
                each.low, each.next_low = each.next_low[1], None
            if each.next_low is None:
                each.next_low = (number, self._hour(one))
        return self._comparison.found("hour", ids)

    def look_again(self, hours: Found, number: int) -> None:
        """Compares again what differs, and drops what agrees. `hours`: what `hours` gave."""
        for what, ids in self._parts():
            found = hours if what == "hour" else None
            now_differing = self._comparison.some(what, ids, found)
            now = self._clock()
            for one in ids:
                differences = now_differing.get(one)
                each = self._open[(what, one)]
                if differences is None or (what == "hour" and self._between(each, hours, one)):
                    del self._open[(what, one)]
                elif differences != each.differences:
                    each.differences, each.changed, each.round = differences, now, number

    def decided(self, done: int) -> bool:
        """Whether nothing that is left will change by itself, or has been changing for too long."""
        now = self._clock()
        return all(self._stays(each, done, now) or self._moves(each, now) for each in self._open.values())

    def outcome(self, done: int) -> tuple[list[Difference], list[Subject]]:
        """The differences that stay, and the subjects that are undecided."""
        now = self._clock()
        stay = [each for each in self._open.items() if self._stays(each[1], done, now)]
        moving = [subject for subject, each in self._open.items() if not self._stays(each, done, now)]
        return [difference for _, each in stay for difference in each.differences], moving

    def _stays(self, each: _Open, done: int, now: float) -> bool:
        return done >= each.round and now - each.changed >= self._settle

    def _moves(self, each: _Open, now: float) -> bool:
        return now - each.changed < self._settle and now - each.began >= MOVING_FACTOR * self._settle

    def _between(self, each: _Open, hours: Found, id: str) -> bool:
        low, high = each.low, self._hour(id)
        shown: Mapping[str, int] = hours.get(id, {}).get("counts", {})
        return low is not None and all(
            low.get(kind, 0) <= shown.get(kind, 0) <= high.get(kind, 0) for kind in low.keys() | shown.keys()
        )

    def _parts(self) -> Iterator[tuple[str, list[str]]]:
        by_kind: dict[str, list[str]] = {}
        for what, one in self._open:
            by_kind.setdefault(what, []).append(one)
        for what, ids in by_kind.items():
            for start in range(0, len(ids), AT_ONCE):
                yield what, ids[start : start + AT_ONCE]
