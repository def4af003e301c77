"""The ports of an installation's parts, now and at the next start."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rapport.local import ports, private_files
from rapport.local.errors import StackError

_FILE = "ports.json"
_WAIT_SECONDS = 3.0
"""To wait for the program that had the port before, such as our own after a kill."""
_POLL_SECONDS = 0.1


class ChosenPorts:
    """The ports asked for, else those of last time, else the usual ones if they are free."""

    def __init__(self, data: Path, wanted: Mapping[str, int] | None = None, *, any_port: bool = False) -> None:
        """With `any_port` free ports are chosen, whatever was asked for or is usual, and nothing is remembered."""
        self._file = data / _FILE
        self._wanted = dict(wanted or {})
        self._any = any_port
        self._choosing = threading.Lock()
        self._now: dict[str, int] = {}

    def choose(self, name: str, usual: int) -> int:
        """The port of one part. Raises StackError if it has to be a certain port and that is taken."""
        with self._choosing:
            if self._any:
                port = self._free(0)
            elif name in self._wanted:
                port = self._fixed(name, self._wanted[name], "")
            elif name in (remembered := self._remembered()):
                port = self._fixed(name, remembered[name], ", where it was last time,")
            else:
                port = self._free(usual)
            self._now[name] = port
            if not self._any:
                self._remember()
            return port

    def _free(self, usual: int) -> int:
        kept = {*self._now.values()} if self._any else {*self._wanted.values(), *self._remembered().values()}
        port = ports.usual_or_free(usual)
        while port in kept:
            port = ports.usual_or_free(0)
        return port

    def _fixed(self, name: str, port: int, when: str) -> int:
        if other := next((other for other, taken in self._now.items() if taken == port), None):
            raise StackError(f"{name} and {other} cannot both have port {port}; give one of them another with --port")
        deadline = time.monotonic() + _WAIT_SECONDS
        while (why := ports.refused(port)) is not None:
            if time.monotonic() > deadline:
                raise StackError(
                    f"port {port} of {name}{when} {why}: choose another one with --port {name}=NUMBER, or end that"
                )
            time.sleep(_POLL_SECONDS)
        return port

    def _remembered(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            raise StackError(f"{self._file} is damaged ({error}); remove it to use the usual ports") from error

    def _remember(self) -> None:
        before = self._remembered()
        now = {**before, **self._now}
        if now != before:
            private_files.write_private(self._file, msgspec.json.encode(now))
