"""The local Kafka and MongoDB together: up, down, status.

Servers named by RAPPORT_KAFKA or RAPPORT_MONGODB are used as they are. Only missing topics are created, and topic
settings that keep less than promised are raised.
"""

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec
from kafka.errors import KafkaError
from pymongo.errors import PyMongoError

from rapport.contracts.topics import CATALOGUE
from rapport.kit import mongo as kit_mongo
from rapport.kit.broker import kafka_topics
from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.local import child, ports, private_files
from rapport.local.child import Child
from rapport.local.chosen_ports import ChosenPorts
from rapport.local.errors import StackError
from rapport.local.passwords import Passwords
from rapport.local.servers import existing, mongod, state
from rapport.local.servers.broker import USUAL_PORT as KAFKA_PORT
from rapport.local.servers.broker import Broker
from rapport.local.servers.mongod import Mongod
from rapport.local.servers.state import Server, State

Progress = Callable[[str, str], None]
"""Called with a part (`kafka`, `mongodb`, a service's name) and how far it is."""

NAMES = ("kafka", "mongodb")
READY_SECONDS = 90.0
"""Until a server answers. Both answer within 3 s on a quiet machine; a busy CI machine is many times slower."""
STOP_SECONDS = 30.0
"""For a clean end, in which both write what they hold in memory."""
_POLL_SECONDS = 0.05


class Running(msgspec.Struct, frozen=True):
    """A stack that is up."""

    kafka: str
    """Bootstrap servers, separated by commas."""
    mongodb: str
    """URI."""
    kafka_user: str | None = None
    kafka_password: str | None = None
    """Kafka's login, if it asks for one."""
    pids: dict[str, int] = {}
    """Of the servers that we started: `kafka`, `mongodb`."""

    def kafka_login(self) -> KafkaLogin:
        """The login that Kafka's clients need."""
        return KafkaLogin.of(self.kafka_user, self.kafka_password)


def _quiet(what: str, how_far: str) -> None:
    """Tells nobody."""


