"""What the stack remembers between commands, in `stack.json`."""

from pathlib import Path

import msgspec

from rapport.local.child import Child
from rapport.local.errors import StackError


class Server(msgspec.Struct, frozen=True):
    """A server: its address, and its process if we started it."""

    address: str
    pid: int | None = None
    born: str | None = None

    def child(self) -> Child | None:
        """The process that we started."""
        return Child(self.pid, self.born) if self.pid is not None and self.born is not None else None

    def alive(self) -> bool:
        """Whether the process that we started runs."""
        child = self.child()
        return child is not None and child.alive()

    def port(self) -> int:
        """The port of a server that we started; else 0."""
        return int(self.address.partition("/?")[0].rpartition(":")[2]) if self.pid is not None else 0


class State(msgspec.Struct):
    """The servers, and the process that they end with, if they are bound to one."""

    servers: dict[str, Server] = {}
    owner: tuple[int, str] | None = None

    def children(self) -> dict[str, Child]:
        """The processes that we started, by server, whether or not they still run."""
        return {name: child for name, server in self.servers.items() if (child := server.child())}

    def owned(self) -> bool:
        """Whether the servers are bound to a process that still runs."""
        return self.owner is not None and Child(*self.owner).alive()


def read(file: Path) -> State:
    """The content of the file; empty if there is none. Raises StackError if it is damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except msgspec.DecodeError as error:
        raise StackError(f"{file} is damaged ({error}); remove it if none of its servers runs") from error
