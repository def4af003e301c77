"""Waiting for a condition, with a deadline."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 120.0
"""Seconds. Only a test that fails waits this long."""
PATIENCE = 1 if os.environ.get("RAPPORT_TEST_RED") else 3
"""How many times longer than it says: no test may fail because the machine is busy. With broken workers all do fail."""
POLL_SECONDS = 0.05


def until(condition: Callable[[], T | None], what: str | Callable[[], str], seconds: float = DEADLINE) -> T:
    """The first true value of `condition`. Fails, saying `what` it waited for, when that takes too long."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(POLL_SECONDS)
