"""An installation as a cluster runs it: several replicas of every process, each of which can run another version."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from rapport.local import ports
from rapport.local.child import last_lines
from rapport.local.servers.stack import Running, Stack
from rapport.processes import COMMON_SETTINGS, PROCESSES, Process
from tests.faults.worker import SABOTAGE
from tests.waiting import until

ROOT = Path(__file__).parents[3]
REPLICAS = {"notifier": 2, "projector": 2, "scorer": 3, "ingest": 2, "api": 2}
"""In the order of an upgrade: see docs/upgrading.md."""
GRACE_SECONDS = "4"
SETTINGS = {
    "RAPPORT_ALLOW_PRIVATE": "true",
    "RAPPORT_TICK_SECONDS": "0.5",
    "RAPPORT_BREACH_GRACE_SECONDS": GRACE_SECONDS,
}
READY_SECONDS = 120.0
END_SECONDS = 60.0
_ASK_SECONDS = 5.0
LOOKED_AGAIN_AFTER = timedelta(seconds=30)
"""How long the upkeep waits before it reads what changed a second time. Usually 10 minutes, which takes long."""
_LOOKED_AGAIN = f"""
from datetime import timedelta
try:
    from services.api.projector.upkeep import change_feed as following
except ImportError:  # the version before
    from services.api.upkeep import trail as following
following.LATER = timedelta(seconds={LOOKED_AGAIN_AFTER.total_seconds()})
"""
_GUARDED = f"""
import runpy
runpy.run_path({str(ROOT / "rapport" / "kit" / "broker" / "kafka_threads.py")!r})["guard"]()
"""
"""For a version that can be stuck for good at its start: what an upgrade mends must not stop the test of it."""
_RUN = """
from rapport.cli import main
main()
"""


class Replica:
    """One process among others of its name. Its folder and its ports stay the same over restarts."""

    def __init__(
        self, process: Process, number: int, folder: Path, known: Mapping[str, str], more: Mapping[str, str]
    ) -> None:
        """Of what is `known` it is given what it needs; `more` as it is."""
        self.process = process.name
        self.name = f"{process.name}-{number}"
        self.port = ports.usual_or_free(0)
        self._probed = ports.usual_or_free(0) if process.internal_port else self.port
        self._log = folder / f"{self.name}.log"
        wanted = {*COMMON_SETTINGS, *process.settings}
        self._environment = {
            **os.environ,
            **{name: value for name, value in known.items() if name in wanted},
            **more,
            "RAPPORT_DATA": str(folder / self.name),
            "RAPPORT_INSTANCE": self.name,
            "RAPPORT_PORT": str(self.port),
            "RAPPORT_INTERNAL_PORT": str(self._probed),
        }
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, tree: Path | None = None) -> None:
        """Starts the version whose files are in `tree`; the one under test by default."""
        environment = self._environment if tree is None else {**self._environment, "PYTHONPATH": str(tree)}
        call = os.environ.get(SABOTAGE) if tree is None else None
        guarded = _GUARDED if tree is not None else ""
        broken = f"from tests.faults.replicas import saboteurs; saboteurs.{call}" if call else ""
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-c", f"{guarded}{broken}{_LOOKED_AGAIN}{_RUN}", self.process],
                env=environment,
                # Python looks for modules in the current folder first.
                cwd=tree or ROOT,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> bool:
        """Whether it says so. Fails where it has ended."""
        assert self.runs(), f"{self.name} ended by itself:\n{last_lines(self._log)}"
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self._probed}/readyz", timeout=_ASK_SECONDS).status_code == 200
        return False

    def metric(self, name: str) -> float:
        """A metric's value, summed up over its labels."""
        text = httpx.get(f"http://127.0.0.1:{self._probed}/metrics", timeout=_ASK_SECONDS).text
        samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
        return sum(each.value for each in samples if each.name == name)

    def give(self, settings: Mapping[str, str]) -> None:
        """Sets these from its next start on."""
        self._environment.update(settings)

    def runs(self) -> bool:
        """Whether there is a process."""
        return self._running is not None and self._running.poll() is None

    def end(self) -> None:
        """Ends it as a deployment does, and sees that it ended in order."""
        assert self.runs(), f"{self.name} ended by itself:\n{last_lines(self._log)}"
        assert self._running is not None
        self._running.send_signal(signal.SIGTERM)
        code = self._running.wait(END_SECONDS)
        assert code == 0, f"{self.name} ended with {code}:\n{last_lines(self._log)}"

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def said(self) -> str:
        """What it wrote to its log."""
        return self._log.read_text(errors="replace")


class Cluster:
    """All replicas, on a stack of their own."""

    def __init__(self, running: Running, folder: Path, settings: Mapping[str, str]) -> None:
        """`settings` are given to every process."""
        self.running = running
        self.admin_key = f"rp_test_{'0' * 8}_{'f' * 64}"
        folder.mkdir()
        known = {
            "RAPPORT_HOST": ports.LOOPBACK,
            "RAPPORT_KAFKA": running.kafka,
            "RAPPORT_MONGODB": running.mongodb,
            "RAPPORT_PORTAL": "http://portal.example",
            "RAPPORT_ADMIN_KEY": self.admin_key,
        }
        processes = {process.name: process for process in PROCESSES}
        self.replicas = [
            Replica(processes[name], number, folder, known, settings)
            for name, many in REPLICAS.items()
            for number in range(many)
        ]

    def of(self, name: str) -> list[Replica]:
        """The replicas of a process."""
        return [replica for replica in self.replicas if replica.process == name]

    def give(self, settings: Mapping[str, str]) -> None:
        """Sets these for every process, from its next start on."""
        for replica in self.replicas:
            replica.give(settings)

    def start(self, tree: Path | None = None) -> None:
        """Starts all, and returns once all are ready."""
        for replica in self.replicas:
            replica.start(tree)
        self.until_ready(self.replicas)

    def until_ready(self, replicas: Iterable[Replica]) -> None:
        """Waits for them."""
        for replica in replicas:
            until(replica.ready, f"{replica.name} is ready", READY_SECONDS)

    def replace(self, replica: Replica, tree: Path | None = None) -> None:
        """Ends one in order, starts it with this version, and returns once it is ready."""
        replica.end()
        replica.start(tree)
        self.until_ready([replica])

    def crash(self, replicas: list[Replica]) -> None:
        """Takes some away at once, as a machine that fails does, and returns once they are back and ready."""
        for replica in replicas:
            replica.kill()
        for replica in replicas:
            replica.start()
        self.until_ready(replicas)

    def stop(self) -> None:
        """Ends all, however they are."""
        for replica in self.replicas:
            replica.kill()


@contextlib.contextmanager
def cluster(folder: Path, settings: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster whose servers run and whose replicas are still to be started. All ends after the block."""
    servers = Stack(folder / "stack")
    ends: list[Callable[[], object]] = [servers.down]
    try:
        made = Cluster(servers.up(bound=True, any_port=True), folder / "replicas", settings)
        ends.insert(0, made.stop)
        yield made
    finally:
        for end in ends:
            end()


def until_none(differences: Callable[[], Iterable[str]], within_seconds: float) -> None:
    """Returns once there are no differences; fails with those that are left when the time is over."""
    end = time.monotonic() + within_seconds
    while left := list(differences()):
        assert time.monotonic() < end, "\n".join(left)
        time.sleep(1.0)
