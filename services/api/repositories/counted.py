"""Counts that take long where there is much to count: kept for a while, and made by one request for all that wait."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

SHARE = 50
"""So many times longer than it took to make, a count is kept: making counts takes at most a fiftieth of the time."""

T = TypeVar("T")


class Counted(Generic[T]):
    """Counts by key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._kept: dict[Hashable, tuple[float, T]] = {}
        self._locks: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: Hashable, count: Callable[[], Awaitable[T]]) -> T:
        """The count of a key, made where none is kept. While it is made anew, the others get what was kept."""
        kept = self._kept.get(key)
        if kept is not None and (self._clock() < kept[0] or self._locks[key].locked()):
            return kept[1]
        async with self._locks[key]:
            kept = self._kept.get(key)
            if kept is not None and self._clock() < kept[0]:
                return kept[1]
            began = self._clock()
            found = await count()
            ended = self._clock()
            self._kept[key] = ended + (ended - began) * SHARE, found
            return found
