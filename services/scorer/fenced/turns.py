"""Lanes compute in turns, so that none of them holds up the transactions of the others for long."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

SLICE_SECONDS = 0.02
"""How long a lane computes before the event loop goes round."""
_SHARE = 0.25
"""Of the time just computed, how much those who write get at most. A transaction takes dozens of rounds of the loop;
with one round after each slice it would last for dozens of slices, and lanes with little to do would stand."""


class Writing:
    """Who waits for the log at the moment."""

    def __init__(self) -> None:
        self._many = 0
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> None:
        self._many += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        self._many -= 1
        if not self._many:
            self._none.set()

    async def wait(self, seconds: float) -> None:
        """Waits until nobody writes, for some seconds at most."""
        if self._many:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._none.wait()


class Turn:
    """The right to compute, as one lane has it for a while."""

    def __init__(self, free: asyncio.Lock, writing: Writing) -> None:
        self._free = free
        self._writing = writing
        self._mine = False
        self._began = 0.0

    async def take(self) -> None:
        """Waits until it is this lane's turn."""
        await self._free.acquire()
        self._mine, self._began = True, time.monotonic()

    def give(self) -> None:
        """Lets others have it."""
        if self._mine:
            self._mine = False
            self._free.release()

    async def pause(self) -> None:
        """Call it often. After a slice those who write go on, then other lanes have their turn."""
        took = time.monotonic() - self._began
        if took >= SLICE_SECONDS:
            # Nobody else computes in that time: the turn is still this lane's.
            await self._writing.wait(took * _SHARE)
            self.give()
            await asyncio.sleep(0)
            await self.take()


class Turns:
    """One for all lanes of a process. One lane computes at a time: there is one thread for all of them anyway."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()
        self.writing = Writing()
        """To be entered while a transaction is written."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """The caller's turn, once it comes."""
        turn = Turn(self._free, self.writing)
        await turn.take()
        try:
            yield turn
        finally:
            turn.give()
