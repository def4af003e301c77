"""Answers, hidings and likes."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.api.http.schemas import Input, Seen

LONGEST_ANSWER = 10_000

Comment = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512),
    Field(description="The platform's id of a comment, mention or message of the exchange. Without it, the newest."),
]


class AnswerInput(Input):
    """What to answer, and to which comment."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ANSWER), Seen]
    comment: Comment | None = None


class HidingInput(Input):
    """Which comment to hide. `undo`: it is shown again."""

    comment: Comment | None = None
    undo: bool = False


class LikeInput(Input):
    """Which comment to like."""

    comment: Comment | None = None


class Errand(BaseModel):
    """Something that is to be done on the platform, and how it stands."""

    id: str
    exchange: str
    deed: Literal["answer", "hide", "unhide", "like"]
    comment: Annotated[str, Field(description="The platform's id of the comment.")]
    text: str | None
    by: str
    at: AwareDatetime
    state: Annotated[
        Literal["asked", "sending", "waiting", "done", "refused"],
        Field(
            description="`asked`: nobody has begun. `sending`: under way. `waiting`: it was not possible, for the "
            "reason in `why`, and is tried again for 24 hours. `done`, `refused`: it has ended."
        ),
    ]
    since: AwareDatetime
    why: str | None
    url: Annotated[str | None, Field(description="Where the answer is, as far as the platform says.")]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "refused")
