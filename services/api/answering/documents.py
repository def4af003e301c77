"""What answering did to relationships, as stored."""

from datetime import datetime
from typing import Literal, TypedDict

from rapport.domain.relationships.answering import Outcome

MARK = "answering"
"""Queued: an exchange that was stored when the upkeep was past its time."""


class AnswerEffectDocument(TypedDict):
    """`answer_effects`: how a follower's stage changed after an exchange, 30 days after its answer was due."""

    _id: str
    """The exchange's."""
    brand: str
    due_at: datetime
    outcome: Outcome
    direction: Literal["rose", "stayed", "fell"]
    before: str
    """The stage on the day before the comment."""
    after: str
