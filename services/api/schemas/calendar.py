"""The editorial calendar: what is planned, what of it was published, and the brand's settings."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.api.plan_times import Order
from services.api.schemas.common import LARGEST_PAGE, LONGEST_ACCOUNT, Id, Input, PageQuery, Utc
from services.api.schemas.mix import From, Label, Post, To
from services.api.schemas.views import Why

State = Literal["draft", "planned", "cancelled"]
Medium = Literal["image", "video", "audio", "link"]
Approval = Literal["not_needed", "wanted", "approved", "refused"]
Status = Literal["draft", "cancelled", "waiting", "refused", "planned", "missing", "early", "on_time", "late"]
Text = Annotated[str, StringConstraints(max_length=10_000)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class PlannedTerms(Input):
    """What is to be published, when and where."""

    account: Annotated[str, Field(max_length=LONGEST_ACCOUNT, description="One of the brand's accounts.")]
    planned_at: Utc
    text: Text = ""
    media: Annotated[list[Medium], Field(max_length=10, default_factory=list)]
    label: Label | None = None
    campaign: Id | None = None
    owner: Short | None = None
    post: Annotated[Short | None, Field(description="The id or the address that the post has, once it is known.")] = (
        None
    )
    state: State = "planned"


class PlannedInput(PlannedTerms):
    """A new one; without an id it gets one."""

    id: Id | None = None


class Planned(BaseModel):
    """A planned post. `status` says where it stands now; on time is within 15 minutes."""

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
    published: Annotated[str | None, Field(description="The id of the post in lists.")]
    published_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class CalendarQuery(PageQuery):
    """Some days in the brand's zone, at most 62; the coming 7 where left out."""

    from_: From = None
    to: To = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE, description="Of planned and published posts together.")] = (
        LARGEST_PAGE
    )


class CalendarDays(BaseModel):
    """What is planned on some days, and what was published on them that nobody planned; part of it, in order of time.

    `next` is the cursor of the next part, null at the end. A part may be shorter than its limit.
    """

    first: date
    last: date
    timezone: str
    planned: list[Planned]
    unplanned: list[Post]
    next: str | None


class Refusal(Input):
    """Why the client does not want it so."""

    why: Why


class MatchInput(Input):
    """The plan that a post belongs to; null where it belongs to none."""

    plan: Id | None


class CalendarSettings(Input):
    """When a planned post is missing, how far from its time a post is taken for it, and whether the client approves."""

    grace_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = 1_800
    window_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = 21_600
    approval_required: bool = False


class Feed(BaseModel):
    """The address of the calendar as iCalendar, for whoever knows it. A new one ends the one before."""

    path: str


class CurrentFeed(BaseModel):
    """Whether the calendar has an address as iCalendar, and which; one made by an older version cannot be shown."""

    made: bool
    path: str | None


class BadPlan(BaseModel):
    """A row of a file that cannot be taken."""

    line: Annotated[int, Field(description="In the file, the first is 1.")]
    column: str | None
    why: str


class TimesRead(BaseModel):
    """One of the ways in which a file writes its times, with its first one and how that is read."""

    written: str
    read_as: Annotated[AwareDatetime | None, Field(description="In the brand's zone; null where it is to be asked.")]
    rows: int


class PlansImported(BaseModel):
    """What a file of planned posts has in it, as what it was read, and what was done with it."""

    good: int
    bad: list[BadPlan]
    past: Annotated[int, Field(description="How many of the good rows are planned for a time that is over.")]
    separator: str
    encoding: str
    times: list[TimesRead]
    dates: Annotated[Order | None, Field(description="What comes first in dates such as 12/31/2026.")]
    asks_dates: Annotated[
        bool, Field(description="Whether that is unclear: send it again with `dates`; nothing is taken until then.")
    ]
    added: Annotated[int, Field(description="0 until it is sent with `agree=true`, which takes the good rows.")]
    changed: int
