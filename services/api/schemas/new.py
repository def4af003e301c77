"""New relationships a day, and people to reach out to."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.api.schemas.common import Input
from services.api.schemas.views import Follower, FollowerName

Platform = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Goal = Annotated[int, Field(ge=1, le=1_000_000)]


class NewGoal(Input):
    """How many new relationships a brand wants each day: in all, and on single platforms."""

    goal: Goal | None = None
    platforms: Annotated[dict[Platform, Goal], Field(max_length=50)] = Field(default_factory=dict)


class PlatformNew(BaseModel):
    """The new relationships of a day on one platform."""

    platform: str
    count: int
    goal: int | None


class DayNew(BaseModel):
    """The new relationships of a day; `reached` is null where there is no goal."""

    day: date
    count: int
    goal: int | None
    reached: bool | None
    platforms: list[PlatformNew]


class NewDays(BaseModel):
    """Days in the brand's zone, the earliest first. The last one may not be over."""

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
    text: Annotated[str | None, Field(description="Its beginning.")]
    url: str | None


class NewRelationship(BaseModel):
    """Somebody new, and what began it; null while that is on its way."""

    follower: Follower
    began: Began | None


class Outreach(BaseModel):
    """Something that the brand did to somebody of its own accord. It adds to no follower's score."""

    id: str
    at: AwareDatetime
    kind: str
    platform: str
    account: str
    by: Annotated[str | None, Field(description="Who of the brand did it.")]
    to: FollowerName
    known: Annotated[bool, Field(description="Whether it is one of the brand's followers.")]
    text: str | None
    url: str | None
    undo: bool


class Reason(BaseModel):
    """Why somebody is on the list: as data, and in words."""

    why: Literal["quiet_buyer", "quiet_friend", "shared", "unanswered", "new"]
    at: Annotated[AwareDatetime, Field(description="When they were last seen, shared something, or were first seen.")]
    stage: str | None
    comments: int | None
    post: str | None
    words: str


class ToReach(BaseModel):
    """Somebody to reach out to today. The first reason is the strongest."""

    follower: Follower
    reasons: list[Reason]
    added_at: AwareDatetime
    reached_at: Annotated[AwareDatetime | None, Field(description="When the brand turned to them since.")]


class OutreachToday(BaseModel):
    """The list of a day in the brand's zone. During the day it may grow; who is on it stays."""

    day: date
    timezone: str
    items: list[ToReach]
