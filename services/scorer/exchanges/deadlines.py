"""When each thread of a partition is due for review: a heap, rebuilt from the rows, that can be rolled back."""

import heapq
from collections.abc import Iterable, Iterator


class Deadlines:
    """Times in ms by key. Costs by what is due and by what changes, not by what waits."""

    def __init__(self) -> None:
        self._at: dict[bytes, int] = {}
        self._heap: list[tuple[int, bytes]] = []
        self._before: dict[bytes, int | None] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._at)

    def filling(self, parts: Iterable[list[tuple[bytes, int]]]) -> Iterator[None]:
        """Begins with these, part by part; ready once it is gone through."""
        self._at, self._heap = {}, []
        self._before.clear()
        for part in parts:
            self._at.update(part)
            self._heap += [(at, key) for key, at in part]
            yield
        heapq.heapify(self._heap)

    def note(self, key: bytes, at: int | None) -> None:
        """Makes `key` due at `at`, or never."""
        if self._at.get(key) == at:
            return
        self._before.setdefault(key, self._at.get(key))
        self._set(key, at)

    def pop(self, clock: int) -> bytes | None:
        """The key whose time came first, if it has come by `clock`; it waits no more until noted again."""
        while self._heap and self._heap[0][0] <= clock:
            at, key = heapq.heappop(self._heap)
            # What was noted again since has another place in the heap.
            if self._at.get(key) == at:
                self._before.setdefault(key, at)
                del self._at[key]
                return key
        return None

    def due(self, clock: int) -> bool:
        """Whether the time of one may have come."""
        return bool(self._heap) and self._heap[0][0] <= clock

    def committed(self) -> None:
        """What changed since stays."""
        self._before.clear()

    def rolled_back(self) -> None:
        """Undoes what changed since."""
        for key, at in self._before.items():
            self._set(key, at)
        self._before.clear()

    def _set(self, key: bytes, at: int | None) -> None:
        if at is None:
            self._at.pop(key, None)
        else:
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))
