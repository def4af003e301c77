"""WebSockets to addresses that somebody else chose; see `outgoing`."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from rapport.kit.http.addresses import in_turn
from rapport.kit.http.outgoing import Guard, NoPublicAddressError, Target

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
    failure: OSError = NoPublicAddressError("the host name leads to no public address")
    for address, seconds in in_turn(target.addresses, time.monotonic() + options.pop("open_timeout", OPEN_SECONDS)):
        try:
            return await _NoRedirects(target.url, host=str(address), open_timeout=seconds, **options)
        except OSError as error:
            failure = error
    raise failure
