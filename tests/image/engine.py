"""A container engine of its own: Debian's, on a socket in a folder, which ends with this process."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from rapport.local import child
from rapport.local.servers import jars
from tests.waiting import until

_PACKAGES = ("docker.io", "containerd", "runc", "debootstrap")
START_SECONDS = 60.0
STOP_SECONDS = 60.0
COMMAND_SECONDS = 900.0
"""For one command; the build is the longest, and takes minutes."""


class NoEngineError(Exception):
    """Why no engine can be had here."""


class CommandError(Exception):
    """A command of the engine failed: what it was, and what it said."""


def programs() -> Path:
    """The folder with the engine's programs and debootstrap, unpacked from Debian's packages. Raises NoEngineError."""
    folder = jars.cache() / "engine"
    if folder.exists():
        return folder
    if shutil.which("apt-get") is None:
        raise NoEngineError("this is no Debian to take docker.io from (there is no apt-get)")
    fetching = folder.with_name("engine.part")
    shutil.rmtree(fetching, ignore_errors=True)
    fetching.mkdir(parents=True)
    for command in (["apt-get", "update"], ["apt-get", "download", *_PACKAGES]):
        done = subprocess.run(command, cwd=fetching, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise NoEngineError(f"Debian's docker.io cannot be fetched: {done.stderr.strip()[-300:]}")
    for package in fetching.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(fetching)], check=True)
        package.unlink()
    return fetching.rename(folder)


class Engine:
    """A dockerd without networks of its own, so it changes nothing of this machine's. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """`folder`: short, because the socket's path may have 107 characters. Its images are there, too."""
        self._folder = folder
        self._socket = folder / "engine.sock"
        self.log = folder / "engine.log"

    def __enter__(self) -> Self:
        """Raises NoEngineError."""
        if os.geteuid() != 0:
            raise NoEngineError("an engine of its own needs root")
        self.programs = programs()
        found = os.pathsep.join(str(self.programs / "usr" / each) for each in ("bin", "sbin"))
        self.environment = {**os.environ, "PATH": f"{found}{os.pathsep}{os.environ['PATH']}", "DOCKER_BUILDKIT": "0"}
        command = [
            *(str(self.programs / "usr" / "sbin" / "dockerd"), "--host", f"unix://{self._socket}"),
            *("--iptables=false", "--ip6tables=false", "--bridge=none"),
            *("--data-root", str(self._folder / "data"), "--exec-root", str(self._folder / "run")),
            *("--pidfile", str(self._folder / "engine.pid")),
        ]
        # Asked to end, it ends its containers and its containerd; killed, it would leave them behind.
        self._process = child.start(command, self.log, self.environment, signal.SIGTERM)
        try:
            until(lambda: not self._process.alive() or self._answers(), "the engine answers", START_SECONDS)
        except AssertionError:
            self.__exit__(None, None, None)
        if not self._process.alive():
            raise NoEngineError(f"dockerd does not run here:\n{child.last_lines(self.log)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends it, with all that it runs."""
        child.stop([self._process], STOP_SECONDS)
        # It leaves the mount of its network namespace, which would keep the folder from being removed.
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in sorted((each for each in places if each.startswith(f"{self._folder}/")), reverse=True):
            subprocess.run(["umount", place], check=True)

    def check_runs(self, image: str) -> None:
        """Raises NoEngineError if no container runs here, whatever is in it."""
        try:
            self.docker("run", "--rm", "--network", "host", image, "true")
        except CommandError as error:
            raise NoEngineError(f"dockerd runs, but no container: {error}") from error

    def _answers(self) -> bool:
        try:
            self.docker("version")
        except CommandError:
            return False
        return True

    def docker(self, *arguments: str, seconds: float = COMMAND_SECONDS, errors: int = subprocess.PIPE) -> str:
        """What a command of its client prints, with `errors=STDOUT` on stderr too. Raises CommandError."""
        command = [str(self.programs / "usr" / "bin" / "docker"), "--host", f"unix://{self._socket}", *arguments]
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"docker {arguments[0]} did not end within {seconds:g} s") from error
        if done.returncode != 0:
            said = f"{done.stdout[-1500:]}\n{(done.stderr or '')[-1500:]}".strip()
            raise CommandError(f"docker {' '.join(arguments)}: {said}")
        return done.stdout.strip()
