"""What is noted of the records of a stream that names nothing but an address when one of them is deleted.

It is remembered in the cursors topic, under the lease of the account that it concerns: so whoever reads the account
next knows it too. What a file of an older version holds is moved there in the background, and looked at meanwhile.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from rapport.contracts import codec
from rapport.contracts.cursors import Cursor, Remembered, thing_key
from services.ingest import metrics
from services.ingest.broker import LARGEST_VALUE
from services.ingest.connectors.older_ledger import KEPT, Entry, OlderLedger, count
from services.ingest.connectors.seen import Seen
from services.ingest.leases.leases import Lease, Leases, LostError
from services.ingest.leases.rows import is_broken

BEFORE_ALL_CLAIMS = -1
"""Under which what is moved is written: whatever was noted by this version counts more."""
MOVED_AT_ONCE = 500
PAUSE_SECONDS = 0.05
"""Between two lots, so that what happens now goes first."""
AGAIN_SECONDS = 5.0
"""Until it is looked again whether more of it can be moved."""
THROUGH_AGAIN = timedelta(days=1)
"""When all of the file is read again although nothing more can be moved: some of it need not be known any more."""
_BEGINNING = ("", "")
_CHECK = msgspec.json.Decoder(Remembered)


class Ledger:
    """Of one platform. For one event loop. Raises sqlite3.Error where what is remembered cannot be read."""

    def __init__(
        self, platform: str, leases: Leases, older: OlderLedger, now: Callable[[], datetime], log: logging.Logger
    ) -> None:
        self._platform = platform
        self._leases = leases
        self._older = older
        self._now = now
        self._log = log
        # What is noted and what is moved must not overtake one another: the topic keeps what comes last of a key.
        self._one_at_a_time = asyncio.Lock()
        self._after = _BEGINNING
        self._moving: frozenset[str] = frozenset()
        """The accounts that everything is moved of, from the beginning of the file up to there."""
        self._moved: frozenset[str] = frozenset()
        self._through_at: datetime | None = None

    def find(self, uri: str) -> list[Seen]:
        """What was noted under an address, by account."""
        found = {each.account: _seen(each) for _, each in self._leases.find(uri)}
        return list(({each.account: each for each in self._older.find(uri)} | found).values())

    def known_to(self, follower: str) -> set[str]:
        """The accounts for which something by a person was noted."""
        return self._leases.known_to(follower) | self._older.known_to(follower)

    def elsewhere(self, uri: str) -> list[tuple[Lease, Seen]]:
        """What was noted under an address in any partition that this process reads, whosever account it was."""
        held = self._leases.held()
        return [(held[partition], _seen(each)) for partition, each in self._leases.find(uri) if partition in held]

    async def keep(self, lease: Lease, seen: Iterable[Seen], gone: Iterable[Seen], more: Sequence[Cursor] = ()) -> None:
        """Notes what was seen and what is gone, and `more` after it. Raises LostError and NotAcknowledgedError."""
        now = self._now()
        things = [self._remembered(each, lease.claim, now, None) for each in seen]
        things += [self._remembered(each, lease.claim, now, now) for each in gone]
        cursors = [*filter(None, things), *more]
        if not cursors:
            return
        async with self._one_at_a_time if self._older.left else contextlib.nullcontext():
            await self._leases.put(lease, cursors)

    async def move(self, brands: Callable[[], Mapping[str, str]]) -> None:
        """Moves what is in the file of an older version, as far as its accounts are read here. Ends when it is empty.

        `brands` gives the brand of each account that is connected now.
        """
        if self._older.left:
            with contextlib.suppress(sqlite3.DatabaseError):
                metrics.UNMOVED.labels(self._platform).set(await asyncio.to_thread(count, self._older.path))
        while self._older.left:
            try:
                done = await self._move_some(brands())
            except Exception as error:  # it is tried again
                if is_broken(error):
                    self._older.give_up(error)
                    return  # how many were left is told on
                self._log.warning("older entries of the ledger wait: %s: %s", type(error).__name__, error)
                done = False
            await asyncio.sleep(PAUSE_SECONDS if done else AGAIN_SECONDS)
        if not self._older.broken:
            metrics.UNMOVED.labels(self._platform).set(0)

    async def _move_some(self, brands: Mapping[str, str]) -> bool:
        """Whether anything could be moved, or there is more behind what could not.

        The file is read from its beginning to its end for the accounts that are here, and again when more are. Millions
        may be in it of accounts that are not connected any more.
        """
        async with self._one_at_a_time:
            now, leases = self._now(), self._here(brands)
            if self._after == _BEGINNING:
                recent = self._through_at is not None and now - self._through_at < THROUGH_AGAIN
                if recent and leases.keys() <= self._moved:
                    return False
                self._moving = frozenset(leases)
            self._moving &= leases.keys()
            entries = self._older.some(self._after, MOVED_AT_ONCE)
            outlived = [each.seen for each in entries if each.gone_at is not None and each.gone_at < now - KEPT]
            by_lease: dict[Lease, list[Entry]] = {}
            for each in entries:
                if (held := leases.get(each.seen.account)) is not None and each.seen not in outlived:
                    by_lease.setdefault(held, []).append(each)
            moved = list(outlived)
            for lease, found in by_lease.items():
                if await self._put(lease, found):
                    moved += [each.seen for each in found]
                else:
                    self._moving -= {each.seen.account for each in found}
            self._older.drop(moved)
            if len(entries) == MOVED_AT_ONCE:
                self._after = (entries[-1].seen.uri, entries[-1].seen.account)
            else:
                self._after, self._through_at = _BEGINNING, now
                self._moved |= self._moving
        metrics.UNMOVED.labels(self._platform).dec(len(moved))
        if moved and not self._older.left:
            self._log.info("the %s ledger of the older version has moved", self._platform)
        return bool(moved) or len(entries) == MOVED_AT_ONCE

    def _here(self, brands: Mapping[str, str]) -> dict[str, Lease]:
        """The accounts that this process reads now, with their leases."""
        found = ((account, self._leases.of(brand)) for account, brand in brands.items())
        return {account: lease for account, lease in found if lease is not None and self._leases.holds(lease)}

    async def _put(self, lease: Lease, entries: Sequence[Entry]) -> bool:
        """Whether the topic has them now."""
        fresh = [each for each in entries if self._leases.get(thing_key(each.seen.account, each.seen.uri)) is None]
        things = [self._remembered(each.seen, BEFORE_ALL_CLAIMS, each.seen_at, each.gone_at) for each in fresh]
        try:
            await self._leases.put(lease, [each for each in things if each is not None])
        except LostError:
            return False
        return True

    def _remembered(self, seen: Seen, claim: int, seen_at: datetime, gone_at: datetime | None) -> Remembered | None:
        """What is written of it. None where a stranger made it too large: its interaction is left out and counted."""
        made = Remembered(
            account=seen.account, thing=seen.uri, kind=seen.kind, actor=seen.follower, conversation=seen.conversation,
            seen_at=seen_at, claim=claim, thread=seen.thread, post=seen.post, version=seen.rev, parent=seen.parent,
            hidden=tuple((seen.hidden or "").split()), lasting=True, gone_at=gone_at,
        )  # fmt: skip
        try:
            value = codec.encode(made)
            _CHECK.decode(value)
            if len(value) > LARGEST_VALUE:
                raise ValueError(f"{len(value)} bytes; at most {LARGEST_VALUE} can be noted")
        except (ValueError, msgspec.MsgspecError) as error:
            self._log.warning("%s: %.300s is not noted: %.300s", self._platform, seen.uri, error)
            return None
        return made


def _seen(found: Remembered) -> Seen:
    return Seen(
        uri=found.thing, account=found.account, kind=found.kind, conversation=found.conversation, thread=found.thread,
        post=found.post, follower=found.actor, parent=found.parent, rev=found.version or "",
        hidden=" ".join(found.hidden) or None,
    )  # fmt: skip
