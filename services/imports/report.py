"""What became of a file: how much was taken, and what was left out and why."""

from dataclasses import dataclass, field
from typing import Any

from services.imports.entries import LeftOut, Source

MOST_EXAMPLES = 3
"""Of each reason. More would hide the other reasons."""
MOST_REASONS = 40
"""A reason can name a field, and fields can be the file's own invention."""
OTHERS = "other reasons"
LONGEST_WHY = 300
MOST_SHOWN = 5
"""Rows of a preview."""


@dataclass
class Reason:
    """What was left out for one reason. `examples` are where it stands, and why."""

    wrong: bool
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Shown:
    """One row of the preview: where it stands, how it is read, and the time as the file has it."""

    at: str
    kind: str
    who: str
    occurred_at: str
    written: str | None


@dataclass
class Report:
    """Counts while a file is imported. `stopped` says why it was not read to its end."""

    source: Source
    dry_run: bool
    before: str
    read: int = 0
    taken: int = 0
    known: int = 0
    reasons: dict[str, Reason] = field(default_factory=dict)
    preview: list[Shown] = field(default_factory=list)
    stopped: str | None = None

    def leave_out(self, at: str, left_out: LeftOut) -> None:
        """Counts one that is left out."""
        name = left_out.reason
        if name not in self.reasons and len(self.reasons) >= MOST_REASONS:
            name = OTHERS
        reason = self.reasons.setdefault(name, Reason(left_out.wrong))
        reason.wrong |= left_out.wrong
        reason.count += 1
        if len(reason.examples) < MOST_EXAMPLES:
            reason.examples.append((at, left_out.why[:LONGEST_WHY]))

    @property
    def wrong(self) -> int:
        """How many were left out that should be corrected."""
        return sum(reason.count for reason in self.reasons.values() if reason.wrong)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "format": self.source.format,
            "of": self.source.of,
            "notes": self.source.notes,
            "dry_run": self.dry_run,
            "before": self.before,
            "read": self.read,
            "taken": self.taken,
            "already_known": self.known,
            "left_out": [
                {
                    "reason": name,
                    "count": reason.count,
                    "wrong": reason.wrong,
                    "examples": [{"at": at, "why": why} for at, why in reason.examples],
                }
                for name, reason in self.sorted_reasons()
            ],
            "preview": [vars(each) for each in self.preview],
            "stopped": self.stopped,
        }

    def sorted_reasons(self) -> list[tuple[str, Reason]]:
        """What should be corrected first, then by count."""
        return sorted(self.reasons.items(), key=lambda each: (not each[1].wrong, -each[1].count, each[0]))
