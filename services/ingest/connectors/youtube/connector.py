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

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Account
from services.ingest import metrics
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.youtube import PLATFORM
from services.ingest.connectors.youtube.checks import Checks
from services.ingest.connectors.youtube.normalise import (
    Fingerprint,
    Page,
    Thread,
    replies,
    threads,
    uploads,
    uploads_of,
)
from services.ingest.connectors.youtube.presence import COMMENTS, NotAllowedError, NotThereError, readable
from services.ingest.connectors.youtube.settings import YoutubeSettings
from services.ingest.hooks.delivery import Watched
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import Api, AttentionError, AwayError, LimitedError, RefusedError, Turns
from services.ingest.polling.polled import Polled
from services.ingest.polling.quota import Quota
from services.ingest.polling.reading import Reading
from services.ingest.polling.told import Told

DAY_BEGINS_IN = "America/Los_Angeles"
PAGE = 100
DEEP_PAGES = 5
"""How many pages are read at first, and once a day."""
MOST_PAGES = 50
REPLY_PAGES = 10
DEEP_EVERY = timedelta(days=1)
DEEP, NEWEST, UPLOADS = "deep", "newest", "uploads"
UPLOADS_PAGE = 50
UPLOADS_PAGES = 5
UPLOADS_EVERY = timedelta(minutes=15)
UPLOADS_LATE = timedelta(hours=1)
"""How much later than others a video may be listed that was published before them."""
READINGS_PER_UPLOADS = 8
"""A look at the uploads costs a unit, as a reading of the comments does: it may cost an eighth as many."""
ANSWERED_SECONDS = 20.0
_THREADS = "/youtube/v3/commentThreads"
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
_SLOWER = {"rateLimitExceeded", "userRateLimitExceeded", "processingFailure"}
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
        self._playlist: str | None = None
        self._told = Told()
        """The uploads."""
        self._uploads_at: datetime | None = None
        self._checks = Checks(reading, self._channel, watched, self._ask, shared.now)

    @property
    def every_seconds(self) -> float:
        """See Reader."""
        return self._quota.every(self, self._reading.latest_at, self._cost)

    async def itself(self) -> str:
        """See Reader."""
        if self._api is None:
            raise AttentionError("ingest has no RAPPORT_YOUTUBE_KEY")
        return self._channel

    async def read(self) -> None:
        """See Reader."""
        self._cost = 0
        self._checks.begin()
        now = self._now()
        deep = self._deep_due(now)
        token: str | None = None
        for number in range(DEEP_PAGES if deep else MOST_PAGES):
            page, fresh = await self._threads(token)
            token = page.next
            if number == 0:
                self._checks.listed(page)
            # Where everything on a page was new, there may be more behind it.
            if token is None or not (deep or fresh):
                break
        if deep:
            await self._reading.found([], [], [], f"{DEEP}@{self._channel}", now.isoformat())
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
            self._uploads_at = now

    def _failed(self, what: str, error: Exception) -> None:
        level = logging.INFO if isinstance(error, RefusedError) else logging.WARNING
        self._log.log(level, "%s %s: %s: %s", PLATFORM, self._reading.account.id, what, error)

    def _uploads_due(self, now: datetime) -> bool:
        every = max(UPLOADS_EVERY, timedelta(seconds=READINGS_PER_UPLOADS * self.every_seconds))
        return self._uploads_at is None or now - self._uploads_at > every

    async def _uploads(self) -> None:
        list_ = f"{UPLOADS}@{self._channel}"
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
            page.interactions = self._told.fresh(page.interactions)
            await self._found([page], [])
            self._told.keep(page.interactions)
            token = page.next
            if last:
                break
        if newest is not None and newest != since:
            await self._reading.found([], [], [], list_, newest.isoformat())

    def _deep_due(self, now: datetime) -> bool:
        found = self._reading.read_to(f"{DEEP}@{self._channel}")
        return found is None or now - found > DEEP_EVERY

    async def _threads(self, token: str | None) -> tuple[Page, bool]:
        """A page of threads with all their replies, in the log; and whether every thread of it was new."""
        asked = {
            "part": "snippet,replies", "allThreadsRelatedToChannelId": self._channel, "order": "time",
            "maxResults": str(PAGE), "textFormat": "plainText", **({"pageToken": token} if token else {}),
        }  # fmt: skip
        body = await self._ask(_THREADS, asked)
        page = readable(partial(threads, body, self._watched(), self._find, self._now()), _THREADS)
        fresh = bool(page.threads) and all(self._find(each.id) is None for each in page.threads)
        counts: list[Remembered] = []
        wholes: list[Page] = [page]
        for thread in page.threads:
            if thread.more and self._count(thread) != str(thread.replies):
                try:
                    wholes += await self._replies(thread)
                except (NotThereError, NotAllowedError):
                    continue  # it is gone since
                counts.append(self._remembered(f"{thread.id}/replies", thread.conversation, None, str(thread.replies)))
        await self._found(wholes, counts)
        return page, fresh

    async def _replies(self, thread: Thread) -> list[Page]:
        pages: list[Page] = []
        token: str | None = None
        while len(pages) < REPLY_PAGES:
            asked = {
                "part": "snippet", "parentId": thread.id, "maxResults": str(PAGE), "textFormat": "plainText",
                **({"pageToken": token} if token else {}),
            }  # fmt: skip
            body = await self._ask(COMMENTS, asked)
            read = partial(replies, body, thread, self._watched(), self._find, self._now())
            page = readable(read, COMMENTS)
            pages.append(page)
            token = page.next
            if token is None:
                break
        return pages

    async def _ask(self, path: str, asked: Mapping[str, str]) -> bytes:
        assert self._api is not None
        self._cost += 1
        return await self._api.get(path, asked)

    async def _found(self, pages: list[Page], counts: list[Remembered]) -> None:
        # A reply may be on its thread's page and on that of the replies.
        interactions = {one.id: one for page in pages for one in page.interactions}
        things = {}
        for page in pages:
            self._reading.tell_skipped(page, self._log)
            said = {one.object.id: one for one in page.interactions}
            for comment, seen in page.seen.items():
                if seen == self._find(comment):
                    continue
                one = said.get(comment)
                thing = self._remembered(comment, one.conversation if one else self._channel, seen, None)
                if one is not None:
                    kind = "reply" if one.kind == "reply" else "comment"
                    thing = msgspec.structs.replace(thing, kind=kind, actor=one.actor.id, post=one.post)
                things[comment] = thing
        ordered = sorted(interactions.values(), key=lambda one: one.occurred_at)
        waiting = self._checks.saw(pages, ordered)
        remembered = [*things.values(), *counts, *waiting.things]
        await self._reading.found([*ordered, *waiting.back], [], remembered, NEWEST, None)
        self._checks.keep(waiting)

    def _remembered(self, thing: str, conversation: str, seen: Fingerprint | None, version: str | None) -> Remembered:
        return Remembered(
            account=self._reading.account.id, thing=thing, kind="comment", actor=self._channel,
            conversation=conversation, seen_at=self._now(), claim=self._reading.claim,
            version=_written(seen) if seen is not None else version,
        )  # fmt: skip

    def _count(self, thread: Thread) -> str | None:
        found = self._reading.remembered(f"{thread.id}/replies")
        return found.version if found else None

    def _find(self, comment: str) -> Fingerprint | None:
        found = self._reading.remembered(comment)
        return _read(found.version) if found is not None and found.version is not None else None


def _written(seen: Fingerprint) -> str:
    return f"{seen.updated_at.isoformat() if seen.updated_at else ''} {'image' if seen.image else ''}"


def _read(version: str) -> Fingerprint:
    at, _, image = version.partition(" ")
    return Fingerprint(datetime.fromisoformat(at) if at else None, bool(image))
