"""WebSockets to addresses that somebody else chose; see `outgoing`."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from rapport.kit.http.outgoing import Guard, Target

OPEN_SECONDS = 10.0


class _NoRedirects(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """A redirect fails: it leads to an address that nobody checked."""
        return exc


@asynccontextmanager
async def connected(guard: Guard, url: str, **more: Any) -> AsyncIterator[ClientConnection]:
    """A connection to a `wss://` address, to where it leads now. `more` is what `websockets.connect` takes.

    `open_timeout` (10 seconds) is for all of its addresses. Raises RefusedAddressError and NoPublicAddressError beside
    what `connect` raises.
    """
    target = await guard.target(url, "wss", "ws")
    pinned: dict[str, Any] = {"port": target.port, "proxy": None}
    if target.secure:
        pinned["server_hostname"] = target.host
    async with await _opened(target, {**pinned, **more}) as connection:
        yield connection


async def _opened(target: Target, options: dict[str, Any]) -> ClientConnection:
    """A connection to the first of its addresses that takes one."""
    until = time.monotonic() + options.pop("open_timeout", OPEN_SECONDS)
    *others, last = target.addresses
    for left, address in zip(range(len(target.addresses), 1, -1), others, strict=True):
        with suppress(OSError):
            return await _NoRedirects(target.url, host=str(address), open_timeout=_share(until, left), **options)
    return await _NoRedirects(target.url, host=str(last), open_timeout=_share(until, 1), **options)


def _share(until: float, addresses: int) -> float:
    return max(0.001, until - time.monotonic()) / addresses
