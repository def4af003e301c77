"""The agency's numbers for relationships."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from services.api.schemas.common import Input
from services.api.schemas.views import Why

Kind = Literal[
    "reaction", "vote", "entry", "follow", "comment", "mention", "message", "share", "answered", "answered_late",
    "unanswered", "purchase",
]  # fmt: skip
Dimension = Literal["know", "like", "trust"]
Worth = Annotated[float, Field(ge=-20, le=20, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
HalfLife = Annotated[float, Field(ge=7, le=3650, allow_inf_nan=False)]


class Weight(Input):
    """What one interaction of a kind adds per dimension, and how many of them count per follower and day."""

    know: Worth
    like: Worth
    trust: Worth
    daily_cap: Annotated[int, Field(ge=1, le=100)]


class ScoringInput(Input):
    """New numbers, for all that was as for all that comes. What is left out is as the defaults have it."""

    why: Why
    weights: dict[Kind, Weight] = Field(default_factory=dict)
    half_life_days: dict[Dimension, HalfLife] = Field(default_factory=dict)
    scale: dict[Dimension, Positive] = Field(default_factory=dict)
    thresholds: dict[Literal["knows", "likes", "trusts"], Positive] = Field(default_factory=dict)
    buys_for_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class ScoringVersion(BaseModel):
    """A version of the numbers; version 0 are the defaults. The highest is in force."""

    version: int
    why: str | None
    by: str | None
    at: AwareDatetime | None
    weights: dict[str, Weight]
    half_life_days: dict[str, float]
    scale: Annotated[dict[str, float], Field(description="The worth at which a dimension shows 50.")]
    thresholds: Annotated[dict[str, float], Field(description="The worth that a stage needs of its dimension.")]
    buys_for_days: int
