"""Asks a Facebook Page for what its webhook may have left out.

One request tells of the newest 100 posts when they were last commented on, and how many comments they have; only those
that changed are asked for their comments. Posts of advertisements, posts that name the Page, and messages have lists of
their own, as far as the token may see them. Once a day older posts are looked at, too.

Source: https://developers.facebook.com/docs/graph-api/reference/page/feed, …/page/ads_posts, …/page/tagged,
…/page/conversations, …/page/subscribed_apps and …/object/comments
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from msgspec import Struct

from rapport.contracts.events import Account
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.facebook import PLATFORM
from services.ingest.connectors.facebook.normalise import (
    COMMENT_FIELDS,
    COUNTED_FIELDS,
    POST_FIELDS,
    comments,
    messages,
    posts,
    tagged,
)
from services.ingest.connectors.facebook.settings import FacebookSettings
from services.ingest.errands.words import read as readable
from services.ingest.hooks.delivery import Id, UnreadableError, Watched
from services.ingest.hooks.meta_messages import STICKER_FIELDS
from services.ingest.hooks.meta_pages import Page, Paging, Post, next_page
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import AwayError, Turns
from services.ingest.polling.graph import ANSWERED_SECONDS, OF_THE_HOST, PAGE, Graph
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading
from services.ingest.polling.repairing import Listed, PostList, RepairingReader

PUSHED = ("feed", "mention", "messages", "message_echoes", "messaging_postbacks")
"""What a page has to be subscribed to; without the first nothing of it is pushed that matters most."""
CONVERSATIONS = 25
DEEP_PAGES = 10
PAGES_OF_APPS = 10


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(itself(account) and account.connection.get("token", "").strip())


def itself(account: Account) -> str:
    """The page's id; empty where its connection does not have it."""
    return account.connection.get("page", "").strip()


def facebook(settings: FacebookSettings, leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns(of_a_host=OF_THE_HOST)
    pushes = bool(settings.facebook_secrets.get_secret_value().strip())

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "FacebookReader":
        token = account.connection["token"].strip()
        its = Graph(PLATFORM, settings.facebook_api, token, http, turns, shared)
        return FacebookReader(itself(account), its, reading, watched, shared.now, shared.log, pushes=pushes)

    return Polled(PLATFORM, usable, make, leases, shared, pushes=pushes, itself=itself)


class _App(Struct):
    id: Id
    subscribed_fields: list[str] = []


class _Apps(Struct):
    data: list[_App]
    paging: Paging | None = None


class FacebookReader(RepairingReader):
    """A Reader."""

    def __init__(
        self,
        page: str,
        its: Graph,
        reading: Reading,
        watched: Callable[[], Watched],
        now: Callable[[], datetime],
        log: logging.Logger,
        *,
        pushes: bool,
    ) -> None:
        """`pushes`: ingest takes what Facebook pushes."""
        super().__init__(page, its, reading, watched, now, log)
        self._pushes = pushes
        self._feed = PostList(f"/{page}/feed", COUNTED_FIELDS, posts, DEEP_PAGES)
        self._ads = PostList(f"/{page}/ads_posts", COUNTED_FIELDS, posts, DEEP_PAGES, told=False)

    def lists(self) -> Sequence[Listed]:
        """See RepairingReader."""
        return (
            Listed("feed", partial(self.look_at_posts, self._feed), needed=True),
            Listed("ads", partial(self.look_at_posts, self._ads)),
            Listed("tagged", self._tagged),
            Listed("messages", self._messages),
        )

    async def comments(self, post: Post, below: str, since: datetime, last: datetime) -> None:
        """See RepairingReader."""
        query = {"fields": COMMENT_FIELDS, "filter": "stream", "order": "reverse_chronological"}

        def read(body: bytes, watched: Watched, observed_at: datetime) -> Page:
            return comments(body, post.id, watched, observed_at)

        await self.look_back("comments", f"/{post.id}/comments", query, read, since, below=below, hidden_since=last)

    async def unsubscribed(self) -> str | None:
        """See RepairingReader."""
        if not self._pushes:
            return None
        path = f"/{self._id}/subscribed_apps"
        app = readable(await self._graph.get("/app", {"fields": "id"}), _App)
        query = {"fields": "id,subscribed_fields", "limit": str(PAGE)}
        for _ in range(PAGES_OF_APPS):
            found = readable(await self._graph.get(path, query), _Apps)
            fields = [name for each in found.data if str(each.id) == str(app.id) for name in each.subscribed_fields]
            if PUSHED[0] in fields:
                return None
            try:
                more = next_page(found.paging)
            except UnreadableError as error:
                raise AwayError(f"{path}: {error}") from None
            if not more:
                break
            query |= more
        return (
            "Facebook pushes nothing of this page, so comments are found by asking and come minutes late: connect it"
            " again, which subscribes it; or on developers.facebook.com open Tools, Graph API Explorer, choose the app"
            " and the page, and send POST"
            f" {self._id}/subscribed_apps with subscribed_fields={','.join(PUSHED)}"
        )

    async def _tagged(self, since: datetime, _: datetime) -> None:
        await self.look_back("tagged", f"/{self._id}/tagged", {"fields": POST_FIELDS}, tagged, since)

    async def _messages(self, since: datetime, _: datetime) -> None:
        path = f"/{self._id}/conversations"
        await self.look_at_messages(path, "messenger", messages, since, CONVERSATIONS, STICKER_FIELDS)
