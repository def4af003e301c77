"""The YouTube connector: asks for the newest threads of a channel, and for the replies that their page leaves out.

There is no stream of comments. A page shows the newest threads with some replies each; the number of replies says
whether there are more than were read. Once a day older pages are read too, for replies to older threads.

Beside them the channel's list of uploads is read, less often: the comments are what somebody waits for. As seldom
those comments are asked for that nobody has answered and that the lists do not show any more.

Source: https://developers.google.com/youtube/v3/docs/commentThreads/list, …/docs/comments/list,
…/docs/playlistItems/list, …/docs/channels/list and …/docs/errors
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

import httpx
import msgspec
from msgspec import Struct

from rapport.contracts.events import Account
from services.ingest import metrics
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.youtube import PLATFORM
from services.ingest.connectors.youtube.checks import Checks
from services.ingest.connectors.youtube.comments import Comments
from services.ingest.connectors.youtube.normalise import uploads, uploads_of
from services.ingest.connectors.youtube.presence import NotAllowedError, NotThereError, readable
from services.ingest.connectors.youtube.settings import YoutubeSettings
from services.ingest.hooks.delivery import Watched
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import Api, AttentionError, AwayError, LimitedError, RefusedError, Turns
from services.ingest.polling.polled import Polled
from services.ingest.polling.quota import Quota
from services.ingest.polling.reading import Reading
from services.ingest.polling.told import CLOCKS, Told

DAY_BEGINS_IN = "America/Los_Angeles"
DEEP_THREADS = 500
"""How many threads are read at first, and once a day."""
MOST_PAGES = 1_000
"""Of threads in one reading: 100,000 in a month, or pages that have nothing on them."""
COUNTS_FOR = timedelta(days=30)
"""How old a comment may be to start a clock. What is older is not looked for after an outage."""
USUAL_READINGS = 20
"""Over so many what a reading costs is averaged: one that has much to read is paid for by many after it."""
DEEP_EVERY = timedelta(days=1)
DEEP, THREADS, UPLOADS = "deep", "threads", "uploads"
UPLOADS_PAGE = 50
UPLOADS_PAGES = 5
UPLOADS_EVERY = timedelta(minutes=15)
UPLOADS_LATE = timedelta(hours=1)
"""How much later than others a video may be listed that was published before them."""
READINGS_PER_UPLOADS = 8
"""A look at the uploads costs a unit, as a reading of the comments does: it may cost an eighth as many."""
ANSWERED_SECONDS = 20.0
_CHANNELS = "/youtube/v3/channels"
_PLAYLIST = "/youtube/v3/playlistItems"


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(account.connection.get("channel", "").strip())


def quota_of(settings: YoutubeSettings, leases: Leases, shared: Shared) -> Quota:
    """The project's quota, for this process's part of the accounts."""
    quota = Quota(settings.youtube_units, DAY_BEGINS_IN, shared.now, leases.share)
    metrics.QUOTA.labels(PLATFORM).set_function(quota.left)
    return quota


def youtube(settings: YoutubeSettings, quota: Quota, leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()
    key = settings.youtube_key.get_secret_value()

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "YoutubeReader":
        # In a header: addresses are logged.
        said = exhausting(quota, refused)
        api = Api(http, PLATFORM, settings.youtube_api, {"X-Goog-Api-Key": key}, quota, turns, shared.now, said)
        return YoutubeReader(account, reading, watched, api if key else None, quota, shared)

    return Polled(PLATFORM, usable, make, leases, shared)


class _Reason(Struct):
    reason: str = ""


class _Errors(Struct):
    errors: list[_Reason] = []


class _Refusal(Struct):
    error: _Errors


Refused: TypeAlias = Callable[[int, bytes], Exception | None]
_OVER = {"quotaExceeded", "dailyLimitExceeded"}
_SLOWER = {"rateLimitExceeded", "userRateLimitExceeded"}
_WORDS = {
    "keyInvalid": "Google does not accept RAPPORT_YOUTUBE_KEY",
    "accessNotConfigured": "the YouTube Data API v3 is not switched on for the project of RAPPORT_YOUTUBE_KEY",
    "ipRefererBlocked": "RAPPORT_YOUTUBE_KEY is not allowed from this address",
    "channelNotFound": "there is no channel with this id",
    "commentsDisabled": "comments are switched off on the channel",
}


class QuotaError(LimitedError):
    """The project's quota of today is used up."""


