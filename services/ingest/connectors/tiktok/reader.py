"""Asks TikTok for the comments that its webhook did not deliver, and whether it still delivers them.

The webhook tells only of videos that were published through the API. The list of all videos has the others.

There is no list of all comments. So the videos are listed, newest first, and the comments below those that are new, or
of which the number of comments has changed; and the answers to a comment where their number has changed. Once a day
older videos are looked through as well. Deletions, mentions elsewhere and private messages are pushed only.

TikTok allows few requests a minute. So a look that a limit breaks off goes on where it was, and a video whose comments
take longer lets the others go first.

Source: https://business-api.tiktok.com/portal/docs?id=1762228496862209 and
https://business-api.tiktok.com/portal/docs?id=1759978341579777 (webhooks)
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Account
from rapport.kit.config import listed as entries
from rapport.kit.http.outgoing import GuardedHttp
from rapport.kit.text import one_line
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.tiktok import PLATFORM, listed
from services.ingest.connectors.tiktok.answers import checked
from services.ingest.connectors.tiktok.listed import Page, Thread, Video
from services.ingest.connectors.tiktok.normalise import IDENTIFIER
from services.ingest.connectors.tiktok.settings import TiktokSettings
from services.ingest.hooks.delivery import UnreadableError, Watched
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import Api, AttentionError, AwayError, Budget, LimitedError, RefusedError, Turns
from services.ingest.polling.hidings import changes
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading
from services.ingest.polling.told import CLOCKS, Legible, Told

EVERY_SECONDS = 1_800.0
FRESH = timedelta(days=3)
"""How long the comments below a new video are asked for each time: TikTok's numbers may be late."""
VIDEOS, COMMENTS = 20, 30
"""At once, the most that TikTok gives."""
FIELDS = '["item_id","create_time","comments","caption","share_url"]'
PAGES, DEEP_PAGES = 3, 25
"""Of videos, each time and once a day."""
COMMENT_PAGES, REPLY_PAGES = 20, 10
"""Of the comments below one video, and of the answers to one comment, in one reading: pages on which all is older than
what was read before."""
MOST_PAGES = 1_000
"""Of either, in one look, however new they are: half an hour's requests."""
NEW_FOR = timedelta(days=30)
"""Below a video of which nothing is remembered, what is older than this is not told: it may have been told before, and
forgotten since."""
DEEP_EVERY = timedelta(days=1)
MOST_PINNED = 3
"""Videos at the top of an account's list, at most."""
CHECKED_EVERY = timedelta(minutes=15)
STALE = timedelta(minutes=10)
"""A look that has got nothing for this long starts over: what it saw by then is out of date."""
MOST_FAILURES = 3
"""So often one video is tried in one look. It must not keep the next look from beginning."""
BUDGET, BUDGET_SECONDS = 26, 60.0
"""Requests of one account. TikTok allows 40 a minute on each path; answers that are written here look for theirs on the
same ones."""
LONGEST_NAMED = 100
OF_THE_HOST = 16
ANSWERED_SECONDS = 20.0
COMMENTS_LIST, DEEP, POSTS = "comments", "deep", "posts"
_API = "/open_api/v1.3/business"
_AGAIN = "open the client's accounts in Rapport, press “Connect again”, and leave every permission switched on"


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(itself(account) and account.connection.get("token", "").strip())


def itself(account: Account) -> str:
    """The account's id; empty where its connection does not have it."""
    return account.connection.get("business", "").strip()


