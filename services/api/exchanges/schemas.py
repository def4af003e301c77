"""Exchanges, decisions and explanations."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.api.alerts.schemas import AlertMoment
from services.api.followers.schemas import FollowerRefText, FollowerShort
from services.api.http.schemas import Input, PageQuery, Why
from services.api.interactions.schemas import Moment
from services.api.policies.schemas import Rule

State = Literal["open", "answered", "answered_late", "cancelled", "superseded"]


class First(BaseModel):
    """The comment that opened an exchange."""

    id: str
    url: str | None
    text: str | None
    text_expired: Annotated[bool, Field(description="The platform's terms no longer let its text be kept.")]


class PolicyUsed(BaseModel):
    """Which rule of which version of the brand's policy set the clock. Version 0 is the default."""

    version: int
    rule: int


class Decision(BaseModel):
    """Who decided that no reply is needed or that it is spam, when, and why."""

    by: str
    at: AwareDatetime
    why: str


class DecisionInput(Input):
    """Why an exchange needs no reply. `spam`: it is spam, which counts neither as met nor as missed."""

    why: Why
    spam: bool = False


class DecisionTaken(Decision):
    """A decision that is in the log. `undone`: it takes back the one before."""

    id: str
    exchange: str
    spam: bool
    undone: bool


class Exchange(BaseModel):
    """From a follower's oldest unanswered comment in a thread to the brand's answer."""

    id: str
    brand: str
    platform: str
    account: str
    conversation: str
    follower: FollowerShort
    first: First
    comments: Annotated[int, Field(description="How many comments joined.")]
    opened_at: AwareDatetime
    due_at: AwareDatetime
    state: State
    cancelled_because: Annotated[
        str | None,
        Field(description="`deleted`, `hidden`, `blocked`, `disconnected`, `no_reply_needed`, `spam` or `erased`."),
    ]
    decision: Decision | None
    backfilled: Annotated[bool, Field(description="Written before the account was connected; alerts nobody.")]
    breached_at: AwareDatetime | None
    answered_at: AwareDatetime | None
    answered_by: str | None
    response_seconds: float | None
    business_seconds: Annotated[
        float | None, Field(description="The part of the response time in the rule's open hours.")
    ]
    received_at: Annotated[
        AwareDatetime | None,
        Field(description="When the first comment was received here; null where it came before this was noted."),
    ] = None
    platform_seconds: Annotated[
        float | None, Field(description="How long the platform took to tell of it; null for backfilled ones.")
    ] = None
    team_seconds: Annotated[
        float | None,
        Field(description="From when it was received to the answer; 0 if it was answered on the platform before that."),
    ] = None
    stage_wanted: Annotated[bool, Field(description="The clock has not started: it waits for the follower's stage.")]
    policy: PolicyUsed


class Closed(BaseModel):
    """A span in which the clock stood still. `name` is the holiday, if it is one."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    name: str | None


class Ended(BaseModel):
    """How an exchange ended, if it did: when, by whom, and why."""

    how: State
    at: AwareDatetime | None
    by: str | None
    because: str | None
    why: str | None


class Explanation(BaseModel):
    """Why an exchange is due when it is. What the rule says is null if its version is not known here (yet)."""

    text: Annotated[str, Field(description="All of this in words, with times in the brand's zone.")]
    opened_at: AwareDatetime
    due_at: AwareDatetime
    policy_version: int
    rule_index: int
    rule: Rule | None
    applies_to: Annotated[str | None, Field(description="What the rule applies to, in words.")]
    target_seconds: int | None
    calendar: Annotated[str | None, Field(description="The calendar of the clock; null if it never stops.")]
    closed: Annotated[list[Closed], Field(description="Spans before the due time that do not count, at most 200.")]
    warnings_at: list[AwareDatetime]
    escalations_at: list[AwareDatetime]
    unconfirmed: Annotated[bool, Field(description="The platform was behind when the breach was sent.")]
    ended: Ended


class ExchangeDetail(Exchange):
    """An exchange with why it is due and what happened, oldest first."""

    explanation: Explanation
    history: list[Annotated[Moment | AlertMoment, Field(discriminator="type")]]


class ExchangesQuery(PageQuery):
    """Which exchanges. Open ones come first, by due time; then ended ones, the latest opened first."""

    state: State | None = None
    breached: bool | None = None
    backfilled: bool | None = None
    platform: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    follower: FollowerRefText | None = None
