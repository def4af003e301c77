"""A brand with an account on a Mastodon server."""

from datetime import UTC, datetime
from uuid import uuid4

from rapport.contracts.events import Account, Brand
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.service import brand_with


class Client:
    """A brand with an account on the server, and somebody who follows it."""

    def __init__(self, server: MastodonServer, name: str = "roastery", brand: str | None = None) -> None:
        self.server = server
        self.token = f"token-{uuid4().hex}"
        self.itself = server.add_account(name, token=self.token)
        self.ada = server.add_account(f"ada{uuid4().hex[:6]}")
        self.post = server.post(self.itself, "Fresh beans today")
        self.account = Account(
            id=f"account-{uuid4().hex[:12]}", platform="mastodon", handle=f"@{name}@{server.host}",
            connected_at=datetime.now(UTC), door_secrets=("secret",),
            connection={"service": server.address, "token": self.token},
        )  # fmt: skip
        self.brand: Brand = brand_with(self.account, id=brand)

    @property
    def pair(self) -> tuple[str, Account]:
        """The brand's id, and its account."""
        return self.brand.id, self.account

    def comment(self, text: str = "Are you open?") -> str:
        """Somebody comments. Returns the id of the interaction."""
        return self.full(self.server.comment(self.ada, self.post, text))

    def full(self, id: str) -> str:
        """An id as interactions have it."""
        return f"{id}@{self.server.host}"

    def streams(self) -> int:
        """How many streams of the account are open."""
        return [token for token, _ in self.server.streams].count(self.token)
