"""An agency's numbers: what interactions are worth. `rapport.domain.relationships.relationship` has the defaults."""

from msgspec import Struct


class Weight(Struct, frozen=True):
    """What one interaction of a kind adds per dimension, and how many of them count per event day."""

    know: float
    like: float
    trust: float
    daily_cap: int


class Scoring(Struct, frozen=True, kw_only=True):
    """An agency's numbers. Version 0 are the defaults."""

    version: int
    weights: dict[str, Weight]
    half_life_days: dict[str, float]
    scale: dict[str, float]
    thresholds: dict[str, float]
    """What of its dimension each of `knows`, `likes` and `trusts` needs."""
    buys_for_days: int
