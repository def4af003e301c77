"""Run as a script, it becomes a command whose files only their owner can read.

    python child_launcher.py <starter's pid> <signal> <program> [argument ...]

With a signal other than 0, the kernel sends it to the command when its starter dies, even by kill -9. Linux keeps
this across exec; other systems do not have it.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Sets the mask and the signal, checks that the starter is still there, and becomes the command."""
    starter, signal, *command = sys.argv[1:]
    os.umask(0o077)
    if int(signal):
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
        if os.getppid() != int(starter):
            sys.exit("the process that started this one is gone")
    os.execv(command[0], command)  # noqa: S606 - the command comes from our own code


if __name__ == "__main__":
    main()
