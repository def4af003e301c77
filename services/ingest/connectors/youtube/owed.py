"""Threads of a channel whose replies could not all be read: which, and when they are asked for again. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from rapport.contracts.events import UtcTime
from services.ingest.connectors.youtube.normalise import Thread

MOST = 50
KEPT = timedelta(days=7)
SOONEST = timedelta(minutes=15)
SLOWER = 4
"""They are asked for again after a quarter of the time since they were first owed: some 25 times in a week."""
AT_ONCE = 3
"""Threads that are asked for again in one reading."""
_Id = Annotated[str, Meta(max_length=512)]


class Owed(Struct, frozen=True, array_like=True):
    """A thread, as far as its replies can be read without its page. `replies` is how many it said to have."""

    id: _Id
    replies: int
    since: UtcTime
    again_at: UtcTime
    by_brand: bool
    video: _Id | None = None
    post: _Id | None = None

    def thread(self, channel: str) -> Thread:
        """The thread, on this channel."""
        return Thread(self.id, self.video, self.post or channel, self.post, True, self.replies, self.by_brand)


def owes(thread: Thread, before: Owed | None, now: datetime) -> Owed | None:
    """What is owed of a thread after another reading of its replies; None once that has been so for too long."""
    since = before.since if before is not None else now
    if now - since > KEPT:
        return None
    again_at = now + max(SOONEST, (now - since) / SLOWER)
    return Owed(thread.id, thread.replies, since, again_at, thread.by_brand, thread.video, thread.post)


def due(owed: Mapping[str, Owed], now: datetime) -> list[Owed]:
    """Those to ask for now, the longest overdue first."""
    found = [each for each in owed.values() if each.again_at <= now]
    return sorted(found, key=lambda each: each.again_at)[:AT_ONCE]


def written(owed: Iterable[Owed]) -> str:
    """As it is stored."""
    return msgspec.json.encode(list(owed)).decode()


def read(text: str | None) -> dict[str, Owed]:
    """What `written` gave. What cannot be read is nothing."""
    try:
        return {each.id: each for each in msgspec.json.decode(text or "[]", type=list[Owed])[:MOST]}
    except msgspec.DecodeError:  # of a later version, which looks after them itself
        return {}
