"""Reads the history of a Bluesky account: what it wrote, and what others did that it was notified of.

Its posts are listed by its own server (com.atproto.repo.listRecords), and so are its notifications
(app.bsky.notification.listNotifications), which that server gets from the network's AppView. Both have whole records,
with the addresses and content ids that the stream has. Lists begin with the newest, so all of it is kept in a file for
as long as it takes, and told from the oldest on, in the order of the stream.

Source: https://github.com/bluesky-social/atproto: `lexicons/`, `packages/bsky/src/api/app/bsky/notification/`
"""

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Raw, Struct

from rapport.contracts.events import Account
from rapport.kit.http.outgoing import Guard, GuardedHttp
from services.imports.asking import Asking, AskingError
from services.imports.bluesky import BEFORE_ALL, OTHER, Maker
from services.imports.entries import LONGEST, Entry, LeftOut, Source, UnreadableFileError
from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.frames import DID, FOLLOW, LIKE, POST, REPOST, FrameError, listed
from services.ingest.connectors.bluesky.names.resolver import DomainResolver, Resolver, is_handle
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.session import Failure, Session, server_of
from services.ingest.connectors.bluesky.session import refused as of_session
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.errands.words import refusal
from services.ingest.hooks.delivery import UnreadableError, decode, iso_time_of
from services.ingest.polling.api import Api, Budget, RefusedError, Turns

RECORDS, NOTIFICATIONS = "com.atproto.repo.listRecords", "app.bsky.notification.listNotifications"
READ = frozenset({POST, LIKE, REPOST, FOLLOW})
BROKEN = "broken records"
NOT_READ = LeftOut(OTHER, "it is no post, like, repost or follow", wrong=False)
ANSWERED_SECONDS = 30.0
BUDGET, BUDGET_SECONDS = 1_000, 300.0
"""A third of what Bluesky's servers allow an address: ingest may be behind the same one.

Source: https://docs.bsky.app/docs/advanced-guides/rate-limits
"""
MOST_BYTES = 2 << 30
"""Of what is kept. Half a million records have about a quarter of it."""
MOST_NAMED = 20_000
NAMING_SECONDS = 600.0
NAMED_AT_ONCE = 10
"""People whose handles are looked for, and for how long. They are nice to have."""
_DID = re.compile(r"did:plc:[a-z0-9]{1,64}")
INVALID = "handle.invalid"
"""What an AppView calls somebody whose handle does not lead back to them."""

Show = Callable[[str], object]


@dataclass(frozen=True)
class Wanted:
    """Whose history is read. `since` is how far back."""

    brand: str
    account: Account
    password: str
    did: str | None = None
    """The account's; where it is not given, its handle leads to it."""
    others: tuple[str, ...] = ()
    """The handles of the brand's other accounts on Bluesky."""
    since: datetime | None = None
    named: bool = True
    """Whether people's handles are looked for, which asks the hosts of these handles."""


def open_history(wanted: Wanted, settings: BlueskySettings, now: datetime, tell: Show, show: Show) -> Source:
    """Reads all of it. `tell` hears why something is asked again; `show` hears how far it is.

    Where what others did cannot be read to its end, what was read is taken, as of a damaged file. Raises
    UnreadableFileError.
    """
    return asyncio.run(_Reading(wanted, settings, now, tell, show).read())


_Uri = Annotated[str, Meta(max_length=1_024)]
_Cid = Annotated[str, Meta(max_length=256)]


class _Author(Struct, frozen=True):
    did: str = ""
    handle: str = ""


class _Notification(Struct, rename="camel"):
    uri: _Uri
    cid: _Cid
    record: Raw
    indexed_at: str = ""
    author: _Author = _Author()


class _Own(Struct):
    uri: _Uri
    cid: _Cid
    value: Raw


class _Made(Struct, rename="camel"):
    created_at: Any = None


class _Address(Struct):
    uri: _Uri = ""


class _Kept(NamedTuple):
    """A record that was read, as JSON; or why it could not be."""

    uri: str
    cid: str
    content: bytes
    broken: str | None


