"""The HTTP server of the processes that anybody can reach: uvicorn, with limits on what one connection may cost.

uvicorn itself limits neither the size of a request's head nor the time that head and body may take when it parses with
httptools, so the protocol here does. For a proxy in front, see docs/security.md#behind-a-proxy.
"""

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rapport.kit.http.problems import MEDIA_TYPE, ProblemError

log = logging.getLogger("rapport.http")

SLICE = 16 * 1024
"""Bytes that are parsed at once, which is how exactly a head is measured."""
SPARE_FILES = 128
"""File descriptors that are left for everything that is not a connection from outside."""


@dataclass(frozen=True)
class Limits:
    """What one connection may cost, and how many there may be. Times are in seconds."""

    head_bytes: int = 64 * 1024
    """Request line and headers; browsers and proxies stay below 16 KiB."""
    head_within: float = 10.0
    body_within: float = 30.0
    idle: float = 30.0
    """How long it may be idle between two requests."""
    write_within: float = 30.0
    """How long a client may take to read what waits to be sent."""
    linger: float = 2.0
    """How long a refused client may go on sending. Closing earlier could destroy the answer on its way."""
    discarded: int = 16 * 1024 * 1024
    """How much of that is read and discarded."""
    pipelined: int = 16
    """Requests on a connection that may wait for the answer to the previous one."""
    connections: int = 1000


class _Config(uvicorn.Config):
    limits: Limits


class Bounded(HttpToolsProtocol):
    """A connection that keeps to the `Limits`. It answers 431 and 408 by itself, and then closes.

    If there are too many connections, the one that has waited longest for its client makes room for a new one.
    """

    config: _Config

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._limits = self.config.limits
        self.timeout_keep_alive = self._limits.idle  # type: ignore[assignment]
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._unread = 0
        self._refused = False
        self._receiving: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing happens here until the client sends more."""
        return self._in_head or self._in_body or self.cycle is None or self.cycle.response_complete

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            # A set has no order, so the server's connections are kept in a dict: see `_Connections`.
            waiting = (each for each in self.connections if isinstance(each, Bounded) and each is not self)
            oldest = next((each for each in waiting if each.waits_for_client), self)
            self.connections.discard(oldest)
            oldest.transport.abort()
        self._expect(self._limits.head_within)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(len(data))
            return
        if self._receiving is None and not self._pending():
            self._expect(self._limits.head_within)
        for start in range(0, len(data), SLICE):
            part = data[start : start + SLICE]
            super().data_received(part)
            if self._refused or self.transport.is_closing():
                return
            if self._in_head:
                self._head_bytes += len(part)
                if self._head_bytes > self._limits.head_bytes:
                    self._refuse(431, "headers-too-large", f"the headers may have {self._limits.head_bytes} bytes")
                    return
            elif self._in_body and self.cycle.response_complete:
                self._unread += len(part)
                if self._unread > self._limits.discarded:
                    self.transport.abort()
                    return
            if len(self.pipeline) > self._limits.pipelined:
                self.transport.abort()
                return
        if self._receiving is None and self.timeout_keep_alive_task is None and self._idles():
            # This was the end of a request that was answered before, so no answer starts the time of being idle.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self._limits.write_within, self.transport.abort)

    def resume_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        if self.flow is not None:
            super().resume_writing()

    # What the parser calls.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unread = True, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if not self._in_head:
            # Trailers of a chunked body, which nobody reads.
            self._head_bytes += len(name) + len(value)
            if self._head_bytes > self._limits.head_bytes:
                self._refuse(431, "headers-too-large", f"the headers may have {self._limits.head_bytes} bytes")

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._in_head, self._in_body, self._head_bytes = False, True, 0
        if self.parser.get_http_version() == "1.1" and sum(name == b"host" for name, _ in self.headers) != 1:
            self._refuse(400, "no-host", "a request names its host, once")
            return
        self._expect(self._limits.body_within)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._in_body = False
        self._expect(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        if not self._refused:
            self._refuse(400, "not-http", "this is not an HTTP request")

    # What the answer calls.

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            # Closing waits until everything is sent, which a client could hold up for good.
            self.loop.call_later(self._limits.write_within, self.transport.abort)
        elif self._in_body or self._in_head:
            # The rest of the request has its own time. That of a head which began during the answer starts now.
            self._unset_keepalive_if_required()
            if self._receiving is None:
                self._expect(self._limits.head_within)

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    # Ours.

    def _pending(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _idles(self) -> bool:
        return not (self._in_head or self._in_body or self._pending())

    def _expect(self, seconds: float | None) -> None:
        """Gives the client this many seconds for what it sends next; None if nothing is expected."""
        if self._receiving is not None:
            self._receiving.cancel()
        self._receiving = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._receiving = None
        if self.transport.is_closing():
            return
        if self._in_head and self._pending():
            # The answer to the request before comes first.
            self._expect(self._limits.head_within)
        elif self._in_head:
            self._refuse(408, "slow", f"the headers took longer than {self._limits.head_within:g} s")
        elif self._in_body and not self.pipeline and not self.cycle.response_started:
            self._refuse(408, "slow", f"the body took longer than {self._limits.body_within:g} s; nothing was taken")
        else:
            self.transport.abort()

    def _refuse(self, status: int, slug: str, detail: str) -> None:
        """Answers with a problem document, reads no more, and closes."""
        self._refused = True
        self._expect(None)
        self._unset_keepalive_if_required()
        if self._pending():
            started = self.cycle.response_started or bool(self.pipeline)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if started:
                self.transport.abort()
                return
        body = ProblemError(status, slug, detail).document()
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(self._limits.linger, self.transport.abort)

    def _discard(self, size: int) -> None:
        self._unread += size
        if self._unread > self._limits.discarded:
            self.transport.abort()


class _Connections(dict[Any, None]):
    """A set that keeps the order in which things were added."""

    def add(self, connection: Any) -> None:
        self[connection] = None

    def discard(self, connection: Any) -> None:
        self.pop(connection, None)


class Server(uvicorn.Server):
    """Ends by returning, not by raising the signal again, so that the process ends with code 0."""

    def __init__(
        self,
        app: Any,
        *,
        host: str,
        port: int,
        trusted_proxies: Sequence[str] = (),
        graceful: int,
        limits: Limits | None = None,
    ) -> None:
        """`trusted_proxies` are addresses and networks whose X-Forwarded-For and -Proto are trusted.

        `graceful` is how many seconds requests under way may still take once the server is to end.
        """
        config = _Config(
            app,
            host=host,
            port=port,
            http=Bounded,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            timeout_graceful_shutdown=graceful,
        )
        config.limits = limits or Limits(connections=most_connections())
        super().__init__(config)
        self.server_state.connections = _Connections()  # type: ignore[assignment]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends on SIGTERM and SIGINT, if this is the main thread."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(RuntimeError, ValueError):  # another thread has no signals
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def most_connections() -> int:
    """As many as the `Limits` say, or as the process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    usual = Limits.connections
    return usual if soft == resource.RLIM_INFINITY else max(16, min(usual, soft - SPARE_FILES))
