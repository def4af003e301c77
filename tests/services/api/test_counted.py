"""Counts that are kept for as long as they are worth."""

import asyncio

import pytest

from services.api.repositories.counted import SHARE, Counted


class Counting:
    """A count that takes time, on a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.times = 0
        self.go = asyncio.Event()

    async def slow(self) -> int:
        """Takes a second once it may go."""
        await self.go.wait()
        self.now += 1
        self.times += 1
        return self.times


@pytest.mark.anyio
async def test_a_count_is_made_once_for_all_who_wait_and_kept_by_what_it_cost() -> None:
    counting = Counting()
    counted: Counted[int] = Counted(lambda: counting.now)
    waiting = [asyncio.create_task(counted.get("a", counting.slow)) for _ in range(5)]
    counting.go.set()
    assert await asyncio.gather(*waiting) == [1] * 5
    counting.now += SHARE - 0.5
    assert await counted.get("a", counting.slow) == 1
    counting.now += 1
    counting.go.clear()
    anew = asyncio.create_task(counted.get("a", counting.slow))
    await asyncio.sleep(0)
    assert await counted.get("a", counting.slow) == 1, "who comes meanwhile does not wait"
    counting.go.set()
    assert await anew == 2
    assert await counted.get("b", counting.slow) == 3


@pytest.mark.anyio
async def test_a_count_that_failed_is_made_again() -> None:
    counted: Counted[int] = Counted()

    async def fails() -> int:
        raise RuntimeError("the database is away")

    async def works() -> int:
        return 7

    with pytest.raises(RuntimeError):
        await counted.get("a", fails)
    assert await counted.get("a", works) == 7
