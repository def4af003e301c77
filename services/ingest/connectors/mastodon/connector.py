"""The Mastodon connector: asks for an account's notifications and for what it wrote, and listens to its stream.

`min_id` pages forward without gaps, and asking is what counts: a stream says nothing of what happened while it was not
open. So what a stream brings is taken early, and asked for again.

Source: https://docs.joinmastodon.org/methods/notifications/, …/methods/accounts/, …/methods/streaming/ and
https://docs.joinmastodon.org/api/rate-limits/
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from websockets.exceptions import InvalidStatus, WebSocketException

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Account
from rapport.kit.http import websocket
from rapport.kit.http.outgoing import Guard, GuardedHttp, NoPublicAddressError, RefusedAddressError, described
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.mastodon import PLATFORM
from services.ingest.connectors.mastodon.normalise import Noted, Page, event, notifications, statuses
from services.ingest.hooks.delivery import UnreadableError, Watched, decode
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import USER_AGENT, Api, AttentionError, AwayError, Budget
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading

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
_SCHEMES = {"https": "wss", "http": "ws"}


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(account.connection.get("service") and account.connection.get("token"))


def mastodon(leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = GuardedHttp(shared.guard, timeout=ANSWERED_SECONDS)

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "MastodonReader":
        return MastodonReader(account, reading, watched, http, shared)

    return Polled(PLATFORM, usable, make, leases, shared)


class _Itself(Struct):
    id: str


class _Streaming(Struct, frozen=True):
    streaming: str | None = None


class _Configuration(Struct, frozen=True):
    urls: _Streaming = _Streaming()


class _Instance(Struct):
    configuration: _Configuration = _Configuration()


class MastodonReader:
    """A Reader."""

    every_seconds = 60.0
    repair_seconds = 300.0
    streams = True

    def __init__(
        self, account: Account, reading: Reading, watched: Callable[[], Watched], http: GuardedHttp, shared: Shared
    ) -> None:
        self._reading = reading
        self._watched = watched
        self._guard: Guard = shared.guard
        self._now = shared.now
        self._log = shared.log
        try:
            parts = urlsplit(account.connection["service"])
        except ValueError:
            parts = urlsplit("")  # asking says what is wrong with it
        self._host = parts.netloc.rpartition("@")[2].lower()
        self._scheme = parts.scheme
        self._token = {"Authorization": f"Bearer {account.connection['token']}"}
        base = f"{parts.scheme}://{self._host}"
        self._api = Api(http, PLATFORM, base, self._token, Budget(BUDGET, BUDGET_SECONDS), shared.now)
        self._id = ""

    async def itself(self) -> str:
        """See Reader."""
        answer = await self._api.get("/api/v1/accounts/verify_credentials")
        try:
            self._id = decode(answer.body, _Itself).id
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
                user_agent_header=USER_AGENT,
                max_size=LARGEST_FRAME,
                open_timeout=ANSWERED_SECONDS,
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
            found = decode((await self._api.get("/api/v2/instance")).body, _Instance).configuration.urls.streaming
        except (AttentionError, UnreadableError):
            found = None  # compatible servers lack it
        parts = urlsplit(found or "")
        if parts.scheme in _SCHEMES.values() and parts.netloc:
            return f"{parts.scheme}://{parts.netloc}"
        return f"{_SCHEMES.get(self._scheme, 'wss')}://{self._host}"

    async def _take(self, frame: str | bytes) -> None:
        try:
            page = event(frame, self._host, self._watched(), self._find, self._now())
        except UnreadableError as error:
            self._log.error("%s %s: a frame is skipped: %s", PLATFORM, self._reading.account.id, error)
            return
        self._told(page)
        await self._reading.took(page.interactions, page.away, self._things(page.noted))

    async def _list(self, name: str, path: str, query: Mapping[str, str], most: int, read: Callable[..., Page]) -> None:
        normalise = partial(read, host=self._host, watched=self._watched(), find=self._find, observed_at=self._now())
        position = self._reading.position(name)
        if position is None:
            await self._first(name, path, {**query, "limit": str(most)}, normalise)
            return
        while True:
            page = await self._page(path, {**query, "limit": str(most), "min_id": position}, normalise)
            await self._found(name, [page], page.newest)
            if page.newest is None or page.newest == position or page.count < most:
                return
            position = page.newest

    async def _first(self, name: str, path: str, query: dict[str, str], normalise: Callable[..., Page]) -> None:
        """Reads a list for the first time: back to when the account was connected."""
        pages: list[Page] = []
        connected_at = self._reading.account.connected_at
        while len(pages) < FIRST_PAGES:
            page = await self._page(path, query, normalise)
            pages.append(page)
            oldest = min((one.occurred_at for one in page.interactions), default=None)
            if page.oldest is None or (oldest is not None and oldest < connected_at):
                break
            query = {**query, "max_id": page.oldest}
        # The position is that of the newest: it was there before the pages behind it were asked for.
        await self._found(name, pages[::-1], pages[0].newest)

    async def _page(self, path: str, query: Mapping[str, str], normalise: Callable[..., Page]) -> Page:
        answer = await self._api.get(path, query)
        try:
            return normalise(answer.body)
        except UnreadableError as error:
            raise AwayError(f"{path} was answered with what cannot be read: {error}") from None

    async def _found(self, name: str, pages: Sequence[Page], position: str | None) -> None:
        for page in pages:
            self._told(page)
        await self._reading.found(
            [one for page in pages for one in page.interactions],
            [one for page in pages for one in page.away],
            self._things([one for page in pages for one in page.noted]),
            name,
            position,
        )

    def _told(self, page: Page) -> None:
        for where, why in page.problems:
            self._log.error("%s %s: %s is skipped: %s", PLATFORM, self._reading.account.id, where, why)

    def _find(self, status: str) -> Noted | None:
        found = self._reading.remembered(status)
        if found is None:
            return None
        return Noted(found.thing, found.kind, found.actor, found.conversation, found.thread, found.post)

    def _things(self, noted: Sequence[Noted]) -> list[Remembered]:
        account, claim, now = self._reading.account.id, self._reading.claim, self._now()
        made = [
            Remembered(
                account=account, thing=one.status, kind=one.kind, actor=one.actor, conversation=one.conversation,
                thread=one.thread, post=one.post, seen_at=now, claim=claim,
            )
            for one in noted
        ]  # fmt: skip
        return [one for one in made if self._is_new(one)]

    def _is_new(self, one: Remembered) -> bool:
        known = self._reading.remembered(one.thing)
        return known is None or msgspec.structs.replace(known, seen_at=one.seen_at, claim=one.claim) != one