def refused(status: int, body: bytes) -> Exception | None:
    """What a refusal means, by the reason in it; None where the status alone says it."""
    try:
        reasons = {each.reason for each in msgspec.json.decode(body, type=_Refusal).error.errors}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if reasons & _OVER:
        return QuotaError(1.0)
    if reasons & _SLOWER:
        return LimitedError(60.0)
    if "processingFailure" in reasons:
        # It may be a moment's, or what was asked for: no reason to ask for nothing else.
        return AwayError("YouTube could not process what it was asked", incident=True)
    if "playlistNotFound" in reasons:
        return RefusedError("it has no list of uploads")
    if "commentNotFound" in reasons:
        return NotThereError("the comment is not there any more")
    if "forbidden" in reasons and status == httpx.codes.FORBIDDEN:
        return NotAllowedError("RAPPORT_YOUTUBE_KEY may not read this")
    known = sorted(reasons & _WORDS.keys())
    return AttentionError(_WORDS[known[0]]) if known and status < 500 else None


def exhausting(quota: Quota, refused: Refused) -> Refused:
    """What a refusal means by `refused`; one of the whole project ends everybody's requests until the next day."""

    def known(status: int, body: bytes) -> Exception | None:
        found = refused(status, body)
        if isinstance(found, QuotaError):
            quota.exhaust()
            return LimitedError(quota.seconds_left())
        return found

    return known


_BESIDE = (RefusedError, AttentionError, AwayError)
"""What may go wrong beside the comments without a word against them."""


