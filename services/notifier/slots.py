"""Which sends may begin, so that a slow channel holds up only itself. One `Slots` per type of channel and process.

A send begins in a quick slot. When it takes long it moves to a slow slot, and the quick one is free for others. For a
while its channel gets one send at a time, in slow slots alone. A channel of which nothing is known begins with one send
too, and of a brand's unknown channels two are tried at a time. So what hangs takes few slots even at first.

Of both kinds a brand gets a share of the slots that are free: some are left for whoever comes next.
"""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

Lane = tuple[str, str]
"""A brand and its channel: all that one slow receiver may hold up."""

AT_ONCE_PER_CHANNEL = 4
TRIED_AT_ONCE = 2
"""Of a brand's channels of which nothing is known."""
SLOW_SECONDS = 2.0
"""Longer than most sends take. Whoever is called slow wrongly still gets one send after the other."""
KNOWN_SECONDS = 600.0
"""How long it counts that a channel was slow, or was not."""
QUICK_SHARE = 2
"""A brand gets one free quick slot in so many: 3 of 8 alone, and with two other busy brands 2 of them."""
SLOW_SHARE = 8
"""The same for slow slots: 4 of 40 alone, and one with 20 other brands that have slow channels."""


class Barred(NamedTuple):
    """Whose deliveries must wait."""

    brands: Set[str] = frozenset()
    lanes: Set[Lane] = frozenset()
    others_of: Mapping[str, Set[str]] = {}
    """By brand: all of its channels but these."""
    brands_take_turns: bool = False
    """Whether this is about the last quick slot, which belongs to a brand that has waited longer than the others."""


@dataclass(frozen=True, eq=False)
class Slot:
    """A send that runs."""

    lane: Lane
    since: float
    trial: bool
    """Nothing was known of the channel when it began."""


@dataclass(eq=False)
class Slots:
    """How many sends may run at a time before they are slow, and how many slow ones besides. `now` is in seconds, of a
    clock that only goes forward.
    """

    quick: int
    slow: int
    _running: set[Slot] = field(default_factory=set)
    _slow_until: dict[Lane, float] = field(default_factory=dict)
    _quick_until: dict[Lane, float] = field(default_factory=dict)

    def take(self, lane: Lane, now: float) -> Slot:
        """Begins a send."""
        slot = Slot(lane, now, trial=lane not in self._slow_until and lane not in self._quick_until)
        self._running.add(slot)
        return slot

    def free(self, slot: Slot, now: float, tried: bool = True) -> None:
        """Ends a send. `tried`: something was sent, so that it says how quick the channel is."""
        self._look(now)
        self._running.discard(slot)
        if tried and slot.lane not in self._slow_until:
            self._quick_until[slot.lane] = now + KNOWN_SECONDS

    def barred(self, now: float) -> Barred | None:
        """Whose deliveries must wait; None where all must."""
        self._look(now)
        running = Counter(slot.lane for slot in self._running)
        slow_of: Counter[str] = Counter()
        quick_of: Counter[str] = Counter()
        for lane, many in running.items():
            (slow_of if lane in self._slow_until else quick_of)[lane[0]] += many
        slow_free = self.slow - slow_of.total()
        # What became slow while all slow slots were taken stays in a quick one.
        quick_free = self.quick - quick_of.total() + min(0, slow_free)
        if quick_free <= 0:
            return None
        quick_share = max(1, quick_free // QUICK_SHARE)
        slow_share = max(1, slow_free // SLOW_SHARE) if slow_free > 0 else 0
        lanes = {lane for lane, many in running.items() if many >= self._most(lane)}
        lanes |= {lane for lane in self._slow_until if slow_of[lane[0]] >= slow_share}
        tried = Counter(slot.lane[0] for slot in self._running if slot.trial)
        most_tried = TRIED_AT_ONCE if slow_free > 0 else 1
        return Barred(
            {brand for brand, many in quick_of.items() if many >= quick_share},
            lanes,
            self._known({brand for brand, many in tried.items() if many >= most_tried}),
            quick_free == 1,
        )

    def _most(self, lane: Lane) -> int:
        return AT_ONCE_PER_CHANNEL if lane in self._quick_until and lane not in self._slow_until else 1

    def _known(self, brands: Set[str]) -> dict[str, set[str]]:
        """The channels of brands of which something is known."""
        found: dict[str, set[str]] = {brand: set() for brand in brands}
        for brand, channel in self._slow_until.keys() | self._quick_until.keys():
            if brand in found:
                found[brand].add(channel)
        return found

    def _look(self, now: float) -> None:
        """Notes which sends have become slow, and forgets what is long ago."""
        self._slow_until = {lane: until for lane, until in self._slow_until.items() if until > now}
        self._quick_until = {lane: until for lane, until in self._quick_until.items() if until > now}
        for slot in self._running:
            if now - slot.since > SLOW_SECONDS:
                self._slow_until[slot.lane] = now + KNOWN_SECONDS
