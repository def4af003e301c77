"""WebSockets to addresses that somebody else chose; see `outgoing`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from rapport.kit.http.outgoing import Guard


class _NoRedirects(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """A redirect fails: it leads to an address that nobody checked."""
        return exc


@asynccontextmanager
async def connected(guard: Guard, url: str, **more: Any) -> AsyncIterator[ClientConnection]:
    """A connection to a `wss://` address, to where it leads now. `more` is what `websockets.connect` takes.

    Raises RefusedAddressError and NoPublicAddressError beside what `connect` raises.
    """
    target = await guard.target(url, "wss", "ws")
    pinned: dict[str, Any] = {"host": str(target.address), "port": target.port, "proxy": None}
    if target.secure:
        pinned["server_hostname"] = target.host
    async with _NoRedirects(target.url, **pinned, **more) as connection:
        yield connection
