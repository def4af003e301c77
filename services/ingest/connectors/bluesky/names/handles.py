"""Handles of followers: the streams carry DIDs only, and people read names.

A did:plc is looked up in the PLC directory (https://web.plc.directory). The handle in its document is a claim; it is
passed on only where it leads back to the same DID. Any other DID keeps no handle, because asking for its document would
mean a request to an address that a stranger chose.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

import httpx
import msgspec

from rapport.kit.log import pseudonym
from services.ingest.connectors.bluesky.names.resolver import Resolver, is_handle
from services.ingest.connectors.bluesky.names.verified import VerifiedHandles

DIRECTORY = "https://plc.directory"
ASK_SECONDS = 2.0
"""How long an interaction waits for its author's name, which is nice to have; a clock that starts in time is a must."""
PAUSE_SECONDS = 60.0
"""How long a directory that did not answer is left alone, so that it delays next to nothing."""
HURRY_SECONDS = 10.0
"""After a wait that gave nothing, nobody waits for this long. Otherwise strangers' hosts could slow down a stream."""
KEPT = timedelta(days=7)
"""People change their handles now and then."""
KEPT_RENAMED = timedelta(minutes=10)
"""How soon a handle is checked again once its owner has changed something. Anybody can do that again and again."""
KEPT_UNVERIFIED = timedelta(hours=1)
"""How soon a handle that did not lead back is checked again: its host may have been down."""
AT_ONCE = 10
MOST_ASKING = 200


class _Service(msgspec.Struct):
    id: str = ""
    serviceEndpoint: str = ""  # noqa: N815 - the names in a DID document


class _Document(msgspec.Struct):
    alsoKnownAs: list[str] = []  # noqa: N815
    service: list[_Service] = []

    def handle(self) -> str:
        """The handle that is claimed; empty if there is none."""
        names = (name.removeprefix("at://").lower() for name in self.alsoKnownAs if name.startswith("at://"))
        claimed = next(names, "")
        return claimed if is_handle(claimed) else ""

    def server(self) -> str | None:
        """The person's server."""
        return next((one.serviceEndpoint for one in self.service if one.id.endswith("#atproto_pds")), None)


class Handles:
    """For one directory and one event loop."""

    def __init__(self, directory: str, verified: VerifiedHandles, log: logging.Logger, resolver: Resolver) -> None:
        self._directory = directory
        self._verified = verified
        self._log = log
        self._resolver = resolver
        self._client = httpx.AsyncClient(base_url=directory, timeout=ASK_SECONDS)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._paused_until = 0.0
        self._hurried_until = 0.0

    async def of(self, dids: Iterable[str], now: datetime) -> dict[str, str]:
        """The handles that are known or can be verified within ASK_SECONDS. Failures of others raise nothing.

        Look-ups that take longer go on, and their handles are known the next time.
        """
        wanted = {did for did in dids if did.startswith("did:plc:")}
        missing = wanted - set(self._verified.find(wanted, now - KEPT))
        if missing and time.monotonic() >= self._paused_until:
            for did in missing - set(self._asking):
                if len(self._asking) >= MOST_ASKING:
                    break
                task = self._asking[did] = asyncio.get_running_loop().create_task(self._find(did, now))
                task.add_done_callback(partial(self._asked, did))
            await self._wait([self._asking[did] for did in missing if did in self._asking])
        return {did: handle for did, handle in self._verified.find(wanted, now - KEPT).items() if handle}

    def renamed(self, dids: Iterable[str], now: datetime) -> None:
        """The network says that these people's handles or servers may have changed. They are soon looked up again."""
        self._verified.expire((did for did in dids if did.startswith("did:plc:")), now - KEPT + KEPT_RENAMED)

    async def close(self) -> None:
        """Ends its connections."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()
        await self._resolver.close()

    def _asked(self, did: str, _: asyncio.Task[None]) -> None:
        self._asking.pop(did, None)

    async def _wait(self, tasks: list[asyncio.Task[None]]) -> None:
        if not tasks or time.monotonic() < self._hurried_until:
            return
        _, slow = await asyncio.wait(tasks, timeout=ASK_SECONDS)
        if slow:
            self._hurried_until = time.monotonic() + HURRY_SECONDS

    async def _find(self, did: str, now: datetime) -> None:
        """Looks a handle up, verifies it, and notes the result."""
        try:
            async with self._places:
                document = await self._document(did)
        except httpx.HTTPError as error:
            if time.monotonic() >= self._paused_until:
                self._log.warning("%s does not answer: %r", self._directory, error)
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            return
        claimed = document.handle()
        try:
            verified = bool(claimed) and await self._resolver.did_of(claimed, document.server()) == did
        except Exception:  # whatever a stranger's host does, it affects only its own handle
            self._log.exception("the handle of %s could not be verified", pseudonym(did))
            verified = False
        if verified:
            self._verified.note({did: claimed}, now)
        else:
            # Noted as if it had been looked up long ago, so that it is looked up again soon.
            self._verified.note({did: ""}, now - KEPT + KEPT_UNVERIFIED)

    async def _document(self, did: str) -> _Document:
        """A DID's document; an empty one if there is none that can be read."""
        answer = await self._client.get(f"/{did}")
        try:
            return msgspec.json.decode(answer.content, type=_Document) if answer.is_success else _Document()
        except msgspec.DecodeError:
            return _Document()
