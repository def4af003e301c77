"""Asks an Instagram account for what its webhook may have left out.

One request tells how many comments each of the newest 100 posts has; those where that changed are asked for them. If
one was deleted and one written meanwhile, the number is the same: so the newest posts are asked in any case.
Another request has what the account posted, which its webhook never tells. It is one of its own, so that comments do
not depend on it.
Comments on advertisements and on live videos, and mentions, have no list: they come by the webhook alone.

Source: https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media,
…/reference/ig-media/comments and …/reference/ig-comment/replies
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from pydantic import SecretStr

from rapport.contracts.events import Account
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.instagram import PLATFORM
from services.ingest.connectors.instagram.addresses import Addresses, address_of
from services.ingest.connectors.instagram.normalise import (
    COMMENT_FIELDS,
    MEDIA_FIELDS,
    POST_FIELDS,
    REPLIES,
    REPLY_FIELDS,
    comments,
    media,
    messages,
    posts,
    replies,
)
from services.ingest.hooks.delivery import Watched
from services.ingest.hooks.meta_messages import STORY_FIELDS
from services.ingest.hooks.meta_pages import Page, Post
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import AwayError, Turns
from services.ingest.polling.graph import ANSWERED_SECONDS, OF_THE_HOST, Graph
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading
from services.ingest.polling.repairing import Listed, PostList, RepairingReader
from services.ingest.polling.told import Legible

COMMENTS = 50
"""At once, the most that Instagram gives."""
COMMENT_PAGES, DEEP_COMMENT_PAGES = 4, 20
"""How far below a post that changed replies to older comments are looked for: below the newest 200, once a day 1,000.
Comments themselves are read back to the last look, however many there are."""
DEEP_PAGES = 3
NEWEST, NEW_FOR, NEW_FOR_DEEP = 5, timedelta(days=2), timedelta(days=30)
"""So many posts that are no older are asked each time, whatever their number of comments; and once a day all that are
no older than the last."""
CONVERSATIONS = 25
POSTS = "posts"


class _Settings(Addresses, Protocol):
    instagram_secrets: SecretStr


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(itself(account) and account.connection.get("token", "").strip())


def itself(account: Account) -> str:
    """The account's id there; empty where its connection does not have it."""
    return account.connection.get("user", "").strip()


def instagram(settings: _Settings, leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns(of_a_host=OF_THE_HOST)
    pushes = bool(settings.instagram_secrets.get_secret_value().strip())

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "InstagramReader":
        token = account.connection["token"].strip()
        its = Graph(PLATFORM, address_of(account, settings), token, http, turns, shared)
        return InstagramReader(itself(account), its, reading, watched, shared.now, shared.log)

    return Polled(PLATFORM, usable, make, leases, shared, pushes=pushes, itself=itself)


class InstagramReader(RepairingReader):
    """A Reader."""

    @property
    def posts_checked_at(self) -> datetime:
        """See PostsApart."""
        return self._reading.known_to(self._named(POSTS))

    def lists(self) -> Sequence[Listed]:
        """See RepairingReader."""
        its = PostList(f"/{self._id}/media", MEDIA_FIELDS, self._media, DEEP_PAGES, told=False)
        return (
            Listed("media", partial(self.look_at_posts, its), needed=True),
            Listed("messages", self._messages),
            Listed(POSTS, self._posts, beside=True),
        )

    def _media(self, body: bytes, watched: Watched, observed_at: datetime) -> Page:
        found = media(body, watched, observed_at)
        oldest, most = (
            observed_at - (NEW_FOR_DEEP if self._deep else NEW_FOR),
            len(found.posts) if self._deep else NEWEST,
        )
        new = [post for post in found.posts if post.many and post.at is not None and post.at > oldest][:most]
        found.posts = [post._replace(many=None) if post in new else post for post in found.posts]
        return found

    async def comments(self, post: Post, below: str, since: datetime, last: datetime) -> None:
        """See RepairingReader. A reply is below its comment, wherever that stands: so pages that have only older
        comments are read as well.
        """

        def read(body: bytes, watched: Watched, observed_at: datetime) -> Page:
            return comments(body, post.id, watched, observed_at)

        most, looked = COMMENTS * (DEEP_COMMENT_PAGES if self._deep else COMMENT_PAGES), 0
        done = self._looks.answered(post)
        path, query = f"/{post.id}/comments", {"fields": COMMENT_FIELDS}
        async for page in self._graph.pages("comments", path, query, self._reader(read), COMMENTS, resumed=True):
            await self._looks.tell(page, since, below=below, hidden_since=last)
            for top in page.partly:
                if top not in done:
                    await self._replies(post, top, below, since, last)
                    done.add(top)
            looked += page.many
            if looked >= most and (page.oldest is None or page.oldest < since):
                return

    async def _replies(self, post: Post, top: str, below: str, since: datetime, last: datetime) -> None:
        def read(body: bytes, watched: Watched, observed_at: datetime) -> Page:
            return replies(body, post.id, top, watched, observed_at)

        query = {"fields": REPLY_FIELDS}
        path = f"/{top}/replies"
        async for page in self._graph.pages("replies", path, query, self._reader(read), REPLIES, resumed=True):
            await self._looks.tell(page, since, below=below, hidden_since=last)

    async def _posts(self, _: datetime, __: datetime) -> None:
        found, since = Legible(), self._reading.posts_since(self._named(POSTS))

        def read(body: bytes, watched: Watched, observed_at: datetime) -> Page:
            page = posts(body, watched, observed_at)
            found.add(page)
            return page

        await self.look_back(POSTS, f"/{self._id}/media", {"fields": POST_FIELDS}, read, since)
        if found.nothing:
            raise AwayError("none of its posts can be read")

    async def _messages(self, since: datetime, _: datetime) -> None:
        # `me` is the account, or the page that it belongs to, whichever the token is of.
        await self.look_at_messages("/me/conversations", "instagram", messages, since, CONVERSATIONS, STORY_FIELDS)
