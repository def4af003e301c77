"""Counts that are kept for as long as they are worth."""

import asyncio

import pytest

from services.api.storage.counted import MANY, OLDEST_SECONDS, SHARE, Counted


class Counting:
    """A count that takes time, on a clock that is set."""

    def __init__(self, of: int = MANY) -> None:
        self.now = 0.0
        self.times = 0
        self.of = of
        self.go = asyncio.Event()
        self.made: asyncio.Queue[int] = asyncio.Queue()
        self.counted: Counted[int] = Counted(lambda: self.now)

    async def get(self, key: str = "a", least: int = MANY) -> int:
        """The count of a key."""
        return await self.counted.get(key, self._slow, least)

    async def _slow(self) -> tuple[int, int]:
        """Takes a second once it may go."""
        await self.go.wait()
        self.now += 1
        self.times += 1
        self.made.put_nowait(self.times)
        return self.times, self.of


@pytest.mark.anyio
async def test_a_count_is_made_once_for_all_who_wait_and_kept_by_what_it_cost() -> None:
    counting = Counting()
    waiting = [asyncio.create_task(counting.get()) for _ in range(5)]
    counting.go.set()
    assert await asyncio.gather(*waiting) == [1] * 5
    assert await counting.made.get() == 1
    counting.now += SHARE - 0.5
    assert await counting.get() == 1
    counting.now += 1
    counting.go.clear()
    assert [await counting.get() for _ in range(3)] == [1] * 3, "nobody waits while it is made anew"
    counting.go.set()
    assert await counting.made.get() == 2
    await asyncio.sleep(0)
    assert await counting.get() == 2
    assert await counting.get("b") == 3


@pytest.mark.anyio
async def test_who_comes_after_a_long_time_waits_for_what_is_true_now() -> None:
    counting = Counting()
    counting.go.set()
    assert await counting.get() == 1
    counting.now += OLDEST_SECONDS + 1
    assert await counting.get() == 2


@pytest.mark.anyio
async def test_what_little_is_may_be_said() -> None:
    counting = Counting(of=100)
    counting.go.set()
    for least, times in ((101, 1), (101, 2), (100, 3), (100, 3)):
        assert await counting.get(least=least) == times


@pytest.mark.anyio
async def test_what_is_counted_from_little_is_never_behind() -> None:
    counting = Counting(of=MANY - 1)
    counting.go.set()
    assert [await counting.get() for _ in range(3)] == [1, 2, 3]


@pytest.mark.anyio
async def test_who_goes_away_takes_nothing_from_those_who_wait() -> None:
    counting = Counting()
    first, second = asyncio.create_task(counting.get()), asyncio.create_task(counting.get())
    await asyncio.sleep(0)
    first.cancel()
    counting.go.set()
    assert await second == 1


@pytest.mark.anyio
async def test_a_count_that_failed_is_made_again() -> None:
    counted: Counted[int] = Counted()

    async def fails() -> tuple[int, int]:
        raise RuntimeError("the database is away")

    async def works() -> tuple[int, int]:
        return 7, MANY

    with pytest.raises(RuntimeError):
        await counted.get("a", fails)
    assert await counted.get("a", works) == 7
