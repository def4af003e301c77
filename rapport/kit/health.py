"""Liveness, readiness and metrics over HTTP, on a port of their own that is not public."""

import asyncio
import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from platform import python_version
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, Histogram, generate_latest

MOST_CONNECTIONS = 32
"""Enough for the probes and scrapers of a few systems; each takes a thread. One more ends the oldest."""
LARGEST_REQUEST = 16 * 1024
WITHIN_SECONDS = 10.0
"""For a whole request; each connection serves one."""

STUCK_SECONDS = 30.0
"""A loop that has done nothing for this long will not recover by itself."""
BEAT_SECONDS = 0.5

BUILD = Gauge("rapport_build_info", "Always 1. The version that runs.", ["version", "python"])
READY = Gauge("rapport_ready", "Whether the process can do its work: what `/readyz` says.")
LAG = Histogram(
    "rapport_event_loop_lag_seconds",
    "How much later than asked for the event loop came back from a short sleep.",
    buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class Health:
    """Why a service is not ready. Safe to use from several threads."""

    def __init__(self, *reasons: str) -> None:
        """Not ready for these reasons, such as `kafka`, until each is cleared."""
        self._lock = threading.Lock()
        self._reasons = set(reasons)
        self._checks: list[Callable[[], str | None]] = []

    def unready(self, reason: str) -> None:
        """Adds a reason not to be ready."""
        with self._lock:
            self._reasons.add(reason)

    def ready(self, reason: str) -> None:
        """Clears a reason."""
        with self._lock:
            self._reasons.discard(reason)

    def check(self, reason: Callable[[], str | None]) -> None:
        """Asks `reason` each time. It must answer at once, with None while all is well."""
        with self._lock:
            self._checks.append(reason)

    def reasons(self) -> list[str]:
        """The reasons, sorted; empty when the service is ready."""
        with self._lock:
            checked = [check() for check in self._checks]
            return sorted(self._reasons.union(reason for reason in checked if reason is not None))


class Loop:
    """Whether an asyncio loop is running."""

    def __init__(self) -> None:
        self._seen = time.monotonic()
        self.ran = 0.0
        """Seconds since its beginning, less those in which it got no processor, was frozen, or was held up."""

    async def beat(self) -> None:
        """Runs on the loop until it is cancelled."""
        while True:
            self._seen = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
            LAG.observe(max(0.0, time.monotonic() - self._seen - BEAT_SECONDS))
            self.ran += BEAT_SECONDS

    def alive(self) -> bool:
        """Whether it has run recently."""
        return time.monotonic() - self._seen < STUCK_SECONDS


def serve(host: str, port: int, health: Health, alive: Callable[[], bool] = lambda: True) -> ThreadingHTTPServer:
    """Serves `/healthz` (200 while `alive()`), `/readyz` (503 and the reasons until ready) and `/metrics` in a thread.

    Raises OSError if the port is taken. Port 0 takes a free one: see `server_port` of the result.
    """

    class Handler(_Handler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self.say(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                fine = alive()
                self.say(200 if fine else 503, b"ok\n" if fine else b"no progress\n")
            elif self.path == "/readyz":
                reasons = health.reasons()
                self.say(503 if reasons else 200, (", ".join(reasons) or "ready").encode() + b"\n")
            else:
                self.say(404, b"not found\n")

    BUILD.labels(version("rapport"), python_version()).set(1)
    READY.set_function(lambda: not health.reasons())
    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        raise OSError(error.errno, f"{host}:{port} cannot be listened on: {error.strerror or error}") from error
    # How soon it ends when asked to. The default, half a second, would delay the end of each process.
    threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True).start()
    return server


class _Request(io.RawIOBase):
    """What a client sends: no more than `LARGEST_REQUEST`, and not after `WITHIN_SECONDS`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + WITHIN_SECONDS
        self._left = LARGEST_REQUEST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0 or self._left <= 0:
            raise TimeoutError("the request is too slow or too large")
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "rapport", ""
    timeout = WITHIN_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Request(self.connection), 1024)

    def say(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.connection.settimeout(WITHIN_SECONDS)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: probes come every few seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self._open: dict[Any, None] = {}
        self._opening = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._opening:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > MOST_CONNECTIONS else None
            if oldest is not None:
                del self._open[oldest]
        if oldest is not None:
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        with self._opening:
            self._open.pop(request, None)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs nothing: clients go away all the time."""
