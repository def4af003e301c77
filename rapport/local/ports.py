"""Ports on the loopback interface."""

import contextlib
import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import TextIO

LOOPBACK = "127.0.0.1"
_TRY_SECONDS = 1.0

_promised: dict[int, TextIO] = {}
"""Ports that this process gave out. Between then and the server's bind, another installation must not choose them."""


def usual_or_free(usual: int) -> int:
    """The usual port if nothing has it, else one that the system finds free. 0 always asks the system.

    Until this process ends, others that ask here do not get the same port. Raises OSError where there is none.
    """
    for port in (usual, 0, 0, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            # Connections of an ended server linger; they do not keep its port from the next.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            free = int(probe.getsockname()[1])
            _promise(free)
            return free
    raise OSError("the loopback interface has no free port")


def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=_TRY_SECONDS):
        return True
    return False


def _promise(port: int) -> None:
    """Raises BlockingIOError where another process has given out the port."""
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
