"""Why a relationship stands where it does, and what would raise it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.relationships.counting import Days, contributions
from rapport.domain.relationships.relationship import DEFAULT, DIMENSIONS, STAGES, points, stage, worth
from rapport.domain.relationships.why import Step, changes, next_steps
from rapport.domain.times import ms

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
NOW = ms(NOON)


def day(ago: int) -> str:
    """The day so many days ago."""
    return (NOON - timedelta(days=ago)).date().isoformat()


def sums_of(days: Days) -> dict[str, float]:
    """The landmark sums of some days."""
    return {name: sum(kinds.values()) for name, kinds in contributions(days, DEFAULT).items()}


kinds = st.dictionaries(st.sampled_from(sorted(DEFAULT.weights)), st.integers(1, 6), min_size=1, max_size=3)
histories = st.dictionaries(st.integers(0, 60), kinds, max_size=8).map(
    lambda found: {day(ago): times for ago, times in found.items()}
)


@given(days=histories, over=st.sampled_from([7, 30]))
def test_what_was_brought_less_what_faded_is_the_difference(days: Days, over: int) -> None:
    then = NOW - over * 86_400_000
    before = {each: times for each, times in days.items() if each <= day(over)}
    for name, change in changes(days, DEFAULT, NOW, over).items():
        now_worth = worth(sums_of(days).get(name, 0.0), name, NOW)
        then_worth = worth(sums_of(before).get(name, 0.0), name, then)
        assert sum(change.brought.values()) - change.faded == pytest.approx(now_worth - then_worth, abs=1e-9)
        assert change.points == pytest.approx(points(now_worth, name) - points(then_worth, name), abs=1e-9)


@given(days=histories)
def test_doing_what_is_said_today_raises_the_stage(days: Days) -> None:
    bought = None
    if any("purchase" in kinds for kinds in days.values()):
        bought = NOW
    steps = next_steps(sums_of(days), bought, days, DEFAULT, NOW)
    held = stage(sums_of(days), bought, NOW)
    assert bool(steps) == (held != "buys")
    for step in steps[:-1]:
        assert STAGES.index(step.stage) > STAGES.index(held)
        if step.days > 1:
            continue
        today = dict(days.get(day(0), {}))
        today[step.kind] = today.get(step.kind, 0) + step.times
        after = stage(sums_of({**days, day(0): today}), None, NOW)
        assert STAGES.index(after) >= STAGES.index(step.stage)
        if step.times > 1:
            today[step.kind] -= 1
            assert STAGES.index(stage(sums_of({**days, day(0): today}), None, NOW)) <= STAGES.index(held)


def test_a_newcomer_is_told_the_shortest_way() -> None:
    assert next_steps({}, None, {}, DEFAULT, NOW) == [
        Step("comment", 2, 1, "knows"),
        Step("mention", 2, 1, "knows"),
        Step("message", 2, 1, "knows"),
        Step("purchase", 1, 1, "buys"),
    ]


def test_what_a_day_is_full_of_takes_another_day() -> None:
    now = NOW + 6 * 3_600_000
    days = {day(0): {kind: weight.daily_cap for kind, weight in DEFAULT.weights.items()}, day(80): {"unanswered": 3}}
    steps = next_steps({"know": 1.0, "trust": -30.0}, None, days, DEFAULT, now)
    assert {step.days for step in steps[:-1]} == {2}


def test_who_trusts_is_asked_for_one_purchase_and_a_buyer_for_nothing() -> None:
    days = {day(0): {"purchase": 1}}
    sums = sums_of(days)
    assert next_steps(sums, None, days, DEFAULT, NOW) == [Step("purchase", 1, 1, "buys")]
    assert next_steps(sums, NOW, days, DEFAULT, NOW) == []


def test_what_a_breach_costs_is_said() -> None:
    change = changes({day(3): {"unanswered": 1}, day(40): {"message": 3}}, DEFAULT, NOW, 7)["trust"]
    assert change.brought["unanswered"] == pytest.approx(-2 * 2 ** (-3 / 120))
    assert change.points < 0
    assert set(changes({}, DEFAULT, NOW, 7)) == set(DIMENSIONS)
