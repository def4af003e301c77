"""Waits for a server that is not up yet."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 10.0


def delays(first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> Iterator[float]:
    """Seconds to wait before each try: doubling, with jitter, so that peers do not retry at the same moment."""
    limit = first
    while True:
        yield random.uniform(limit / 2, limit)  # noqa: S311 - jitter is no secret
        limit = min(longest, limit * 2)


def until(
    attempt: Callable[[], T],
    *,
    what: str,
    log: logging.Logger,
    errors: tuple[type[Exception], ...],
    wait: Callable[[float], object] = time.sleep,
) -> T:
    """Calls `attempt` until it raises none of `errors`, and logs each failure with its reason."""
    for delay in delays():
        try:
            return attempt()
        except errors as error:
            log.warning(
                "%s is not reachable (%s: %s); trying again in %.1f s", what, type(error).__name__, error, delay
            )
            wait(delay)
    raise AssertionError("delays never end")
