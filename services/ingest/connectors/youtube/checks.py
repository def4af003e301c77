"""Looks after the comments of a channel that wait for an answer, and tells of those that are gone, or back.

What waits is remembered with everything else of the account, so whoever reads it next goes on where this one stopped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Interaction
from services.ingest.connectors.youtube.normalise import Page, hiding
from services.ingest.connectors.youtube.presence import Ask, look
from services.ingest.connectors.youtube.waiting import PARTS, Change, Part, Waiting, WaitingRoom, written
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.reading import Reading

READINGS_PER_UNIT = 8
"""A unit for a look is spent for as many readings. A second look at what the last one missed may come sooner."""


class Seen(NamedTuple):
    """What pages mean for the comments that wait: what is to be told and remembered, and what `keep` takes."""

    back: Sequence[Interaction]
    things: Sequence[Remembered]
    parts: Mapping[int, Part]


class Checks:
    """For one account under one lease. For one event loop."""

    def __init__(
        self, reading: Reading, channel: str, watched: Callable[[], Watched], ask: Ask, now: Callable[[], datetime]
    ) -> None:
        self._reading = reading
        self._channel = channel
        self._watched = watched
        self._ask = ask
        self._now = now
        self._known: WaitingRoom | None = None
        self._shown: dict[str, None] = {}
        self._looked_at: datetime | None = None
        self._cost = 0
        """Units since the last look that waited for its turn, its own included."""
        self._early = False
        """Whether the last look was a second one that did not wait for its turn."""

    def begin(self) -> None:
        """A reading begins: what the lists show from here on need not be asked for."""
        self._shown = {}

    def listed(self, page: Page) -> None:
        """Notes the first page of the threads, once it is in the log."""
        self._room().listed([each.id for each in page.threads], whole=page.next is None)

    def threads(self) -> frozenset[str]:
        """The threads in which somebody waits. A reply's id begins with that of the comment on top, and a dot."""
        return frozenset(each.partition(".")[0] for each in self._room().names())

    def saw(self, page: Page, told: Sequence[Interaction]) -> Seen:
        """What follows from a page, of which this is about to be told. Raises as `Reading.remembered`."""
        room, now = self._room(), self._now()
        self._shown.update(dict.fromkeys(page.seen))
        outcome = room.shown(page.seen, now)
        back, _ = self._hidings("unhide", outcome.back)
        parts = room.after({**outcome.change, **room.told(told, now)})
        return Seen(back, self._things(parts), parts)

    def keep(self, seen: Seen) -> None:
        """It is stored."""
        self._room().keep(seen.parts)

    async def look(self, reading_seconds: float) -> None:
        """Asks for comments if it is time to. `reading_seconds` is how often the channel is read.

        Raises as `Reader.read`, and RefusedError.
        """
        room, now = self._room(), self._now()
        if not self._is_time(room, now, reading_seconds):
            return
        wanted = [each for each in map(room.get, room.due(self._shown, now)) if each is not None]
        if not wanted:
            return
        self._looked_at = now
        if not self._early:
            self._cost = 0
        found = await look(self._counted, wanted, next(iter(self._shown), None))
        outcome = room.looked(found.asked, found.there, now)
        gone, unknown = self._hidings("hide", outcome.gone)
        if gone:
            await self._store(room.begins(outcome.gone))
        back, _ = self._hidings("unhide", outcome.back)
        change: Change = {**room.outlived(now), **outcome.change, **dict.fromkeys(unknown)}
        await self._store(change, [*gone, *back])

    async def _store(self, change: Change, told: Sequence[Interaction] = ()) -> None:
        """Stores what has changed, with what is told of it."""
        room = self._room()
        parts = room.after(change)
        if told or parts:
            await self._reading.found(told, [], self._things(parts), "", None)
        room.keep(parts)

    def _is_time(self, room: WaitingRoom, now: datetime, reading_seconds: float) -> bool:
        turn = timedelta(seconds=READINGS_PER_UNIT * max(1, self._cost) * reading_seconds)
        if self._looked_at is None or now - self._looked_at >= turn:
            self._early = False
            return True
        if self._early or not room.again(self._shown, now):
            return False
        self._early = True
        return True

    async def _counted(self, path: str, query: Mapping[str, str]) -> bytes:
        self._cost += 1
        return await self._ask(path, query)

    def _hidings(self, kind: Literal["hide", "unhide"], its: Iterable[Waiting]) -> tuple[list[Interaction], list[str]]:
        """The interactions; and the comments of which nothing is remembered, so that nothing can be told."""
        told: list[Interaction] = []
        unknown: list[str] = []
        for one in its:
            known = self._reading.remembered(one.id)
            if known is None or one.missed_at is None:
                unknown.append(one.id)
                continue
            told.append(
                hiding(kind, one.id, known.post, known.conversation, one.missed_at, self._watched(), self._now())
            )
        return told, unknown

    def _room(self) -> WaitingRoom:
        if self._known is None:
            found = {number: self._reading.remembered(self._name(number)) for number in range(PARTS)}
            self._known = WaitingRoom({number: each.version or "" for number, each in found.items() if each})
        return self._known

    def _name(self, number: int) -> str:
        return f"{self._channel}/waiting/{number}"

    def _things(self, parts: Mapping[int, Part]) -> list[Remembered]:
        account = self._reading.account.id
        return [
            Remembered(
                account=account, thing=self._name(number), kind="comment", actor=self._channel,
                conversation=self._channel, seen_at=self._now(), claim=self._reading.claim, version=written(its),
            )
            for number, its in parts.items()
        ]  # fmt: skip
