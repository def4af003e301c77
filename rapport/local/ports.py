"""Ports on the loopback interface."""

import contextlib
import socket

LOOPBACK = "127.0.0.1"
_TRY_SECONDS = 1.0


def usual_or_free(usual: int) -> int:
    """The usual port if nothing has it, else one that the system finds free. 0 always asks the system."""
    for port in (usual, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            # Connections of an ended server linger; they do not keep its port from the next.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise OSError("the loopback interface has no free port")


def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=_TRY_SECONDS):
        return True
    return False
