"""Run as a script: becomes a command that the kernel ends when its starter dies, even by kill -9.

    python bound.py <starter's pid> <signal> <program> [argument ...]

Linux forgets nothing of this across exec; on other systems the command simply runs.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Sets the signal, makes sure that the starter is still there, and becomes the command."""
    starter, signal, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
    if os.getppid() != int(starter):
        sys.exit("the process that started this one is gone")
    os.execv(command[0], command)  # noqa: S606 - the command comes from our own code


if __name__ == "__main__":
    main()
