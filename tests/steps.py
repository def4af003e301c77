"""What is tried step by step outside of pytest: each step is told as it ends, and the exit code says how it went."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

AT_FAULT, NOT_TRIED = 1, 2

Steps = Callable[[Path, contextlib.ExitStack], None]
"""Takes a folder for what it makes, and what ends all that it starts."""


def run(steps: Steps, was: str, now: str, *, wrong: type[Exception], impossible: tuple[type[Exception], ...]) -> int:
    """Runs all steps. Gives 0 if all was well, AT_FAULT after an assertion or `wrong`, NOT_TRIED after `impossible`.

    `was` and `now` name what is tried: `The image was` and `The image is`.
    """
    try:
        # Short, for the sake of the sockets in it.
        with tempfile.TemporaryDirectory(prefix="rapport-") as name, contextlib.ExitStack() as ending:
            steps(Path(name), ending)
    except impossible as reason:
        sys.stderr.write(f"{was} NOT tried: {reason}\n")
        return NOT_TRIED
    except (AssertionError, wrong) as error:
        sys.stderr.write(f"{now} at fault: {error}\n")
        return AT_FAULT
    sys.stdout.write(f"{now} fine.\n")
    return 0


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Tells how many seconds it took, once it has ended well."""
    began = time.monotonic()
    yield
    sys.stdout.write(f"{what}: {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
