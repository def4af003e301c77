"""Headline numbers."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field


class Window(BaseModel):
    """Answers, and clocks that ran out, in a span that ends now; without backfilled exchanges."""

    answered: Annotated[int, Field(description="Answered in time, by when the answer was given.")]
    late: Annotated[int, Field(description="Answered late, by when the answer was given.")]
    met: Annotated[int, Field(description="Due in this span and answered in time.")]
    missed: Annotated[int, Field(description="Due in this span and not answered in time, overdue ones included.")]
    spam: Annotated[int, Field(description="Due in this span and marked as spam, so neither met nor missed.")]
    compliance: Annotated[float | None, Field(description="met / (met + missed); null where nothing was due.")]
    median_response_seconds: Annotated[
        float | None, Field(description="Of the answers given in this span, at most the latest 20,000 per brand.")
    ]
    median_business_seconds: Annotated[float | None, Field(description="The same, in open hours only.")]
    median_platform_seconds: Annotated[
        float | None,
        Field(description="Of the same answers: how long the platform took until the comment was received here."),
    ] = None
    p95_platform_seconds: Annotated[float | None, Field(description="95 % were received within this time.")] = None
    median_team_seconds: Annotated[
        float | None, Field(description="How long the team took from when the comment was received.")
    ] = None


class Numbers(BaseModel):
    """Headline numbers as of `at`. `due_soon`: due within two hours. `overdue`: open and past due.

    Neither includes exchanges that wait for the follower's stage: their clock does not run yet.
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
    """The headline numbers of all brands that the key may see, in total and by brand."""

    brands: list[Overview]
