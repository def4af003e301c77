"""New relationships, and what became of them, as stored."""

from datetime import datetime
from typing import NotRequired, TypedDict


class BeginningDocument(TypedDict):
    """`beginnings`: how a relationship began. What names the first interaction is null until the views have it."""

    _id: str
    """The follower's."""
    brand: str
    platform: str
    follower: str
    at: datetime
    """When the follower was first seen."""
    new: bool
    """False if it is from before the account was connected."""
    interaction: str | None
    kind: str | None
    account: str | None
    post: str | None
    url: str | None
    text: str | None
    """An excerpt."""


class NewDayDocument(TypedDict):
    """`new_days`: how many relationships began on a day."""

    _id: str
    """`<brand>/<day>`"""
    brand: str
    day: str
    zone: str
    """The time zone of the day."""
    platforms: dict[str, int]
    """The count on each platform."""


class NewGoalDocument(TypedDict):
    """`new_goals`: how many new relationships a brand wants each day."""

    _id: str
    """The brand's."""
    brand: str
    goal: int | None
    """On all platforms together."""
    platforms: dict[str, int]
    """On single platforms."""


class StageAfterDocument(TypedDict):
    """`stage_after`: what became of a relationship 30 and 90 days after it began."""

    _id: str
    """The follower's."""
    brand: str
    platform: str
    follower: str
    first_seen: datetime
    week: str
    interaction: str | None
    """The one it began with; null until the views have it."""
    campaign: str | None
    """The campaign that this interaction belongs to."""
    after: dict[str, str]
    """The stage by number of days, once they are over."""
    due_at: datetime | None
    """When the next number of days is over."""


class StageWeekDocument(TypedDict):
    """`stage_weeks`: `stage_after`, counted by week and campaign."""

    _id: str
    """`<brand>/<week>/<campaign>`"""
    brand: str
    week: str
    campaign: str
    """`-` for none."""
    followers: NotRequired[int]
    after: NotRequired[dict[str, dict[str, int]]]
    """By number of days and stage."""
