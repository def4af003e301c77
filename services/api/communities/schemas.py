"""Communities, their members, and who joined and left."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field

from services.api.communities.documents import Because, What
from services.api.followers.schemas import Follower, FollowerName
from services.api.http.schemas import Id, Input, Name

LONGEST_DESCRIPTION = 1_000
LONGEST_RULE = 20_000
"""Characters. What has fewer and is still too long, the reader of rules refuses with the place."""
LONGEST_KEY = 100
"""Characters of a name in a rule that is written as JSON."""

RuleInput = Annotated[
    Annotated[str, Field(max_length=LONGEST_RULE)] | dict[Annotated[str, Field(max_length=LONGEST_KEY)], Any],
    Field(
        union_mode="left_to_right",
        description="As text, such as `stage is at least likes and trust > 20`, or the same as JSON.",
        examples=["stage is at least likes and trust > 20"],
    ),
]


class CommunityTerms(Input):
    """What a community is."""

    name: Name
    description: Annotated[str, Field(max_length=LONGEST_DESCRIPTION)] = ""
    rule: RuleInput


class CommunityInput(CommunityTerms):
    """A new community."""

    id: Id


class RuleToCheck(Input):
    """A rule to try."""

    rule: RuleInput


class Community(BaseModel):
    """A community. `current`: everybody has been judged by its present rule."""

    id: str
    name: str
    description: str
    text: Annotated[str, Field(description="The rule in its one form.")]
    rule: Annotated[dict[str, Any], Field(description="The same as JSON.")]
    members: Annotated[int, Field(description="Linked followers count once.")]
    current: bool
    created_at: AwareDatetime
    created_by: str
    updated_at: AwareDatetime


class Sample(BaseModel):
    """How many of the followers seen last match a rule. `words`: everything they wrote was read."""

    followers: int
    matching: int
    words: bool


class Checked(BaseModel):
    """A valid rule, as text and as JSON."""

    text: str
    rule: dict[str, Any]
    sample: Sample


class Member(BaseModel):
    """A member, and since when."""

    since: AwareDatetime
    follower: Follower


class CommunityEvent(BaseModel):
    """Somebody joined or left. `follower` is null if the person was erased."""

    number: Annotated[int, Field(description="They rise by one.")]
    at: AwareDatetime
    what: What
    because: Because
    follower: FollowerName | None
