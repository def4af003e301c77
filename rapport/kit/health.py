"""Liveness, readiness and metrics over HTTP, for the services that serve nothing else."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Health:
    """Why a service is not ready, if it is not. Safe to use from several threads."""

    def __init__(self, *reasons: str) -> None:
        """Starts unready with these reasons, for instance `kafka`, until each is cleared."""
        self._lock = threading.Lock()
        self._reasons = set(reasons)

    def unready(self, reason: str) -> None:
        """Adds a reason not to be ready."""
        with self._lock:
            self._reasons.add(reason)

    def ready(self, reason: str) -> None:
        """Clears a reason."""
        with self._lock:
            self._reasons.discard(reason)

    def reasons(self) -> list[str]:
        """What is missing, sorted; empty when the service is ready."""
        with self._lock:
            return sorted(self._reasons)


def serve(host: str, port: int, health: Health, alive: Callable[[], bool] = lambda: True) -> ThreadingHTTPServer:
    """Serves `/healthz` (200 while `alive()`), `/readyz` (503 and the reasons until ready) and `/metrics` in a thread.

    Raises OSError where the port is taken. Port 0 takes a free one: see `server_port` of what is given back.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._say(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                fine = alive()
                self._say(200 if fine else 503, b"ok\n" if fine else b"no progress\n")
            elif self.path == "/readyz":
                reasons = health.reasons()
                self._say(503 if reasons else 200, (", ".join(reasons) or "ready").encode() + b"\n")
            else:
                self._say(404, b"not found\n")

        def _say(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes every few seconds are not worth a line."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
