"""Lanes compute in turns, so that none of them holds up the transactions of the others for long."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SLICE_SECONDS = 0.02
"""How long a lane computes before the event loop goes round: a transaction takes some 20 rounds."""


class Turn:
    """The right to compute, as one lane has it for a while."""

    def __init__(self, free: asyncio.Lock) -> None:
        self._free = free
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
        """Call it often. After a slice it lets the event loop go round, and other lanes have their turn."""
        if time.monotonic() - self._began >= SLICE_SECONDS:
            self.give()
            await asyncio.sleep(0)
            await self.take()


class Turns:
    """One for all lanes of a process. One lane computes at a time: there is one thread for all of them anyway."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """The caller's turn, once it comes."""
        turn = Turn(self._free)
        await turn.take()
        try:
            yield turn
        finally:
            turn.give()
