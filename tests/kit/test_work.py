"""Pools: a tenant's share, whose turn it is, and how much may wait."""

import asyncio
import threading

import pytest

from rapport.kit import work
from rapport.kit.work import BusyError, Pool


def test_a_tenants_work_takes_one_thread_and_the_others_get_theirs_meanwhile() -> None:
    pool = Pool("test", threads=2)
    gate = threading.Event()
    done: list[str] = []

    def waits(name: str) -> str:
        assert gate.wait(30)
        done.append(name)
        return name

    async def play() -> None:
        crowd = [asyncio.create_task(pool.run("loud", waits, f"loud {number}")) for number in range(5)]
        await asyncio.sleep(0)
        # Five of another wait, one of them in a thread; this one is not behind them.
        assert await asyncio.wait_for(pool.run("quiet", lambda: "quiet"), 30) == "quiet"
        gate.set()
        assert await asyncio.gather(*crowd) == [f"loud {number}" for number in range(5)]

    asyncio.run(play())
    assert done == [f"loud {number}" for number in range(5)]


def test_everybody_has_a_turn_before_anybody_has_a_second_one() -> None:
    pool = Pool("test", threads=1)
    gate = threading.Event()
    order: list[str] = []

    async def play() -> None:
        first = asyncio.create_task(pool.run("first", gate.wait, 30))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(pool.run(name, order.append, name)) for name in ("a", "a", "a", "b", "c")]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(play())
    assert order == ["a", "b", "c", "a", "a"]


def test_what_is_too_much_of_one_tenant_is_not_taken_on_and_errors_reach_who_asked() -> None:
    pool = Pool("test")
    gate = threading.Event()

    def fails() -> None:
        raise LookupError("mine")

    async def play() -> None:
        crowd = [asyncio.create_task(pool.run("loud", gate.wait, 30)) for _ in range(work.WAITING_OF_ONE + 1)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await pool.run("loud", gate.wait, 30)
        with pytest.raises(LookupError, match="mine"):
            await pool.run("quiet", fails)
        gate.set()
        await asyncio.gather(*crowd)
        assert await pool.run("loud", gate.is_set)

    asyncio.run(play())
