"""How often one visitor may do what is open to everybody: trying keys, answering surveys."""

import time

from fastapi import Request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from services.api.http.problems import ProblemError

FAILURES = RateLimitItemPerMinute(20, namespace="wrong keys")
"""Wrong keys from one address, at logins and at the API. Somebody who mistypes needs a few; a program that has lost its
key needs none."""


class Rates:
    """Counts in this process alone. A valid key is never refused: somebody else at its address may be to blame."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def failed(self, request: Request) -> None:
        """Counts a wrong key. Raises ProblemError (429) where there were too many."""
        self.take(FAILURES, address_of(request), why="too many wrong keys came from here; wait a minute and try again")

    def take(self, limit: RateLimitItem, *of: str, why: str) -> None:
        """Counts one more of `of`. Raises ProblemError (429) with `why` above the limit."""
        if not self._limiter.hit(limit, *of):
            reset = self._limiter.get_window_stats(limit, *of).reset_time
            headers = {"Retry-After": str(max(1, round(reset - time.time())))}
            raise ProblemError(429, "too-many-requests", why, headers=headers)


def address_of(request: Request) -> str:
    """The address that a request comes from; empty if unknown."""
    return request.client.host if request.client else ""
