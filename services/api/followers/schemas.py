"""Followers: names, scores, stages and what made them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, computed_field

from rapport.contracts.controls import Stage
from rapport.domain import naming
from services.api.http.schemas import PageQuery
from services.api.interactions.schemas import Moment

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


class Follower(Called):
    """A relationship. `know`, `like` and `trust` are 0 to 100 as of now."""

    platform: str
    stage: Annotated[Stage, Field(description="Of the whole person, if the follower is linked to others.")]
    stage_until: Annotated[AwareDatetime | None, Field(description="When it falls by itself.")]
    person: Annotated[str | None, Field(description="The person, if linked to followers on other platforms.")]
    know: int
    like: int
    trust: int
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    counts: dict[str, int]
    open_exchanges: int


class Contribution(BaseModel):
    """What one kind of interaction brings to a dimension: its current worth, faded with time."""

    kind: str
    worth: float


class Contributions(BaseModel):
    """What made each dimension, the largest first."""

    know: list[Contribution]
    like: list[Contribution]
    trust: list[Contribution]


class Change(BaseModel):
    """How a dimension changed over some days."""

    points: Annotated[int, Field(description="The difference on the scale of 0 to 100.")]
    brought: Annotated[list[Contribution], Field(description="What interactions of these days are worth now.")]
    faded: Annotated[float, Field(description="How much worth earlier interactions lost.")]


class Changes(BaseModel):
    """How each dimension changed."""

    know: Change
    like: Change
    trust: Change


class Step(BaseModel):
    """Something that alone would raise the stage: how many of a kind, on how many days, and to which stage."""

    kind: str
    times: int
    days: int
    stage: Stage


class GivenAnswer(BaseModel):
    """A follower's answer to a question of a survey: the option's text, or their own words."""

    campaign: str
    name: str
    question: str
    answer: str
    at: AwareDatetime
    by: Literal["vote", "comment", "form"]


class Membership(BaseModel):
    """A community that a follower belongs to, and since when."""

    id: str
    name: str
    since: AwareDatetime


class FollowerDetail(Follower):
    """A follower with what made the relationship, and the latest interactions, newest first."""

    contributions: Contributions
    last_7d: Changes
    last_30d: Changes
    next: Annotated[list[Step], Field(description="The shortest ways to a higher stage; none for buyers.")]
    timeline: list[Moment]
    answers: Annotated[list[GivenAnswer], Field(description="In surveys, the latest first.")]
    communities: Annotated[
        list[Membership], Field(description="By id. Linked followers belong to communities as one person.")
    ]


class FollowersQuery(PageQuery):
    """Which followers, in which order (descending)."""

    stage: Stage | None = None
    sort: Literal["know", "like", "trust", "last_seen"] = "last_seen"
