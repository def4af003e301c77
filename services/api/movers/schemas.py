"""Relationships that change."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from rapport.contracts.controls import Stage
from services.api.followers.schemas import Follower
from services.api.http.schemas import Input


class Points(BaseModel):
    """How each dimension changed, on the scale of 0 to 100."""

    know: int
    like: int
    trust: int


class Mover(Follower):
    """A follower, and how the relationship changed lately."""

    last_7d: Points
    last_30d: Points
    came_from: Annotated[Stage | None, Field(description="The stage before this one.")]
    since: Annotated[AwareDatetime | None, Field(description="When this stage was noted.")]


class Movers(BaseModel):
    """Relationships that change; each list has the most urgent first."""

    warming: Annotated[list[Mover], Field(description="Brought the most lately, and stand higher than a week ago.")]
    cooling: Annotated[list[Mover], Field(description="Their stage falls by itself in the next two weeks.")]
    lost: Annotated[list[Mover], Field(description="Their stage fell in the last 30 days.")]
    quiet_buyers: Annotated[list[Mover], Field(description="Bought within a year, and not seen for 30 days.")]


class MoversQuery(Input):
    """How many of each."""

    limit: Annotated[int, Field(ge=1, le=50)] = 10
