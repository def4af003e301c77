"""Links between followers, and the persons they make."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from rapport.contracts.controls import Stage
from services.api.followers.schemas import Follower, FollowerRefText, FollowerShort
from services.api.http.schemas import Input, Why


class LinkInput(Input):
    """Two followers, by their ids in lists, and how you know that they are one person."""

    a: FollowerRefText
    b: FollowerRefText
    why: Why


class UnlinkInput(Input):
    """A link to remove, and why."""

    a: FollowerRefText
    b: FollowerRefText
    why: Why


class Link(BaseModel):
    """Two followers who are one person."""

    a: Annotated[str, Field(description="A follower's id in lists.")]
    b: str
    at: AwareDatetime
    by: str
    why: str
    source: Literal["api", "portal", "import", "suggestion"]


class LinkEvent(Link):
    """A link that was made or removed."""

    what: Literal["linked", "unlinked"]


class Person(BaseModel):
    """One person on several platforms. `know`, `like`, `trust` and the stage are of all followers together."""

    id: str
    stage: Stage
    know: int
    like: int
    trust: int
    counts: dict[str, int]
    followers: list[Follower]
    links: list[Link]


class Suggestion(BaseModel):
    """Two followers whose profiles have verified links to each other."""

    a: FollowerShort
    b: FollowerShort


class BadRow(BaseModel):
    """A row of a file that cannot be imported."""

    line: Annotated[int, Field(description="The line in the file; the first is 1.")]
    column: str | None
    why: str


class ImportOutcome(BaseModel):
    """What is in a file of links, and what was done with it."""

    good: int
    bad: list[BadRow]
    imported: Annotated[int, Field(description="0 until it is sent with `agree=true`, which imports the good rows.")]
    already: Annotated[int, Field(description="Good rows whose link existed already.")]
