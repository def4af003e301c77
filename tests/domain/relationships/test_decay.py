"""Sums that fade: half after a half-life, the same in any order, and never out of bounds."""

import pytest
from hypothesis import given

from rapport.domain.relationships import decay
from rapport.domain.relationships.decay import DAY_MS, LANDMARK, rank_of, value_at, weight_at
from tests.domain.test_times import moments


def test_half_is_left_after_a_half_life_and_a_quarter_after_two() -> None:
    one = weight_at(LANDMARK, 60.0)
    assert [value_at(one, LANDMARK + days * DAY_MS, 60.0) for days in (0, 60, 120)] == [1.0, 0.5, 0.25]


def test_what_happened_apart_adds_up_and_ranks_alike_at_any_time() -> None:
    early, late = weight_at(LANDMARK, 7.0), weight_at(LANDMARK + 7 * DAY_MS, 7.0)
    assert value_at(early + late, LANDMARK + 7 * DAY_MS, 7.0) == pytest.approx(1.5)
    assert rank_of(early) < rank_of(late) < rank_of(early + late)
    assert rank_of(0.0) == rank_of(-3.0) < rank_of(1e-300)


@pytest.mark.parametrize("half_life", [0.5, 7.0, 60.0, 3650.0])
@given(moments, moments)
def test_decay_never_overflows(half_life: float, at: int, now: int) -> None:
    one = decay.weight_at(at, half_life)
    assert 0.0 <= one < float("inf")
    assert decay.value_at(one, now, half_life) >= 0.0
