"""The editorial calendar as stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict, cast

from rapport.domain.calendar.editorial import Approval, How, State
from rapport.domain.mix.labels import Label

Medium = Literal["image", "video", "audio", "link"]


class PlanTerms(TypedDict):
    """What people decide about a planned post."""

    account: str
    platform: str
    """The account's."""
    planned_at: datetime
    text: str
    media: list[Medium]
    label: Label | None
    campaign: str | None
    owner: str | None
    post: str | None
    """The id or the address that the post has on its platform, once somebody entered it."""
    state: State


class Held(TypedDict):
    """Nobody is reminded yet, because the post may have been published without Rapport knowing."""

    reminder: str
    """Which reminder waits, by its id. A plan that is moved to another time gets another one, with its own hour."""
    since: datetime
    told_at: NotRequired[datetime]
    """By when the log had taken all that says that it was not published. What was taken by then is still being read."""


class PlannedPost(PlanTerms):
    """`planned_posts`."""

    _id: str
    """`<brand>/<plan>`."""
    brand: str
    plan: str
    approval: Approval
    approval_by: str | None
    approval_at: datetime | None
    approval_why: str | None
    revision: int
    created_at: datetime
    updated_at: datetime
    published: str | None
    """The `_id` of the published post; the upkeep finds it."""
    published_at: datetime | None
    missing_since: datetime | None
    untold: bool
    """A reminder is to be sent."""
    told: str | None
    """The id of the last reminder that was sent. An earlier version of the projector asks for it."""
    unconfirmed: NotRequired[bool]
    """It was noted as missing although Rapport could not hear whether it was published."""
    held: NotRequired[Held | None]


class PlanChanges(TypedDict, total=False):
    """What a request can change of a planned post."""

    account: str
    platform: str
    planned_at: datetime
    text: str
    media: list[Medium]
    label: Label | None
    campaign: str | None
    owner: str | None
    post: str | None
    state: State
    approval: Approval
    approval_by: str | None
    approval_at: datetime | None
    approval_why: str | None
    missing_since: datetime | None
    untold: bool


class RemovedPost(PlannedPost):
    """`removed_posts`: a planned post that can still be brought back."""

    removed_at: NotRequired[datetime]
    """MongoDB deletes it some days later."""


class PlanOfPost(TypedDict):
    """`post_plans`: the plan of a published post that has one."""

    _id: str
    """The post's."""
    brand: str
    account: str
    plan: str
    how: How
    label: Label | None
    """The plan's."""
    by_hand: bool


class MatchByHand(TypedDict):
    """`post_matches`: what somebody said about a published post."""

    _id: str
    """The post's."""
    brand: str
    account: str
    plan: str | None
    """Null: it belongs to no plan."""
    by: str
    at: datetime


class CalendarRules(TypedDict):
    """What a brand sets for its calendar."""

    grace_seconds: int
    window_seconds: int
    approval_required: bool


class CalendarSettingsDocument(TypedDict):
    """`calendar_settings`. A brand that set nothing has no document, or one of its feed alone."""

    _id: str
    """The brand's."""
    brand: str
    grace_seconds: NotRequired[int]
    window_seconds: NotRequired[int]
    approval_required: NotRequired[bool]
    feed: NotRequired[str]
    """SHA-256 of the token in the feed's address."""
    feed_token: NotRequired[str]
    """Older versions stored the hash alone."""


DEFAULT_RULES: Final[CalendarRules] = {"grace_seconds": 1_800, "window_seconds": 21_600, "approval_required": False}


def rules_of(settings: CalendarSettingsDocument | None) -> CalendarRules:
    """A brand's rules, with the default for each that it did not set."""
    stored: Mapping[str, object] = settings or {}
    return cast("CalendarRules", {name: stored.get(name, default) for name, default in DEFAULT_RULES.items()})
