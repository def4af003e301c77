"""What a stream is read for, partition by partition: each under its own lease, and with a position of its own.

A stream is opened at the lowest position of its partitions, and again when it is given one. What is read for the others
then comes once more, and counts once by its ids. The position of a partition is written after everything up to there.
"""

import asyncio
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from rapport.contracts.cursors import Position, name_of_partition, position_key
from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.source import Source, start_of
from services.ingest.connectors.ledger import Ledger
from services.ingest.connectors.older_ledger import OlderLedger
from services.ingest.connectors.seen import Seen, UnsavedLedger
from services.ingest.leases.leases import Lease, Leases, LostError

UNSURE_SECONDS = 0.25
"""Until it is looked again whether a lease holds."""
POSITION_SECONDS = 10.0
"""How often positions are written while the stream brings nothing for any account. So much is read again at most, which
costs some thousand frames, and saves the topic ten times as many records."""
LONGEST_NAME = 400


@dataclass(eq=False)
class Part:
    """The accounts of one partition, as long as one lease lasts."""

    lease: Lease
    watched: tuple[Watched, ...] = ()
    known: bool = False
    """Whether what follows was looked up."""
    position: int | None = None
    """Everything up to there is in the log, for the accounts of `joined`."""
    joined: frozenset[str] = frozenset()
    noted: frozenset[str] | None = None
    """Whom the topic names in their place."""
    ahead: bool = False
    """Whether the stream is read further back, for others. Until it gets there, the position stays."""
    kept_at: float = -math.inf

    def accounts(self) -> frozenset[str]:
        """The ids of its accounts."""
        return frozenset(one.account.id for one in self.watched)


