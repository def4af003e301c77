"""What was looked at of an account whose platform pushes: since when each list, and which posts may have something new.

A look at a list begins where the last complete one began, a little earlier. What it finds there again is told once.
"""

import logging
from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Interaction
from rapport.domain.errands import QUIET
from services.ingest.hooks.delivery import Delivery
from services.ingest.hooks.meta_pages import Post, whole_of
from services.ingest.polling.hidings import LOOKED_AT_FOR, changes
from services.ingest.polling.reading import Reading
from services.ingest.polling.told import CLOCKS

LATE = timedelta(hours=6)
"""Below a post that has changed, what is this much older than the last look is told as well, if it was not before: it
was held back, or shown late."""
MOST_TOLD = 5_000
"""Ids of interactions that are known to be told. What was told before is told again, and counts once."""
MOST_READ = 2_000
NEW_FOR = timedelta(days=30)
"""A post that is seen for the first time and is older than this is not asked for its comments: only how many there are
is remembered."""
REMEMBERED_AGAIN = timedelta(days=60)
"""After this what is known of an album is noted again: it is remembered for 90 days."""
BUSY_FOR = timedelta(days=7)
MOST_BUSY = 10
"""Older posts that are asked each time, because somebody commented on them lately."""
MOST_UNFINISHED = 100
"""Posts whose reading was interrupted."""
MOST_FAILED = 50
"""Posts whose comments could not be read."""
_HIDINGS = frozenset({"hide", "unhide"})


