"""What the views show: exchanges, followers, alerts, overviews."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, computed_field

from rapport.contracts.controls import Stage
from rapport.domain import naming
from services.api.schemas.common import Input, PageQuery
from services.api.schemas.policy import Rule

State = Literal["open", "answered", "answered_late", "cancelled", "superseded"]
StepName = Literal["warning", "breach", "escalation", "retracted", "resolved"]
FollowerRefText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Called(BaseModel):
    """What a follower is called. `id` is the one in addresses, `platform_id` the platform's own."""

    id: str
    platform_id: str
    handle: str | None
    name: str | None

    @computed_field(  # type: ignore[prop-decorator]
        description="Whether the handle leads back to the person, where a platform lets anybody claim any (Bluesky): "
        "only such handles are shown. Null on other platforms."
    )
    @property
    def handle_verified(self) -> bool | None:
        return naming.handle_verified(self.platform_id, self.handle)


class FollowerShort(Called):
    """A follower as lists name one."""

    stage: Stage


class FollowerName(Called):
    """Whom an alert is about, by what the follower was called then."""


class First(BaseModel):
    """The comment that opened an exchange."""

    id: str
    url: str | None
    text: str | None


class PolicyUsed(BaseModel):
    """Which rule of which version of the brand's policy set the clock. Version 0 is the default."""

    version: int
    rule: int


class Decision(BaseModel):
    """Who said that no reply is needed, or that it is spam; when, and why."""

    by: str
    at: AwareDatetime
    why: str


LONGEST_WHY = 500
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_WHY)]


class DecisionInput(Input):
    """Why an exchange needs no reply; `spam` if it is that, which counts neither as met nor as missed."""

    why: Why
    spam: bool = False


class DecisionTaken(Decision):
    """A decision that the log has. `undone`: it takes back the one before."""

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
    superseded_by: str | None
    backfilled: Annotated[bool, Field(description="Written before the account was connected; alerts nobody.")]
    breached_at: AwareDatetime | None
    answered_at: AwareDatetime | None
    answered_by: str | None
    response_seconds: float | None
    business_seconds: Annotated[float | None, Field(description="What of the response lay in the rule's open hours.")]
    stage_wanted: Annotated[bool, Field(description="Its clock waits to be told the follower's stage.")]
    policy: PolicyUsed


class Delivery(BaseModel):
    """How one channel's delivery of an alert stands."""

    channel: Annotated[str, Field(description="Empty while the channels of the brand cannot be read.")]
    channel_type: Annotated[
        str, Field(description="`mail`, `webhook`, or one of a later version; `unrouted` where the channel is empty.")
    ]
    status: Annotated[
        str,
        Field(description="`pending`, `delivered`, `failed`, or `skipped`: a later step was there before it was sent."),
    ]
    attempts: int
    last_error: str | None
    delivered_at: AwareDatetime | None
    overtaken_by: Annotated[StepName | None, Field(description="The step because of which this one was skipped.")]


class Alert(BaseModel):
    """One word to the brand about one exchange."""

    id: str
    brand: str
    exchange: str
    platform: str
    follower: FollowerName
    step: StepName
    due_at: AwareDatetime
    created_at: AwareDatetime
    unconfirmed: Annotated[bool, Field(description="The platform was behind, so an answer may be there already.")]
    deliveries: list[Delivery]


class Moment(BaseModel):
    """An interaction as it appears in a history or a timeline."""

    type: Literal["interaction"] = "interaction"
    at: AwareDatetime
    id: str
    kind: str
    by: Literal["follower", "brand"]
    actor: str | None
    text: str | None
    url: str | None
    undo: bool
    account: str


class AlertMoment(BaseModel):
    """An alert as it appears in a history."""

    type: Literal["alert"] = "alert"
    at: AwareDatetime
    id: str
    step: StepName
    unconfirmed: bool
    deliveries: list[Delivery]


