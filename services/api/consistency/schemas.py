"""How steadily a brand publishes, and the rhythm it wants."""

from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from services.api.http.schemas import LONGEST_ACCOUNT, Input, Number
from services.api.mix.schemas import Estimate

MOST_A_WEEK = 200

PostsPerWeek = Annotated[float, Field(gt=0, le=MOST_A_WEEK, allow_inf_nan=False), Number]


class Rhythm(Input):
    """How many posts a week a brand wants, in all and by account. Null: not set."""

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
        float | None, Field(description="For its days in the period that are over; null without a rhythm.")
    ]
    whole: Annotated[bool, Field(description="All of its days are in the period and over.")]


class Gap(BaseModel):
    """A time without a post."""

    start: Annotated[AwareDatetime, Field(description="The post before it.")]
    end: Annotated[AwareDatetime, Field(description="The post after it; of an open gap, the time of the request.")]
    hours: float
    open: Annotated[bool, Field(description="No post has ended it yet.")]


class Gaps(BaseModel):
    """Times between posts that are at least an hour apart."""

    count: int
    longest: Gap | None
    mean_hours: float | None
    variance_hours2: Annotated[
        float | None, Field(description="Sample variance in hours²; null for fewer than 2 gaps.")
    ]
    evenness: Annotated[float | None, Field(description="1 / (1 + variance / mean²); null for fewer than 3 gaps.")]


class Steadiness(BaseModel):
    """How steadily posts were published."""

    score: Annotated[
        float | None,
        Field(
            description="0 to 100: adherence weighs 0.5, evenness 0.3, on time 0.2; null figures are left out. "
            "Null without adherence."
        ),
    ]
    published: int
    adherence: Annotated[
        float | None, Field(description="Σ min(published, wanted) / Σ wanted over the weeks; null without a rhythm.")
    ]
    streak: Annotated[
        int | None, Field(description="Whole weeks in a row, up to the end of the period, that met the target.")
    ]
    due: Annotated[int, Field(description="Planned posts that should be out: approved if needed, not cancelled.")]
    kept: Annotated[Estimate | None, Field(description="The share of those that are out; null if none are due.")]
    on_time: Annotated[Estimate | None, Field(description="The share published within 15 minutes of its time.")]
    gaps: Gaps
    weeks: list[Week]


class AccountSteadiness(Steadiness):
    """The same for one account, measured by its own rhythm."""

    account: str
    platform: str
    handle: str
    posts_per_week: float | None


class Consistency(BaseModel):
    """How steadily a brand published in a period, in all and by account."""

    first: date
    last: date
    timezone: str
    posts_per_week: float | None
    brand: Steadiness
    accounts: list[AccountSteadiness]
