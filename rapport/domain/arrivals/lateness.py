"""How long platforms take to tell: from when something occurred to when it was received.

Delays are counted by step, in minutes in which something with such a delay arrived, see `minutes`. A median or a 95th
percentile is therefore known to a step, and given as its upper end: it was at most so long.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate

from rapport.contracts.events import OccurredAtSource
from rapport.domain.arrivals.rhythm import RECENT

STEPS: tuple[float, ...] = (
    5, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, RECENT.total_seconds(),
)  # fmt: skip
"""Seconds: the upper ends of the steps. What took longer is the past that arrives now, and no platform's delay."""
WORTH_TELLING = 300.0
"""Seconds. A delay below this is how platforms work."""
RELEVANT = 0.05
"""Of the time to answer: 1 h 12 min of 24 hours."""
FACTOR = 4
"""An account is late if half of what arrives takes this many times as long as 95 % of it usually does."""
LATE_IN_ANY_CASE = 86_400.0
"""Seconds: by then a day's answers are late, however usual it is."""
LOOKED_BACK = timedelta(hours=1)
LEAST_RECENT = 3
"""Minutes with something in that hour. One late straggler is no lateness."""


def step_of(source: OccurredAtSource, occurred_at: datetime, observed_at: datetime) -> int | None:
    """The step of an interaction's delay; None where it is not known, or belongs to the past."""
    if source == "receipt":
        return None
    seconds = (observed_at - occurred_at).total_seconds()
    return next((step for step, end in enumerate(STEPS) if seconds <= end), None)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The upper end (seconds) of the step that a share of all delays reaches; None without any. `counts` by step."""
    whole = sum(counts)
    if not whole:
        return None
    return next(end for end, reached in zip(STEPS, accumulate(counts), strict=False) if reached >= share * whole)


def counted(steps: Mapping[int, int]) -> list[int]:
    """Minutes by step as a list, from their number by step."""
    return [steps.get(step, 0) for step in range(len(STEPS))]


def late_above(usual: float) -> float:
    """Above how many seconds the median of the last hour makes an account late. `usual`: its 95th percentile."""
    return min(LATE_IN_ANY_CASE, max(WORTH_TELLING, FACTOR * usual))


def is_late(recent: Sequence[int], usual: float | None) -> bool:
    """Whether an account's platform tells far later than usual. `recent`: minutes of the last hour, by step.

    Never where nothing is usual yet: a new account may begin with what its sender has kept for days.
    """
    median = quantile(recent, 0.5)
    if median is None or usual is None or sum(recent) < LEAST_RECENT:
        return False
    return median > late_above(usual)


def is_relevant(seconds: float, of: float) -> bool:
    """Whether a delay is a part worth telling of a time to answer; both in seconds."""
    return seconds >= WORTH_TELLING and seconds >= RELEVANT * of


def delay(opened_at: datetime, received_at: datetime) -> float:
    """Seconds between when a comment was written and when it could be known; never negative."""
    return max(0.0, (received_at - opened_at).total_seconds())


def of_the_team(received_at: datetime, answered_at: datetime) -> float:
    """Seconds that the brand took to answer from when it could know; 0 where it answered before, on the platform."""
    return max(0.0, (answered_at - received_at).total_seconds())
