"""X is asked for one span of time at once, for whichever accounts: none undoes what another waits for."""

from datetime import datetime, timedelta
from typing import cast

import pytest
from pydantic import SecretStr

from rapport.kit.http.outgoing import GuardedHttp
from services.ingest.connectors.x.settings import XSettings
from services.ingest.connectors.x.webhook import KEPT, MINUTE, REPLAYING_SECONDS, SHARED, Webhook
from services.ingest.polling.api import LimitedError, Turns
from tests.services.ingest.connectors.kept import Answers, Clock, shared

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)


class World:
    """A webhook that is valid, and what X is asked to send again."""

    def __init__(self) -> None:
        self.now = Clock()
        self.began = self.now()
        self.api = Answers(lambda _path, _asked: b"{}")
        self.webhook = Webhook(
            XSettings(port=0, x_bearer=SecretStr("b")), cast(GuardedHttp, None), Turns(), shared(self.now)
        )
        self.webhook._api, self.webhook._id = self.api, "7"

    async def repeated(self, span: tuple[datetime, datetime]) -> bool:
        """Whether X has sent a span again."""
        try:
            await self.webhook.repeated(*span)
        except LimitedError:
            return False
        return True

    def spans(self) -> list[tuple[str, str]]:
        return [(asked["from_date"], asked["to_date"]) for _, asked in self.api.asked]


async def test_two_accounts_that_missed_different_times_are_both_repaired() -> None:
    world = World()
    one = world.began - 5 * HOUR, world.began - 4 * HOUR
    other = world.began - 3 * HOUR, world.began - HOUR
    left = {"one": one, "other": other}
    for _ in range(6):
        for name, span in list(left.items()):
            if await world.repeated(span):
                del left[name]
            world.now.at += timedelta(seconds=1)
        world.now.at += timedelta(seconds=REPLAYING_SECONDS)
    assert left == {}
    assert len(world.spans()) == 2
    both = one[0] - SHARED, other[1] + MINUTE
    assert world.spans()[-1] == (f"{both[0]:%Y%m%d%H%M}", f"{both[1]:%Y%m%d%H%M}")


async def test_nothing_is_asked_for_that_x_does_not_have_any_more() -> None:
    world = World()
    assert not await world.repeated((world.began - KEPT, world.began - HOUR))
    world.now.at += timedelta(seconds=90)
    assert not await world.repeated((world.began - 2 * HOUR, world.began - timedelta(minutes=30)))
    oldest = world.now() - KEPT
    assert world.spans()[-1][0] == f"{oldest:%Y%m%d%H%M}"


async def test_what_was_asked_for_long_ago_is_not_asked_for_again() -> None:
    world = World()
    assert not await world.repeated((world.began - 5 * HOUR, world.began - 4 * HOUR))
    world.now.at += timedelta(seconds=2 * REPLAYING_SECONDS)
    assert not await world.repeated((world.began - 2 * HOUR, world.began - HOUR))
    assert world.spans()[-1][0] == f"{world.began - 2 * HOUR - SHARED:%Y%m%d%H%M}"
