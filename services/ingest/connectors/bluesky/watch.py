"""`rapport watch`: shows live what happens around any public Bluesky account. Needs no credentials, stores nothing."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import msgspec
from rich.console import Console
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from rapport.contracts.events import Account, Interaction
from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.facts import Synced
from services.ingest.connectors.bluesky.frames import DID, Change, FrameError, StreamError
from services.ingest.connectors.bluesky.normalise import Watched, deleted, written
from services.ingest.connectors.bluesky.records import read
from services.ingest.connectors.bluesky.source import Source, UnusableConnectionError, source_of
from services.ingest.connectors.bluesky.stream import LARGEST_FRAME, USER_AGENT
from services.ingest.connectors.seen import Seen

DIRECTORY = "https://public.api.bsky.app"
"""Bluesky's public interface: resolves handles without a login."""
JETSTREAMS = (
    "wss://jetstream.us-east.bsky.network/xrpc/network.bsky.jetstream.subscribeEvents",
    "wss://jetstream2.us-east.bsky.network/subscribe",
)
"""Bluesky's public instances, version 2 first. If one does not answer, the next is tried."""
ASK_SECONDS = 10.0
EXCERPT = 140

log = logging.getLogger("rapport.watch")

# https://atproto.com/specs/handle
_HANDLE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
LONGEST_HANDLE = 253
_STYLES = {"comment": "bold cyan", "mention": "bold magenta", "reply": "bold green", "post": "bold green"}


class WatchError(Exception):
    """Why an account cannot be watched."""


