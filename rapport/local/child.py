"""Processes that the installation starts. Each is known by pid and birth, so that a reused pid is never touched."""

import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

_LAUNCHER = Path(__file__).with_name("child_launcher.py")
_POLL_SECONDS = 0.02
_LAST_LINES = 15
_TAIL_BYTES = 16_384

# The kernel ties a bound process to the thread that started it. So one thread, which lives as long as this process,
# starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def birth(pid: int) -> str | None:
    """What distinguishes a process from any other that ever had its pid; None if there is no such process."""
    try:
        if sys.platform == "linux":
            stat = Path(f"/proc/{pid}/stat").read_text()
            # Fields after the command, which may itself contain spaces; the 22nd of all is the start time in ticks.
            return f"{_boot()}/{stat.rpartition(')')[2].split()[19]}"
        return str(psutil.Process(pid).create_time())
    except (OSError, psutil.Error):
        return None


@dataclass(frozen=True)
class Child:
    """A process that was started on this machine, perhaps by an earlier command."""

    pid: int
    born: str

    def alive(self) -> bool:
        """Whether it still runs. A zombie does not."""
        if birth(self.pid) != self.born:
            return False
        with contextlib.suppress(ChildProcessError):
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            # A zombie whose other threads are still ending keeps its files open until they have ended.
            return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
        return False

    def listens(self, port: int) -> bool:
        """Whether this process listens on a port: what answers there could be another one."""
        with contextlib.suppress(psutil.Error):
            connections = psutil.Process(self.pid).net_connections("tcp")
            return any(found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in connections)
        return False

    def send(self, number: signal.Signals) -> None:
        """Sends a signal if it is still the same process."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def this_process() -> Child:
    """The process that calls this."""
    pid = os.getpid()
    return Child(pid, birth(pid) or "")


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str], ends_with_us: signal.Signals | None
) -> Child:
    """Starts a command in a session of its own, so that Ctrl-C does not reach it; what it prints is appended to `log`.

    Only its owner can read the files it writes. With `ends_with_us` it gets that signal when this process ends,
    however that happens. Raises OSError.
    """
    number = int(ends_with_us) if ends_with_us is not None else 0
    arguments = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(number), *command]
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def spawn() -> Child:
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
        return Child(pid, birth(pid) or "")

    return _starter.submit(spawn).result()


def stop(children: Iterable[Child], grace_seconds: float) -> None:
    """Asks all to end (SIGTERM), waits for them together, and kills what is left after `grace_seconds`."""
    asked = list(children)
    for child in asked:
        child.send(signal.SIGTERM)
    if not ended(asked, grace_seconds):
        for child in asked:
            child.send(signal.SIGKILL)
        ended(asked, grace_seconds)


def ended(children: Iterable[Child], within_seconds: float) -> bool:
    """Waits until none of them runs. False if one still does after `within_seconds`."""
    left = list(children)
    deadline = time.monotonic() + within_seconds
    while left := [child for child in left if child.alive()]:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def last_lines(log: Path, count: int = _LAST_LINES) -> str:
    """The last lines of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        text = ""
    return "\n".join(text.splitlines()[-count:]) or "(it wrote nothing)"
