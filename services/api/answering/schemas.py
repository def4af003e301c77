"""What answering does to relationships."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.api.mix.schemas import Estimate


class Direction(BaseModel):
    """How many followers went this way, and their share with its 95 % interval."""

    followers: int
    share: Estimate | None


class AfterOutcome(BaseModel):
    """What became of followers after one outcome."""

    outcome: Literal["answered", "answered_late", "unanswered"]
    exchanges: int
    rose: Direction
    stayed: Direction
    fell: Direction


class Answering(BaseModel):
    """Stages on the day before a comment, compared with 30 days after its answer was due, by outcome."""

    from_: Annotated[date, Field(serialization_alias="from", description="By due day, in the brand's zone.")]
    to: date
    after: list[AfterOutcome]
