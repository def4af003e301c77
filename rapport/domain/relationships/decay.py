"""Forward decay: a sum that fades with time and never has to be rewritten (Cormode et al., ICDE 2009, section 3).

Each contribution is scaled up by how far after a fixed landmark it happened, instead of all being scaled down as time
passes. So a sum is additive, independent of the order of arrival, and two sums compare today as they will next year.
"""

import math

DAY_MS = 86_400_000
_HIGHEST_POWER = 960.0
"""Of two: times beyond what a double can tell from the landmark count as if they were at this distance. Leaves room
for adding up whatever one row holds."""
_LARGEST = math.pow(2.0, _HIGHEST_POWER)
LANDMARK = 1_735_689_600_000
"""2025-01-01T00:00:00Z. A double holds 2^1023, so with a half-life of 60 days sums stay finite for 168 years."""


def weight_at(at: int, half_life_days: float) -> float:
    """What one unit that happened at `at` (ms) adds to a landmark sum."""
    return _power((at - LANDMARK) / (half_life_days * DAY_MS))


def value_at(landmark_sum: float, now: int, half_life_days: float) -> float:
    """A landmark sum, seen at `now` (ms)."""
    value = landmark_sum * _power(-(now - LANDMARK) / (half_life_days * DAY_MS))
    return min(max(value, -_LARGEST), _LARGEST)


def rank_of(landmark_sum: float) -> float:
    """A number that sorts like the sum at any time: its base-2 logarithm; the lowest there is for nothing or less."""
    return math.log2(landmark_sum) if landmark_sum > 0 else -1e9


def _power(exponent: float) -> float:
    return math.pow(2.0, min(exponent, _HIGHEST_POWER))
