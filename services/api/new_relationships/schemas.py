"""New relationships by day, and the goal."""

from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.api.followers.schemas import Follower
from services.api.http.schemas import Input, Number

Platform = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Goal = Annotated[int, Field(ge=1, le=1_000_000), Number]


class NewGoal(Input):
    """How many new relationships a brand wants each day: in total, and on single platforms."""

    goal: Goal | None = None
    platforms: Annotated[dict[Platform, Goal], Field(max_length=50)] = Field(default_factory=dict)


class PlatformNew(BaseModel):
    """The new relationships of a day on one platform."""

    platform: str
    count: int
    goal: int | None


class DayNew(BaseModel):
    """The new relationships of a day; `reached` is null if there is no goal."""

    day: date
    count: int
    goal: int | None
    reached: bool | None
    platforms: list[PlatformNew]


class NewDays(BaseModel):
    """Days in the brand's time zone, the earliest first. The last one may not be over."""

    timezone: str
    today: date
    total: int
    days: list[DayNew]


class Began(BaseModel):
    """The interaction that began a relationship."""

    id: str
    kind: str
    at: AwareDatetime
    account: str
    post: Annotated[str | None, Field(description="The brand's post that it belongs to.")]
    text: Annotated[str | None, Field(description="An excerpt of the text.")]
    url: str | None


class NewRelationship(BaseModel):
    """A new relationship. `began` is null until the first interaction arrives."""

    follower: Follower
    began: Began | None