class Parts:
    """Of one source. For one event loop."""

    def __init__(self, source: Source, leases: Leases, ledger: Ledger, older: OlderLedger) -> None:
        self._source = source
        self._leases = leases
        self._ledger = ledger
        self._older = older
        self._parts: dict[int, Part] = {}

    def watch(self, watched: Iterable[tuple[Lease, Watched]]) -> bool:
        """Reads for exactly these from now on; whether that has to begin further back."""
        by_lease: dict[Lease, list[Watched]] = {}
        for lease, one in watched:
            by_lease.setdefault(lease, []).append(one)
        before, self._parts = self._parts, {}
        back = False
        for lease, its in by_lease.items():
            part = before.get(lease.partition)
            if part is None or part.lease is not lease:
                part = Part(lease, tuple(its))
                back = not self._reads_along(part) or back
            part.watched = tuple(its)
            self._parts[lease.partition] = part
            if part.joined != part.accounts():
                back = True  # also for a relay: whom it is read for has to be noted
                # Who is not read for any more is new if they come back.
                part.joined &= part.accounts()
        return back

    def _reads_along(self, part: Part) -> bool:
        """Whether nobody has read for its accounts before, and nothing of the past is to be had for them either."""
        try:
            self._look_up(part)
        except sqlite3.Error:
            return False
        part.known = not self._source.timed and part.position is None
        if part.known:
            part.joined = part.accounts()
        return part.known

    def all(self) -> list[Part]:
        """Those whose leases have not ended."""
        return [part for part in self._parts.values() if not part.lease.ended]

    def read(self) -> list[Part]:
        """Those that the stream was opened for."""
        return [part for part in self.all() if part.known]

    def unsure(self) -> set[str]:
        """The accounts that may be another process's."""
        return {
            account
            for part in self._parts.values()
            if not self._leases.holds(part.lease)
            for account in part.accounts()
        }

    async def certain(self) -> None:
        """Returns once every lease either holds or has ended."""
        while not all(self._leases.holds(part.lease) for part in self.all()):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(UNSURE_SECONDS)

    async def open_at(self, now: datetime) -> int | None:
        """Where to begin reading; None for now. It is noted before anything is read.

        Raises LostError, NotAcknowledgedError and sqlite3.Error.
        """
        await self.certain()
        for part in self.all():
            if not part.known:
                self._look_up(part)
                if self._source.timed and part.position is not None:
                    # What was before they were connected is nobody's any more.
                    first = min(one.account.connected_at for one in part.watched)
                    part.position = max(part.position, int(first.timestamp() * 1_000_000))
            start, accounts = part.position, part.accounts()
            if self._source.timed and start is not None:
                start = start_of(start, now, now)  # a server's clock may have been wrong
            changed, first_time = accounts != part.noted, part.noted is None
            for one in part.watched:
                if self._source.timed and one.account.id not in part.joined:
                    start = start_of(start, one.account.connected_at, now)
            key = self._key(part, self._name)
            if start is None and self._leases.get(key) is not None:
                await self._leases.put(part.lease, (), [key])  # it is of accounts that are not read for any more
            if changed or start != part.position:
                # In this order: without the second, everybody is new.
                position = [] if start is None else [self._position(part, start)]
                await self._leases.put(part.lease, [*position, self._joined(part, accounts)])
            part.position, part.joined, part.noted = start, accounts, accounts
            if first_time:
                self._older.took_over(self._source.address, accounts)
        lowest = min((part.position for part in self.all() if part.position is not None), default=None)
        for part in self.all():
            part.ahead = part.position is not None and part.position != lowest
        return lowest

    async def forget(self) -> None:
        """Drops the positions, because the server says that it never reached them."""
        for part in self.all():
            await self._leases.put(part.lease, (), [self._key(part, self._name)])
            part.position = None

    async def still(self, parts: Sequence[Part]) -> list[Part]:
        """Those of `parts` that are still this process's, once that is certain: for these it may write at once."""
        await self.certain()
        return [part for part in parts if self._leases.holds(part.lease)]

    async def keep(
        self, parts: Sequence[Part], position: int | None, unsaved: UnsavedLedger, clock: float, brought: set[str]
    ) -> None:
        """Saves what was noted and how far was read, once that is in the log for all of `parts`.

        `brought` are the accounts that something was brought for. Raises as `open_at`.
        """
        by_lease: dict[Lease, tuple[list[Seen], dict[tuple[str, str], Seen]]] = {}
        lease_of = {account: part.lease for part in parts for account in part.accounts()}
        for seen in unsaved.noted():
            if (lease := lease_of.get(seen.account)) is not None and seen.uri not in unsaved.gone:
                by_lease.setdefault(lease, ([], {}))[0].append(seen)
        for uri in unsaved.gone:
            # Also of accounts that are not read for any more: what is gone need not be known for good.
            for lease, seen in self._ledger.elsewhere(uri):
                by_lease.setdefault(lease, ([], {}))[1][seen.account, uri] = seen
            for account, seen in unsaved.find(uri).items():
                if (lease := lease_of.get(account)) is not None:
                    by_lease.setdefault(lease, ([], {}))[1][account, uri] = seen
        later: dict[Lease, list[Position]] = {}
        for part in parts:
            if part.ahead and position is not None and part.position is not None:
                part.ahead = position < part.position
            due = clock - part.kept_at >= POSITION_SECONDS or part.lease in by_lease or part.accounts() & brought
            if position is not None and due and not part.ahead and position != part.position:
                later[part.lease] = [self._position(part, position)]
                if part.joined != part.noted:
                    later[part.lease].append(self._joined(part, part.joined))
        wanted = [*by_lease, *(lease for lease in later if lease not in by_lease)]
        results = await asyncio.gather(
            *(self._keep(lease, *by_lease.get(lease, ([], {})), later.get(lease, ())) for lease in wanted),
            return_exceptions=True,
        )
        failed = {lease: error for lease, error in zip(wanted, results, strict=True) if error is not None}
        for part in parts:
            if part.lease in failed:
                continue
            if position is not None and not part.ahead:
                part.position = position
            if part.lease in later:
                part.kept_at = clock
                part.noted = part.joined
        for error in failed.values():
            raise error

    async def _keep(
        self, lease: Lease, seen: Sequence[Seen], gone: dict[tuple[str, str], Seen], more: Sequence[Position]
    ) -> None:
        while not lease.ended:
            try:
                await self._ledger.keep(lease, seen, gone.values(), more)
                return
            except LostError:  # or it is only not certain at the moment
                await asyncio.sleep(UNSURE_SECONDS)

    def _look_up(self, part: Part) -> None:
        found = self._leases.get(self._key(part, self._name))
        joined = self._leases.get(self._key(part, self._name_of_joined))
        part.position = int(found.position) if isinstance(found, Position) else None
        part.noted = frozenset(joined.accounts) if isinstance(joined, Position) else None
        part.joined = (part.noted or frozenset()) & part.accounts()
        if part.noted is None and found is None:
            # Nobody has read it under a lease yet: an older version may have, and only for these.
            part.joined = self._older.joined(self._source.address) & part.accounts()
            part.position = self._older.position(self._source.address) if part.joined else None
        if part.noted is not None and not part.joined:
            part.position = None  # nobody has read for these, and where the others were left may be long ago
        part.known = True

    @property
    def _name(self) -> str:
        address = self._source.address
        return f"{PLATFORM} {address if len(address) <= LONGEST_NAME else sha256(address.encode()).hexdigest()}"

    @property
    def _name_of_joined(self) -> str:
        return f"{self._name} accounts"

    def _key(self, part: Part, name: str) -> bytes:
        return position_key(name_of_partition(part.lease.partition), name)

    def _position(self, part: Part, position: int) -> Position:
        return Position(
            account=name_of_partition(part.lease.partition), list=self._name, position=str(position),
            claim=part.lease.claim,
        )  # fmt: skip

    def _joined(self, part: Part, accounts: frozenset[str]) -> Position:
        return Position(
            account=name_of_partition(part.lease.partition), list=self._name_of_joined, position="joined",
            claim=part.lease.claim, accounts=tuple(sorted(accounts)),
        )  # fmt: skip
