"""How soon an account is asked again, by what became of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rapport.contracts import codec
from rapport.contracts.cursors import AccountState
from services.ingest.polling import follower
from services.ingest.polling.api import AttentionError
from services.ingest.polling.follower import ATTENTION_SECONDS, Follower

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Reads:
    """A Reader that finds nothing."""

    every_seconds = 60.0

    async def itself(self) -> str:
        """See Reader."""
        return "1"

    async def read(self) -> None:
        """See Reader."""


async def nothing(*_: object) -> None:
    """What is told goes nowhere."""


@asynccontextmanager
async def followed(
    reader: Reads, stands: Callable[[AccountState], Awaitable[None]] = nothing
) -> AsyncIterator[Follower]:
    """An account that is asked by a Reader."""
    reading = SimpleNamespace(
        account=SimpleNamespace(id="account-1", platform="facebook"), claim=1, latest_at=None, now=lambda: NOW,
        lost=lambda: False, allowed=lambda: True, state=lambda: None, stands=stands,
    )  # fmt: skip
    made = Follower("brand-1", cast(Any, reading), cast(Any, reader), nothing, logging.getLogger("test"))
    try:
        yield made
    finally:
        made.stop()
        await made.ended()


@pytest.mark.parametrize(
    ("complete", "every", "seconds"),
    [
        (True, 600.0, 600.0),
        (True, 2_400.0, 2_400.0),
        (True, 60.0, ATTENTION_SECONDS),
        (False, 600.0, ATTENTION_SECONDS),
    ],
)
async def test_an_account_that_is_read_but_needs_attention_is_asked_no_more_often_than_usual(
    monkeypatch: pytest.MonkeyPatch, *, complete: bool, every: float, seconds: float
) -> None:
    waited: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def pause(delay: float, _: asyncio.Event) -> None:
        waited.set_result(delay)
        await asyncio.Event().wait()

    class Unsubscribed(Reads):
        """A Reader that reads all, or nothing, and says that somebody has to do something."""

        every_seconds = every

        async def read(self) -> None:
            raise AttentionError("it is not subscribed", complete=complete)

    monkeypatch.setattr(follower, "pause", pause)
    async with followed(Unsubscribed()) as made:
        assert await asyncio.wait_for(waited, 20) == seconds
        assert made.behind() is not complete


@pytest.mark.parametrize("apart", [True, False])
async def test_where_posts_are_read_less_often_an_accounts_state_says_when(
    monkeypatch: pytest.MonkeyPatch, *, apart: bool
) -> None:
    said: asyncio.Future[AccountState] = asyncio.get_running_loop().create_future()

    class Apart(Reads):
        """A Reader that reads all but posts, which it last read an hour ago."""

        posts_checked_at = NOW - timedelta(hours=1)

    async def stands(state: AccountState) -> None:
        said.set_result(state)

    async def pause(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(follower, "pause", pause)
    async with followed(Apart() if apart else Reads(), stands):
        state = await asyncio.wait_for(said, 20)
    assert state.checked_at == NOW
    assert state.posts_checked_at == (NOW - timedelta(hours=1) if apart else None)
    assert (b"posts_checked_at" in codec.encode(state)) is apart
