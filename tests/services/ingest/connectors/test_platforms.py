"""Every platform that has a connector is read for its own accounts, and all of them as one."""

import asyncio
from datetime import UTC, datetime

from rapport.contracts.events import Account
from services.ingest.connectors.connector import Accounts
from services.ingest.connectors.platforms import Platforms

CONNECTED_AT = datetime(2026, 11, 1, tzinfo=UTC)


class Notes:
    """A connector that only notes what it is told; its accounts are all behind."""

    def __init__(self) -> None:
        self.followed: set[str] = set()
        self.closed = False

    def follow(self, accounts: Accounts) -> None:
        self.followed = set(accounts)

    def behind(self) -> set[str]:
        return set(self.followed)

    def disconnected(self) -> set[str]:
        return {name for name in self.followed if name.endswith("-down")}

    async def close(self) -> None:
        self.closed = True


def account(id: str, platform: str) -> tuple[str, Account]:
    return "acme", Account(id=id, platform=platform, handle=id, connected_at=CONNECTED_AT, door_secrets=())


def test_each_connector_gets_the_accounts_of_its_platform_and_nobody_those_of_the_generic_door() -> None:
    sky, birds = Notes(), Notes()
    platforms = Platforms({"sky": sky, "birds": birds})
    accounts = {"a": account("a", "sky"), "b-down": account("b-down", "birds"), "c": account("c", "helpdesk")}
    platforms.follow(accounts)
    assert (sky.followed, birds.followed) == ({"a"}, {"b-down"})
    assert (platforms.behind(), platforms.disconnected()) == ({"a", "b-down"}, {"b-down"})
    platforms.follow({})
    assert platforms.behind() == set()
    asyncio.run(platforms.close())
    assert sky.closed
    assert birds.closed
