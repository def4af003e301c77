"""The rhythm of brands as stored."""

from datetime import datetime
from typing import TypedDict


class RhythmTerms(TypedDict):
    """How often a brand wants to publish."""

    posts_per_week: float | None
    accounts: dict[str, float]
    """Posts a week, by account."""


class RhythmDocument(RhythmTerms):
    """`rhythm_settings`."""

    _id: str
    """The brand's."""
    brand: str


class DuePost(TypedDict):
    """A planned post, as far as consistency asks."""

    account: str
    planned_at: datetime
    published_at: datetime | None
