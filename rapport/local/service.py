"""Runs one process of the installation, and restarts it when it ends unexpectedly."""

import contextlib
import http.client
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rapport.local import child
from rapport.local.child import Child

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 60.0
"""After running for this long, a service gets the first delay again."""
_POLL_SECONDS = 0.1
_ASK_SECONDS = 2.0


def delay_seconds(failures: int) -> float:
    """How long to wait after this many failures in a row (1 for the first)."""
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** (failures - 1))


class Service:
    """A `rapport <name>` on a port of the loopback interface, watched by a thread."""

    def __init__(self, name: str, port: int, probed: int, environment: Mapping[str, str], log: Path) -> None:
        """`probed` is the port of its probes and metrics."""
        self.name = name
        self.port = port
        self.probed = probed
        self.log = log
        self.ends = 0
        """How often it ended unexpectedly."""
        self._environment = environment
        self._child: Child | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def internal_url(self) -> str:
        """The address of its probes and metrics."""
        return f"http://127.0.0.1:{self.probed}"

    def child(self) -> Child | None:
        """Its process, if it runs right now."""
        running = self._child
        return running if running is not None and running.alive() else None

    def keep(self, ending: threading.Event, on_change: Callable[[str, str], None]) -> None:
        """Starts it, and restarts it whenever it ends before `ending` is set.

        `on_change` gets each change: the name, and what happened. It must not raise: the thread would end.
        """
        self._thread = threading.Thread(
            target=self._keep, args=(ending, on_change), name=f"keep-{self.name}", daemon=True
        )
        self._thread.start()

    def left(self) -> Child | None:
        """The process that still has to be ended. To be called once `ending` is set."""
        if self._thread is not None:
            self._thread.join()
        return self._child

    def ready(self) -> tuple[bool, str]:
        """Whether `/readyz` says so, and what it says."""
        running = self.child()
        if running is None or not running.listens(self.probed):
            return False, "does not answer yet"
        connection = http.client.HTTPConnection("127.0.0.1", self.probed, timeout=_ASK_SECONDS)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                said = answer.read(1000).decode(errors="replace").strip()
            except (OSError, http.client.HTTPException):
                return False, "does not answer yet"
        return answer.status == http.HTTPStatus.OK, f"/readyz says {answer.status}: {said}"

    def _keep(self, ending: threading.Event, on_change: Callable[[str, str], None]) -> None:
        failures = 0
        while not ending.is_set():
            began = time.monotonic()
            try:
                self._run(ending, on_change)
                why = f"ended unexpectedly ({child.last_lines(self.log, 1)})"
            except OSError as error:  # such as a full disk, where somebody will make room
                why = f"could not be started ({error.strerror})"
            if ending.is_set():
                return
            self.ends += 1
            failures = 1 if time.monotonic() - began >= STEADY_SECONDS else failures + 1
            delay = delay_seconds(failures)
            on_change(self.name, f"{why}; starting again in {delay:.1f} s")
            ending.wait(delay)

    def _run(self, ending: threading.Event, on_change: Callable[[str, str], None]) -> None:
        """Returns when it has ended or should end. Raises OSError if it cannot be started."""
        self._child = child.start(
            [sys.executable, "-m", "rapport.cli", self.name],
            self.log,
            self._environment,
            # This loses nothing, and a process without its supervisor must not stay.
            ends_with_us=signal.SIGKILL,
        )
        on_change(self.name, "started")
        while self._child.alive() and not ending.wait(_POLL_SECONDS):
            pass
