"""The comments of a channel that wait for an answer: which have to be asked for, and what it means if one is missing.
Pure.

YouTube tells nobody that a comment was deleted, rejected or held for review: it is left out of the lists, without a
word. So what the list of the newest threads does not show any more is asked for by its id. A comment that is missing
twice, some minutes apart, is hidden from then on when it was first missing; once it is there again, it is shown. Nobody
can tell what was deleted from what may come back.

All of it is kept in parts, so that little is written where little has changed.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from rapport.contracts.events import Interaction, UtcTime

KEPT = timedelta(days=7)
"""How long after it was written a comment is looked after. Most are deleted within hours, and a clock that stops for
nights and weekends has run out by then."""
A_PART = 50
PARTS = 20
MOST = A_PART * PARTS
"""Comments of a channel. Beyond these the oldest are not looked after any more."""
SOONEST = timedelta(minutes=15)
SLOWER = 4
"""A comment is asked for again after a quarter of its age: some thirty times in a week."""
SECOND_AFTER = timedelta(minutes=5)
"""Between two looks that miss a comment. What YouTube forgets for a moment is there again by then."""
AT_ONCE = 49
"""Comments in one request, and one more that is there: YouTube takes 50 ids."""
AT_ONCE_AGAIN = 19
"""The same where a comment was missing already. Lists without a given length have 20 items at YouTube, and an answer
that was cut off must not hide anything."""
_AGAIN, _VANISHED, _DUE = range(3)
"""How urgent it is to ask for a comment."""
_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Waiting(Struct, frozen=True, array_like=True):
    """A comment that nobody has answered. `at` is when it was written, `video` what it stands below, if that is one."""

    id: Annotated[str, Meta(min_length=1, max_length=100)]
    at: UtcTime
    video: Annotated[str, Meta(max_length=100)] | None = None
    missed_at: UtcTime | None = None
    """Since when it is missing, if it is."""
    hidden: bool = False
    """Whether that was told."""
    begun: bool = False
    """Whether it was about to be told: whoever goes on after a crash cannot know whether it was."""


Change: TypeAlias = Mapping[str, Waiting | None]
"""What becomes of comments by their ids; None where they are not looked after any more."""
Part: TypeAlias = Mapping[str, Waiting]


class Outcome(NamedTuple):
    """What a look means: the change, and the comments that are hidden now, and those that are back, as they were."""

    change: Change
    gone: Sequence[Waiting]
    back: Sequence[Waiting]


class WaitingRoom:
    """Of one channel. No comment changes before `keep`: what could not be put into the log is found again."""

    def __init__(self, parts: Mapping[int, str]) -> None:
        """`parts` as `written` gives them. One that cannot be read is empty."""
        self._parts: dict[int, Part] = {number: _read(parts.get(number)) for number in range(PARTS)}
        self._place = {each: number for number, part in self._parts.items() for each in part}
        self._looked_at: dict[str, datetime] = {}
        self._listed: list[str] = []
        self._vanished: set[str] = set()

    def get(self, name: str) -> Waiting | None:
        """The comment with this id, if it is looked after."""
        place = self._place.get(name)
        return None if place is None else self._parts[place].get(name)

    def names(self) -> Iterable[str]:
        """The ids of all comments that are looked after."""
        return self._place.keys()

    def told(self, interactions: Iterable[Interaction], now: datetime) -> Change:
        """What follows from interactions that are about to be told: comments wait from now on, answers end that."""
        change: dict[str, Waiting | None] = {}
        for one in interactions:
            name = one.object.id
            if one.kind == "reply" and one.parent is not None:
                change[one.parent.id] = None
            elif one.kind == "comment" and one.occurred_at > now - KEPT and _ID.fullmatch(name) and not self.get(name):
                video = one.post if one.object.url and one.post and _ID.fullmatch(one.post) else None
                change[name] = Waiting(name, one.occurred_at, video)
                self._looked_at[name] = now
        return change

    def shown(self, names: Iterable[str], now: datetime) -> Outcome:
        """What follows from a list that has these comments."""
        known = [each for each in names if self.get(each) is not None]
        return self.looked(known, frozenset(known), now)

    def looked(self, asked: Iterable[str], there: Collection[str], now: datetime) -> Outcome:
        """What follows from a look at these comments that found some of them."""
        change: dict[str, Waiting | None] = {}
        gone: list[Waiting] = []
        back: list[Waiting] = []
        for name in asked:
            one = self.get(name)
            if one is None:
                continue
            self._looked_at[name] = now
            self._vanished.discard(name)
            if name in there:
                if one.missed_at is not None:
                    change[name] = replace(one, missed_at=None, hidden=False, begun=False)
                if one.hidden or one.begun:
                    back.append(one)
            elif one.missed_at is None:
                change[name] = replace(one, missed_at=now)
            elif not one.hidden and now - one.missed_at >= SECOND_AFTER:
                change[name] = replace(one, hidden=True, begun=True)
                gone.append(one)
        return Outcome(change, gone, back)

    def listed(self, threads: Sequence[str], *, whole: bool) -> None:
        """Notes the first page of a list, the newest first; `whole` if nothing comes after it.

        What was on it before, and is not, has vanished: unless newer threads may have pushed it off its end.
        """
        shown = set(threads)
        still = [place for place, each in enumerate(self._listed) if each in shown]
        end = len(self._listed) if whole else max(still, default=0)
        self._vanished |= {each for each in self._listed[:end] if each not in shown and self.get(each) is not None}
        self._listed = list(threads)

    def due(self, shown: Collection[str], now: datetime) -> list[str]:
        """The ids to ask for at once, what is urgent first; `shown` are those that the list has just had.

        Where any has to be asked for, others fill the request.
        """
        found: list[tuple[int, datetime, str]] = []
        for part in self._parts.values():
            for one in part.values():
                looked_at = self._looked_at.get(one.id)
                if one.id in shown or now - one.at > KEPT:
                    continue
                if one.missed_at is not None and not one.hidden:
                    if now - one.missed_at >= SECOND_AFTER:
                        found.append((_AGAIN, one.missed_at, one.id))
                elif one.id in self._vanished:
                    found.append((_VANISHED, one.at, one.id))
                elif looked_at is None or now - looked_at >= max(SOONEST, (looked_at - one.at) / SLOWER):
                    found.append((_DUE, looked_at or one.at, one.id))
                else:
                    found.append((_DUE + 1, looked_at, one.id))
        found.sort()
        if not found or found[0][0] > _DUE:
            return []
        return [name for _, _, name in found[: AT_ONCE_AGAIN if found[0][0] == _AGAIN else AT_ONCE]]

    def again(self, shown: Collection[str], now: datetime) -> bool:
        """Whether a comment that was missing may be asked for a second time."""
        return any(
            one.missed_at is not None and not one.hidden and now - one.missed_at >= SECOND_AFTER and one.id not in shown
            for part in self._parts.values()
            for one in part.values()
        )

    def begins(self, gone: Iterable[Waiting]) -> Change:
        """What has to be stored before it is told that these are hidden."""
        return {one.id: replace(one, begun=True) for one in gone}

    def outlived(self, now: datetime) -> Change:
        """Those that are not looked after any more."""
        return {one.id: None for part in self._parts.values() for one in part.values() if now - one.at > KEPT}

    def after(self, change: Change) -> dict[int, Part]:
        """The parts that a change makes different, as they are with it."""
        parts: dict[int, dict[str, Waiting]] = {}

        def part(number: int) -> dict[str, Waiting]:
            return parts.setdefault(number, dict(self._parts[number]))

        for name, one in change.items():
            if one is None and name in self._place:
                part(self._place[name]).pop(name, None)
        for name, one in change.items():
            if one is not None and name in self._place:
                part(self._place[name])[name] = one
        for name, one in change.items():
            if one is not None and name not in self._place:
                its = part(self._room(parts))
                its[name] = one
                if len(its) > A_PART:
                    del its[min(its.values(), key=lambda each: each.at).id]
        return {number: its for number, its in parts.items() if its != self._parts[number]}

    def keep(self, parts: Mapping[int, Part]) -> None:
        """Takes over what `after` gave, once it is stored."""
        self._parts.update(parts)
        self._place = {each: number for number, part in self._parts.items() for each in part}
        self._looked_at = {name: at for name, at in self._looked_at.items() if name in self._place}
        self._vanished &= self._place.keys()

    def _room(self, parts: Mapping[int, Part]) -> int:
        """A part with room for one more; where there is none, the one with the oldest comment."""
        now = {number: parts.get(number, its) for number, its in self._parts.items()}
        free = [number for number, its in now.items() if len(its) < A_PART]
        return min(free) if free else min(now, key=lambda number: min(each.at for each in now[number].values()))


def written(part: Part) -> str:
    """A part as it is stored."""
    return msgspec.json.encode(list(part.values())).decode()


def _read(text: str | None) -> Part:
    try:
        return {each.id: each for each in msgspec.json.decode(text or "[]", type=list[Waiting])[:A_PART]}
    except msgspec.DecodeError:  # of a later version, which looks after them itself
        return {}
