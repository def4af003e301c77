"""The demonstration's platforms: how what happened on an account gets to ingest, and what it is connected with."""

import secrets
from contextlib import ExitStack
from types import TracebackType
from typing import Literal, Self

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import ELSEWHERE, Body, since
from rapport.demo.recording.generator import Recording
from rapport.demo.vendors.mastodon import recorded as mastodon
from rapport.demo.vendors.mastodon.server import MastodonServer
from rapport.demo.vendors.youtube import recorded as youtube
from rapport.demo.vendors.youtube.server import YoutubeServer

Way = Literal["door", "pushed", "served"]


class Platforms:
    """From `with` to its end: a Mastodon server, a YouTube, and an app of Meta's by its secret."""

    def __init__(self) -> None:
        self.app_secret = secrets.token_hex(32)
        self._token = secrets.token_urlsafe(32)
        self._mastodon = MastodonServer()
        self._youtube = YoutubeServer(secrets.token_urlsafe(32))
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as running:
            running.enter_context(self._mastodon)
            running.enter_context(self._youtube)
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)

    @property
    def host(self) -> str:
        """The Mastodon server's, as it stands in ids."""
        return self._mastodon.host

    @property
    def settings(self) -> dict[str, str]:
        """What ingest has to know of them."""
        return {
            "RAPPORT_FACEBOOK_SECRETS": self.app_secret,
            "RAPPORT_INSTAGRAM_SECRETS": self.app_secret,
            "RAPPORT_YOUTUBE_API": self._youtube.address,
            "RAPPORT_YOUTUBE_KEY": self._youtube.key,
        }

    def take(self, recording: Recording) -> None:
        """Puts the recording where it is asked for."""
        for account in (each for brand in recording.brands for each in brand.accounts):
            bodies = recording.deliveries[account.id]
            match account.platform if account.platform_id is not None else None:
                case "mastodon":
                    mastodon.fill(self._mastodon, account, bodies, recording.connected_at, self._token)
                case "youtube":
                    youtube.fill(self._youtube, account, bodies, recording.connected_at)

    def connection(self, account: DemoAccount) -> dict[str, str]:
        """What an account is connected with; nothing where all of it comes through the door."""
        if account.platform_id is None:
            return {}
        match account.platform:
            case "facebook":
                return {"page": account.platform_id}
            case "instagram":
                return {"user": account.platform_id}
            case "youtube":
                return {"channel": account.platform_id}
        return {"service": self._mastodon.address, "token": self._token}


def way(body: Body, account: DemoAccount, recording: Recording) -> Way:
    """How an interaction gets to ingest."""
    if account.platform_id is None or body["kind"] in ELSEWHERE:
        return "door"
    if account.platform == "facebook":
        return "pushed"
    if not since(body, recording.connected_at):
        return "door"
    if account.platform == "instagram":
        # Of the account's own posts nothing is pushed. Whatever published them tells of them.
        return "door" if body["kind"] == "post" else "pushed"
    return "served"
