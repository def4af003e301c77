"""X is asked for one span of time at once, for whichever accounts: none undoes what another waits for."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from rapport.contracts.events import Account
from rapport.kit.http.outgoing import GuardedHttp
from services.ingest.connectors.x.normalise import READ_EVENTS
from services.ingest.connectors.x.reader import MOST_PAGES, XReader
from services.ingest.connectors.x.settings import XSettings
from services.ingest.connectors.x.webhook import KEPT, MINUTE, REPLAYING_SECONDS, SHARED, Webhook
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import AwayError, LimitedError, Turns
from tests.services.ingest.connectors.kept import Answers, Clock, Kept, shared

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


@pytest.mark.parametrize("path", ["webhooks", "subscriptions"])
async def test_an_error_with_status_200_is_no_list_with_nothing_in_it(path: str) -> None:
    """Else each account would be said not to be subscribed, and somebody would connect it again for nothing."""
    error = {"errors": [{"title": "Unavailable", "detail": "Try this later."}]}
    ours = {"id": "7", "url": "https://rapport.example/v1/platforms/x", "valid": True}
    world = World()
    world.webhook._api = Answers(
        lambda asked, _: json.dumps(error if asked.endswith(path) else {"data": [ours]}).encode()
    )
    with pytest.raises(AwayError, match="Try this later"):
        await world.webhook.missing("42", READ_EVENTS)


async def test_a_list_of_mentions_that_names_itself_as_the_next_page_is_paid_for_twice_at_most() -> None:
    world = World()
    account = Account(
        id="account", platform="x", handle="roastery", connected_at=world.now() - 48 * HOUR, door_secrets=("secret",),
        connection={"user": "42", "token": "t"},
    )  # fmt: skip
    page = {"data": [{"id": "1", "author_id": "43", "text": "@roastery hello"}], "meta": {"next_token": "again"}}
    api = Answers(lambda _path, _asked: json.dumps(page).encode())
    told: list[Any] = []

    async def append(records: list[Any]) -> None:
        told.extend(records)

    its = replace(shared(world.now), broker=cast(Any, SimpleNamespace(append=append)))
    watched = Watched("brand", account, "42", frozenset({"42"}))
    reader = XReader(account, Kept(account, world.now), lambda: watched, api, api, world.webhook, its)
    await reader._read_mentions(api, world.now() - 2 * HOUR, world.now())
    assert len(api.asked) == len(told) == 2


async def test_more_mentions_than_one_look_reads_are_read_by_the_next_and_none_twice() -> None:
    world = World()
    account = Account(
        id="account", platform="x", handle="roastery", connected_at=world.now() - 48 * HOUR, door_secrets=("secret",),
        connection={"user": "42", "token": "t"},
    )  # fmt: skip
    pages = MOST_PAGES + 2

    def answer(_path: str, asked: Mapping[str, str]) -> bytes:
        number = int(asked.get("pagination_token", "0"))
        post = {
            "id": str(number), "author_id": "43", "text": "@roastery", "created_at": "2026-05-04T10:00:00.000Z",
        }  # fmt: skip
        more = {"next_token": str(number + 1)} if number + 1 < pages else {}
        return json.dumps({"data": [post], "meta": more}).encode()

    api, kept = Answers(answer), Kept(account, world.now)

    async def append(_records: list[Any]) -> None:
        pass

    its = replace(shared(world.now), broker=cast(Any, SimpleNamespace(append=append)))
    watched = Watched("brand", account, "42", frozenset({"42"}))
    reader = XReader(account, kept, lambda: watched, api, api, world.webhook, its)
    since, until = world.now() - 2 * HOUR, world.now()
    with pytest.raises(LimitedError):
        await reader._read_mentions(api, since, until)
    await reader._read_mentions(api, since + HOUR, until)
    assert [one.object.id for one in kept.told] == [str(number) for number in range(pages)]
    assert len(api.asked) == pages
    assert len({asked["start_time"] for _, asked in api.asked}) == 1, "a page belongs to the span that was asked for"


async def test_an_error_instead_of_a_page_of_mentions_is_not_taken_for_the_last_page() -> None:
    world = World()
    api = Answers(lambda _path, _asked: b'{"errors": [{"title": "Unavailable"}]}')
    account = Account(
        id="account", platform="x", handle="roastery", connected_at=world.now(), door_secrets=("secret",),
        connection={"user": "42", "token": "t"},
    )  # fmt: skip
    watched = Watched("brand", account, "42", frozenset({"42"}))
    reader = XReader(account, Kept(account, world.now), lambda: watched, api, api, world.webhook, shared(world.now))
    with pytest.raises(AwayError):
        await reader._read_mentions(api, world.now() - 2 * HOUR, world.now())
