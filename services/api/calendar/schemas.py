"""Planned posts, calendar days, imports and settings."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from rapport.domain.calendar.editorial import Approval, State
from services.api.calendar.documents import DEFAULT_RULES, Medium
from services.api.calendar.times import Order
from services.api.http.schemas import LARGEST_PAGE, LONGEST_ACCOUNT, Id, Input, Number, PageQuery, Seen, Utc, Why
from services.api.mix.schemas import From, Label, Post, To

Status = Literal["draft", "cancelled", "waiting", "refused", "planned", "missing", "early", "on_time", "late"]
Text = Annotated[str, StringConstraints(max_length=10_000)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), Seen]


class PlannedTerms(Input):
    """What to publish, when and where."""

    account: Annotated[str, Field(max_length=LONGEST_ACCOUNT, description="One of the brand's accounts.")]
    planned_at: Utc
    text: Text = ""
    media: Annotated[list[Medium], Field(max_length=10, default_factory=list)]
    label: Label | None = None
    campaign: Id | None = None
    owner: Short | None = None
    post: Annotated[Short | None, Field(description="The id or the address of the post, once it is known.")] = None
    state: State = "planned"


class PlannedInput(PlannedTerms):
    """A new planned post. Without an id it gets one."""

    id: Id | None = None


class Planned(BaseModel):
    """A planned post. `status` is its current state; on time means within 15 minutes."""

    id: str
    brand: str
    platform: str
    account: str
    planned_at: AwareDatetime
    text: str
    media: list[Medium]
    label: Label | None
    campaign: str | None
    owner: str | None
    post: str | None
    state: State
    approval: Approval
    approval_by: str | None
    approval_at: AwareDatetime | None
    approval_why: str | None
    status: Status
    unconfirmed: Annotated[
        bool, Field(description="It is missing, but Rapport could not hear whether it was published.")
    ]
    published: Annotated[str | None, Field(description="The id of the post in lists.")]
    published_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class CalendarQuery(PageQuery):
    """Days in the brand's zone, at most 62. The default is the next 7."""

    from_: From = None
    to: To = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE, description="Of planned and published posts together.")] = (
        LARGEST_PAGE
    )


class CalendarDays(BaseModel):
    """Planned posts, and published posts that nobody planned, in order of time.

    `next` is the cursor of the next page, null on the last one. A page may be shorter than its limit.
    """

    first: date
    last: date
    timezone: str
    planned: list[Planned]
    unplanned: list[Post]
    next: str | None


class Refusal(Input):
    """Why the client declines."""

    why: Why


class MatchInput(Input):
    """The plan that a post belongs to. Null: it belongs to none."""

    plan: Id | None


class CalendarSettings(Input):
    """When a planned post counts as missing, how far from its time it can match, and whether clients approve."""

    grace_seconds: Annotated[int, Field(ge=60, le=7 * 86_400), Number] = DEFAULT_RULES["grace_seconds"]
    window_seconds: Annotated[int, Field(ge=60, le=7 * 86_400), Number] = DEFAULT_RULES["window_seconds"]
    approval_required: bool = DEFAULT_RULES["approval_required"]


class Feed(BaseModel):
    """The address of the iCalendar feed. Anyone who knows it can read. A new address ends the old one."""

    path: str


class CurrentFeed(BaseModel):
    """The address of the iCalendar feed, if there is one. One made by an older version cannot be shown."""

    made: bool
    path: str | None


class BadPlan(BaseModel):
    """A row of a file that cannot be imported."""

    line: Annotated[int, Field(description="In the file, from 1.")]
    column: str | None
    why: str


class TimesRead(BaseModel):
    """One of the formats in which a file writes times, with its first time and how that is read."""

    written: str
    read_as: Annotated[AwareDatetime | None, Field(description="In the brand's zone; null if `dates` must say.")]
    rows: int


class PlansImported(BaseModel):
    """What a file of planned posts contains, how it was read, and what was imported."""

    good: int
    bad: list[BadPlan]
    past: Annotated[int, Field(description="How many of the good rows have a time in the past.")]
    separator: str
    encoding: str
    times: list[TimesRead]
    dates: Annotated[Order | None, Field(description="Which comes first in dates such as 12/31/2026.")]
    asks_dates: Annotated[
        bool, Field(description="That is unclear: send the file again with `dates`. Nothing is imported until then.")
    ]
    added: Annotated[int, Field(description="0 until the file is sent with `agree=true`, which imports the good rows.")]
    changed: int
