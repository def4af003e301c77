"""Figures as people read them, the same in every page, file and mail: percentages, counts, durations, lists."""

import math
from collections.abc import Sequence


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
    """How many of something there are: `1 answer`, `0 answers`, `2 entries`, `1,826 people`."""
    return f"{number(count)} {noun(count, one, many)}"


def number(count: int) -> str:
    """A count as it is written in English: `1,826`."""
    return f"{count:,}"


_UNITS = (("d", "day", 86_400), ("h", "hour", 3_600), ("min", "minute", 60), ("s", "second", 1))


def duration(seconds: float) -> str:
    """A duration in short, in a unit and the next smaller one: `24 h`, `2 d 3 h`, `45 s`.

    `6 h 10 s` between `6 h 7 min` and `6 h 20 min` would be read as minutes: that is `6 h`.
    """
    parts = _in_units(seconds, days=True)
    units = [short for short, _, _ in _UNITS]
    if len(parts) == 2 and units.index(parts[1][1]) > units.index(parts[0][1]) + 1:
        del parts[1]
    return " ".join(f"{count} {short}" for count, short, _ in parts) or "0 s"


def duration_in_words(seconds: float, *, days: bool = True, joint: str = " and ") -> str:
    """A duration in words, two units at most: `4 hours`, `1 hour and 30 minutes`. Days are of 24 hours."""
    return joint.join(counted(count, word) for count, _, word in _in_units(seconds, days=days)) or "0 seconds"


def _in_units(seconds: float, *, days: bool) -> list[tuple[int, str, str]]:
    """The two largest units of a duration that are not zero: how many, and what the unit is called."""
    left = round(seconds)
    parts = []
    for short, word, size in _UNITS:
        # People speak of a day as 24 hours when they mean how soon to answer.
        if word == "day" and (not days or left < 2 * size):
            continue
        count, left = divmod(left, size)
        if count:
            parts.append((count, short, word))
    return parts[:2]


MOST_NAMED = 4


def listed(items: Sequence[str], last: str = "and", most: int = MOST_NAMED) -> str:
    """Some things in a sentence: `a, b and c`, and of more than `most` how many more there are."""
    if len(items) > most + 1:
        items = [*items[:most], f"{len(items) - most} more"]
    return f" {last} ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)