def tiktok(settings: TiktokSettings, leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns(of_a_host=OF_THE_HOST)
    pushing = Pushing(settings, http, turns, shared)

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "TiktokReader":
        headers = {"Access-Token": account.connection["token"]}
        budget = Budget(BUDGET, BUDGET_SECONDS)
        api = Api(http, PLATFORM, settings.tiktok_api, headers, budget, turns, shared.now)
        return TiktokReader(account, reading, watched, api, pushing, shared)

    pushes = bool(settings.tiktok_secrets.get_secret_value().strip())
    return Polled(
        PLATFORM, usable, make, leases, shared, pushes=pushes, itself=itself, also_named=(IDENTIFIER,)
    )  # fmt: skip


class _Callback(Struct, frozen=True):
    callback_url: str | None = None


class _Webhook(Struct):
    data: _Callback = _Callback()


class Pushing:
    """Whether TikTok pushes comments to the application at all. That is asked once for all accounts."""

    def __init__(self, settings: TiktokSettings, http: GuardedHttp, turns: Turns, shared: Shared) -> None:
        secrets = entries(settings.tiktok_secrets.get_secret_value())
        self._asked = {"app_id": settings.tiktok_client_id, "secret": secrets[0] if secrets else ""}
        budget = Budget(BUDGET, BUDGET_SECONDS)
        self._api = Api(http, PLATFORM, settings.tiktok_api, {}, budget, turns, shared.now)
        self._now = shared.now
        self._lock = asyncio.Lock()
        self._looked_at: datetime | None = None
        self._there = True

    async def is_there(self) -> bool:
        """Whether it does. Where that cannot be asked, or is not answered, it counts as what was known before.

        Raises AttentionError and RefusedError.
        """
        if not all(self._asked.values()):
            return True
        async with self._lock:
            now = self._now()
            if self._looked_at is None or now - self._looked_at >= CHECKED_EVERY:
                with contextlib.suppress(AwayError, LimitedError):
                    answer = await self._api.get(f"{_API}/webhook/list/", {**self._asked, "event_type": "COMMENT"})
                    self._there = bool(checked(answer, _Webhook).data.callback_url)
                    self._looked_at = now
            return self._there


@dataclass
class _Place:
    """How far a list has been read in one look."""

    cursor: str | None = None
    pages: int = 0
    older: int = 0
    """Pages on which all is older than what was read before."""
    whole: bool = True
    """Whether it was all that is wanted."""


@dataclass
class _Begun:
    """A video that is looked at."""

    video: Video
    places: dict[str, _Place] = field(default_factory=dict)
    """In its lists, by the video or the comment that each is below."""
    failures: int = 0


@dataclass
class _Look:
    """One look at all videos."""

    began: datetime
    deep: bool
    posts_since: datetime
    """From when on videos are told."""
    went_on_at: datetime
    cursor: str | None = None
    pages: int = 0
    """Of the list of videos."""
    listed: bool = False
    cursors: set[str] = field(default_factory=set)
    """Where a page of it has begun."""
    posted: bool = False
    """Whether all videos that are new have been listed."""
    older: int = 0
    """How many have been listed that are not."""
    found: Legible = field(default_factory=Legible)
    videos: deque[_Begun] = field(default_factory=deque)
    later: deque[_Begun] = field(default_factory=deque)
    """Those whose reading was broken off."""


class TiktokReader:
    """A Reader."""

    every_seconds = EVERY_SECONDS

    def __init__(
        self,
        account: Account,
        reading: Reading,
        watched: Callable[[], Watched],
        api: Api,
        pushing: Pushing,
        shared: Shared,
    ) -> None:
        self._business = itself(account)
        self._posts_list = f"{POSTS}@{self._business}"
        self._identifier = account.connection.get(IDENTIFIER, "").strip()
        self._own: str | None = None
        """What TikTok calls the account, as far as that was seen."""
        self._reading = reading
        self._watched = watched
        self._api = api
        self._pushing = pushing
        self._now = shared.now
        self._log = shared.log
        self._told = Told()
        self._posts = Told()
        self._look: _Look | None = None
        """What a limit, or anything else, broke off."""

    @property
    def posts_checked_at(self) -> datetime:
        """See PostsApart: a look lists the videos at its beginning, and may take long over the comments."""
        return self._reading.known_to(self._posts_list)

    async def itself(self) -> str:
        """See Reader."""
        return self._business

    async def read(self) -> None:
        """See Reader."""
        now = self._now()
        deep_list = f"{DEEP}@{self._business}"
        look = self._look
        if look is None or now - look.went_on_at > STALE:
            deep_at = self._reading.read_to(deep_list)
            deep = deep_at is None or now - deep_at > DEEP_EVERY
            look = self._look = _Look(now, deep, self._reading.posts_since(self._posts_list), now)
        while (its := await self._next(look)) is not None:
            try:
                await self._video(its.video, its.places, look.began)
            except Exception as error:  # whatever it was, the others get their turn first
                its.failures += not isinstance(error, LimitedError)
                if its.failures < MOST_FAILURES:  # else the next look asks for it again
                    look.later.append(its)
                raise
        self._look = None
        if look.deep:
            await self._reading.found([], [], [], deep_list, look.began.isoformat())
        if self._own is not None and self._own != self._identifier:
            # Its answers were pushed as somebody else's comments, so they may be missing.
            raise AttentionError(
                f"the account's unique_identifier at TikTok is {one_line(self._own, LONGEST_NAMED)}, and Rapport has "
                f"{one_line(self._identifier, LONGEST_NAMED) or 'none'}, so its answers count as comments of others: "
                "open the client's accounts in Rapport, press “Connect again”, and enter it"
            )
        try:
            there = await self._pushing.is_there()
        except (AttentionError, RefusedError) as error:
            raise AttentionError(
                f"TikTok does not say whether it pushes comments to Rapport ({error}): compare "
                "RAPPORT_TIKTOK_CLIENT_ID and RAPPORT_TIKTOK_SECRETS with the application at TikTok",
                complete=True,
            ) from None
        if not there:
            raise AttentionError(
                "TikTok pushes no comments to Rapport: no callback address is set for COMMENT in the application at "
                "TikTok; set it as docs/platforms.md#tiktok says. It is asked for comments meanwhile",
                complete=True,
            )

    async def _next(self, look: _Look) -> _Begun | None:
        """The video to look at next; None after the last."""
        while not look.listed and not (look.videos and look.posted):
            page = await self._videos(look.cursor)
            await self._reading.tell(page, self._posts, self._posts_list, self._log, look.posts_since)
            look.videos.extend(map(_Begun, page.videos))
            # A list that goes on where it was has ended.
            look.cursor, look.pages = page.next if page.next not in look.cursors else None, look.pages + 1
            if look.cursor is not None:
                look.cursors.add(look.cursor)
            if not look.posted:
                await self._posted(look, page)
            most = DEEP_PAGES if look.deep or not look.posted else PAGES
            look.listed = look.cursor is None or look.pages >= most
        waiting = look.videos or look.later
        return waiting.popleft() if waiting else None

    async def _posted(self, look: _Look, page: Page) -> None:
        """Notes that all new videos have been told, once the list has come so far."""
        look.found.add(page)
        look.older += sum(video.at is not None and video.at < look.posts_since for video in page.videos)
        # Those that are pinned come first, however old they are.
        ended, too_many = look.cursor is None or look.older > MOST_PINNED, look.pages >= DEEP_PAGES
        if not (ended or too_many):
            return
        if not ended and look.found.read:
            self._reading.tell_too_many(look.found.read, self._log)
        if not look.found.nothing and (ended or look.found.read):
            await self._reading.found([], [], [], self._posts_list, look.began.isoformat())
        look.posted = True

    async def _get(self, path: str, asked: Mapping[str, str], read: Callable[[bytes], Page]) -> Page:
        answer = await self._api.get(f"{_API}/{path}", asked)
        try:
            found = read(answer)
        except UnreadableError as error:
            raise AwayError(f"TikTok's answer cannot be read: {error}") from None
        except AttentionError as error:
            raise AttentionError(f"{error}; {_AGAIN}") from None
        if self._look is not None:
            self._look.went_on_at = self._now()
        return found

    async def _videos(self, cursor: str | None) -> Page:
        asked = {
            "business_id": self._business, "fields": FIELDS, "max_count": str(VIDEOS),
            **({"cursor": cursor} if cursor else {}),
        }  # fmt: skip
        now = self._now()
        try:
            return await self._get("video/list/", asked, lambda body: listed.videos(body, self._watched(), now))
        except RefusedError as error:
            raise AttentionError(f"TikTok does not list the account's videos: {error}") from None

    async def _video(self, video: Video, places: dict[str, _Place], now: datetime) -> None:
        """Tells the comments below a video that may be new, and notes how many it has. The look began at `now`."""
        known, read_at = self._seen(video.id)
        fresh = video.at is not None and now - video.at < FRESH
        if not fresh and video.comments is not None and video.comments == known:
            return
        if video.comments == 0 and not known:
            return
        # Of a video that was never read, what was written before the account was connected is not wanted.
        begin = (read_at or max(self._reading.account.connected_at, now - NEW_FOR)) - CLOCKS
        if await self._below(video.id, begin, places, first=read_at is None):
            told = self._remembered(f"{video.id}/comments", video.id, f"{video.comments or 0} {now.isoformat()}")
            await self._reading.found([], [], [told], COMMENTS_LIST, None)

    async def _below(self, video: str, begin: datetime, places: dict[str, _Place], *, first: bool) -> bool:
        """Tells the comments below a video, and the answers to them. Whether it was all that is wanted."""
        place = places.setdefault(video, _Place())
        while place.pages < MOST_PAGES:
            page = await self._comments("comment/list/", video, None, place.cursor)
            if page is None:
                return False
            await self._tell(page, begin)
            for thread in page.threads:
                ask = not first or thread.at is None or thread.at >= begin
                place.whole = await self._thread(video, thread, begin, places, ask=ask) and place.whole
            place.cursor, place.pages = page.next, place.pages + 1
            behind = page.newest is not None and page.newest < begin
            place.older += behind or page.newest is None
            # Later on, what is older is looked through too: somebody may have answered it.
            if place.cursor is None or place.older >= COMMENT_PAGES or (first and behind):
                return place.whole
        self._too_many(f"comments below {video}")
        return False

    async def _thread(
        self, video: str, thread: Thread, begin: datetime, places: dict[str, _Place], *, ask: bool
    ) -> bool:
        """Tells the answers to a comment, where their number has changed. Without `ask` it is only noted.

        Whether it was all that is wanted.
        """
        what = f"{thread.id}/replies"
        known = self._reading.remembered(what)
        if thread.replies == 0 or (known is not None and known.version == str(thread.replies)):
            return True
        if ask and not await self._answers(video, thread.id, begin, places):
            return False
        places.pop(thread.id, None)  # it may have another answer by the time the page is asked for again
        told = self._remembered(what, video, str(thread.replies))
        await self._reading.found([], [], [told], COMMENTS_LIST, None)
        return True

    async def _answers(self, video: str, comment: str, begin: datetime, places: dict[str, _Place]) -> bool:
        place = places.setdefault(comment, _Place())
        while place.pages < MOST_PAGES:
            page = await self._comments("comment/reply/list/", video, comment, place.cursor)
            if page is None:
                return False
            await self._tell(page, begin)
            place.cursor, place.pages = page.next, place.pages + 1
            place.older += page.newest is None or page.newest < begin
            if place.cursor is None or place.older >= REPLY_PAGES:
                return True
        self._too_many(f"answers to {comment}")
        return False

    def _too_many(self, what: str) -> None:
        self._log.error(
            "%s %s: more than %d new %s; the oldest of them are not read",
            PLATFORM, self._reading.account.id, MOST_PAGES * COMMENTS, what,
        )  # fmt: skip

    async def _comments(self, path: str, video: str, parent: str | None, cursor: str | None) -> Page | None:
        """A page; None where TikTok does not give it, which is not noted as read."""
        asked = {
            "business_id": self._business, "video_id": video, "max_count": str(COMMENTS), "sort_field": "create_time",
            "sort_order": "desc", **({"comment_id": parent} if parent else {"status": "ALL"}),
            **({"cursor": cursor} if cursor else {}),
        }  # fmt: skip
        now = self._now()  # before the answer: what is hidden in it may be shown again after
        try:
            return await self._get(path, asked, lambda body: listed.comments(body, video, parent, self._watched(), now))
        except RefusedError as error:
            # A video or a comment that is gone must not hold up the others.
            self._log.info("%s %s: %s: %s", PLATFORM, self._reading.account.id, video, error)
            return None

    async def _tell(self, page: Page, begin: datetime) -> None:
        self._reading.tell_skipped(page, self._log)
        self._own = page.own or self._own
        said = [one for one in page.interactions if one.kind != "hide" and one.occurred_at >= begin]
        fresh = self._told.fresh(said)
        new = {one.object.id for one in fresh}
        hidings = [one for one in page.interactions if one.kind == "hide" and one.object.id in new]
        known = page.shown | {one.object.id for one in page.interactions if one.kind == "hide"}
        changed, things = changes(
            [one for one in page.interactions if one.object.id in known], hidings, self._reading.remembered,
            max(self._reading.account.connected_at, self._now() - NEW_FOR) - CLOCKS, self._reading.claim,
        )  # fmt: skip
        await self._reading.found([*fresh, *hidings, *changed], [], things, COMMENTS_LIST, None)
        self._told.keep(fresh)

    def _seen(self, video: str) -> tuple[int | None, datetime | None]:
        """How many comments a video had when they were last read, and when that was."""
        found = self._reading.remembered(f"{video}/comments")
        count, _, at = (found.version or "").partition(" ") if found is not None else ("", "", "")
        try:
            return int(count), datetime.fromisoformat(at).astimezone(UTC)
        except (ValueError, OverflowError):
            return None, None

    def _remembered(self, thing: str, video: str, version: str) -> Remembered:
        return Remembered(
            account=self._reading.account.id, thing=thing, kind="post", actor=self._business, conversation=video,
            seen_at=self._now(), claim=self._reading.claim, version=version,
        )  # fmt: skip
