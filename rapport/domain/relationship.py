"""Know, like and trust: what each kind of interaction adds, how it fades, and the stage that follows.

The numbers are defaults with reasons, not measurements; `docs/relationships.md` tells an agency what they mean.
"""

from dataclasses import dataclass

from rapport.domain.decay import DAY_MS, rank_for, value_at

DIMENSIONS = ("know", "like", "trust")
STAGES = ("new", "knows", "likes", "trusts", "buys")

HALF_LIFE_DAYS = {"know": 60.0, "like": 60.0, "trust": 120.0}
"""Familiarity and liking fade within a season; trust, slower to win, is slower to go."""

SCALE = {"know": 4.0, "like": 6.0, "trust": 8.0}
"""The worth at which a dimension shows 50 of 100: some four, six and eight recent interactions."""

THRESHOLDS = {"knows": ("know", 2.0), "likes": ("like", 4.0), "trusts": ("trust", 5.0)}
"""The worth that a stage needs. `buys` needs a purchase within BUYS_FOR_DAYS instead."""

BUYS_FOR_DAYS = 365


@dataclass(frozen=True)
class Weight:
    """What one interaction of a kind adds per dimension, and how many of them count per event day."""

    know: float
    like: float
    trust: float
    daily_cap: int


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


def score(landmark_sum: float, dimension: str, now: int) -> int:
    """A dimension as 0 to 100 at `now` (ms): 100 (1 - 2^(-worth / SCALE)), so that each step up takes more."""
    worth = max(0.0, value_at(landmark_sum, now, HALF_LIFE_DAYS[dimension]))
    return round(100 * (1 - 2 ** (-worth / SCALE[dimension])))


def stage(sums: dict[str, float], last_purchase_at: int | None, now: int) -> str:
    """The highest stage whose condition holds at `now` (ms), from landmark sums by dimension."""
    if last_purchase_at is not None and now - last_purchase_at <= BUYS_FOR_DAYS * DAY_MS:
        return "buys"
    for name in ("trusts", "likes", "knows"):
        dimension, worth = THRESHOLDS[name]
        if value_at(sums.get(dimension, 0.0), now, HALF_LIFE_DAYS[dimension]) >= worth:
            return name
    return "new"


def stage_rank(name: str, now: int) -> tuple[str, float]:
    """The dimension of a stage and the rank (`decay.rank_of`) that it takes at `now` (ms) to be in it or above."""
    dimension, worth = THRESHOLDS[name]
    return dimension, rank_for(worth, now, HALF_LIFE_DAYS[dimension])
