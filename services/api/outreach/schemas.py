"""What a brand did for others, and whom to reach out to."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from services.api.followers.schemas import Follower, FollowerName


class Outreach(BaseModel):
    """Something that the brand did for somebody of its own accord. It adds to nobody's score."""

    id: str
    at: AwareDatetime
    kind: str
    platform: str
    account: str
    by: Annotated[str | None, Field(description="Who did it for the brand.")]
    to: FollowerName
    known: Annotated[bool, Field(description="Whether they are a follower of the brand.")]
    text: str | None
    url: str | None
    undo: bool


class Reason(BaseModel):
    """Why somebody is on the list, as data and in words."""

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
    reached_at: Annotated[AwareDatetime | None, Field(description="When the brand reached out to them since.")]


class OutreachToday(BaseModel):
    """The list of a day in the brand's time zone. During the day people are added, but nobody is removed."""

    day: date
    timezone: str
    items: list[ToReach]
