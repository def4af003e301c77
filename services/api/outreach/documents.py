"""Lists of whom to reach out to, as stored."""

from datetime import datetime
from typing import Any, TypedDict


class SuggestedDocument(TypedDict):
    """Somebody on the list of a day."""

    follower: str
    """The follower's `_id`."""
    reasons: list[dict[str, Any]]
    """Each a `rapport.domain.outreach.Reason`, the strongest first."""
    added_at: datetime


class OutreachDayDocument(TypedDict):
    """`outreach_days`: whom a brand was advised to reach out to on a day."""

    _id: str
    """`<brand>/<day>`"""
    brand: str
    day: str
    items: list[SuggestedDocument]
    revision: int
    """Grows with each change."""
    looked_at: datetime
    """When candidates were last looked for."""
