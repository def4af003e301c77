"""Asks an account's own server for lists, page by page: within its limits, and again where it was away."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

from msgspec import Meta, Raw, Struct

from rapport.kit import backoff
from services.ingest.connectors.bluesky.session import Session
from services.ingest.hooks.delivery import UnreadableError, decode
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError, TooMuchError

AT_ONCE = 100
"""What a page has at most.

Source: `limit` in https://github.com/bluesky-social/atproto/blob/main/lexicons/app/bsky/notification/listNotifications.json
and …/com/atproto/repo/listRecords.json
"""
MOST_PAGES = 5_000
"""Of one list: half a million things."""
LONGEST_SECONDS = 4 * 3_600.0
"""How long one list is read."""
GIVE_UP_AFTER_SECONDS = 120.0
"""How long a server that is away is asked again, as with the door."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 15.0
LONGEST_LIMIT_SECONDS = 900.0
"""How long a server may have us wait for one page. Its limits are of five minutes; that of logins is of a day."""
_Cursor = Annotated[str, Meta(min_length=1, max_length=2_048)]

T = TypeVar("T")


class AskingError(Exception):
    """What was asked for cannot be had now. The text says why, for people."""


class _Page(Struct):
    """Of either list; the cursor leads to the next page."""

    cursor: _Cursor | None = None
    records: list[Raw] | None = None
    notifications: list[Raw] | None = None


class Asking:
    """Waits where it has to, and says so to `tell`."""

    def __init__(
        self,
        tell: Callable[[str], object],
        *,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._wait = wait
        self._clock = clock
        self.cut = False
        """Whether a list was longer than it is read."""

    async def pages(self, session: Session, method: str, query: Mapping[str, str]) -> AsyncIterator[list[Raw]]:
        """The pages of a list, in its order; empty ones too, because there may be more behind them.

        Raises AskingError.
        """
        until = self._clock() + LONGEST_SECONDS
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._page(session, method, query if cursor is None else {**query, "cursor": cursor})
            yield _items(page) or []
            if page.cursor is None or page.cursor == cursor:
                return
            cursor = page.cursor
            if self._clock() > until:
                break
        self.cut = True

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives, which raises as an Api. Raises TooMuchError at once, and AskingError."""
        until = self._clock() + GIVE_UP_AFTER_SECONDS
        limited = 0.0
        for delay in backoff.delays(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS):
            try:
                return await ask()
            except TooMuchError:
                raise
            except LimitedError as error:
                pause, why = error.seconds, "limits requests"
                limited += pause
                until += pause
                if limited > LONGEST_LIMIT_SECONDS:
                    raise AskingError(f"its server {why}, for {pause:.0f} s more") from None
            except AwayError as error:
                pause, why = delay, f"does not answer as it should: {error}"
                if self._clock() + pause > until:
                    raise AskingError(f"its server {why}") from None
            except (AttentionError, RefusedError) as error:
                raise AskingError(str(error)) from None
            self._tell(f"its server {why}; asking again in {pause:.0f} s")
            await self._wait(pause)
        raise AssertionError("delays never end")

    async def _page(self, session: Session, method: str, query: Mapping[str, str]) -> _Page:
        """A page that is too large, or has what cannot be read, is asked for in smaller parts."""
        limit = AT_ONCE

        async def ask() -> _Page:
            answer = await session.ask(lambda its: its.get(f"/xrpc/{method}", {**query, "limit": str(limit)}))
            try:
                page = decode(answer, _Page)
            except UnreadableError as error:
                raise TooMuchError(f"its answer cannot be read: {error}") from None
            if _items(page) is None:
                raise TooMuchError("its answer has no list")
            return page

        while True:
            try:
                return await self.patiently(ask)
            except TooMuchError as error:
                if limit == 1:
                    raise AskingError(f"its server does not answer as it should: {error}") from None
                limit //= 2


def _items(page: _Page) -> list[Raw] | None:
    return page.records if page.records is not None else page.notifications
