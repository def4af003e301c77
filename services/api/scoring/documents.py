"""Versions of the scoring as stored."""

from datetime import datetime
from typing import Any, TypedDict


class ScoringDocument(TypedDict):
    """`scorings`: a version of the scoring, for all brands."""

    _id: int
    """The number of the version."""
    numbers: dict[str, Any]
    """A `rapport.contracts.scoring.Scoring`; see `scoring.repository.stored`."""
    why: str
    by: str
    at: datetime
    confirmed: bool
    """Whether the log has it."""
    said_at: datetime | None
    """When it was last sent to the log."""
