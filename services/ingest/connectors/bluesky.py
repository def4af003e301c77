"""Bluesky: reads the network's streams for every account that is connected to one, each stream once for all of them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from rapport.contracts.events import Account
from rapport.kit.outgoing import Guard
from services.ingest.broker import Broker
from services.ingest.connectors.bluesky_facts import PLATFORM, Watched
from services.ingest.connectors.bluesky_handles import Handles
from services.ingest.connectors.bluesky_resolver import Resolver
from services.ingest.connectors.bluesky_source import Source, UnusableConnectionError, source_of
from services.ingest.connectors.bluesky_stream import Stream
from services.ingest.connectors.ledger import Ledger

PRUNE_SECONDS = 3_600.0


class Bluesky:
    """The readers of all streams. For one event loop."""

    def __init__(
        self,
        folder: Path,
        directory: str,
        broker: Broker,
        now: Callable[[], datetime],
        log: logging.Logger,
        guard: Guard,
        resolver: Resolver,
    ) -> None:
        """`folder` keeps the ledger; `directory` is the PLC directory's address; `now` gives UTC.

        `guard` decides which addresses of connections are called, `resolver` tells where handles lead.
        """
        self._ledger = Ledger(folder / "bluesky.sqlite")
        self._handles = Handles(directory, self._ledger, log, resolver)
        self._broker = broker
        self._guard = guard
        self._now = now
        self._log = log
        self._streams: dict[Source, Stream] = {}
        self._complaints: dict[str, str] = {}
        self._pruning = asyncio.get_running_loop().create_task(self._prune())

    def follow(self, accounts: Mapping[str, tuple[str, Account]]) -> None:
        """Reads from now on for exactly these accounts (brand and account by id) as far as they are on Bluesky."""
        wanted = self._wanted(accounts)
        for source in set(self._streams) - set(wanted):
            self._streams.pop(source).stop()
        for source, watched in wanted.items():
            stream = self._streams.get(source)
            if stream is None:
                stream = self._streams[source] = Stream(
                    source, self._ledger, self._handles, self._broker, self._now, self._log, self._guard
                )
            stream.watch(watched)

    def behind(self) -> set[str]:
        """The accounts of which not everything may have been read: a stream is broken, catches up, or cannot be."""
        found = set(self._complaints)
        for stream in self._streams.values():
            found |= stream.behind()
        return found

    def disconnected(self) -> set[str]:
        """Of these, the accounts that nothing is read of: a stream is broken, or cannot be."""
        return set(self._complaints).union(*(stream.disconnected() for stream in self._streams.values()))

    async def close(self) -> None:
        """Ends all readers. What the broker has not confirmed is read again at the next start."""
        self._pruning.cancel()
        streams = list(self._streams.values())
        for stream in streams:
            stream.stop()
        await asyncio.gather(self._pruning, *(stream.ended() for stream in streams), return_exceptions=True)
        await self._handles.close()
        self._ledger.close()

    def _wanted(self, accounts: Mapping[str, tuple[str, Account]]) -> dict[Source, list[Watched]]:
        ours = [(brand, account) for brand, account in accounts.values() if account.platform == PLATFORM]
        own: dict[str, set[str]] = {}
        for brand, account in ours:
            own.setdefault(brand, set()).add(account.connection.get("did", ""))
        found: dict[Source, list[Watched]] = {}
        complaints: dict[str, str] = {}
        for brand, account in ours:
            try:
                source = source_of(account.connection)
            except UnusableConnectionError as error:
                complaints[account.id] = str(error)
                continue
            if source is not None:
                did = account.connection["did"]
                found.setdefault(source, []).append(Watched(brand, account, did, frozenset(own[brand])))
        for account_id, why in complaints.items():
            if self._complaints.get(account_id) != why:
                self._log.error("account %s is not read from Bluesky: %s", account_id, why)
        self._complaints = complaints
        return found

    async def _prune(self) -> None:
        while True:
            if dropped := self._ledger.prune(self._now()):
                self._log.info("the ledger forgets %d records that were deleted over 90 days ago", dropped)
            await asyncio.sleep(PRUNE_SECONDS)
