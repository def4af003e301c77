"""The whole installation on this machine: the stack, and each service as a child process that is kept running."""

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from rapport.local import child, ports, private_files, running_installation
from rapport.local.chosen_ports import ChosenPorts
from rapport.local.errors import StackError
from rapport.local.passwords import Passwords
from rapport.local.running_installation import RunningInstallation
from rapport.local.servers.stack import Progress, Running, Stack
from rapport.local.service import Service, delay_seconds
from rapport.processes import COMMON_SETTINGS, PROCESSES

__all__ = ["Installation", "RunningInstallation"]

READY_SECONDS = 120.0
"""Until every service is ready. Takes some 10 s on a quiet machine of two cores."""
GRACE_SECONDS = 15.0
"""For a service to finish what it holds, after it was asked to end."""
MOST_ENDS = 3
"""A service that ended this often before it was ever ready will not become so."""
_POLL_SECONDS = 0.1
_SERVERS_POLL_SECONDS = 0.5
_KEY_FILE = "admin_key"


class Installation:
    """At most one per folder. What it starts ends with this process, however that ends."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._changing = threading.Lock()
        self._services: list[Service] = []
        self._lock: TextIO | None = None
        self._owns_stack = False
        self._servers_thread: threading.Thread | None = None
        self._on_progress: Progress = lambda *_: None
        self._noted = True
        self._grace: float | None = None

    def start(
        self,
        data: Path,
        on_progress: Progress,
        extra_env: Mapping[str, str] | None = None,
        *,
        any_port: bool = False,
        wanted_ports: Mapping[str, int] | None = None,
    ) -> RunningInstallation:
        """Starts everything and returns once every service is ready.

        `extra_env` is added to each service's environment. Each part gets the port that `wanted_ports` names, or the
        one of last time, or its usual one if that is free. With `any_port` it gets any free port instead.
        `on_progress` is also told of later ends and restarts.
        Raises StackError; what was started is then ended again.
        """
        self._data = data.absolute()
        self._on_progress = _never_failing(on_progress)
        self._stack = Stack(self._data)
        self._lock = self._alone()
        try:
            self._owns_stack = self._stack.status() is None
            chosen = ChosenPorts(self._data, wanted_ports, any_port=any_port)
            planned, probed = _service_ports(chosen)
            self._running = self._stack.up(self._on_progress, bound=self._owns_stack, any_port=any_port, chosen=chosen)
            self._admin_key = _admin_key(self._data)
            self._services = self._planned(self._running, extra_env or {}, planned, probed)
            self._grace = _grace({**os.environ, **(extra_env or {})})
            for service in self._services:
                service.keep(self._ending, self._changed)
            self._until_ready()
            self._servers_thread = threading.Thread(target=self._keep_servers, name="keep-servers", daemon=True)
            self._servers_thread.start()
            self._note()
            return self._running_installation()
        except BaseException:
            self.stop()
            raise

    def status(self) -> RunningInstallation | None:
        """What runs now; None before `start` and after `stop`."""
        return self._running_installation() if self._lock is not None and self._services else None

    def wait(self) -> None:
        """Returns after `stop`."""
        while not self._ending.wait(_SERVERS_POLL_SECONDS):
            pass

    def stop(self) -> None:
        """Ends the services, then the servers that were started for them. Calling it again does nothing."""
        if self._lock is None:
            return
        self._ending.set()
        child.stop([left for service in self._services if (left := service.left()) is not None], GRACE_SECONDS)
        if self._servers_thread is not None:
            self._servers_thread.join()
        if self._owns_stack:
            self._stack.down()
        running_installation.forget(self._data)
        self._lock.close()
        self._lock = None

    def _sealing_keys(self) -> Path:
        return Passwords.of(self._data).sealing_keys()

    def _planned(
        self, running: Running, extra_env: Mapping[str, str], planned: Mapping[str, int], probed: Mapping[str, int]
    ) -> list[Service]:
        known = {
            "RAPPORT_HOST": ports.LOOPBACK,
            "RAPPORT_KAFKA": running.kafka,
            "RAPPORT_MONGODB": running.mongodb,
            "RAPPORT_DATA": str(self._data),
            "RAPPORT_PORTAL": f"http://{ports.LOOPBACK}:{planned['api']}",
            "RAPPORT_ADMIN_KEY": self._admin_key,
            "RAPPORT_SEALING_KEYS": os.environ.get("RAPPORT_SEALING_KEYS") or str(self._sealing_keys()),
        }
        # The key opens everything, so only those who need it get it.
        inherited = {name: value for name, value in os.environ.items() if name != "RAPPORT_ADMIN_KEY"}
        services = []
        for process in PROCESSES:
            wanted = {*COMMON_SETTINGS, *process.settings}
            environment = {
                "RAPPORT_LOG": "text",  # its files are for people
                **inherited,
                **{name: value for name, value in known.items() if name in wanted},
                **running.kafka_login().variables(),
                "RAPPORT_PORT": str(planned[process.name]),
                "RAPPORT_INTERNAL_PORT": str(probed[process.name]),
                **extra_env,
            }
            log = self._data / "logs" / f"{process.name}.log"
            services.append(Service(process.name, planned[process.name], probed[process.name], environment, log))
        return services

    def _until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        waiting = dict.fromkeys(self._services, "does not answer yet")
        while waiting:
            for service in list(waiting):
                ready, waiting[service] = service.ready()
                if ready:
                    del waiting[service]
                    self._on_progress(service.name, f"ready at {service.url}")
                elif service.ends >= MOST_ENDS:
                    raise StackError(f"{service.name} ends each time it is started. {_shown([service])}")
            if waiting and time.monotonic() > deadline:
                reasons = "; ".join(f"{service.name} {why}" for service, why in waiting.items())
                raise StackError(f"not ready within {READY_SECONDS:.0f} s: {reasons}. {_shown(waiting)}")
            time.sleep(_POLL_SECONDS)

    def _keep_servers(self) -> None:
        """Restarts Kafka or MongoDB at the same port when it ends. The services wait for it."""
        failures = 0
        while not self._ending.wait(delay_seconds(failures) if failures else _SERVERS_POLL_SECONDS):
            renewed = False
            try:
                if self._owns_stack and self._stack.status() is None:
                    self._running = self._stack.up(self._on_progress, bound=True, same_port=True)
                    renewed = True
                failures = 0
            except (StackError, OSError) as error:  # such as a full disk, where somebody will make room
                failures += 1
                self._on_progress("stack", f"{error}\nTrying again in {delay_seconds(failures):.1f} s.")
            # `_noted` may be true because another thread noted the servers of before.
            if (renewed or not self._noted) and not self._ending.is_set():
                self._note()

    def _changed(self, name: str, what: str) -> None:
        self._on_progress(name, what)
        if not self._ending.is_set():
            self._note()

    def _running_installation(self) -> RunningInstallation:
        url = {service.name: service.url for service in self._services}
        pids = {service.name: found.pid for service in self._services if (found := service.child())}
        return RunningInstallation(
            api=url["api"],
            ingest=url["ingest"],
            portal=f"{url['api']}/",
            kafka=self._running.kafka,
            mongodb=self._running.mongodb,
            kafka_user=self._running.kafka_user,
            kafka_password=self._running.kafka_password,
            admin_key=self._admin_key,
            internal={service.name: service.internal_url for service in self._services},
            breach_grace_seconds=self._grace,
            pids={**self._running.pids, **pids},
        )

    def _note(self) -> None:
        """Lets `rapport status` find what runs. It is tried again until it is written."""
        with self._changing:
            try:
                running_installation.note(self._data, self._running_installation())
                self._noted = True
            except OSError:
                self._noted = False

    def _alone(self) -> TextIO:
        private_files.claim(self._data)
        file = private_files.opened(self._data / "installation.lock", "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise StackError(f"an installation already runs on {self._data}; see `rapport status`") from error
        return file


def _never_failing(tell: Progress) -> Progress:
    """Nothing must stop because a terminal is gone or the disk of a log is full."""

    def told(what: str, how_far: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            tell(what, how_far)

    return told


def _service_ports(chosen: ChosenPorts) -> tuple[dict[str, int], dict[str, int]]:
    """The port of each service, and that of its probes and metrics."""
    planned = {process.name: chosen.choose(process.name, process.port) for process in PROCESSES}
    probed = {
        process.name: chosen.choose(f"{process.name}-internal", process.probed)
        if process.internal_port
        else planned[process.name]
        for process in PROCESSES
    }
    return planned, probed


def _grace(environment: Mapping[str, str]) -> float | None:
    """The scorer's breach grace. A wrong value is for the scorer to refuse."""
    with contextlib.suppress(KeyError, ValueError):
        return float(environment["RAPPORT_BREACH_GRACE_SECONDS"])
    return None


def _shown(services: Iterable[Service]) -> str:
    return "\n".join(f"The last lines of {service.log}:\n{child.last_lines(service.log)}" for service in services)


def _admin_key(data: Path) -> str:
    """RAPPORT_ADMIN_KEY, else the key of this folder, which is created once."""
    if given := os.environ.get("RAPPORT_ADMIN_KEY"):
        return given
    file = data / _KEY_FILE
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().strip()
    key = f"rp_local_{secrets.token_hex(4)}_{secrets.token_hex(32)}"
    private_files.write_private(file, key.encode())
    return key
