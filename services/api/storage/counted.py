"""A cache for slow counts. Each count is computed once for everybody who asks."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from prometheus_client import Counter
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document

MANY = 20_000
"""Counts of fewer things are computed each time, so they are always current."""
SHARE = 50
"""A count is cached for 50 times as long as it took to compute, so counting takes at most a fiftieth of the time."""
OLDEST_SECONDS = 600.0
"""An old count is given while it is computed again, unless it is older than this."""
MOST_KEPT = 10_000

ASKED = Counter(
    "rapport_api_counts_total",
    "Slow counts asked for: `hit` (cached), `stale` (cached, and computed again meanwhile), or `miss` (waited for).",
    ["cache"],
)

T = TypeVar("T")


class _Kept(NamedTuple, Generic[T]):
    value: T
    made: float
    until: float


class Counted(Generic[T]):
    """Counts by key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept[T]] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[T]] = {}

    async def get(self, key: Hashable, count: Callable[[], Awaitable[tuple[T, int]]], least: int = MANY) -> T:
        """The count of a key. `count` computes it and says from how many things; from `least` on it is cached.

        Raises what `count` raises.
        """
        kept, now = self._kept.get(key), self._clock()
        if kept is not None and now < kept.until:
            ASKED.labels("hit").inc()
            return kept.value
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key, count, least))
            making.add_done_callback(_seen)
        if kept is not None and now - kept.made < OLDEST_SECONDS:
            ASKED.labels("stale").inc()
            return kept.value
        ASKED.labels("miss").inc()
        # A caller that is cancelled must not cancel it for the others.
        return await asyncio.shield(making)

    async def _make(self, key: Hashable, count: Callable[[], Awaitable[tuple[T, int]]], least: int) -> T:
        began = self._clock()
        try:
            value, many = await count()
            ended = self._clock()
            if many >= least:
                self._kept[key] = _Kept(value, ended, ended + (ended - began) * SHARE)
                self._kept.move_to_end(key)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            else:
                self._kept.pop(key, None)
            return value
        finally:
            del self._making[key]


_of_client: WeakKeyDictionary[AsyncMongoClient[Document], Counted[Any]] = WeakKeyDictionary()
"""One cache per client. Counting a million followers, or a month's exchanges, takes most of a second."""


def counted(database: AsyncDatabase[Document]) -> Counted[Any]:
    """This process's cache for a database's server. Keys begin with the database's name."""
    return _of_client.setdefault(database.client, Counted())


def _seen(task: "asyncio.Task[T]") -> None:
    """Takes note of an error that nobody waited for. The next caller counts again."""
    if not task.cancelled():
        task.exception()
