"""Why a relationship stands where it does: what changed lately, and what would raise it."""

import math
from collections.abc import Mapping

from msgspec import Struct

from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.counting import Days, contributions
from rapport.domain.relationships.decay import value_at
from rapport.domain.relationships.relationship import DIMENSIONS, STAGES, THRESHOLDS, points, stage
from rapport.domain.times import ms, shifted, utc

MOST_STEPS = 3


class Change(Struct, frozen=True):
    """What became of one dimension over some days."""

    points: float
    """The difference on the scale of 0 to 100."""
    brought: dict[str, float]
    """What each kind of interaction of these days is worth now."""
    faded: float
    """What the interactions from before these days have lost of their worth."""


class Step(Struct, frozen=True):
    """Something that would raise the stage by itself."""

    kind: str
    times: int
    days: int
    """On how many days, because a day counts so many of a kind at most."""
    stage: str
    """The one that it would lead to."""


def changes(days: Days, scoring: Scoring, now: int, over: int) -> dict[str, Change]:
    """What changed per dimension in the last `over` days; `now` in ms."""
    then = now - over * 86_400_000
    first_day = shifted(utc(then).date(), 1).isoformat()
    before = contributions({day: kinds for day, kinds in days.items() if day < first_day}, scoring)
    since = contributions({day: kinds for day, kinds in days.items() if day >= first_day}, scoring)
    found = {}
    for name in DIMENSIONS:
        half_life = scoring.half_life_days[name]
        old = sum(before.get(name, {}).values())
        brought = {kind: value_at(total, now, half_life) for kind, total in since.get(name, {}).items()}
        was, left = value_at(old, then, half_life), value_at(old, now, half_life)
        here = points(left + sum(brought.values()), name, scoring)
        found[name] = Change(here - points(was, name, scoring), brought, was - left)
    return found


def next_steps(
    sums: Mapping[str, float], last_purchase_at: int | None, days: Days, scoring: Scoring, now: int
) -> list[Step]:
    """The shortest ways to a higher stage, from landmark sums and the days that made them; none for who buys already.

    A purchase is one for everybody, and the last in the list.
    """
    held = STAGES.index(stage(sums, last_purchase_at, now, scoring))
    if STAGES[held] == "buys":
        return []
    today = days.get(utc(now).date().isoformat(), {})
    # A day's interactions count as of its noon.
    now = ms(utc(now))
    noon = ms(utc(now).replace(hour=12, minute=0, second=0, microsecond=0))
    shortest: dict[str, Step] = {}
    for wanted in STAGES[held + 1 : -1]:
        dimension, _ = THRESHOLDS[wanted]
        half_life = scoring.half_life_days[dimension]
        missing = scoring.thresholds[wanted] - value_at(sums.get(dimension, 0.0), now, half_life)
        fresh = math.pow(2.0, (noon - now) / (half_life * 86_400_000))
        for kind, weight in scoring.weights.items():
            each = getattr(weight, dimension) * fresh
            if each <= 0 or kind == "purchase":
                continue
            times = max(1, math.ceil(missing / each))
            left = max(0, weight.daily_cap - today.get(kind, 0))
            step = Step(kind, times, max(1, 1 + math.ceil((times - left) / weight.daily_cap)), wanted)
            if kind not in shortest or times < shortest[kind].times:
                shortest[kind] = step
    steps = sorted(shortest.values(), key=lambda each: (each.days, each.times, each.kind))
    return [*steps[:MOST_STEPS], Step("purchase", 1, 1, "buys")]
