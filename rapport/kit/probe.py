"""Probes whether what a service needs is there."""

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from rapport.kit.health import Health

ASK_EVERY_SECONDS = 2.0
ANSWER_WITHIN_SECONDS = 7.0
"""A server that has not answered for this long counts as down. Readiness promises to say so within 15 s."""
ROOM_BYTES = 4 * 1024 * 1024
"""Space that a folder must have. Running out of it in the middle of a write is worse."""

log = logging.getLogger("rapport.health")


class Probe:
    """Asks a server again and again, in a thread of its own, and knows when it last answered.

    So a readiness check never waits for a server that hangs.
    """

    def __init__(
        self,
        name: str,
        attempt: Callable[[], object],
        *,
        close: Callable[[], object] = lambda: None,
        every: float = ASK_EVERY_SECONDS,
        within: float = ANSWER_WITHIN_SECONDS,
    ) -> None:
        """`attempt` returns if all is well and raises if not; it may also take forever.

        `close` is called after the last attempt, to release what it holds.
        """
        self._name = name
        self._attempt = attempt
        self._close = close
        self._every = every
        self._within = within
        self._answered: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe {name}", daemon=True)

    def start(self, health: Health) -> Self:
        """Begins to ask, and reports to `health`."""
        health.check(self.reason)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops asking, without waiting for an attempt under way."""
        self._stop.set()

    def reason(self) -> str | None:
        """The name if it has not answered in time, else None."""
        answered = self._answered
        return None if answered is not None and time.monotonic() - answered < self._within else self._name

    def _run(self) -> None:
        away = False
        while not self._stop.is_set():
            try:
                self._attempt()
            except Exception as error:  # whatever it is, it is no answer
                if not away and self.reason() is not None:
                    away = True
                    log.warning("not ready, %s: %s: %.300s", self._name, type(error).__name__, error)
            else:
                self._answered = time.monotonic()
                if away:
                    away = False
                    log.info("%s answers again", self._name)
            self._stop.wait(self._every)
        self._close()


def room_in(folder: Path, room: int = ROOM_BYTES) -> None:
    """Checks that a folder has room for files, in bytes. Creates it if needed. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        # Allocates the space without writing to it.
        os.posix_fallocate(file.fileno(), 0, room)
