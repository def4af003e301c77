"""What a connector brings of its platform."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rapport.contracts.events import Kind
from rapport.domain.retention import NO_LIMITS, Limits

COLUMNS: Mapping[str, tuple[Kind, ...]] = MappingProxyType(
    {
        "comments": ("comment",),
        "mentions": ("mention",),
        "messages": ("message",),
        "reactions": ("reaction",),
        "shares": ("share",),
        "follows": ("follow",),
        "edits, deletions": ("edit", "delete", "hide", "unhide"),
    }
)
"""The columns, and what interactions each is about."""
NO = "no"


@dataclass(frozen=True)
class Capabilities:
    """What a connector brings of a platform, in words for people. What is not named, it does not bring."""

    name: str
    how: str
    """How it comes; may be Markdown."""
    gives: Mapping[str, str]
    """By column."""
    keeps: Limits = NO_LIMITS
    """How long its terms let texts and profiles be kept."""

    def cell(self, column: str) -> str:
        """What stands in a column."""
        return self.gives.get(column, NO)
