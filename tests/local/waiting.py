"""Waiting for a condition with a deadline."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 90.0
_POLL_SECONDS = 0.1


def until(condition: Callable[[], bool], what: str) -> None:
    """Returns once the condition holds; fails naming `what` if it never does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(_POLL_SECONDS)
