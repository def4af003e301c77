"""Reads an account of one of Meta's platforms, list by list, for what its webhook may have left out.

Each list has a position of its own: when its last complete look began. Lists that need a permission of their own are
optional: where it is missing they are left out for a day, and their positions stay, so nothing is skipped for good.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from services.ingest.hooks.delivery import Delivery, Watched
from services.ingest.hooks.meta_messages import conversation_fields
from services.ingest.hooks.meta_pages import Page, Post
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError
from services.ingest.polling.graph import PAGE, DeniedError, FailedError, Graph, UnseenError
from services.ingest.polling.looks import Looks
from services.ingest.polling.reading import Reading

EVERY_SECONDS = 600.0
DEEP_EVERY = timedelta(days=1)
"""How often older posts are looked at, too; and after every outage that was longer than `OUTAGE`."""
OUTAGE = timedelta(hours=1)
OFF_FOR = timedelta(days=1)
"""How long a list is left out for which a permission is missing."""
MOST_POST_PAGES = 120
"""Of a list of posts in one look, however small they have to be: one hour's budget is enough for them."""
UNSORTED_PAGES, DEEP_UNSORTED_PAGES = 3, 10
"""Of a list that does not begin with the newest, where older items than those looked for have been seen; usually, and
once a day."""
REFUSED_FOR = timedelta(hours=1)
"""How long a post is not asked for its comments after that was refused, while others are."""
DEEP = "deep"

ReadPage = Callable[[bytes, Watched, datetime], Page]


class Listed(NamedTuple):
    """A list of an account. `look` is told from when on, and when this look began."""

    name: str
    look: Callable[[datetime, datetime], Awaitable[None]]
    needed: bool = False
    """Whether the account needs attention where the list is refused."""
    beside: bool = False
    """Whether the account is read to its end also where the list fails: how far that was read is said apart."""


class PostList(NamedTuple):
    """A list of posts that people comment on."""

    path: str
    fields: str
    read: ReadPage
    deep_pages: int
    """How many are looked at, of 100 posts each, where it is not only the newest."""
    told: bool = True
    """Whether the posts themselves are told."""