class YoutubeReader:
    """A Reader."""

    def __init__(
        self,
        account: Account,
        reading: Reading,
        watched: Callable[[], Watched],
        api: Api | None,
        quota: Quota,
        shared: Shared,
    ) -> None:
        """`api` is None where there is no key."""
        self._channel = account.connection["channel"].strip()
        self._reading = reading
        self._watched = watched
        self._api = api
        self._quota = quota
        self._now = shared.now
        self._log = shared.log
        self._cost = 0
        self._usual_cost = 1.0
        self._playlist: str | None = None
        self._told = Told()
        """The uploads."""
        self._uploads_at: datetime | None = None
        before = reading.state()
        self._posts_checked_at = (before and before.posts_checked_at) or account.connected_at
        self._checks = Checks(reading, self._channel, watched, self._ask, shared.now)
        self._comments = Comments(reading, self._channel, watched, self._ask, self._checks, shared)

    @property
    def every_seconds(self) -> float:
        """See Reader."""
        return self._quota.every(self, self._reading.latest_at, self._usual_cost)

    @property
    def posts_checked_at(self) -> datetime:
        """See PostsApart."""
        return self._posts_checked_at

    async def itself(self) -> str:
        """See Reader."""
        if self._api is None:
            raise AttentionError("ingest has no RAPPORT_YOUTUBE_KEY")
        return self._channel

    async def read(self) -> None:
        """See Reader."""
        self._cost = 0
        try:
            await self._read()
        finally:
            self._usual_cost += (self._cost - self._usual_cost) / USUAL_READINGS

    async def _read(self) -> None:
        self._checks.begin()
        now = self._now()
        await self._threads(now)
        await self._comments.again()
        # The comments have been read, and those are what somebody waits for.
        try:
            await self._checks.look(self.every_seconds)
        except _BESIDE as error:
            self._failed("whether comments are still there is not known", error)
        if self._uploads_due(now):
            try:
                await self._uploads()
            except _BESIDE as error:
                self._failed("its uploads are not read", error)
            else:
                self._posts_checked_at = now
            self._uploads_at = now

    async def _threads(self, now: datetime) -> None:
        """Reads the threads, from the newest one back to when they were last read to the end."""
        deep = self._deep_due(now)
        since = self._since(now)
        token: str | None = None
        before: list[str] = []
        many = 0
        for _ in range(MOST_PAGES):
            page = await self._comments.page(token, deep=deep)
            if token is None:
                self._checks.listed(page)
            # What stands on top by mistake must not end it, so the last one counts.
            last_at = page.threads[-1].at if page.threads else None
            met = last_at is not None and last_at < since
            many += len(page.threads)
            if page.next is None or (met and (many >= DEEP_THREADS or not deep)):
                break
            names = [each.id for each in page.threads]
            if page.next == token or (names and names == before):
                if met:
                    break
                raise AwayError("YouTube gives the same threads again instead of older ones", incident=True)
            token, before = page.next, names
        else:
            raise AwayError(f"YouTube's list of threads has more than {MOST_PAGES} pages", incident=True)
        await self._reading.found([], [], [], self._list(THREADS), now.isoformat())
        if deep:
            await self._reading.found([], [], [], self._list(DEEP), now.isoformat())

    def _since(self, now: datetime) -> datetime:
        """From when on threads may not have been read. Whatever is after that is read before anything is forgotten."""
        account, oldest = self._reading.account, now - COUNTS_FOR
        # Earlier versions noted only when they last read deep.
        read_to = self._reading.read_to(self._list(THREADS)) or self._reading.read_to(self._list(DEEP))
        if read_to is not None and read_to < oldest:
            self._log.error(
                "%s %s: what was written between %s and %s is not read any more",
                PLATFORM, account.id, read_to.isoformat(), oldest.isoformat(),
            )  # fmt: skip
        return max(oldest, account.connected_at, read_to or account.connected_at) - CLOCKS

    def _list(self, name: str) -> str:
        return f"{name}@{self._channel}"

    def _failed(self, what: str, error: Exception) -> None:
        level = logging.INFO if isinstance(error, RefusedError) else logging.WARNING
        self._log.log(level, "%s %s: %s: %s", PLATFORM, self._reading.account.id, what, error)

    def _uploads_due(self, now: datetime) -> bool:
        every = max(UPLOADS_EVERY, timedelta(seconds=READINGS_PER_UPLOADS * self.every_seconds))
        return self._uploads_at is None or now - self._uploads_at > every

    async def _uploads(self) -> None:
        list_ = self._list(UPLOADS)
        since = self._reading.read_to(list_)
        token: str | None = None
        newest = since
        if self._playlist is None:
            body = await self._ask(_CHANNELS, {"part": "contentDetails", "id": self._channel})
            self._playlist = readable(partial(uploads_of, body), _CHANNELS)
        if self._playlist is None:
            return
        begin = since - UPLOADS_LATE if since is not None else None
        for _ in range(UPLOADS_PAGES):
            asked = {
                "part": "snippet,contentDetails", "playlistId": self._playlist, "maxResults": str(UPLOADS_PAGE),
                **({"pageToken": token} if token else {}),
            }  # fmt: skip
            body = await self._ask(_PLAYLIST, asked)
            page = readable(partial(uploads, body, self._watched(), begin, self._now()), _PLAYLIST)
            newest = max([*(one.occurred_at for one in page.interactions), *([newest] if newest else [])], default=None)
            # At first one page will do: what is older says nothing of today's mix.
            last = page.next is None or since is None or not page.interactions
            await self._reading.tell(page, self._told, list_, self._log)
            token = page.next
            if last:
                break
        if newest is not None and newest != since:
            await self._reading.found([], [], [], list_, newest.isoformat())

    def _deep_due(self, now: datetime) -> bool:
        found = self._reading.read_to(self._list(DEEP))
        return found is None or now - found > DEEP_EVERY

    async def _ask(self, path: str, asked: Mapping[str, str]) -> bytes:
        assert self._api is not None
        self._cost += 1
        return await self._api.get(path, asked)
