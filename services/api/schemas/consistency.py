"""Consistency: how steadily a brand publishes, against the rhythm it wants and against its own plan."""

from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from services.api.schemas.common import LONGEST_ACCOUNT, Input
from services.api.schemas.mix import Estimate

MOST_A_WEEK = 200

PostsPerWeek = Annotated[float, Field(gt=0, le=MOST_A_WEEK, allow_inf_nan=False)]


class Rhythm(Input):
    """How many posts a week a brand wants, in all and on single accounts. Null: nobody said."""

    posts_per_week: PostsPerWeek | None = None
    accounts: Annotated[
        dict[Annotated[str, Field(max_length=LONGEST_ACCOUNT)], PostsPerWeek],
        Field(default_factory=dict, max_length=100, description="By the account's id."),
    ]


class Week(BaseModel):
    """An ISO week of the period."""

    monday: date
    published: int
    wanted: Annotated[
        float | None, Field(description="On those of its days that are in the period and over; null without a rhythm.")
    ]
    whole: Annotated[bool, Field(description="Whether all of its days are in the period and over.")]


class Gap(BaseModel):
    """A time without a post."""

    start: Annotated[AwareDatetime, Field(description="The post before it.")]
    end: Annotated[AwareDatetime, Field(description="The post after it; where it is open, when this was asked.")]
    hours: float
    open: Annotated[bool, Field(description="No post has ended it yet.")]


class Gaps(BaseModel):
    """The times between posts that are an hour or more apart."""

    count: int
    longest: Gap | None
    mean_hours: float | None
    variance_hours2: Annotated[float | None, Field(description="Of a sample, in hours squared; null of fewer than 2.")]
    evenness: Annotated[float | None, Field(description="1 / (1 + variance / mean²); null of fewer than 3.")]


class Steadiness(BaseModel):
    """How steadily something was published."""

    score: Annotated[
        float | None,
        Field(
            description="0 to 100: adherence weighs 0.5, evenness 0.3, on time 0.2; what is null leaves the others "
            "their weights. Null without an adherence."
        ),
    ]
    published: int
    adherence: Annotated[
        float | None, Field(description="Σ min(published, wanted) / Σ wanted over the weeks; null without a rhythm.")
    ]
    streak: Annotated[
        int | None, Field(description="Whole weeks in a row, up to the end, that had what was wanted; of this period.")
    ]
    due: Annotated[int, Field(description="Planned posts that should be out: approved where needed, not cancelled.")]
    kept: Annotated[Estimate | None, Field(description="The share of those that are out; null of none.")]
    on_time: Annotated[Estimate | None, Field(description="The share that was out within 15 minutes of its time.")]
    gaps: Gaps
    weeks: list[Week]


class AccountSteadiness(Steadiness):
    """The same of one account, against its own rhythm."""

    account: str
    platform: str
    handle: str
    posts_per_week: float | None


class Consistency(BaseModel):
    """How steadily a brand published on some days, in all and by account."""

    first: date
    last: date
    timezone: str
    posts_per_week: float | None
    brand: Steadiness
    accounts: list[AccountSteadiness]
