"""Erasures."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field


class Erasure(BaseModel):
    """Confirms that a follower is forgotten, without repeating who it was."""

    brand: str
    platform: str
    at: AwareDatetime
    known: Annotated[bool, Field(description="Whether anything of theirs was shown before.")]
