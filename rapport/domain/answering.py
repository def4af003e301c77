"""What answering does: a follower's stage before a comment, and some time after its answer was due.

The window is the same whether the answer was given in time, late, or never, so that the three can be compared. What the
outcome itself counts for is left out of both stages: a report that measured its own bonus would say nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from rapport.domain.counting import Days, contributions
from rapport.domain.relationship import STAGES, Scoring, stage
from rapport.domain.times import ms

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


def moved(days: Days, opened_at: datetime, due_at: datetime, scoring: Scoring) -> Moved:
    """The stages on the day before a comment and on the day AFTER its answer was due, from what is counted per day."""
    return Moved(_stage_on(days, opened_at - timedelta(days=1), scoring), _stage_on(days, due_at + AFTER, scoring))


def _stage_on(days: Days, at: datetime, scoring: Scoring) -> str:
    """The stage at the end of a day (UTC)."""
    last = at.astimezone(UTC).date()
    known: Mapping[str, Mapping[str, int]] = {
        day: {kind: times for kind, times in kinds.items() if kind not in OUTCOMES}
        for day, kinds in days.items()
        if day <= last.isoformat()
    }
    sums = {name: sum(kinds.values()) for name, kinds in contributions(known, scoring).items()}
    bought = max((day for day, kinds in known.items() if "purchase" in kinds), default=None)
    purchase = ms(datetime.fromisoformat(bought).replace(tzinfo=UTC)) if bought else None
    end = datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC)
    return stage(sums, purchase, ms(end) - 1, scoring)
