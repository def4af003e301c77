"""Dimensions, stages, and when a stage falls by itself."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.decay import DAY_MS, LANDMARK, weight_at
from rapport.domain.relationships.relationship import DEFAULT, DIMENSIONS, HALF_LIFE_DAYS, STAGES, stage, stage_until

NOW = LANDMARK + 700 * DAY_MS
worths = st.fixed_dictionaries({name: st.floats(-5, 40) for name in DIMENSIONS})
purchases = st.none() | st.integers(NOW - 500 * DAY_MS, NOW)
scorings = st.builds(
    lambda half_lives, thresholds, days: structs.replace(
        DEFAULT,
        half_life_days=dict(zip(DIMENSIONS, half_lives, strict=True)),
        thresholds=dict(zip(("knows", "likes", "trusts"), thresholds, strict=True)),
        buys_for_days=days,
    ),
    st.tuples(*[st.floats(7, 400)] * 3),
    st.tuples(*[st.floats(0.1, 20)] * 3),
    st.integers(1, 700),
)


def sums_of(worth: dict[str, float], scoring: Scoring) -> dict[str, float]:
    """The landmark sums that are worth so much at NOW."""
    return {name: each * weight_at(NOW, scoring.half_life_days[name]) for name, each in worth.items()}


@given(worth=worths, bought=purchases, scoring=scorings)
def test_a_stage_holds_until_the_moment_that_is_told_and_is_a_lower_one_then(
    worth: dict[str, float], bought: int | None, scoring: Scoring
) -> None:
    sums = sums_of(worth, scoring)
    held = stage(sums, bought, NOW, scoring)
    until = stage_until(sums, bought, NOW, scoring)
    if until is None:
        assert held == "new"
        return
    assert until > NOW
    after = stage(sums, bought, until, scoring)
    assert STAGES.index(after) < STAGES.index(held)
    # The moment is exact but for the last bits of the formula.
    for at in {NOW, NOW + (until - NOW) // 2, max(NOW, until - 1_000)}:
        assert stage(sums, bought, at, scoring) == held


@given(worth=worths, bought=purchases, more=st.sampled_from(DIMENSIONS))
def test_a_stage_never_falls_by_what_adds_to_it(worth: dict[str, float], bought: int | None, more: str) -> None:
    sums = sums_of(worth, DEFAULT)
    better = {**sums, more: sums[more] + weight_at(NOW, HALF_LIFE_DAYS[more])}
    assert STAGES.index(stage(better, bought, NOW)) >= STAGES.index(stage(sums, bought, NOW))


def test_a_purchase_makes_a_buyer_for_a_year() -> None:
    assert stage({}, NOW - 365 * DAY_MS, NOW) == "buys"
    assert stage({}, NOW - 365 * DAY_MS - 1, NOW) == "new"
    assert stage_until({}, NOW, NOW) == NOW + 365 * DAY_MS + 1