class Looks:
    """For one account under one lease. For one event loop."""

    def __init__(self, reading: Reading, log: logging.Logger) -> None:
        self._reading = reading
        self._log = log
        self._told: dict[str, None] = {}
        self._read: dict[str, datetime] = {}
        """When each post was last read to its end: after a limit, those that were read are not read again."""
        self._failed: dict[str, tuple[str, datetime, datetime]] = {}
        """The list of each post whose comments could not be read, when they are asked for again, and since when they
        are owed."""
        self._unfinished: dict[str, tuple[Post, datetime, set[str]]] = {}
        """Each post whose comments are being read, or were until a limit: as it was when that began, when that was, and
        the comments whose replies have been read."""
        self._busy: dict[str, tuple[str, datetime]] = {}
        """The list of each post that was commented on lately, and when; the latest last."""

    def since(self, list_: str) -> datetime:
        """From when on a list has to be looked at: not from before the account was connected, or connected again."""
        return self._reading.known_to(list_) - CLOCKS

    async def done(self, list_: str, at: datetime) -> None:
        """A list has been looked at to its end; the look began at `at`. Raises as `Reading.found`."""
        await self._reading.found([], [], [], list_, at.isoformat())

    async def tell(
        self,
        found: Delivery,
        since: datetime,
        things: Iterable[Remembered] = (),
        *,
        below: str | None = None,
        hidden_since: datetime | None = None,
    ) -> None:
        """Puts into the log what was written since then and was not told yet. Raises as `Reading.found`.

        `below` is the list of the post that it stands below. That a comment is hidden is told of those written since
        `hidden_since`, or `since`: an older one may have been told by another process, and hidden long after. Where
        the platform does not push that, it is told at the time of the look.
        """
        self._reading.tell_skipped(found, self._log)
        said = {
            one.id: one
            for one in found.interactions
            if one.kind not in _HIDINGS and one.occurred_at >= since and one.id not in self._told
        }
        # A comment that is hidden is told with its hiding; that it is hidden by now is no news of its own.
        hidings = [
            one
            for one in found.interactions
            if one.kind in _HIDINGS and one.object.id in said and one.occurred_at >= (hidden_since or since)
        ]
        changed, seen = self._changed(found.interactions, hidings)
        remembered = [*things, *seen]
        if not said and not remembered:
            return
        ordered = [*sorted(said.values(), key=lambda one: one.occurred_at), *hidings, *changed]
        await self._reading.found(ordered, [], remembered, "", None)
        for one in ordered:
            self._told[one.id] = None
            if below is not None and one.post is not None:
                self._busy.pop(one.post, None)
                self._busy[one.post] = below, one.occurred_at
        while len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]

    def _changed(
        self, found: Sequence[Interaction], hidings: Sequence[Interaction]
    ) -> tuple[list[Interaction], list[Remembered]]:
        reading = self._reading
        if reading.account.platform not in QUIET:
            return [], []
        oldest = max(reading.account.connected_at - CLOCKS, reading.now() - LOOKED_AT_FOR)
        return changes(found, hidings, reading.remembered, oldest, reading.claim)

    def busy(self, list_: str, others: Container[str]) -> list[str]:
        """The posts of a list, other than these, that were commented on lately, the latest first."""
        oldest = self._reading.now() - BUSY_FOR
        self._busy = {post: known for post, known in self._busy.items() if known[1] > oldest}
        found = [post for post, (its, _) in self._busy.items() if its == list_ and post not in others]
        return found[: -MOST_BUSY - 1 : -1]

    def owed(self, list_: str, others: Container[str]) -> list[str]:
        """The posts of a list, other than these, whose comments could not be read."""
        return [post for post, (its, _, _) in self._failed.items() if its == list_ and post not in others]

    def gone(self, post: Post) -> list[Remembered]:
        """A post cannot be seen any more. What has to be remembered of it: it is asked again once somebody comments."""
        self._busy.pop(post.id, None)
        self._failed.pop(post.id, None)
        self._unfinished.pop(post.id, None)
        return self.counted(post)

    def failed(self, post: Post, below: str, since: datetime, again_at: datetime) -> None:
        """The comments of a post of the list `below` cannot be read. They are owed since then, and asked for again."""
        _, _, owed = self._failed.pop(post.id, (below, again_at, since))
        self._failed[post.id] = below, again_at, min(owed, since)
        while len(self._failed) > MOST_FAILED:
            del self._failed[next(iter(self._failed))]

    def has_failed(self, post: Post) -> bool:
        """Whether its comments could not be read the last time."""
        return post.id in self._failed

    def due(self, post: Post, since: datetime) -> bool:
        """Whether a post may have comments that were not seen, and they may be asked for now."""
        if post.id in self._failed:
            return self._reading.now() >= self._failed[post.id][1]
        known = self._count(post.id)
        if post.many is not None and known is not None and post.many != known:
            return True
        if post.many == 0:
            return False
        if post.updated_at is not None:
            return post.updated_at >= max(since, self._read.get(post.id, since) - CLOCKS)
        if post.many is not None:
            return known is None and (post.at is None or post.at > since - NEW_FOR)
        # Nothing tells whether there is something new: unless it was read since the last complete look.
        return self._read.get(post.id, since) <= since + CLOCKS

    def begins(self, post: Post, at: datetime) -> tuple[Post, datetime]:
        """The post as it was when the reading of its comments first began, and when: a limit may have interrupted it,
        and what was read before is not read again.
        """
        first, first_at, _ = self._unfinished.setdefault(post.id, (post, at, set()))
        while len(self._unfinished) > MOST_UNFINISHED:
            del self._unfinished[next(iter(self._unfinished))]
        return first, first_at

    def answered(self, post: Post) -> set[str]:
        """The ids of the comments of a post whose replies were read since `begins`; for adding to."""
        return self._unfinished[post.id][2]

    def counted(self, post: Post) -> list[Remembered]:
        """What has to be remembered of a post whose comments are all told, or are older than any that count."""
        known = self._count(post.id)
        if post.id in self._failed or post.many is None or post.many == known or (post.many == 0 and known is None):
            return []
        account = self._reading.account
        return [
            Remembered(
                account=account.id, thing=_thing(post.id), kind="post", actor=account.id, conversation=post.id,
                seen_at=self._reading.now(), claim=self._reading.claim, version=str(post.many),
            )
        ]  # fmt: skip

    def albums(self, posts: Iterable[Post]) -> list[Remembered]:
        """What has to be remembered of albums: which of them each of their parts belongs to."""
        account, now = self._reading.account, self._reading.now()
        return [
            Remembered(
                account=account.id, thing=whole_of(part), kind="post", actor=account.id, conversation=post.id,
                seen_at=now, claim=self._reading.claim,
            )
            for post in posts
            if self._forgets_album(post, now)
            for part in post.parts
        ]  # fmt: skip

    def _forgets_album(self, post: Post, now: datetime) -> bool:
        if not post.parts:
            return False
        known = self._reading.remembered(whole_of(post.parts[-1]))
        if known is None:
            return post.at is not None and post.at > now - NEW_FOR
        return known.seen_at < now - REMEMBERED_AGAIN

    def read(self, post: Post, at: datetime) -> None:
        """A post's comments have been read to their end; that began at `at`."""
        self._failed.pop(post.id, None)
        self._unfinished.pop(post.id, None)
        self._read.pop(post.id, None)
        self._read[post.id] = at
        while len(self._read) > MOST_READ:
            del self._read[next(iter(self._read))]

    def from_when(self, post: Post, since: datetime) -> datetime:
        """From when on comments below a post that has changed are told."""
        _, _, owed = self._failed.get(post.id, ("", since, since))
        return max(min(since, owed) - LATE, self._reading.account.connected_at - CLOCKS)

    def _count(self, post: str) -> int | None:
        found = self._reading.remembered(_thing(post))
        version = found.version if found is not None else None
        return int(version) if version is not None and version.isascii() and version.isdecimal() else None


def _thing(post: str) -> str:
    return f"{post}/comments"
