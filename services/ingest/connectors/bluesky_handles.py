"""Handles of followers: the streams carry DIDs only, and people read names.

A did:plc is looked up in the PLC directory (https://web.plc.directory); any other DID keeps no handle, because asking
for it would mean a request to an address that a stranger chose.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

import httpx
import msgspec

from services.ingest.connectors.ledger import Ledger

DIRECTORY = "https://plc.directory"
ASK_SECONDS = 2.0
"""How long an interaction waits for its author's name. It is a nicety; the clock of an answer is not."""
PAUSE_SECONDS = 60.0
"""A directory that did not answer is left alone this long, so that it delays next to nothing."""
KEPT = timedelta(days=7)
"""People change their handles now and then."""
AT_ONCE = 10


class _Document(msgspec.Struct):
    alsoKnownAs: list[str] = []  # noqa: N815 - the name in a DID document


class Handles:
    """For one directory and one event loop."""

    def __init__(self, directory: str, ledger: Ledger, log: logging.Logger) -> None:
        self._directory = directory
        self._ledger = ledger
        self._log = log
        self._client = httpx.AsyncClient(base_url=directory, timeout=ASK_SECONDS)
        self._paused_until = 0.0

    async def of(self, dids: Iterable[str], now: datetime) -> dict[str, str]:
        """The handles that are known or can be found within ASK_SECONDS. Never raises for the directory's sake."""
        wanted = {did for did in dids if did.startswith("did:plc:")}
        known = self._ledger.handles(wanted, now - KEPT)
        missing = wanted - set(known)
        if missing and time.monotonic() >= self._paused_until:
            places = asyncio.Semaphore(AT_ONCE)
            try:
                async with asyncio.timeout(ASK_SECONDS), asyncio.TaskGroup() as group:
                    for did in missing:
                        group.create_task(self._ask(did, places, known))
            except (TimeoutError, ExceptionGroup) as error:
                self._paused_until = time.monotonic() + PAUSE_SECONDS
                causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
                self._log.warning("%s names nobody at the moment: %s", self._directory, causes[0] or "no answer")
            self._ledger.name({did: known[did] for did in missing & set(known)}, now)
        return {did: handle for did, handle in known.items() if handle}

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    async def _ask(self, did: str, places: asyncio.Semaphore, known: dict[str, str]) -> None:
        async with places:
            answer = await self._client.get(f"/{did}")
        try:
            also = msgspec.json.decode(answer.content, type=_Document).alsoKnownAs if answer.is_success else []
        except msgspec.DecodeError:
            also = []
        known[did] = next((name.removeprefix("at://") for name in also if name.startswith("at://")), "")
