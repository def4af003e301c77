"""Interactions in histories and timelines."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel


class Moment(BaseModel):
    """An interaction as it appears in a history or a timeline."""

    type: Literal["interaction"] = "interaction"
    at: AwareDatetime
    id: str
    kind: str
    by: Literal["follower", "brand"]
    actor: str | None
    text: str | None
    url: str | None
    undo: bool
    account: str
