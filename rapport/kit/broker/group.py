"""Whether a consumer is a member of its group, judged by what the broker says about the group. No I/O here.

A client that fell out of its group can go on for good without noticing, so its own word does not count. The broker
drops a member that sends no heartbeat for a session, so a member that it still lists has sent one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

Partition = tuple[str, int]
"""Topic and number."""

STABLE = "Stable"
OUTSIDE_STATES = ("Empty", "Dead")
LONGEST_GAP_SECONDS = 6.0
"""Two looks further apart than this count as this far: a process that was stopped has not been trying to join."""


@dataclass(frozen=True)
class Seen:
    """A group as described by its coordinator."""

    state: str
    members: Mapping[str, frozenset[Partition]]
    """What is assigned to each member, by its id."""


class Act(Enum):
    """What to do about a consumer."""

    NOTHING = "nothing"
    RENEW = "renew"
    """Replace the consumer by a new one."""
    GIVE_UP = "give up"
    """End the process: a new consumer did not help."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    outside: float = 12.0
    """Joining takes a second, or a session (10 s) while a dead member is still listed."""
    rebalancing: float = 330.0
    """A rebalance waits up to 300 s for a member that is busy with its last batch."""
    lost: float = 60.0
    """In all, outside of the group: long enough to try four new consumers."""


@dataclass(frozen=True)
class Standing:
    """The result of a look."""

    reason: str | None
    """Why the process cannot do its work; None while all is well."""
    act: Act = Act.NOTHING
    unassigned: int = 0
    """Partitions that nobody in the group has."""


class Judge:
    """Decides, look by look, what to do about what the broker says."""

    def __init__(self, group: str, partitions: Iterable[Partition], patience: Patience | None = None) -> None:
        """`partitions` are all that the group's members must have between them."""
        self._group = group
        self._partitions = frozenset(partitions)
        self._patience = patience or Patience()
        self._looked: float | None = None
        self._outside = 0.0
        self._since_renewal = 0.0
        self._rebalancing = 0.0

    def unanswered(self) -> None:
        """The broker did not answer, or the consumer is not trying yet. That time does not count."""
        self._looked = None

    def look(self, now: float, member: str, seen: Seen) -> Standing:
        """`now` is in seconds, of any clock; `member` is the id that the consumer believes it has."""
        passed = min(now - self._looked, LONGEST_GAP_SECONDS) if self._looked is not None else 0.0
        self._looked = now
        if seen.state != STABLE and seen.state not in OUTSIDE_STATES:
            self._rebalancing += passed
            if self._rebalancing < self._patience.rebalancing:
                return Standing(f"group {self._group} is being rebalanced")
            return self._lost(f"group {self._group} has been rebalancing for {self._rebalancing:.0f} s", passed)
        self._rebalancing = 0.0
        if member not in seen.members:
            return self._lost(f"not a member of group {self._group}", passed)
        unassigned = len(self._partitions.difference(*seen.members.values()))
        if unassigned:
            why = f"group {self._group} has {unassigned} partitions that are assigned to nobody"
            return self._lost(why, passed, unassigned)
        self._outside = self._since_renewal = 0.0
        return Standing(None)

    def _lost(self, why: str, passed: float, unassigned: int = 0) -> Standing:
        self._outside += passed
        self._since_renewal += passed
        if self._outside >= self._patience.lost:
            return Standing(why, Act.GIVE_UP, unassigned)
        if self._since_renewal >= self._patience.outside:
            self._since_renewal = 0.0
            return Standing(why, Act.RENEW, unassigned)
        return Standing(why, unassigned=unassigned)