class Closed(BaseModel):
    """A span in which the clock stood still; `name` says why, where it is a holiday."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    name: str | None


class Ended(BaseModel):
    """How an exchange ended, if it did: when it was answered or decided, by whom, and why."""

    how: State
    at: AwareDatetime | None
    by: str | None
    because: str | None
    why: str | None


class Explanation(BaseModel):
    """Why an exchange is due when it is. What the rule says is null where its version is not known here (yet)."""

    text: Annotated[str, Field(description="All of this in words, with times in the brand's zone.")]
    opened_at: AwareDatetime
    due_at: AwareDatetime
    policy_version: int
    rule_index: int
    rule: Rule | None
    applies_to: Annotated[str | None, Field(description="What the rule is about, in words.")]
    target_seconds: int | None
    calendar: Annotated[str | None, Field(description="The calendar that the clock runs by; null: it never stops.")]
    closed: Annotated[list[Closed], Field(description="What of the time until it is due did not count, at most 200.")]
    warnings_at: list[AwareDatetime]
    escalations_at: list[AwareDatetime]
    unconfirmed: Annotated[bool, Field(description="The platform was behind when the breach was told.")]
    ended: Ended


class ExchangeDetail(Exchange):
    """An exchange with why it is due and what happened, oldest first."""

    explanation: Explanation
    history: list[Annotated[Moment | AlertMoment, Field(discriminator="type")]]


class Follower(Called):
    """A relationship. `know`, `like` and `trust` are 0 to 100 as of now."""

    platform: str
    stage: Annotated[Stage, Field(description="The person's, where the follower is linked to others.")]
    stage_until: Annotated[AwareDatetime | None, Field(description="When it falls by itself.")]
    person: Annotated[str | None, Field(description="Who it is, where linked to followers on other platforms.")]
    know: int
    like: int
    trust: int
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    counts: dict[str, int]
    open_exchanges: int


class Contribution(BaseModel):
    """What one kind of interaction brings to a dimension: its worth as of now, faded with time."""

    kind: str
    worth: float


class Contributions(BaseModel):
    """Per dimension what made it, the largest first."""

    know: list[Contribution]
    like: list[Contribution]
    trust: list[Contribution]


class Change(BaseModel):
    """What became of a dimension over some days."""

    points: Annotated[int, Field(description="The difference on the scale of 0 to 100.")]
    brought: Annotated[list[Contribution], Field(description="What interactions of these days are worth now.")]
    faded: Annotated[float, Field(description="What interactions from before have lost of their worth.")]


class Changes(BaseModel):
    """Per dimension what became of it."""

    know: Change
    like: Change
    trust: Change


class Step(BaseModel):
    """Something that would raise the stage by itself: so many of a kind, on so many days, and to which stage."""

    kind: str
    times: int
    days: int
    stage: Stage


class GivenAnswer(BaseModel):
    """What a follower answered to a question of a survey, in the words of the option or their own."""

    campaign: str
    name: str
    question: str
    answer: str
    at: AwareDatetime
    by: Literal["vote", "comment", "form"]


class Membership(BaseModel):
    """A community that a follower belongs to, and since when that is known."""

    id: str
    name: str
    since: AwareDatetime


class FollowerDetail(Follower):
    """A relationship with what made it and its latest interactions, newest first."""

    contributions: Contributions
    last_7d: Changes
    last_30d: Changes
    next: Annotated[list[Step], Field(description="The shortest ways to a higher stage; none for who buys already.")]
    timeline: list[Moment]
    answers: Annotated[list[GivenAnswer], Field(description="To surveys, the latest first.")]
    communities: Annotated[list[Membership], Field(description="By id. Who is linked belongs to them as one person.")]


class Erasure(BaseModel):
    """That a follower is forgotten; who it was is not said again."""

    brand: str
    platform: str
    at: AwareDatetime
    known: Annotated[bool, Field(description="Whether anything of them was shown until now.")]


class Window(BaseModel):
    """Answers given, and clocks that ran out, in a span that ends now. Backfilled exchanges are left out."""

    answered: Annotated[int, Field(description="Answered in time, by when the answer was given.")]
    late: Annotated[int, Field(description="Answered late, by when the answer was given.")]
    met: Annotated[int, Field(description="Due in this span and answered in time.")]
    missed: Annotated[int, Field(description="Due in this span and not answered in time, overdue ones included.")]
    spam: Annotated[int, Field(description="Due in this span and marked as spam, so neither met nor missed.")]
    compliance: Annotated[float | None, Field(description="met / (met + missed); null where nothing was due.")]
    median_response_seconds: Annotated[
        float | None, Field(description="Of the answers given in this span, at most the latest 20,000 per brand.")
    ]
    median_business_seconds: Annotated[float | None, Field(description="The same in open hours only.")]


class Numbers(BaseModel):
    """Headline numbers as of `at`. `due_soon` is due within two hours; `overdue` is open and past due.

    Neither has what waits to be told the follower's stage: no clock runs there yet.
    """

    at: AwareDatetime
    followers: int
    new_today: Annotated[int, Field(description="First seen since midnight in the brand's zone.")]
    open: Annotated[int, Field(description="Without backfilled ones.")]
    due_soon: int
    overdue: int
    backfilled_open: int
    last_24h: Window
    last_7d: Window
    last_30d: Window
    compliance: Annotated[float | None, Field(description="Of the last 30 days.")]
    median_response_seconds: Annotated[float | None, Field(description="Of the last 30 days.")]


class Overview(Numbers):
    """One brand's headline numbers."""

    brand: str
    name: str
    timezone: str


class OverviewAcross(Numbers):
    """The headline numbers of every brand that the key may see: in all, and by brand."""

    brands: list[Overview]


class ExchangesQuery(PageQuery):
    """Which exchanges. Open ones come first, by due time; then ended ones, the latest opened first."""

    state: State | None = None
    breached: bool | None = None
    backfilled: bool | None = None
    platform: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    follower: FollowerRefText | None = None


class FollowersQuery(PageQuery):
    """Which followers, in which order (descending)."""

    stage: Stage | None = None
    sort: Literal["know", "like", "trust", "last_seen"] = "last_seen"


class AlertsQuery(PageQuery):
    """Which alerts, the latest first."""

    step: StepName | None = None
    exchange: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