class Stack:
    """The stack whose files are in one folder. Commands on the same folder take turns."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self._file = self.data / "stack.json"
        self._abandoned = threading.Event()
        self._writing = threading.Lock()
        self._state = State()
        self._started: dict[str, Child] = {}
        self._same_port = False
        self._port: dict[str, int] = {}

    def up(
        self,
        on_progress: Progress = _quiet,
        *,
        bound: bool = False,
        any_port: bool = False,
        same_port: bool = False,
        chosen: ChosenPorts | None = None,
    ) -> Running:
        """Starts what is not running, both at once, creates missing topics, and returns when both answer.

        With `bound` the servers end when this process does. With `any_port` they get any free ports; else those that
        `chosen` says, or those of last time. With `same_port` a server that ended is restarted at the port where
        its clients look for it, or not at all.
        Raises StackError; what this call started is then ended again.
        """
        with self._turn():
            self._state = state.read(self._file)
            self._await_orphans()
            self._started = {}
            self._abandoned.clear()
            self._same_port = same_port
            self._ports = chosen or ChosenPorts(self.data, any_port=any_port)
            if bound and not any(one.alive() for one in self._state.children().values()):
                us = child.this_process()
                self._state.owner = (us.pid, us.born)
            try:
                self._choose_ports()
                self._both(on_progress, bound)
            except BaseException:
                self._abandoned.set()
                child.stop(self._started.values(), STOP_SECONDS)
                raise
            return self._running()

    def down(self) -> list[str]:
        """Ends the servers that `up` started in this folder, and returns their names. Their data stays."""
        with self._turn():
            ours = state.read(self._file).children()
            alive = [name for name, found in ours.items() if found.alive()]
            child.stop(ours.values(), STOP_SECONDS)
            self._file.unlink(missing_ok=True)
            return alive

    def status(self) -> Running | None:
        """The stack if it is up: all its processes still run, and so does their owner. Asks no server."""
        self._state = state.read(self._file)
        if len(self._state.servers) < len(NAMES) or not all(one.alive() for one in self._state.children().values()):
            return None
        if self._state.owner is not None and not self._state.owned():
            return None
        return self._running()

    def bound_elsewhere(self) -> bool:
        """Whether the servers run and are bound to another process."""
        found = state.read(self._file)
        return found.owner is not None and found.owner[0] != os.getpid() and found.owned()

    def _both(self, on_progress: Progress, bound: bool) -> None:
        with ThreadPoolExecutor(2, thread_name_prefix="stack") as pool:
            futures = [
                pool.submit(self._kafka, on_progress, bound),
                pool.submit(self._mongodb, on_progress, bound),
            ]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                # If one failed or somebody pressed Ctrl-C, there is no point in waiting for the other.
                if not all(future.done() and not future.exception() for future in futures):
                    self._abandoned.set()
        failed = [error for future in futures if (error := future.exception()) and not isinstance(error, _Abandoned)]
        if failed:
            raise failed[0]

    def _kafka(self, on_progress: Progress, bound: bool) -> None:
        def tell(how_far: str) -> None:
            on_progress("kafka", how_far)

        if given := os.environ.get("RAPPORT_KAFKA"):
            existing.check_kafka(given, tell)
            self._end_ours("kafka")
            self._remember("kafka", Server(given))
            tell(f"uses {given}")
            return
        asked = KafkaLogin()
        if asked.kafka_tls or asked.kafka_mechanism != "PLAIN":
            raise StackError("RAPPORT_KAFKA_TLS and RAPPORT_KAFKA_MECHANISM are for a Kafka that RAPPORT_KAFKA names")
        broker = Broker(self.data)
        server = self._state.servers.get("kafka")
        if server is None or not server.alive():
            port = self._port["kafka"]
            command = broker.command(port, ports.usual_or_free(0), tell)
            server = self._start("kafka", command, broker.log, f"{ports.LOOPBACK}:{port}", bound)
        tell("starting")
        address = server.address
        login = Passwords.of(self.data).kafka()

        def attempt() -> bool:
            port = address.rpartition(":")[2]
            # By now another broker may have the port, and would answer as well. And a refused client writes to its log,
            # so nothing is asked before the port is ours.
            ours = server.child()
            if ours is None or not ours.listens(int(port)):
                return False
            kafka_topics.create_topics(address, 1, CATALOGUE, login)
            if kafka_topics.missing_topics(address, CATALOGUE, login):
                return False
            kafka_topics.raise_settings(address, CATALOGUE, login)
            return True

        self._until("Kafka", server, attempt, broker.log, (KafkaError, OSError))
        tell(f"ready at {address}")

    def _mongodb(self, on_progress: Progress, bound: bool) -> None:
        def tell(how_far: str) -> None:
            on_progress("mongodb", how_far)

        if given := os.environ.get("RAPPORT_MONGODB"):
            existing.check_mongodb(given)
            self._end_ours("mongodb")
            self._remember("mongodb", Server(given))
            tell("uses the server that RAPPORT_MONGODB names")
            return
        database = Mongod(self.data)
        passwords = Passwords.of(self.data)
        server = self._state.servers.get("mongodb")
        if server is None or not server.alive():
            port = self._port["mongodb"]
            address = mongod.uri(port, passwords.mongodb())
            server = self._start("mongodb", database.command(port), database.log, address, bound)
        tell("starting")
        port = server.port()

        def attempt() -> bool:
            ours = server.child()
            return ours is not None and ours.listens(port) and mongod.make_primary(port, passwords)

        self._until("MongoDB", server, attempt, database.log, (PyMongoError,))
        tell(f"ready at {kit_mongo.shown(server.address)}")

    def _choose_ports(self) -> None:
        """Done before anything is started, so that nothing has to be ended again because of a port."""
        usual = {"kafka": KAFKA_PORT, "mongodb": mongod.USUAL_PORT}
        self._port = {
            name: self._port_of(name, server, usual[name])
            for name in NAMES
            if not os.environ.get(f"RAPPORT_{name.upper()}")
            and ((server := self._state.servers.get(name)) is None or not server.alive())
        }

    def _port_of(self, name: str, before: Server | None, usual: int) -> int:
        had = before.port() if before is not None else 0
        if not (self._same_port and had):
            return self._ports.choose(name, had or usual)
        if ports.refused(had):
            raise StackError(f"after it ended, another program took port {had}, where clients look for it")
        return had

    def _end_ours(self, name: str) -> None:
        server = self._state.servers.get(name)
        if server is not None and (found := server.child()):
            child.stop([found], STOP_SECONDS)

    def _start(self, name: str, command: list[str], log: Path, address: str, bound: bool) -> Server:
        if self._abandoned.is_set():
            raise _Abandoned
        ends_with_us = signal.SIGTERM if bound else None
        started = child.start(command, log, os.environ, ends_with_us)
        self._started[name] = started
        server = Server(address, started.pid, started.born)
        self._remember(name, server)
        return server

    def _until(
        self,
        what: str,
        server: Server,
        attempt: Callable[[], bool],
        log: Path,
        errors: tuple[type[Exception], ...],
    ) -> None:
        deadline = time.monotonic() + READY_SECONDS
        reason = "nothing listened there"
        while not self._abandoned.wait(_POLL_SECONDS):
            if not server.alive():
                raise StackError(
                    f"{what} ended while it was starting. The last lines of {log}:\n{child.last_lines(log)}"
                )
            try:
                if attempt():
                    return
            except errors as error:
                reason = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                raise StackError(
                    f"{what} at {server.address} was not ready within {READY_SECONDS:.0f} s ({reason}). "
                    f"The last lines of {log}:\n{child.last_lines(log)}"
                )
        raise _Abandoned

    def _await_orphans(self) -> None:
        """Servers whose owner is gone are ending; until then they use their files."""
        if self._state.owner is not None and not self._state.owned():
            child.stop(self._state.children().values(), STOP_SECONDS)
            self._state.owner = None

    def _running(self) -> Running:
        servers = self._state.servers
        pids = {name: server.pid for name, server in servers.items() if server.pid is not None}
        # Servers of others take the login of this process's environment; ours take that of their folder.
        login = Passwords.of(self.data).kafka() if "kafka" in pids else KafkaLogin()
        password = login.kafka_password.get_secret_value() if login.kafka_password is not None else None
        return Running(servers["kafka"].address, servers["mongodb"].address, login.kafka_user, password, pids)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        private_files.claim(self.data)
        with private_files.opened(self.data / "stack.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _remember(self, name: str, server: Server) -> None:
        with self._writing:
            self._state.servers[name] = server
            private_files.write_private(self._file, msgspec.json.encode(self._state))  # an address can hold a password


class _Abandoned(Exception):  # noqa: N818 - not an error of its own: another one is being reported
    """Waiting is pointless: the other server failed, or somebody pressed Ctrl-C."""
