"""Know, like and trust: what each kind of interaction adds, how it fades, and the stage that follows.

The numbers are defaults with reasons, not measurements; `docs/relationships.md` tells an agency what they mean. An
agency that knows better sets its own, as a version of `Scoring`.
"""

from collections.abc import Mapping
from typing import cast

from rapport.contracts.scoring import Scoring, Weight
from rapport.domain.relationships.decay import DAY_MS, LANDMARK, rank_of, value_at

DIMENSIONS = ("know", "like", "trust")
STAGES = ("new", "knows", "likes", "trusts", "buys")

HALF_LIFE_DAYS = {"know": 60.0, "like": 60.0, "trust": 120.0}
"""Familiarity and liking fade within a season; trust, slower to win, is slower to go."""

SCALE = {"know": 4.0, "like": 6.0, "trust": 8.0}
"""The worth at which a dimension shows 50 of 100: some four, six and eight recent interactions."""

THRESHOLDS = {"knows": ("know", 2.0), "likes": ("like", 4.0), "trusts": ("trust", 5.0)}
"""The worth that a stage needs. `buys` needs a purchase within BUYS_FOR_DAYS instead."""

BUYS_FOR_DAYS = 365


WEIGHTS: dict[str, Weight] = {
    # A press of a button is noticed, ten presses in a minute are still one visit.
    "reaction": Weight(know=0.3, like=0.5, trust=0.0, daily_cap=5),
    "vote": Weight(know=0.3, like=0.5, trust=0.3, daily_cap=3),
    "entry": Weight(know=0.5, like=0.3, trust=0.1, daily_cap=3),
    "follow": Weight(know=1.0, like=1.0, trust=0.2, daily_cap=1),
    # Words cost more than a button; a private message shows more trust than a public comment.
    "comment": Weight(know=1.0, like=0.8, trust=0.2, daily_cap=5),
    "mention": Weight(know=1.0, like=1.0, trust=0.3, daily_cap=5),
    "message": Weight(know=1.0, like=0.8, trust=0.8, daily_cap=5),
    # Sharing puts the follower's own name beside the brand's.
    "share": Weight(know=0.8, like=1.5, trust=1.0, daily_cap=3),
    # Being answered is what the brand does for trust, and not being answered what it does against it.
    "answered": Weight(know=0.5, like=0.5, trust=1.5, daily_cap=3),
    "answered_late": Weight(know=0.5, like=0.0, trust=-0.5, daily_cap=3),
    "unanswered": Weight(know=0.0, like=-0.5, trust=-2.0, daily_cap=3),
    "purchase": Weight(know=1.0, like=1.0, trust=5.0, daily_cap=3),
}
"""Kinds not listed (for instance `block`) are counted and add nothing."""


MOMENTUM_DAYS = 7.0
"""The half-life of momentum: what was brought lately, so that who is warming sorts first without a rewrite."""


DEFAULT = Scoring(
    version=0,
    weights=WEIGHTS,
    half_life_days=HALF_LIFE_DAYS,
    scale=SCALE,
    thresholds={name: worth for name, (_, worth) in THRESHOLDS.items()},
    buys_for_days=BUYS_FOR_DAYS,
)


def weight_of(kind: str, scoring: Scoring) -> Weight:
    """What an interaction of a kind adds; the default where the agency's numbers are older than the kind."""
    return scoring.weights.get(kind) or WEIGHTS[kind]


def worth(landmark_sum: float, dimension: str, now: int, scoring: Scoring = DEFAULT) -> float:
    """What a dimension's landmark sum is worth at `now` (ms)."""
    return value_at(landmark_sum, now, scoring.half_life_days[dimension])


def score(landmark_sum: float, dimension: str, now: int, scoring: Scoring = DEFAULT) -> int:
    """A dimension as 0 to 100 at `now` (ms): 100 (1 - 2^(-worth / scale)), so that each step up takes more."""
    return round(points(worth(landmark_sum, dimension, now, scoring), dimension, scoring))


def points(worth: float, dimension: str, scoring: Scoring = DEFAULT) -> float:
    """The same from what it is worth, not rounded."""
    return 100 * (1 - 2 ** (-max(0.0, worth) / scoring.scale[dimension]))


def stage(sums: Mapping[str, float], last_purchase_at: int | None, now: int, scoring: Scoring = DEFAULT) -> str:
    """The highest stage whose condition holds at `now` (ms), from landmark sums by dimension."""
    if last_purchase_at is not None and now - last_purchase_at <= scoring.buys_for_days * DAY_MS:
        return "buys"
    for name in ("trusts", "likes", "knows"):
        dimension, _ = THRESHOLDS[name]
        if worth(sums.get(dimension, 0.0), dimension, now, scoring) >= scoring.thresholds[name]:
            return name
    return "new"


def stage_until(
    sums: Mapping[str, float], last_purchase_at: int | None, now: int, scoring: Scoring = DEFAULT
) -> int | None:
    """The first moment (ms) after `now` at which `stage` is another one if nothing happens; None for `new`."""
    held = stage(sums, last_purchase_at, now, scoring)
    if held == "new":
        return None
    if held == "buys":
        return cast(int, last_purchase_at) + scoring.buys_for_days * DAY_MS + 1
    dimension, _ = THRESHOLDS[held]
    half_life = scoring.half_life_days[dimension] * DAY_MS
    span = (rank_of(sums[dimension]) - rank_of(scoring.thresholds[held])) * half_life
    until = max(now, LANDMARK + int(span))
    # The formula is exact but for the last bits of a double.
    while stage(sums, last_purchase_at, until, scoring) == held:
        until += 1
    return until
