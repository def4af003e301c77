"""Asks a Threads profile for what its webhook may have left out.

Threads says of a post whether anybody answered, and not when. So the answers below posts of the last week, and below
those that were answered lately, are asked for each time; below older ones once a day.

Source: https://developers.facebook.com/docs/threads/retrieve-and-manage-replies, …/docs/threads/threads-mentions and
…/docs/threads/retrieve-and-discover-posts
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from rapport.contracts.events import Account
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.threads import PLATFORM
from services.ingest.connectors.threads.normalise import POST_FIELDS, REPLY_FIELDS, answers, mentions, posts, replies
from services.ingest.connectors.threads.settings import ThreadsSettings
from services.ingest.hooks.delivery import Watched
from services.ingest.hooks.meta_pages import Page, Post
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import Turns
from services.ingest.polling.graph import ANSWERED_SECONDS, OF_THE_HOST, Graph
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading
from services.ingest.polling.repairing import Listed, PostList, RepairingReader

BUDGET = 600
"""Requests of a profile in an hour. Threads allows 48,000 a day at least."""
RECENT = timedelta(days=7)
DEEP_PAGES = 2
MOST_OWN = 5_000
"""Posts that are known to be the profile's own."""


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(itself(account) and account.connection.get("token", "").strip())


def itself(account: Account) -> str:
    """The profile's id; empty where its connection does not have it."""
    return account.connection.get("user", "").strip()


def threads(settings: ThreadsSettings, leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns(of_a_host=OF_THE_HOST)
    pushes = bool(settings.threads_secrets.get_secret_value().strip())

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "ThreadsReader":
        token = account.connection["token"].strip()
        its = Graph(PLATFORM, settings.threads_api, token, http, turns, shared, BUDGET)
        return ThreadsReader(itself(account), its, reading, watched, shared.now, shared.log)

    return Polled(PLATFORM, usable, make, leases, shared, pushes=pushes, itself=itself)


class ThreadsReader(RepairingReader):
    """A Reader."""

    def __init__(
        self,
        id: str,
        its: Graph,
        reading: Reading,
        watched: Callable[[], Watched],
        now: Callable[[], datetime],
        log: logging.Logger,
    ) -> None:
        super().__init__(id, its, reading, watched, now, log)
        self._own: dict[str, None] = {}

    def lists(self) -> Sequence[Listed]:
        """See RepairingReader."""
        its = PostList(f"/{self._id}/threads", POST_FIELDS, self._posts, DEEP_PAGES)
        return (
            Listed("threads", partial(self.look_at_posts, its), needed=True),
            Listed("replies", self._answers, needed=True),
            Listed("mentions", self._mentions),
        )

    async def comments(self, post: Post, below: str, since: datetime, last: datetime) -> None:
        """See RepairingReader."""
        path, query = f"/{post.id}/conversation", {"fields": REPLY_FIELDS, "reverse": "true"}

        def read(body: bytes, watched: Watched, observed_at: datetime) -> Page:
            return replies(body, post.id, watched, observed_at)

        await self.look_back("conversation", path, query, read, since, below=below, hidden_since=last)

    def _posts(self, body: bytes, watched: Watched, observed_at: datetime) -> Page:
        found = posts(body, watched, observed_at)
        for post in found.posts:
            self._own.pop(post.id, None)
            self._own[post.id] = None
        while len(self._own) > MOST_OWN:
            del self._own[next(iter(self._own))]
        if not self._deep:
            found.posts = [post for post in found.posts if post.at is None or post.at > observed_at - RECENT]
        return found

    async def _answers(self, since: datetime, _: datetime) -> None:
        def read(body: bytes, watched: Watched, observed_at: datetime) -> Page:
            return answers(body, self._own, watched, observed_at)

        await self.look_back("replies", f"/{self._id}/replies", {"fields": REPLY_FIELDS}, read, since)

    async def _mentions(self, since: datetime, _: datetime) -> None:
        def read(body: bytes, watched: Watched, observed_at: datetime) -> Page:
            return mentions(body, self._own, watched, observed_at)

        await self.look_back("mentions", f"/{self._id}/mentions", {"fields": REPLY_FIELDS}, read, since)