class _Pile:
    """What was read, each address once, in the order of its time. On disk, in a file that leaves nothing behind."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("CREATE TABLE kept (uri TEXT PRIMARY KEY, cid TEXT, content BLOB, broken TEXT, at REAL)")
        self.count = 0
        self.size = 0

    def add(self, kept: _Kept, at: float = 0.0) -> None:
        """Adds one, unless its address is there."""
        added = self._file.execute("INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?, ?)", (*kept, at))
        self.count += added.rowcount
        self.size += len(kept.content)

    def all(self) -> Iterator[_Kept]:
        """From the oldest on."""
        yield from map(_Kept._make, self._file.execute("SELECT uri, cid, content, broken FROM kept ORDER BY at, uri"))


class _Reading:
    def __init__(self, wanted: Wanted, settings: BlueskySettings, now: datetime, tell: Show, show: Show) -> None:
        self._wanted = wanted
        self._settings = settings
        self._now = now
        self._show = show
        self._asking = Asking(tell)
        self._pile = _Pile()
        self._people: dict[str, str] = {}
        """The handle that the AppView has of each."""
        self._requests = 0

    async def read(self) -> Source:
        """Everything. Raises UnreadableFileError."""
        settings = self._settings
        resolver = DomainResolver.usual(allow_private=settings.allow_private)
        try:
            async with GuardedHttp(Guard(allow_private=settings.allow_private), timeout=ANSWERED_SECONDS) as http:
                return await self._source(http, resolver)
        except AskingError as error:
            raise UnreadableFileError(str(error)) from None
        except sqlite3.Error as error:
            raise UnreadableFileError(f"what was read cannot be kept: {error}") from None
        finally:
            await resolver.close()

    async def _source(self, http: GuardedHttp, resolver: Resolver) -> Source:
        wanted, directory = self._wanted, self._settings.plc_directory
        did = wanted.did or await self._did_of(resolver, wanted.account.handle)
        if _DID.fullmatch(did) is None:
            raise UnreadableFileError(f"{did!r:.100} is not in Bluesky's directory: its DIDs look like did:plc:abc")
        budget, turns = Budget(BUDGET, BUDGET_SECONDS), Turns()

        def api(base: str, headers: Mapping[str, str]) -> Api:
            its = base, headers, budget, turns, lambda: datetime.now(UTC), _refused, self._heard
            return Api(http, PLATFORM, *its)

        self._show("asking where the account is")
        server = await self._asking.patiently(lambda: server_of(did, api(directory, {})))
        session = Session(did, wanted.password, server, directory, api)
        await self._own(session, did)
        stopped = None
        try:
            await self._others(session)
        except AskingError as error:
            stopped = str(error)
        others = [await resolver.did_of(_plain(handle), server) for handle in wanted.others]
        names = await self._named(resolver, server) if wanted.named else {}
        watched = Watched(wanted.brand, wanted.account, did, frozenset({did, *filter(None, others)}))
        return Source(
            "bluesky",
            self._pile.count,
            lambda: self._entries(Maker(watched, self._now, wrong=False), names, stopped),
            of=did,
            notes=self._notes(server, names),
            what="its history",
        )

    async def _did_of(self, resolver: Resolver, handle: str) -> str:
        found = await resolver.did_of(_plain(handle), None) if is_handle(_plain(handle)) else None
        if found is None:
            raise UnreadableFileError(f"the handle {handle!r} leads to no account; --did names one")
        return found

    async def _own(self, session: Session, did: str) -> None:
        """What the account wrote. All of it: the second part of an answer is understood by the first."""
        self._show("asking for what the account wrote")
        async for page in self._pages(session, RECORDS, {"repo": did, "collection": POST}):
            for raw in page:
                try:
                    found = decode(raw, _Own)
                    if not found.uri.startswith(f"at://{did}/"):
                        raise UnreadableError("it is in the repository of somebody else")
                    self._keep(found.uri, found.cid, found.value, None)
                except UnreadableError as error:
                    self._broken(raw, error)
            self._show(f"asking for what the account wrote: {self._pile.count:,} so far")

    async def _others(self, session: Session) -> None:
        """What others did, the newest first. With `priority`, it would be of those alone whom the account follows."""
        since = self._wanted.since
        async for page in self._pages(session, NOTIFICATIONS, {"priority": "false"}):
            at: datetime | None = None
            older = newer = 0
            for raw in page:
                try:
                    found = decode(raw, _Notification)
                    at = _time(found.indexed_at) or at
                    self._keep(found.uri, found.cid, found.record, at)
                except UnreadableError as error:
                    self._broken(raw, error)
                    continue
                if since is not None and at is not None and at < since:
                    older += 1
                else:
                    newer += 1
                self._meet(found.author)
            back = f", back to {at:%Y-%m-%d}" if at is not None else ""
            self._show(f"asking for what others did: {self._pile.count:,} so far{back}")
            if older and not newer:
                return

    async def _pages(self, session: Session, method: str, query: Mapping[str, str]) -> AsyncIterator[list[Raw]]:
        """The pages of a list, for as long as there is room for more."""
        async for page in self._asking.pages(session, method, query):
            yield page
            if self._pile.size > MOST_BYTES:
                self._asking.cut = True
                return

    def _meet(self, author: _Author) -> None:
        """Remembers what the AppView calls somebody, where it is short enough to be a name."""
        handle = author.handle.lower()
        if len(self._people) < MOST_NAMED and DID.fullmatch(author.did):
            self._people.setdefault(author.did, handle if is_handle(handle) else INVALID)

    def _keep(self, uri: str, cid: str, record: Raw, at: datetime | None) -> None:
        """Raises UnreadableError."""
        if len(record) > LONGEST:
            raise UnreadableError(f"it has more than {LONGEST:,} bytes")
        made = decode(record, _Made).created_at
        made_at = _time(made) if isinstance(made, str) else None
        self._pile.add(_Kept(uri, cid, bytes(record), None), (made_at or at or BEFORE_ALL).timestamp())

    def _broken(self, raw: Raw, error: Exception) -> None:
        place = f"number {self._pile.count + 1}"
        with contextlib.suppress(UnreadableError):
            place = decode(raw, _Address).uri or place
        self._pile.add(_Kept(place, "", b"", str(error)))

    async def _named(self, resolver: Resolver, server: str) -> dict[str, str]:
        """The handles that their domains confirm, by the rule that holds for the stream."""
        people = self._people.items()
        left = iter([(did, handle) for did, handle in people if handle != INVALID])
        found: dict[str, str] = {}
        done = 0

        async def work() -> None:
            nonlocal done
            for did, handle in left:
                with contextlib.suppress(Exception):  # whatever a stranger's host does, it affects only its own handle
                    if await resolver.did_of(handle, server) == did:
                        found[did] = handle
                done += 1
                self._show(f"asking who people are: {done:,} of {len(people):,}")

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NAMING_SECONDS):
                await asyncio.gather(*(work() for _ in range(NAMED_AT_ONCE)))
        return found

    def _entries(self, maker: Maker, names: Mapping[str, str], stopped: str | None) -> Iterator[Entry]:
        for done, kept in enumerate(self._pile.all(), 1):
            at = kept.uri[:100]
            try:
                if kept.broken is not None:
                    raise UnreadableError(kept.broken)
                change = listed(kept.uri, kept.cid, decode(kept.content, dict[str, Any]), BEFORE_ALL)
            except (UnreadableError, FrameError) as error:
                yield Entry(at, done, left_out=LeftOut(BROKEN, str(error), wrong=False))
                continue
            if change is None or change.collection not in READ:
                yield Entry(at, done, left_out=NOT_READ)
            else:
                yield maker.entry(at, done, change, names.get(change.did))
        if stopped is not None:
            raise UnreadableFileError(stopped)

    def _heard(self, _headers: Mapping[str, str]) -> None:
        self._requests += 1

    def _notes(self, server: str, names: Mapping[str, str]) -> list[str]:
        notes = [f"{self._requests:,} requests to {server} and to the directory"]
        if self._asking.cut:
            notes.append("there is more that is older, which is not read")
        if self._wanted.named:
            notes.append(
                f"the handles of {len(names):,} of {len(self._people):,} people are confirmed by their domains"
            )
        return notes


def _plain(handle: str) -> str:
    return handle.strip().removeprefix("@").lower()


def _time(text: str) -> datetime | None:
    with contextlib.suppress(UnreadableError):
        return iso_time_of(text)
    return None


def _refused(status: int, body: bytes) -> Exception | None:
    if (ended := of_session(status, body)) is not None:
        return ended
    try:
        decode(body, Failure)
    except UnreadableError:
        return None
    if status in (400, 404, 501):
        return RefusedError(refusal(body, Failure, lambda its: its.message or its.error))
    return None
