"""The Bluesky connector: reads each stream once for those of its accounts that this process has the lease of."""

import asyncio
import contextlib
import logging
import sqlite3
from pathlib import Path

from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.names.handles import Handles
from services.ingest.connectors.bluesky.names.resolver import DomainResolver
from services.ingest.connectors.bluesky.names.verified import VerifiedHandles
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.bluesky.source import Source, UnusableConnectionError, source_of
from services.ingest.connectors.bluesky.stream import Stream
from services.ingest.connectors.connector import Accounts, Shared
from services.ingest.connectors.ledger import Ledger
from services.ingest.connectors.older_ledger import OlderLedger
from services.ingest.leases.leases import Lease, Leases
from services.ingest.leases.rows import is_broken

PRUNE_SECONDS = 3_600.0
FILE = "bluesky.sqlite"
DAMAGED = ".damaged"


def opened(path: Path, log: logging.Logger) -> tuple[OlderLedger, VerifiedHandles]:
    """What the file at `path` holds. One that is damaged is put aside, because all other platforms wait behind it.

    Raises sqlite3.Error and OSError.
    """
    try:
        return _opened(path)
    except sqlite3.Error as error:
        if not is_broken(error):
            raise
        log.error("%s is damaged, and is kept as %s%s beside an empty one: %s", path, path.name, DAMAGED, error)
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{end}").replace(f"{path}{DAMAGED}{end}")
        return _opened(path)


def _opened(path: Path) -> tuple[OlderLedger, VerifiedHandles]:
    older = OlderLedger(path)
    try:
        return older, VerifiedHandles(path)
    except BaseException:
        older.close()
        raise


class Bluesky:
    """A Connector. Within its brand, an account is told apart by its DID."""

    def __init__(self, settings: BlueskySettings, leases: Leases, shared: Shared) -> None:
        self._shared = shared
        self._log = shared.log
        self._leases = leases
        self._older, self._verified = opened(shared.folder / FILE, shared.log)
        self._ledger = Ledger(PLATFORM, leases, self._older, shared.now, shared.log)
        resolver = DomainResolver.usual(allow_private=settings.allow_private)
        self._handles = Handles(settings.plc_directory, self._verified, shared.log, resolver)
        self._streams: dict[Source, Stream] = {}
        self._complaints: dict[str, str] = {}
        self._accounts: Accounts = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._streamed: set[str] = set()
        self._closed = False
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._prune()), loop.create_task(self._ledger.move(self._brands))]

    def follow(self, accounts: Accounts) -> None:
        """See Connector. Accounts whose connection names no stream are not read.

        Also called when leases came or went.
        """
        if self._closed:
            return
        self._accounts = accounts
        wanted = self._wanted(accounts)
        for source in set(self._streams) - set(wanted):
            self._end(source, self._streams.pop(source))
        for source, watched in wanted.items():
            stream = self._streams.get(source)
            if stream is None:
                stream = self._streams[source] = Stream(
                    source, self._leases, self._ledger, self._older, self._handles, self._shared
                )
            stream.watch(watched)

    def behind(self) -> set[str]:
        """See Connector: a stream is broken or catching up, a connection cannot be used, or nobody may read it yet."""
        unread = {name for name in self._streamed if not self._leases.knows(self._accounts[name][0])}
        return unread.union(self._complaints, *(stream.behind() for stream in self._streams.values()))

    def disconnected(self) -> set[str]:
        """See Connector: a stream is broken, or a connection cannot be used."""
        return set(self._complaints).union(*(stream.disconnected() for stream in self._streams.values()))

    async def close(self) -> None:
        """See Connector."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for source, stream in self._streams.items():
            self._end(source, stream)
        await asyncio.gather(*self._tasks, *self._ending, return_exceptions=True)
        await self._handles.close()
        self._verified.close()
        self._older.close()

    def _end(self, source: Source, stream: Stream) -> None:
        stream.stop()
        task = asyncio.get_running_loop().create_task(self._ended(source, stream))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _ended(self, source: Source, stream: Stream) -> None:
        await stream.ended()
        if self._closed or source not in self._streams:  # else it is read again, and the metrics are the new one's
            stream.unsay()

    def _brands(self) -> dict[str, str]:
        return {name: brand for name, (brand, _) in self._accounts.items()}

    def _wanted(self, accounts: Accounts) -> dict[Source, list[tuple[Lease, Watched]]]:
        own: dict[str, list[str]] = {}
        for brand, account in sorted(accounts.values(), key=lambda one: (one[1].connected_at, one[1].id)):
            own.setdefault(brand, []).extend(filter(None, [account.connection.get("did")]))
        wanted: dict[Source, list[tuple[Lease, Watched]]] = {}
        complaints: dict[str, str] = {}
        self._streamed = set()
        for brand, account in accounts.values():
            try:
                source = source_of(account.connection)
            except UnusableConnectionError as error:
                complaints[account.id] = str(error)
                continue
            if source is None:
                continue
            self._streamed.add(account.id)
            lease = self._leases.of(brand)
            if lease is not None:
                dids = own[brand]
                one = Watched(brand, account, account.connection["did"], frozenset(dids), dids[0])
                wanted.setdefault(source, []).append((lease, one))
        for account_id, why in complaints.items():
            if self._complaints.get(account_id) != why:
                self._log.error("account %s is not read from Bluesky: %s", account_id, why)
        self._complaints = complaints
        return wanted

    async def _prune(self) -> None:
        while True:
            self._verified.prune(self._shared.now())
            await asyncio.sleep(PRUNE_SECONDS)