def watch(
    handle: str,
    jetstream: str | None = None,
    *,
    directory: str = DIRECTORY,
    as_json: bool = False,
    limit: int | None = None,
    console: Console | None = None,
) -> int:
    """Prints interactions with the account until interrupted, or until there were `limit`. Returns the exit code.

    `handle` is a handle, with or without @, or a DID; `jetstream` is an instance to use instead of the public ones.
    With `as_json` each line is an interaction as JSON. 1 with a reason on stderr where the account is unknown, or
    neither the directory nor a stream can be reached.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    try:
        asyncio.run(_watch(handle.removeprefix("@"), jetstream, directory, as_json, limit, console))
    except WatchError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"rapport: {error}"))
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _watch(
    handle: str, jetstream: str | None, directory: str, as_json: bool, limit: int | None, console: Console
) -> None:
    async with httpx.AsyncClient(base_url=directory, timeout=ASK_SECONDS, headers={"User-Agent": USER_AGENT}) as client:
        names = _Names(client)
        did = await resolve(client, handle)
        account = Account(id=did, platform=PLATFORM, handle=handle, connected_at=datetime.now(UTC), door_secrets=())
        watched = Watched("watch", account, did, frozenset({did}))
        count = 0
        async for interaction in _interactions(_sources(jetstream, did), watched, console if not as_json else None):
            if as_json:
                console.out(msgspec.json.encode(interaction).decode())
            else:
                console.print(line(interaction, await names.of(interaction.actor.id)))
            count += 1
            if count == limit:
                return


async def resolve(client: httpx.AsyncClient, handle: str) -> str:
    """The DID of a handle; a DID is returned as it is. Raises WatchError."""
    if DID.fullmatch(handle):
        return handle
    if not _HANDLE.fullmatch(handle) or len(handle) > LONGEST_HANDLE:
        raise WatchError(f"{handle!r:.100} is not a Bluesky handle; one is written like name.bsky.social")
    try:
        answer = await client.get(f"/xrpc/com.atproto.identity.resolveHandle?handle={quote(handle)}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise WatchError(
            f"{client.base_url.host} cannot be reached ({type(error).__name__}: {error}); is there an internet "
            "connection?"
        ) from None
    if answer.status_code == httpx.codes.BAD_REQUEST:
        raise WatchError(f"there is no Bluesky account {handle!r}; a handle is written like name.bsky.social")
    try:
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=_Resolved).did
    except (httpx.HTTPStatusError, msgspec.DecodeError) as error:
        raise WatchError(f"{client.base_url.host} did not resolve {handle!r}: {error}") from None


def line(interaction: Interaction, who: str) -> Text:
    """One interaction for people: local time, kind, who, what, where. Nothing in it can control a terminal."""
    kind = f"undo {interaction.kind}" if interaction.undo else interaction.kind
    shown = Text(f"{interaction.occurred_at.astimezone():%H:%M:%S} ", style="dim")
    shown.append(f"{kind:<9} ", style=_STYLES.get(interaction.kind, "bold"))
    shown.append(_plain(who), style="bold")
    if interaction.text:
        shown.append(f": {_excerpt(interaction.text)}", style="default")
    if interaction.object.url:
        shown.append(f"  {_plain(interaction.object.url)}", style="dim")
    return shown


def _sources(jetstream: str | None, did: str) -> list[Source]:
    try:
        found = [
            source_of({"jetstream": address, "did": did}) for address in ([jetstream] if jetstream else JETSTREAMS)
        ]
    except UnusableConnectionError as error:
        raise WatchError(str(error)) from None
    return [version for source in found if source for version in source.versions()]


async def _interactions(sources: list[Source], watched: Watched, console: Console | None) -> AsyncIterator[Interaction]:
    """What concerns the account, as it happens. Raises WatchError once no source can be read."""
    seen: dict[str, Seen] = {}
    synced = Synced()
    failures: list[str] = []
    for source in sources:
        try:
            async with connect(
                source.url(None),
                max_size=LARGEST_FRAME,
                subprotocols=source.subprotocols,
                user_agent_header=USER_AGENT,
                open_timeout=ASK_SECONDS,
            ) as connection:
                if console:
                    console.print(
                        Text(f"watching {_plain(watched.account.handle)} over {source.name}; Ctrl-C stops", style="dim")
                    )
                async for raw in connection:
                    try:
                        frame = source.read(raw)
                    except FrameError:
                        continue  # frames of a kind that this version does not know are of no use to a viewer
                    if frame.synced is not None and frame.at is not None:
                        synced.note(frame.synced, frame.at)
                    for change in map(synced.marked, frame.changes):
                        if change.again:
                            continue  # it does not happen now
                        try:
                            interaction = _interaction(change, watched, seen)
                        except Exception:
                            log.debug("%.300s cannot be shown", change.uri, exc_info=True)
                            continue
                        if interaction is not None:
                            yield interaction
            failures.append(f"{source.name}: the stream ended")
        except (OSError, TimeoutError, WebSocketException, StreamError) as error:
            failures.append(f"{source.name}: {type(error).__name__}: {error}")
    raise WatchError(f"no stream can be read ({'; '.join(failures)}); is there an internet connection?")


def _interaction(change: Change, watched: Watched, seen: dict[str, Seen]) -> Interaction | None:
    now = datetime.now(UTC)
    if change.operation == "delete":
        noted = seen.get(change.uri)
        return deleted(change, noted, watched, now) if noted else None
    record = read(change)
    if record is None or (watched.did not in record.concerns and change.uri not in seen):
        return None
    fact = written(record, watched, seen.get, now)
    if fact is None:
        return None
    seen[change.uri] = fact[1]
    return fact[0]


class _Resolved(msgspec.Struct):
    did: str


class _Profile(msgspec.Struct):
    handle: str


class _Names:
    """Handles by DID, each looked up once."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._known: dict[str, str] = {}

    async def of(self, did: str) -> str:
        """@handle; the DID itself if the handle is not found."""
        if did not in self._known:
            self._known[did] = did
            try:
                answer = await self._client.get(f"/xrpc/app.bsky.actor.getProfile?actor={quote(did)}")
                self._known[did] = f"@{msgspec.json.decode(answer.content, type=_Profile).handle}"
            except (httpx.HTTPError, msgspec.DecodeError):
                pass  # a line with a DID is better than none
        return self._known[did]


def _excerpt(text: str) -> str:
    plain = " ".join(_plain(text).split())
    return plain if len(plain) <= EXCERPT else plain[: EXCERPT - 1] + "…"


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
