"""How many items of a list are asked for at once, where pages of the usual size are too large or take too long."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from services.ingest.polling.api import TooMuchError

LESS_FOR = timedelta(hours=1)
"""How long pages stay as small as they had to be before twice as much is tried."""


class Sizes:
    """By the kind of list."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._most: dict[str, tuple[int, datetime]] = {}
        """How many items are asked for at once where that is fewer than usual, and since when."""

    def at_once(self, kind: str, most: int) -> int:
        """How many items to ask for; `most` is usual. After each hour it is twice as many."""
        limit, at = self._most.get(kind, (most, self._now()))
        while limit < most and self._now() - at >= LESS_FOR:
            limit, at = limit * 2, at + LESS_FOR
        if limit >= most:
            self._most.pop(kind, None)
            return most
        self._most[kind] = limit, at
        return limit

    async def page(self, kind: str, most: int, least: int, ask: Callable[[int], Awaitable[bytes]]) -> bytes:
        """A page of as many items as can be had. Raises what `ask` does, and TooMuchError only where `least` are too
        many.
        """
        while True:
            limit = self.at_once(kind, most)
            try:
                return await ask(limit)
            except TooMuchError:
                if limit <= least:
                    raise
                self.halve(kind, limit)

    def halve(self, kind: str, limit: int) -> None:
        """A page of so many items was too large."""
        self._most[kind] = max(1, limit // 2), self._now()

    def relax(self) -> None:
        """Pages of full size are tried again."""
        self._most.clear()
