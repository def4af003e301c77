"""Ports on the loopback interface."""

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import TextIO

from rapport.local.errors import StackError

LOOPBACK = "127.0.0.1"
_TRY_SECONDS = 1.0
_NOT_FOR_CONNECTIONS = range(20_000, 32_000)
"""Ports that no common system uses for outgoing connections."""
_TRIES = 50

_promised: dict[int, TextIO] = {}
"""Ports that this process has given out. Until the server binds, no other installation may choose them."""


def usual_or_free(usual: int) -> int:
    """The usual port if it is free, else another free one; for 0 any free one.

    Until this process ends, nobody who asks here gets the same port by chance. Raises StackError where there is none.
    """
    # Until the server binds, the system could give an ephemeral port to a connection.
    chance = [port for port in random.sample(_NOT_FOR_CONNECTIONS, _TRIES) if port not in _promised]
    for port in (*((usual,) if usual else ()), *chance, 0, 0, 0):
        with contextlib.suppress(OSError):
            return _take(port)
    raise StackError("the loopback interface has no free port")


def refused(port: int) -> str | None:
    """Why a port cannot be used; None if it can. It is then reserved until this process ends."""
    try:
        _take(port)
    except PermissionError as error:
        return f"is not allowed here ({error.strerror})"
    except OSError:
        return "is taken by another program"
    return None


def _take(port: int) -> int:
    """Raises OSError if it is in use, or promised to another process."""
    with socket.socket() as probe:
        # Connections of a server that ended linger; they do not keep its port from the next one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        free = int(probe.getsockname()[1])
        _promise(free)
        return free


def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=_TRY_SECONDS):
        return True
    return False


def _promise(port: int) -> None:
    """Raises BlockingIOError if another process has given out the port."""
    if port in _promised:
        return
    folder = Path(tempfile.gettempdir()) / f"rapport-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = (folder / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    _promised[port] = file
