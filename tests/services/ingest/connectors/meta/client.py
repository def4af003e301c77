"""A brand with an account on one of Meta's platforms, and how it is asked."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import SecretStr

from rapport.contracts.events import Account, Brand
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.facebook.reader import facebook
from services.ingest.connectors.instagram.reader import instagram
from services.ingest.connectors.platforms import PlatformSettings
from services.ingest.connectors.threads.reader import threads
from services.ingest.leases.leases import Leases
from services.ingest.polling.polled import Polled
from tests.platforms.graph import GraphServer, Owner
from tests.services.ingest.service import brand_with

SECRET = "a-secret-of-the-app"
ID_FIELDS = {"facebook": "page", "instagram": "user", "threads": "user"}
_MAKERS: Mapping[str, Callable[[PlatformSettings, Leases, Shared], Polled]] = {
    "facebook": facebook,
    "instagram": instagram,
    "threads": threads,
}


class Client:
    """A brand with a page, an account or a profile on the server."""

    def __init__(
        self, server: GraphServer, platform: str = "facebook", *, brand: str | None = None, token: bool = True,
        connected_at: datetime | None = None,
    ) -> None:  # fmt: skip
        self.server = server
        self.platform = platform
        self.owner: Owner = server.owner(name=f"roastery{uuid4().hex[:6]}")
        self.post = server.post(self.owner)
        self.account = Account(
            id=f"account-{uuid4().hex[:12]}", platform=platform, handle=self.owner.name,
            connected_at=connected_at or datetime.now(UTC), door_secrets=("secret",),
            connection={ID_FIELDS[platform]: self.owner.id, **({"token": self.owner.token} if token else {})},
        )  # fmt: skip
        self.brand: Brand = brand_with(self.account, id=brand)

    @property
    def pair(self) -> tuple[str, Account]:
        """The brand's id, and its account."""
        return self.brand.id, self.account

    def comment(self, text: str = "Are you open?") -> str:
        """Somebody comments. Returns the id of the interaction."""
        return self.server.comment(self.post, text).id

    def with_token(self, token: str) -> tuple[str, Account]:
        """The brand's id, and its account after somebody connected it again."""
        told = {name: getattr(self.account, name) for name in self.account.__struct_fields__}
        return self.brand.id, Account(**{**told, "connection": {**self.account.connection, "token": token}})


def asked_at(
    server: GraphServer, platform: str = "facebook", *, pushes: bool = True
) -> Callable[[Leases, Shared], Polled]:
    """Makes the connector of a platform. `pushes`: ingest takes what the platform pushes."""
    secret = SecretStr(SECRET if pushes else "")
    settings = PlatformSettings(
        port=0, facebook_api=server.api, instagram_api=server.api, threads_api=server.api, facebook_secrets=secret,
        instagram_secrets=secret, threads_secrets=secret,
    )  # fmt: skip
    return lambda leases, shared: _MAKERS[platform](settings, leases, shared)
