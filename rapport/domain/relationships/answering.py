"""What answering does: a follower's stage before a comment, and some time after its answer was due.

The window is the same whether the answer was given in time, late, or never, so that the three can be compared. What the
outcome itself counts for is left out of both stages: a report that measured its own bonus would say nothing.
"""

from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.counting import KEPT_DAYS, Days, stage_on
from rapport.domain.relationships.relationship import STAGES
from rapport.domain.times import clamped, shifted

AFTER = timedelta(days=30)
OUTCOMES = ("answered", "answered_late", "unanswered")
Outcome = Literal["answered", "answered_late", "unanswered"]


class Moved(NamedTuple):
    """The stages before and after."""

    before: str
    after: str

    @property
    def direction(self) -> Literal["rose", "stayed", "fell"]:
        """Which way it went."""
        step = STAGES.index(self.after) - STAGES.index(self.before)
        return "rose" if step > 0 else "fell" if step < 0 else "stayed"


def moved(days: Days, opened_at: datetime, due_at: datetime, scoring: Scoring) -> Moved | None:
    """The stages on the day before a comment and on the day AFTER its answer was due, from what is counted per day.

    None where the comment is from a time of which days are not kept any more.
    """
    before, after = shifted(clamped(opened_at).date(), -1), shifted(clamped(due_at).date(), AFTER.days)
    if days and shifted(date.fromisoformat(max(days)), -KEPT_DAYS) > before:
        return None
    known = {day: {kind: times for kind, times in kinds.items() if kind not in OUTCOMES} for day, kinds in days.items()}
    return Moved(stage_on(known, before, scoring), stage_on(known, after, scoring))