class RepairingReader(ABC):
    """A Reader, but for the lists that a platform has."""

    def __init__(
        self,
        id: str,
        its: Graph,
        reading: Reading,
        watched: Callable[[], Watched],
        now: Callable[[], datetime],
        log: logging.Logger,
    ) -> None:
        """`id` is the account's on the platform."""
        self._id = id
        self._graph = its
        self._reading = reading
        self._watched = watched
        self._now = now
        self._log = log
        self._looks = Looks(reading, log)
        self._off: dict[str, datetime] = {}
        self._checked_at: datetime | None = None
        self._deep = False

    @property
    def every_seconds(self) -> float:
        """See Reader. Less often where the platform's limit comes near."""
        return EVERY_SECONDS * self._graph.usage.slower()

    async def itself(self) -> str:
        """See Reader."""
        return self._id

    @abstractmethod
    def lists(self) -> Sequence[Listed]:
        """The account's lists, the most important first."""

    async def unsubscribed(self) -> str | None:
        """What to do where the platform pushes nothing of this account; None where it does, or does not say."""
        return None

    async def read(self) -> None:
        """See Reader."""
        began = self._now()
        self._deep = self._is_deep(began)
        failure: AwayError | None = None
        for each in self.lists():
            try:
                await self._look(each)
            except (AwayError, LimitedError) as error:
                if each.beside:
                    account = self._reading.account
                    self._log.warning("%s %s: %s cannot be read: %s", account.platform, account.id, each.name, error)
                elif each.needed or isinstance(error, LimitedError):
                    raise
                else:
                    failure = failure or error
        if self._deep:
            await self._looks.done(self._named(DEEP), began)
            self._graph.relax()
        lacking = await self._lacking(began)
        if lacking is not None:
            raise AttentionError(lacking, complete=failure is None)
        if failure is not None:
            raise failure

    @abstractmethod
    async def comments(self, post: Post, below: str, since: datetime, last: datetime) -> None:
        """Tells what was written below a post of the list `below` since then. Raises as `read`, and UnseenError.

        `last` is since when the list has to be looked at: what is older may have been told before.
        """

    async def look_at_posts(self, its: PostList, since: datetime, at: datetime) -> None:
        """Looks at a list of posts: tells them, and the comments of those that changed, the latest first."""
        listed: set[str] = set()
        looked, pages, tries = 0, 0, _Tries()
        async for page in self._graph.pages(its.path, its.path, {"fields": its.fields}, self._reader(its.read)):
            await self._looks.tell(page if its.told else Delivery(), since, self._looks.albums(page.posts))
            listed |= {post.id for post in page.posts}
            await self._look_at(page.posts, its.path, since, at, tries)
            looked, pages = looked + page.many, pages + 1
            if looked >= PAGE * (its.deep_pages if self._deep else 1) or pages >= MOST_POST_PAGES:
                break
        owed = self._looks.owed(its.path, listed)
        listed.update(owed)
        others = [Post(post) for post in [*owed, *self._looks.busy(its.path, listed)]]
        await self._look_at(others, its.path, since, at, tries)
        if tries.failed:
            raise tries.failed[0][1]  # none could be read: it is not one post's trouble

    async def look_back(
        self, kind: str, path: str, query: Mapping[str, str], read: ReadPage, since: datetime, most: int = PAGE, *,
        below: str | None = None, hidden_since: datetime | None = None,
    ) -> None:  # fmt: skip
        """Tells what a list has that begins with the newest, back to `since`. `kind` and `most` as in `Graph.pages`.

        `below` is the list of the post whose comments they are; `hidden_since` as in `Looks.tell`. Where a page
        does not have the newest first, as where Facebook ranks comments, what is new may stand on any page.
        """
        pages, by_time = 0, True
        most_unsorted = DEEP_UNSORTED_PAGES if self._deep else UNSORTED_PAGES
        async for page in self._graph.pages(kind, path, query, self._reader(read), most, resumed=True):
            await self._looks.tell(page, since, below=below, hidden_since=hidden_since)
            pages, by_time = pages + 1, by_time and page.sorted
            if page.oldest is not None and page.oldest < since and (by_time or pages >= most_unsorted):
                return

    async def look_at_messages(
        self, path: str, platform: str, read: ReadPage, since: datetime, most: int, more: str
    ) -> None:
        """Looks at conversations, with the fields `more` of messages. Where those are refused, it does without: some
        messages are missing then, rather than all.
        """
        for fields in (conversation_fields(more), conversation_fields()):
            query = {"fields": fields, "platform": platform}
            try:
                return await self.look_back("messages", path, query, read, since, most)
            except RefusedError as error:
                refused = error
        raise refused

    def _reader(self, read: ReadPage) -> Callable[[bytes], Page]:
        asked_at = self._now()  # before the answer: what is hidden in it may be shown again after
        return lambda body: read(body, self._watched(), asked_at)

    async def _look(self, each: Listed) -> None:
        name, at = self._named(each.name), self._now()
        if self._off.get(name, at) > at:
            return
        try:
            await each.look(self._looks.since(name), at)
        except (DeniedError, RefusedError) as error:
            if each.needed:
                raise AttentionError(str(error)) from None
            self._off[name] = at + OFF_FOR
            account = self._reading.account
            self._log.info("%s %s: %s is left out for a day: %s", account.platform, account.id, each.name, error)
            return
        await self._looks.done(name, at)

    async def _look_at(
        self, posts: Sequence[Post], below: str, since: datetime, at: datetime, tries: "_Tries"
    ) -> None:  # fmt: skip
        """A post whose comments cannot be read stops none beside it, if any can be read."""
        due = [post for post in posts if self._looks.due(post, since)]
        for post in sorted(due, key=lambda one: one.updated_at or one.at or at, reverse=True):
            first, first_at = self._looks.begins(post, at)
            try:
                await self.comments(post, below, self._looks.from_when(post, since), since)
            except UnseenError:
                # That says nothing of its comments: it may only be hidden from us.
                await self._looks.tell(Delivery(), since, self._looks.gone(post))
                continue
            except (RefusedError, DeniedError, FailedError) as error:
                tries.failed.append((post, error))
            else:
                tries.any_read = True
                self._looks.read(post, first_at)
                await self._looks.tell(Delivery(), since, self._looks.counted(first))
            for failed, why in tries.of_one_post(self._looks):
                self._failed(failed, below, since, why)
        others = [seen for post in posts if post not in due for seen in self._looks.counted(post)]
        await self._looks.tell(Delivery(), since, others)

    def _failed(self, post: Post, below: str, since: datetime, error: Exception) -> None:
        now, account = self._now(), self._reading.account
        if not self._looks.has_failed(post):
            self._log.warning(
                "%s %s: the comments of post %s cannot be read, and are asked for again: %s",
                account.platform, account.id, post.id, error,
            )  # fmt: skip
        self._looks.failed(post, below, since, now if isinstance(error, AwayError) else now + REFUSED_FOR)

    def _named(self, list_: str) -> str:
        return f"{list_}@{self._id}"

    def _is_deep(self, now: datetime) -> bool:
        found = self._reading.read_to(self._named(DEEP))
        first = self.lists()[0].name
        return found is None or now - found > DEEP_EVERY or now - self._looks.since(self._named(first)) > OUTAGE

    async def _lacking(self, now: datetime) -> str | None:
        """What to do where the platform does not push. It is asked once a day, and each time until it does."""
        if self._checked_at is not None and now - self._checked_at < OFF_FOR:
            return None
        try:
            lacking = await self.unsubscribed()
        except (DeniedError, RefusedError, AwayError, LimitedError) as error:
            account = self._reading.account
            self._log.info("%s %s: whether it is subscribed is unknown: %s", account.platform, account.id, error)
            if isinstance(error, AwayError | LimitedError):
                return None  # it is asked with the next look
            lacking = None
        if lacking is None:
            self._checked_at = now
        return lacking


@dataclass
class _Tries:
    """What became of the posts of a list whose comments were asked for in one look."""

    any_read: bool = False
    failed: list[tuple[Post, Exception]] = field(default_factory=list)
    """Those that are not known to be the trouble of one post."""

    def of_one_post(self, looks: Looks) -> list[tuple[Post, Exception]]:
        """Takes those that are: another could be read, or it was so the last time."""
        found = [each for each in self.failed if self.any_read or looks.has_failed(each[0])]
        self.failed = [each for each in self.failed if each not in found]
        return found
