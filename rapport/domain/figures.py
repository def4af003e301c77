"""Figures in words, the same in every page, file and mail: whole percentages, and how many of something."""

import math


def whole_percent(share: float) -> int:
    """A share from 0 to 1 as a whole percentage, rounded half up.

    100 is all and 0 is none: what is short of the one, or above the other, never looks as if it were.
    """
    if share <= 0:
        return 0
    if share >= 1:
        return 100
    # 0.285 is stored as a little less. Nine decimals are far more than a share of anything countable needs.
    return min(99, max(1, math.floor(round(share * 100, 9) + 0.5)))


def percent(share: float | None) -> str:
    """A share as `58 %`; a dash where there is none."""
    return "–" if share is None else f"{whole_percent(share)} %"


def noun(count: float, one: str, many: str | None = None) -> str:
    """What so many of something are called: `answer` of 1, else `answers`."""
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """How many of something there are: `1 answer`, `0 answers`, `2 entries`."""
    return f"{count} {noun(count, one, many)}"
