"""The Bluesky connector: reads each stream once for all the accounts that are connected to it."""

import asyncio

from services.ingest.connectors.bluesky.handles import Handles
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.resolver import DomainResolver
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.bluesky.source import Source, UnusableConnectionError, source_of
from services.ingest.connectors.bluesky.stream import Stream
from services.ingest.connectors.bluesky.verified import VerifiedHandles
from services.ingest.connectors.connector import Accounts, Shared
from services.ingest.connectors.ledger import Ledger

PRUNE_SECONDS = 3_600.0
FILE = "bluesky.sqlite"


class Bluesky:
    """A Connector. Within its brand, an account is told apart by its DID."""

    def __init__(self, settings: BlueskySettings, shared: Shared) -> None:
        self._shared = shared
        self._log = shared.log
        self._ledger = Ledger(shared.folder / FILE)
        self._verified = VerifiedHandles(shared.folder / FILE)
        resolver = DomainResolver.usual(allow_private=settings.allow_private)
        self._handles = Handles(settings.plc_directory, self._verified, shared.log, resolver)
        self._streams: dict[Source, Stream] = {}
        self._complaints: dict[str, str] = {}
        self._pruning = asyncio.get_running_loop().create_task(self._prune())

    def follow(self, accounts: Accounts) -> None:
        """See Connector. Accounts whose connection names no stream are not read."""
        wanted = self._wanted(accounts)
        for source in set(self._streams) - set(wanted):
            self._streams.pop(source).stop()
        for source, watched in wanted.items():
            stream = self._streams.get(source)
            if stream is None:
                stream = self._streams[source] = Stream(source, self._ledger, self._handles, self._shared)
            stream.watch(watched)

    def behind(self) -> set[str]:
        """See Connector: a stream is broken or catching up, or a connection cannot be used."""
        return set(self._complaints).union(*(stream.behind() for stream in self._streams.values()))

    def disconnected(self) -> set[str]:
        """See Connector: a stream is broken, or a connection cannot be used."""
        return set(self._complaints).union(*(stream.disconnected() for stream in self._streams.values()))

    async def close(self) -> None:
        """See Connector."""
        self._pruning.cancel()
        streams = list(self._streams.values())
        for stream in streams:
            stream.stop()
        await asyncio.gather(self._pruning, *(stream.ended() for stream in streams), return_exceptions=True)
        await self._handles.close()
        self._verified.close()
        self._ledger.close()

    def _wanted(self, accounts: Accounts) -> dict[Source, list[Watched]]:
        own: dict[str, set[str]] = {}
        for brand, account in accounts.values():
            own.setdefault(brand, set()).add(account.connection.get("did", ""))
        wanted: dict[Source, list[Watched]] = {}
        complaints: dict[str, str] = {}
        for brand, account in accounts.values():
            try:
                source = source_of(account.connection)
            except UnusableConnectionError as error:
                complaints[account.id] = str(error)
                continue
            if source is not None:
                did = account.connection["did"]
                wanted.setdefault(source, []).append(Watched(brand, account, did, frozenset(own[brand])))
        for account_id, why in complaints.items():
            if self._complaints.get(account_id) != why:
                self._log.error("account %s is not read from Bluesky: %s", account_id, why)
        self._complaints = complaints
        return wanted

    async def _prune(self) -> None:
        while True:
            now = self._shared.now()
            self._verified.prune(now)
            if dropped := self._ledger.prune(now):
                self._log.info("dropped %d records from the ledger that were deleted over 90 days ago", dropped)
            await asyncio.sleep(PRUNE_SECONDS)
