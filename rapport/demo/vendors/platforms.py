"""The demonstration's platforms: how what happened on an account gets to ingest, and what it is connected with."""

import secrets
from types import TracebackType
from typing import Literal, Self

from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import ELSEWHERE, Body
from rapport.demo.recording.generator import Recording
from rapport.demo.vendors.mastodon.recorded import fill, is_served
from rapport.demo.vendors.mastodon.server import MastodonServer

Way = Literal["door", "pushed", "served"]


class Platforms:
    """From `with` to its end: a Mastodon server, and an app of Meta's by its secret."""

    def __init__(self) -> None:
        self.app_secret = secrets.token_hex(32)
        self._token = secrets.token_urlsafe(32)
        self._mastodon = MastodonServer()

    def __enter__(self) -> Self:
        self._mastodon.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mastodon.__exit__(kind, error, trace)

    @property
    def host(self) -> str:
        """The Mastodon server's, as it stands in ids."""
        return self._mastodon.host

    @property
    def settings(self) -> dict[str, str]:
        """What ingest has to know of them."""
        return {"RAPPORT_FACEBOOK_SECRETS": self.app_secret}

    def take(self, recording: Recording) -> None:
        """Puts the recording where it is asked for."""
        for account in (each for brand in recording.brands for each in brand.accounts):
            if account.platform_id is not None and account.platform == "mastodon":
                bodies = recording.deliveries[account.id]
                fill(self._mastodon, account, bodies, recording.connected_at, self._token)

    def connection(self, account: DemoAccount) -> dict[str, str]:
        """What an account is connected with; nothing where all of it comes through the door."""
        if account.platform_id is None:
            return {}
        if account.platform == "facebook":
            return {"page": account.platform_id}
        return {"service": self._mastodon.address, "token": self._token}


def way(body: Body, account: DemoAccount, recording: Recording) -> Way:
    """How an interaction gets to ingest."""
    if account.platform_id is None or body["kind"] in ELSEWHERE:
        return "door"
    if account.platform == "facebook":
        return "pushed"
    return "served" if is_served(body, recording.connected_at) else "door"
