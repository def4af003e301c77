"""Counts that take long where there is much to count: kept for a while, and made once for all who ask."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document

MANY = 20_000
"""What is counted from fewer things is usually made each time, so it is never behind."""
SHARE = 50
"""So many times longer than it took to make, a count is kept: making counts takes at most a fiftieth of the time."""
OLDEST_SECONDS = 600.0
"""Nobody waits while a count is made anew, unless the one that is kept is older than this."""
MOST_KEPT = 10_000

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
        """The count of a key. `count` makes it, and says from how many things; of `least` it is kept.

        Raises what `count` raises.
        """
        kept, now = self._kept.get(key), self._clock()
        if kept is not None and now < kept.until:
            return kept.value
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key, count, least))
            making.add_done_callback(_seen)
        if kept is not None and now - kept.made < OLDEST_SECONDS:
            return kept.value
        # Who goes away must not take it from the others who wait.
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
"""Of the process: counting a million followers takes most of a second, and so do a month's exchanges."""


def counted(database: AsyncDatabase[Document]) -> Counted[Any]:
    """The counts that this process keeps of a database's server. Keys begin with the database's name."""
    return _of_client.setdefault(database.client, Counted())


def _seen(task: "asyncio.Task[T]") -> None:
    """What failed is made again by who asks next; nobody may have waited for it."""
    if not task.cancelled():
        task.exception()
