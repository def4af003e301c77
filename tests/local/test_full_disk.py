"""`rapport up` on a disk that gets full: once there is room again everything runs, without a person."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rapport.local import child, private_files, running_installation
from rapport.local.errors import StackError
from rapport.local.installation import Installation
from rapport.local.servers.stack import Running, Stack
from rapport.local.service import Service
from rapport.processes import PROCESSES
from tests.local.test_installation import here, is_ready
from tests.waiting import until

SIZE = "900m"
"""Kafka's and MongoDB's first files take some 450 MB."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "rapport-test", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system of its own can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Takes all the room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    assert not os.statvfs(disk).f_bavail
    return ballast


@pytest.mark.long
@pytest.mark.e2e
def test_after_a_full_disk_everything_that_ended_meanwhile_runs_again(disk: Path, tmp_path: Path) -> None:
    data = disk / "data"
    log = (disk / "up.log").open("w")  # what it says itself does not find room either
    up = subprocess.Popen(
        [sys.executable, "-m", "rapport.cli", "up", "--json", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")},
    )
    try:
        assert up.stdout is not None
        before = json.loads(up.stdout.readline())
        keepers = psutil.Process(up.pid).num_threads()
        ballast = fill(disk)
        for pid in before["pids"].values():
            os.kill(pid, signal.SIGKILL)

        def failed_to_start() -> bool:
            """Nothing of it runs; a process that is being started on the full disk ends by itself."""
            return not any(psutil.pid_exists(pid) for pid in before["pids"].values())

        until(failed_to_start, "the end of all")
        # Each keeper tries at least once while there is no room.
        until(lambda: len(psutil.Process(up.pid).children()) > 0, "a first try on the full disk")
        fill(disk)
        assert json.loads((data / "installation.json").read_bytes()), "the note is whole, old or new"
        assert psutil.Process(up.pid).num_threads() >= keepers - 1
        ballast.unlink()
        (disk / "ballast").unlink(missing_ok=True)

        def runs() -> bool:
            said = here("status", "--json", "--data", str(data))
            if said.exit_code:
                return False
            pids = json.loads(said.stdout)["pids"]
            return set(pids) == set(before["pids"]) and not set(pids.values()) & set(before["pids"].values())

        until(runs, "all of it to run again, as `rapport status` says")
        until(lambda: all(is_ready(url) for url in before["internal"].values()), "the API and the door to be ready")
    finally:
        up.terminate()
        up.wait(60)
        log.close()


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Disk:
    """Lets what is put in its hands fail while it is full, and counts how often it did."""

    def __init__(self) -> None:
        self.full = False
        self.failures = 0

    def guarded(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, but for a full disk."""

        def guard(*given: Any, **named: Any) -> Any:
            if self.full:
                self.failures += 1
                raise FULL
            return real(*given, **named)

        return guard


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[child.Child]]:
    """Stand-ins for all that an installation keeps, which start at once; this is the server's, once there is one.

    Other installations of this process, which other tests still have, keep their servers.
    """
    monkeypatch.setattr(Service, "ready", lambda _: (True, "ready"))
    monkeypatch.setattr("rapport.local.service.delay_seconds", lambda _: 0.05)
    monkeypatch.setattr("rapport.local.installation.delay_seconds", lambda _: 0.05)
    monkeypatch.setattr("rapport.local.installation._SERVERS_POLL_SECONDS", 0.05)
    real_start = child.start

    def start(command: list[str], log: Path, environment: dict[str, str], ends_with_us: Any) -> Any:
        return real_start([sys.executable, "-c", "import time; time.sleep(600)"], log, environment, ends_with_us)

    monkeypatch.setattr(child, "start", start)
    servers: list[child.Child] = []
    real_up, real_status = Stack.up, Stack.status

    def stack_up(self: Stack, *given: Any, **named: Any) -> Running:
        if tmp_path not in self.data.parents:
            return real_up(self, *given, **named)
        with self._turn():
            if not all(one.alive() for one in servers) or not servers:
                servers[:] = [child.start([], self.data / "logs" / "kafka.log", {}, signal.SIGKILL)]
            try:
                private_files.write_private(self.data / "stack.json", b"{}")
            except OSError:
                child.stop(servers, 5)
                raise
        return Running("127.0.0.1:1", "mongodb://127.0.0.1:1/", pids={"kafka": servers[0].pid})

    def stack_status(self: Stack) -> Running | None:
        if tmp_path not in self.data.parents:
            return real_status(self)
        alive = bool(servers) and all(one.alive() for one in servers)
        return Running("127.0.0.1:1", "mongodb://127.0.0.1:1/", pids={"kafka": servers[0].pid}) if alive else None

    monkeypatch.setattr(Stack, "up", stack_up)
    monkeypatch.setattr(Stack, "status", stack_status)
    yield servers
    child.stop(servers, 5)


@pytest.mark.parametrize(
    "place",
    [
        (running_installation, "note"),
        (private_files, "write_private"),
        (private_files, "opened"),
        (private_files, "claim"),
        (child, "start"),
        (Stack, "up"),
    ],
    ids=lambda place: f"{place[0].__name__.rpartition('.')[2]}.{place[1]}",
)
@pytest.mark.usefixtures("stand_ins")
def test_no_keeper_ends_wherever_the_disk_is_full(
    place: tuple[Any, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every thread that keeps something, with stand-ins for what they keep."""
    disk = Disk()
    monkeypatch.setattr(*place, disk.guarded(getattr(*place)))

    def tell(_what: str, _how_far: str) -> None:
        if disk.full:
            raise FULL  # its own log is on that disk

    installation = Installation()
    installation.start(tmp_path / "data", tell, any_port=True)
    try:
        keepers = [thread for thread in threading.enumerate() if thread.name.startswith("keep-")]
        assert {thread.name for thread in keepers} == {"keep-servers", *(f"keep-{one.name}" for one in PROCESSES)}
        before: set[int] = set()

        def all_run() -> bool:
            status = installation.status()
            before.update(status.pids.values() if status is not None else ())
            return len(before) == 1 + len(PROCESSES)

        until(all_run, "all of it to run")  # a stand-in is called ready before it runs
        disk.full = True
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: disk.failures >= 1, "a try on the full disk")
        until(lambda: _settled(installation, place, disk), "every keeper to have tried")
        assert [thread.name for thread in keepers if not thread.is_alive()] == []
        disk.full = False

        def runs() -> bool:
            noted = running_installation.status(tmp_path / "data")
            return noted is not None and len(noted.pids) == len(before) and not before & set(noted.pids.values())

        until(runs, "all of it to run again")
    finally:
        disk.full = False
        installation.stop()


class Overtaken(Installation):
    """Whenever its keeper of servers means to note them, a note from before is written just then."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_noted" and threading.current_thread().name == "keep-servers":
            value = True
        super().__setattr__(name, value)


def test_servers_that_were_started_again_are_noted_whatever_is_noted_meanwhile(
    tmp_path: Path, stand_ins: list[child.Child]
) -> None:
    installation = Overtaken()
    installation.start(tmp_path / "data", lambda *_: None, any_port=True)
    try:
        before = stand_ins[0].pid
        os.kill(before, signal.SIGKILL)

        def is_noted() -> bool:
            noted = running_installation.status(tmp_path / "data")
            return noted is not None and noted.pids["kafka"] == stand_ins[0].pid != before

        until(is_noted, "the new server to be noted")
    finally:
        installation.stop()


def _settled(installation: Installation, place: tuple[Any, str], disk: Disk) -> bool:
    """Whether each keeper met the full disk: all tried if it is theirs, else some did several times."""
    return disk.failures >= (2 * len(PROCESSES) if place == (child, "start") else 3)


def test_a_folder_that_cannot_be_made_for_want_of_room_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", Disk.guarded(_full(), Path.mkdir))
    with pytest.raises(StackError, match="cannot hold the data: No space left on device"):
        private_files.claim(tmp_path / "data")


def _full() -> Disk:
    disk = Disk()
    disk.full = True
    return disk
