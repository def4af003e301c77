"""Between the HTTP server and an application: limits the size of bodies, and catches what the application raises."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

DISCARDED = 16 * 1024 * 1024
"""A body that is too large is still read up to here and discarded: many clients read no answer before they are done."""
MOST_HELD = 128 * 1024 * 1024
"""Bytes of bodies that a process holds in memory at once."""
MOST_HELD_OF_ONE = 32 * 1024 * 1024
"""The part of it that one address may take."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class TooLargeError(Exception):
    """The body is too large. With `hang_up` its rest is unread, so the connection cannot be used again."""

    def __init__(self, *, hang_up: bool) -> None:
        super().__init__("the body is too large")
        self.hang_up = hang_up


class GoneError(Exception):
    """The client went away, or was too slow, before the end of the body."""


class FullError(Exception):
    """Too many bodies are held already."""


class Bodies:
    """The bodies that a process holds in memory."""

    def __init__(self, most: int = MOST_HELD, most_of_one: int = MOST_HELD_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._held: Counter[str] = Counter()
        self._all = 0

    @contextlib.asynccontextmanager
    async def whole(self, scope: Scope, receive: Receive, most: int) -> AsyncIterator[bytes]:
        """The body of a request, of `most` bytes, counted as held until the context ends.

        Raises TooLargeError, GoneError and FullError. Never holds more than `most`, whatever the length is said to be.
        """
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > DISCARDED:
            raise TooLargeError(hang_up=True)
        address = scope["client"][0] if scope.get("client") else ""
        body = bytearray()
        size = 0
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise GoneError
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                if size > DISCARDED:
                    raise TooLargeError(hang_up=more)
                if size <= most:
                    self._hold(address, len(part))
                    body += part
            if size > most:
                raise TooLargeError(hang_up=False)
            yield bytes(body)
        finally:
            self._release(address, len(body))

    def _hold(self, address: str, size: int) -> None:
        if self._all + size > self._most or self._held[address] + size > self._most_of_one:
            raise FullError
        self._all += size
        self._held[address] += size

    def _release(self, address: str, size: int) -> None:
        self._all -= size
        self._held[address] -= size
        if not self._held[address]:
            del self._held[address]


class Caught:
    """Answers when the application raises, so that the server does not drop the connection."""

    def __init__(self, app: App, answer: Callable[[Scope, Exception], App]) -> None:
        """`answer` logs the error and returns the response."""
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            response = self._answer(scope, error)
            if begun:
                # Half of the answer is sent. Only a broken connection tells the client that the rest is missing.
                raise
            await response(scope, receive, send)
