"""One account that is read under a lease: what is remembered of it, and how what it brings gets into the log."""

import logging
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rapport.contracts.controls import FollowerAway
from rapport.contracts.cursors import AccountState, Cursor, Position, Remembered, position_key, state_key, thing_key
from rapport.contracts.events import Account, Interaction
from services.ingest import metrics
from services.ingest.connectors.intake import Intake
from services.ingest.hooks.delivery import Delivery
from services.ingest.leases.leases import Lease, Leases, LostError
from services.ingest.polling.api import AwayError
from services.ingest.polling.told import CLOCKS, POSTS_LATE, Told

ITSELF = "itself"
MOST_SKIPPED = 100
"""Kinds of problems that are told of an account."""
_NUMBERED = re.compile(r"\[\d+\]")
MOST_STREAMED = 2_000
"""How many of the newest interactions of a stream are known by id, to tell what it left out."""


class Reading:
    """For one event loop. Everything raises LostError once the account is another process's, and AwayError if what is
    remembered could not be read since the last time.
    """

    def __init__(
        self, account: Account, lease: Lease, leases: Leases, intake: Intake, now: Callable[[], datetime]
    ) -> None:
        self.account = account
        self.now = now
        self._lease = lease
        self._leases = leases
        self._intake = intake
        self._streamed: dict[str, None] = {}
        self._skipped: set[str] = set()
        self._streaming_since: datetime | None = None
        self._unread: sqlite3.Error | None = None
        before = self.state()
        self.latest_at = before.latest_at if before else None
        """When the newest interaction that was read occurred."""

    @property
    def claim(self) -> int:
        """The number of the claim that it is read under."""
        return self._lease.claim

    def allowed(self) -> bool:
        """Whether it may be read now."""
        return self._leases.holds(self._lease)

    def lost(self) -> bool:
        """Whether it will never be read under this lease again."""
        return self._lease.ended

    def position(self, list_: str) -> str | None:
        """How far a list has been read."""
        found = self._get(position_key(self.account.id, list_))
        return found.position if isinstance(found, Position) else None

    def read_to(self, list_: str) -> datetime | None:
        """Until when a list has been read, of those whose position is a time; None where that is not known.

        A time that is still to come was written while a clock was wrong, and says nothing.
        """
        found = self.position(list_)
        try:
            at = datetime.fromisoformat(found).astimezone(UTC) if found else None
        except (ValueError, OverflowError):
            return None
        return at if at is not None and at <= self.now() + CLOCKS else None

    def known_to(self, list_: str) -> datetime:
        """Until when a list has been read, of those whose position is a time: nothing is wanted from before the account
        was connected, or connected again.
        """
        connected_at = self.account.connected_at
        return max(connected_at, self.read_to(list_) or connected_at)

    def posts_since(self, list_: str) -> datetime:
        """From when on the account's own posts of a list are told, if they were not yet: one may be listed late."""
        return max(self.account.connected_at - CLOCKS, self.known_to(list_) - POSTS_LATE)

    def itself(self) -> str | None:
        """The account's own id on the platform, as it was last known."""
        try:
            found = self._leases.get(position_key(self.account.id, ITSELF))
        except sqlite3.Error:
            return None
        return found.position if isinstance(found, Position) else None

    async def known_as(self, its_id: str) -> None:
        """Remembers the account's own id. Raises as `found`."""
        await self.found([], [], [], ITSELF, its_id)

    def remembered(self, thing: str) -> Remembered | None:
        """What somebody wrote, by its id on the platform."""
        found = self._get(thing_key(self.account.id, thing))
        return found if isinstance(found, Remembered) else None

    def state(self) -> AccountState | None:
        """How the account stood when that was last written."""
        try:
            found = self._leases.get(state_key(self.account.id))
        except sqlite3.Error:
            return None
        return found if isinstance(found, AccountState) else None

    def tell_skipped(self, found: Delivery, log: logging.Logger) -> None:
        """Logs what cannot be read of what came, and counts it: each kind once, for it may be there at each look."""
        for where, why in found.problems:
            kind = f"{_NUMBERED.sub('', where)}: {why}"
            if kind in self._skipped or len(self._skipped) >= MOST_SKIPPED:
                continue
            self._skipped.add(kind)
            metrics.REJECTED.labels(self.account.platform, "change").inc()
            log.error("%s %s: %s is skipped: %s", self.account.platform, self.account.id, where, why)

    def streaming(self, since: datetime | None) -> None:
        """Notes since when a stream brings what happens; None while none is open."""
        self._streaming_since = since
        self._streamed.clear()

    async def took(
        self, interactions: Sequence[Interaction], away: Iterable[FollowerAway], things: Iterable[Remembered]
    ) -> None:
        """Puts what a stream brought into the log. Raises LostError and NotAcknowledgedError."""
        await self._append(interactions, away)
        for one in interactions:
            self._streamed[one.id] = None
        while len(self._streamed) > MOST_STREAMED:
            del self._streamed[next(iter(self._streamed))]
        await self._remember(list(things))

    async def found(
        self,
        interactions: Sequence[Interaction],
        away: Iterable[FollowerAway],
        things: Iterable[Remembered],
        list_: str,
        position: str | None,
    ) -> None:
        """Puts what asking brought into the log, and only then notes how far the list has been read.

        Raises LostError and NotAcknowledgedError.
        """
        await self._append(interactions, away)
        since = self._streaming_since
        if since is not None:
            missed = [one for one in interactions if one.occurred_at > since and one.id not in self._streamed]
            metrics.REPAIRED.labels(self.account.platform).inc(len(missed))
        cursors: list[Cursor] = list(things)
        if position is not None and position != self.position(list_):
            cursors.append(Position(account=self.account.id, list=list_, position=position, claim=self.claim))
        await self._remember(cursors)

    async def tell(
        self, found: Delivery, told: Told, list_: str, log: logging.Logger, since: datetime | None = None
    ) -> None:  # fmt: skip
        """Puts into the log what asking brought, but for what was told before, and what is older than `since`.

        Raises as `found`.
        """
        self.tell_skipped(found, log)
        fresh = told.fresh(one for one in found.interactions if since is None or one.occurred_at >= since)
        await self.found(fresh, [], [], list_, None)
        told.keep(fresh)

    def tell_too_many(self, posts: int, log: logging.Logger) -> None:
        """Logs that more posts are new than are read at once."""
        log.error(
            "%s %s: more than %d new posts; the oldest of them are not told",
            self.account.platform, self.account.id, posts,
        )  # fmt: skip

    async def stands(self, state: AccountState) -> None:
        """Writes how the account stands. Raises LostError and NotAcknowledgedError."""
        await self._remember([state])

    def _get(self, key: bytes) -> Any:
        try:
            return self._leases.get(key)
        except sqlite3.Error as error:
            self._unread = error
            raise

    async def _append(self, interactions: Sequence[Interaction], away: Iterable[FollowerAway]) -> None:
        if not self.allowed():
            raise LostError
        unread, self._unread = self._unread, None
        if unread is not None:
            # A normaliser took it for a mistake in one item and left that out. All of it is read again.
            raise AwayError(f"what is remembered cannot be read: {unread}")
        await self._intake.append(interactions, away)
        for one in interactions:
            if self.latest_at is None or one.occurred_at > self.latest_at:
                self.latest_at = one.occurred_at

    async def _remember(self, cursors: Sequence[Cursor]) -> None:
        if cursors:
            await self._leases.put(self._lease, cursors)
