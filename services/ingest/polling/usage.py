"""How much of what Meta allows is used, as its answers say. It has the last word on what may be asked.

Source: https://developers.facebook.com/docs/graph-api/overview/rate-limiting/
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from services.ingest.polling.api import LONGEST_WAIT_SECONDS, Budget

BUSY_PERCENT = 50.0
"""From here on accounts are asked half as often, and from halfway to `FULL_PERCENT` a quarter as often."""
FULL_PERCENT = 80.0
"""Here reading stops. The rest is for answers that somebody writes."""
PAUSE_SECONDS = 300.0
"""After that, and where a refusal does not say for how long."""
KEPT_SECONDS = 3_600.0
"""How long a figure is believed if no newer one comes: Meta counts by the hour, or by the day."""
LARGEST_HEADER = 65_536
_HEADERS = ("x-app-usage", "x-page-usage", "x-business-use-case-usage")


class Share(NamedTuple):
    """The highest of the percentages that an answer says, and for how long nothing is allowed (seconds)."""

    percent: float
    regained_in: float


class _Figures(Struct):
    call_count: float = 0.0
    total_time: float = 0.0
    total_cputime: float = 0.0
    estimated_time_to_regain_access: float = 0.0
    """Minutes."""


def share_of(headers: Mapping[str, str]) -> Share | None:
    """What the headers of an answer say; None if nothing that can be read."""
    found: list[_Figures] = []
    for name in _HEADERS:
        given = headers.get(name, "")
        if not given or len(given) > LARGEST_HEADER:
            continue
        try:
            if name == "x-business-use-case-usage":
                by_object = msgspec.json.decode(given, type=dict[str, list[_Figures]])
                found += [each for some in by_object.values() for each in some]
            else:
                found.append(msgspec.json.decode(given, type=_Figures))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
    if not found:
        return None
    percent = max(max(each.call_count, each.total_time, each.total_cputime) for each in found)
    minutes = max(each.estimated_time_to_regain_access for each in found)
    return Share(max(0.0, percent), min(LONGEST_WAIT_SECONDS, max(0.0, minutes * 60)))


class Usage:
    """What is used for one account. Spending: at most as much as a budget, and as Meta says."""

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        """`budget` is what is never exceeded, also while Meta says nothing."""
        self._budget = budget
        self._clock = clock
        self._share = Share(0.0, 0.0)
        self._at = clock()
        self._until = 0.0

    def heard(self, headers: Mapping[str, str]) -> None:
        """Notes what an answer says."""
        share = share_of(headers)
        if share is None:
            return
        self._share, self._at = share, self._clock()
        if share.regained_in or share.percent >= FULL_PERCENT:
            self._until = self._at + (share.regained_in or PAUSE_SECONDS)

    def pause(self) -> float:
        """For how long nothing is allowed after a refusal, in seconds."""
        return self._share.regained_in or PAUSE_SECONDS

    def slower(self) -> float:
        """How many times less often than usual an account is asked."""
        if self._clock() - self._at > KEPT_SECONDS or self._share.percent < BUSY_PERCENT:
            return 1.0
        return 2.0 if self._share.percent < (BUSY_PERCENT + FULL_PERCENT) / 2 else 4.0

    def wait(self) -> float:
        """Seconds until one more is allowed."""
        return max(self._budget.wait(), self._until - self._clock(), 0.0)

    def spend(self) -> None:
        """Notes a request."""
        self._budget.spend()
