"""How often one visitor may try keys that are wrong."""

import time

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from services.api.problems import ProblemError

FAILURES = RateLimitItemPerMinute(20)
"""Wrong keys from one address, at logins and at the API. Somebody who mistypes needs a few; a program that has lost its
key needs none."""


class Rates:
    """What this process has counted. A right key is never refused: another behind that address may be to blame."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def failed(self, request: Request) -> None:
        """Counts a wrong key. Raises ProblemError (429) where there were too many."""
        address = request.client.host if request.client else ""
        if not self._limiter.hit(FAILURES, address):
            reset = self._limiter.get_window_stats(FAILURES, address).reset_time
            raise ProblemError(
                429, "too-many-requests", "too many wrong keys came from here; wait a minute and try again",
                headers={"Retry-After": str(max(1, round(reset - time.time())))},
            )  # fmt: skip
