"""The Mastodon connector: asks for an account's notifications and for what it wrote, and listens to its stream.

Asking is what counts: a stream says nothing of what happened while it was not open. So what a stream brings is taken
early, and asked for again.

Source: https://docs.joinmastodon.org/methods/notifications/, …/methods/accounts/, …/methods/streaming/ and
https://docs.joinmastodon.org/api/rate-limits/
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Account
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.http import websocket
from rapport.kit.http.outgoing import Guard, GuardedHttp, NoPublicAddressError, RefusedAddressError, described
from services.ingest import metrics
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.mastodon import PLATFORM
from services.ingest.connectors.mastodon.entities import address
from services.ingest.connectors.mastodon.links import Links, links
from services.ingest.connectors.mastodon.normalise import Find, Noted, Page, event, notifications, statuses
from services.ingest.hooks.delivery import Id, UnreadableError, Watched, decode
from services.ingest.leases.leases import Leases, LostError
from services.ingest.polling.api import USER_AGENT, Api, AttentionError, AwayError, Budget, TooMuchError, Turns
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading
from services.ingest.polling.told import CLOCKS

PAGE = 80
"""Notifications at once, the most that a server gives."""
STATUSES_PAGE = 40
FIRST_PAGES = 20
"""How far back a new account is read at most: 1,600 notifications, or until it was connected."""
BUDGET = 270
"""Of the 300 requests in 15 minutes that a server allows a user. The rest is for the user's own app."""
BUDGET_SECONDS = 900.0
LARGEST_FRAME = 1_048_576
ANSWERED_SECONDS = 20.0
CLOSED_SECONDS = 1.0
AGAIN_SECONDS = 1.0
MOST_GONE = 1_000
"""Deleted statuses that are remembered because nothing was known of them yet."""
MOST_UNREADABLE = 100
"""Frames in a row, and then its stream is opened again."""
_SCHEMES = {"https": "wss", "http": "ws"}
_PROTOCOL = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""What can be offered as a protocol (RFC 9110, token)."""


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(account.connection.get("service") and account.connection.get("token"))


def mastodon(leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "MastodonReader":
        return MastodonReader(account, reading, watched, http, turns, shared)

    return Polled(PLATFORM, usable, make, leases, shared, itself=address_of)


def address_of(account: Account) -> str:
    """What other servers call an account: they have ids of their own for it."""
    return address(account.handle, _host(_service(account)))


def _service(account: Account) -> SplitResult:
    try:
        return urlsplit(account.connection.get("service", ""))
    except ValueError:
        return urlsplit("")  # asking says what is wrong with it


def _host(service: SplitResult) -> str:
    return service.netloc.rpartition("@")[2].lower()


def _is_older(one: str, other: str) -> bool:
    """Whether an id is surely smaller than another: numbers, and those of one length that are ordered as text."""
    if not (one.isascii() and one.isalnum() and other.isascii() and other.isalnum()):
        return False
    if one.isdecimal() and other.isdecimal():
        one, other = one.lstrip("0"), other.lstrip("0")
        return (len(one), one) < (len(other), other)  # as numbers, of however many digits
    return len(one) == len(other) and one < other


class _Itself(Struct):
    id: Id


class _Streaming(Struct, frozen=True):
    streaming: str | None = None


class _Configuration(Struct, frozen=True):
    urls: _Streaming = _Streaming()


class _Instance(Struct):
    configuration: _Configuration = _Configuration()


Normalise: TypeAlias = Callable[[bytes, str, Watched, Find, datetime], Page]


class _List(NamedTuple):
    """What is read page by page."""

    name: str
    path: str
    query: Mapping[str, str]
    most: int
    read: Normalise


@dataclass
class _Begun:
    """How far the reading of a list back to its position has come."""

    pages: int = 0
    newest: str | None = None
    oldest: str | None = None


class MastodonReader:
    """A Reader."""

    every_seconds = 60.0
    repair_seconds = 300.0

    def __init__(
        self,
        account: Account,
        reading: Reading,
        watched: Callable[[], Watched],
        http: GuardedHttp,
        turns: Turns,
        shared: Shared,
    ) -> None:
        self._reading = reading
        self._watched = watched
        self._guard: Guard = shared.guard
        self._now = shared.now
        self._log = shared.log
        service = _service(account)
        self._host = _host(service)
        self._scheme = service.scheme
        token = account.connection["token"]
        self._token = {"Authorization": f"Bearer {token}"}
        # Where browsers put it, who can send no headers. Pleroma and Iceshrimp look for it nowhere else.
        self._protocols = [Subprotocol(token)] if _PROTOCOL.fullmatch(token) else None
        base = f"{self._scheme}://{self._host}"
        self._api = Api(http, PLATFORM, base, self._token, Budget(BUDGET, BUDGET_SECONDS), turns, shared.now)
        self._id = ""
        self._most: dict[str, int] = {}
        self._begun: dict[str, _Begun] = {}
        self._gone: dict[str, None] = {}
        self._unreadable = 0

    async def itself(self) -> str:
        """See Reader."""
        answer = await self._api.get("/api/v1/accounts/verify_credentials")
        try:
            self._id = str(decode(answer, _Itself).id)
        except UnreadableError:
            raise AttentionError("its address is no server that speaks Mastodon's interface") from None
        return f"{self._id}@{self._host}"

    async def read(self) -> None:
        """See Reader."""
        # The account's own posts first, because a comment belongs to one of them.
        own = {"exclude_reblogs": "true"}
        await self._list("statuses", f"/api/v1/accounts/{self._id}/statuses", own, STATUSES_PAGE, statuses)
        # What is filtered by the account's own settings is shown too: somebody wrote it, and waits.
        everything = {"include_filtered": "true"}
        await self._list("notifications", "/api/v1/notifications", everything, PAGE, notifications)

    async def stream(self) -> AsyncIterator[None]:
        """See Reader."""
        try:
            async with websocket.connected(
                self._guard,
                f"{await self._streaming()}/api/v1/streaming?stream=user",
                additional_headers=self._token,
                subprotocols=self._protocols,
                user_agent_header=USER_AGENT,
                max_size=LARGEST_FRAME,
                open_timeout=ANSWERED_SECONDS,
                close_timeout=CLOSED_SECONDS,
            ) as connection:
                yield
                async for frame in connection:
                    await self._take(frame)
                    yield
        except InvalidStatus as error:
            raise AwayError(f"its stream was answered with {error.response.status_code}") from None
        except RefusedAddressError as error:
            raise AttentionError(f"the address of its stream cannot be used: {error}") from None
        except (NoPublicAddressError, OSError, TimeoutError, WebSocketException) as error:
            raise AwayError(f"its stream: {described(error)}") from None

    async def _streaming(self) -> str:
        """Where the server says that its stream is; the server itself where it does not say."""
        try:
            found = decode(await self._api.get("/api/v2/instance"), _Instance).configuration.urls.streaming
        except (AttentionError, UnreadableError):
            found = None  # compatible servers lack it
        try:
            parts = urlsplit(found or "")
        except ValueError:
            parts = urlsplit("")
        if parts.scheme in _SCHEMES.values() and parts.netloc:
            return f"{parts.scheme}://{parts.netloc}"
        return f"{_SCHEMES.get(self._scheme, 'wss')}://{self._host}"

    async def _take(self, frame: str | bytes) -> None:
        if not frame:
            return  # so Pleroma keeps its streams alive
        try:
            page = event(frame, self._host, self._watched(), self._find, self._now())
        except UnreadableError as error:
            self._unreadable += 1
            metrics.REJECTED.labels(PLATFORM, "frame").inc()
            if self._unreadable > MOST_UNREADABLE:
                raise AwayError(f"its stream has {self._unreadable} frames in a row that cannot be read") from None
            self._log.error("%s %s: a frame is skipped: %s", PLATFORM, self._reading.account.id, error)
            return
        self._unreadable = 0
        self._reading.tell_skipped(page, self._log)
        if not page.interactions:
            # A page that was cut before may have it still, and be under way.
            self._gone.update(dict.fromkeys(page.gone))
            while len(self._gone) > MOST_GONE:
                del self._gone[next(iter(self._gone))]
        while True:
            try:
                await self._reading.took(page.interactions, page.away, self._things(page.noted))
            except (LostError, NotAcknowledgedError):
                # Nothing else tells of a deletion or an edit, so the stream waits.
                if self._reading.lost():
                    raise
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    async def _list(self, what: str, path: str, query: Mapping[str, str], most: int, read: Normalise) -> None:
        # Positions are those of one server: an account that moves starts from its connection.
        its = _List(f"{what}@{self._id}@{self._host}", path, query, most, read)
        while True:
            position = self._reading.position(its.name)
            newest = await self._after(its, position)
            if position is None or newest in (None, position):
                return

    async def _after(self, its: "_List", position: str | None) -> str | None:
        """Reads what came after `position`, at least what the server gives at once. Returns the id of the newest.

        A page is read back to `position`, because some servers begin with the newest whatever they are asked for. For
        the first time there is none; then it is read back to when the account was connected.

        Where it is interrupted, it goes on. The position is that of the newest, and is written last.
        """
        begun = self._begun.setdefault(its.name, _Begun())
        after = {"min_id": position} if position is not None else {}
        # A server cuts its times to milliseconds, and its clock may be behind ours.
        since = self._reading.account.connected_at - CLOCKS
        while position is not None or begun.pages < FIRST_PAGES:
            page, place = await self._page(its, {**after, **({"max_id": begun.oldest} if begun.oldest else {})})
            await self._found(its, page, None)
            begun.pages += 1
            begun.newest = begun.newest or place.newer
            same = place.older == begun.oldest
            begun.oldest = place.older
            before = page.oldest_at is not None and page.oldest_at < since
            if place.older is None or before or position in page.ids or (same and not after):
                break
            if position is not None and _is_older(place.older, position):
                break
            if same:
                after = {}  # asked for both, it looks at `min_id` alone
        await self._reading.found([], [], [], its.name, begun.newest)
        del self._begun[its.name]
        return begun.newest

    async def _page(self, its: "_List", place: Mapping[str, str]) -> tuple[Page, Links]:
        """A page, and where it goes on. If one is too much at once, the next try asks for less.

        Servers may give fewer at once than was asked for, so a small page need not be the last.
        """
        most = self._most.get(its.name, its.most)
        try:
            headers, answer = await self._api.get_with_headers(its.path, {**its.query, "limit": str(most), **place})
            page = its.read(answer, self._host, self._watched(), self._find, self._now())
        except (TooMuchError, UnreadableError) as error:
            self._most[its.name] = max(1, most // 2)
            if most == 1 and not isinstance(error, UnreadableError):
                raise AttentionError(f"one item of {its.path} alone is too much: {error}") from None
            raise AwayError(f"{its.path}, {most} at once: {error}") from None
        self._most[its.name] = min(its.most, most * 2)
        named, ids = links(headers.get("Link")), page.ids
        older = named.older if named is not None else next(reversed(ids), None)
        return page, Links(older, (named and named.newer) or next(iter(ids), None))

    async def _found(self, its: "_List", page: Page, position: str | None) -> None:
        self._reading.tell_skipped(page, self._log)
        things = self._things(page.noted)
        await self._reading.found(page.interactions, page.away, things, its.name, position)
        for one in page.noted:
            if one.status in self._gone:
                del self._gone[one.status]
                await self._take(msgspec.json.encode({"event": "delete", "payload": one.status}))

    def _find(self, status: str) -> Noted | None:
        found = self._reading.remembered(f"{status}@{self._host}")
        if found is None:
            return None
        return Noted(status, found.kind, found.actor, found.conversation, found.thread, found.post)

    def _things(self, noted: Sequence[Noted]) -> list[Remembered]:
        account, claim, now = self._reading.account.id, self._reading.claim, self._now()
        made = [
            Remembered(
                account=account, thing=f"{one.status}@{self._host}", kind=one.kind, actor=one.actor,
                conversation=one.conversation, thread=one.thread, post=one.post, seen_at=now, claim=claim,
            )
            for one in noted
        ]  # fmt: skip
        return [one for one in made if self._is_new(one)]

    def _is_new(self, one: Remembered) -> bool:
        known = self._reading.remembered(one.thing)
        return known is None or msgspec.structs.replace(known, seen_at=one.seen_at, claim=one.claim) != one
