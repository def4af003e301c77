"""Erased people as stored."""

from datetime import datetime
from typing import NotRequired, TypedDict


class ErasedDocument(TypedDict):
    """`erased`: a person whom a brand erased. Nothing of theirs is written any more."""

    _id: str
    """`<brand>/<name>`, by `rapport.domain.erasing`: it does not say who it was."""
    brand: str
    noted_at: datetime
    platform: NotRequired[str]
    """Like `follower` there until the upkeep has looked twice for what was written before."""
    follower: NotRequired[str]
    removed: NotRequired[bool]
    """Whether it has looked once."""
    parts: NotRequired[list[tuple[datetime, int | None]]]
    """Hours and minutes that have to be counted again, while it removes."""
    hours: NotRequired[list[datetime]]
    """The same, from an earlier version."""
