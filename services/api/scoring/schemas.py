"""What interactions are worth, how it fades, and what stages need."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from services.api.http.schemas import Input, Number, Why

Kind = Literal[
    "reaction", "vote", "entry", "follow", "comment", "mention", "message", "share", "answered", "answered_late",
    "unanswered", "purchase",
]  # fmt: skip
Dimension = Literal["know", "like", "trust"]
Worth = Annotated[float, Field(ge=-20, le=20, allow_inf_nan=False), Number]
Positive = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), Number]
HalfLife = Annotated[float, Field(ge=7, le=3650, allow_inf_nan=False), Number]


class Weight(Input):
    """What one interaction of a kind adds per dimension, and how many of them count per follower and day."""

    know: Worth
    like: Worth
    trust: Worth
    daily_cap: Annotated[int, Field(ge=1, le=100), Number]


class ScoringInput(Input):
    """A new scoring, for past and future interactions. Whatever is left out takes its default."""

    why: Why
    weights: dict[Kind, Weight] = Field(default_factory=dict)
    half_life_days: dict[Dimension, HalfLife] = Field(default_factory=dict)
    scale: dict[Dimension, Positive] = Field(default_factory=dict)
    thresholds: dict[Literal["knows", "likes", "trusts"], Positive] = Field(default_factory=dict)
    buys_for_days: Annotated[int, Field(ge=1, le=3650), Number] | None = None


class ScoringVersion(BaseModel):
    """A version of the scoring; version 0 is the defaults. The highest version is in force."""

    version: int
    why: str | None
    by: str | None
    at: AwareDatetime | None
    weights: dict[str, Weight]
    half_life_days: dict[str, float]
    scale: Annotated[dict[str, float], Field(description="The worth at which a dimension shows 50.")]
    thresholds: Annotated[dict[str, float], Field(description="The worth in its dimension that a stage needs.")]
    buys_for_days: int
