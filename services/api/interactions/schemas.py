"""Interactions in histories and timelines."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field


class Moment(BaseModel):
    """An interaction as it appears in a history or a timeline."""

    type: Literal["interaction"] = "interaction"
    at: AwareDatetime
    id: str
    kind: str
    by: Literal["follower", "brand"]
    actor: str | None
    text: str | None
    text_expired: Annotated[bool, Field(description="The platform's terms no longer let its text be kept.")]
    url: str | None
    undo: bool
    account: str
