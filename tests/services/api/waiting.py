"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 90.0


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Returns once `condition` holds. Fails, naming `what`, where that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"in vain waited {seconds:.0f} s until {what}"
        time.sleep(0.05)
