"""What asking has found and told lately. A look begins a little before the last one ended, and finds some again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from rapport.contracts.events import Interaction
from services.ingest.hooks.delivery import Delivery

CLOCKS = timedelta(minutes=5)
"""How much earlier than the last one a look begins: the platform's clock may be behind ours, and lists may be late."""
POSTS_LATE = timedelta(days=1)
"""How much later than others a post may be listed that was made before them: the platform may look at it first."""
MOST = 2_000
"""Ids that are known: more than what a look finds again of the last one. What was told before those is told again, and
counts once. A reader whose look may break off after more than this wants more."""


@dataclass
class Legible:
    """Whether anything could be read of what a look found. If nothing could, it was not looked at."""

    read: int = 0
    unread: int = 0

    def add(self, found: Delivery) -> None:
        """Counts what a page has."""
        self.read += len(found.interactions) + found.ignored.total()
        self.unread += found.unread

    @property
    def nothing(self) -> bool:
        """Whether there was something, and none of it could be read."""
        return self.unread > 0 and self.read == 0


class Told:
    """For one account under one lease."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ids: dict[str, None] = {}

    def fresh(self, found: Iterable[Interaction]) -> list[Interaction]:
        """Those that were not told yet, each once, by time."""
        new = {one.id: one for one in found if one.id not in self._ids}
        return sorted(new.values(), key=lambda one: one.occurred_at)

    def keep(self, told: Iterable[Interaction]) -> None:
        """Remembers them, once they are in the log. The oldest are forgotten."""
        for one in told:
            self._ids[one.id] = None
        while len(self._ids) > self._most:
            del self._ids[next(iter(self._ids))]
