"""What a reader does with what comes while it asks, without a log."""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Account, Interaction
from rapport.kit.http.outgoing import Guard
from services.ingest.broker import Broker
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.mastodon.connector import MastodonReader
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import Turns
from services.ingest.polling.reading import Reading
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.connectors.mastodon.client import Client

pytestmark = pytest.mark.anyio


class Taken:
    """A Reading that keeps what it is given."""

    claim = 1

    def __init__(self, account: Account) -> None:
        self.account = account
        self.told: list[tuple[str, str]] = []
        self._positions: dict[str, str] = {}
        self._things: dict[str, Remembered] = {}

    def position(self, list_: str) -> str | None:
        return self._positions.get(list_)

    def remembered(self, thing: str) -> Remembered | None:
        return self._things.get(thing)

    def tell_skipped(self, *_: Any) -> None:
        pass

    async def took(self, interactions: Sequence[Interaction], _: Any, things: Iterable[Remembered]) -> None:
        self.told += [(one.kind, one.object.id) for one in interactions if one.object is not None]
        self._things.update({one.thing: one for one in things})

    async def found(
        self, interactions: Sequence[Interaction], away: Any, things: Any, list_: str, position: str | None
    ) -> None:
        await self.took(interactions, away, things)
        if position is not None:
            self._positions[list_] = position


async def test_what_is_deleted_while_a_page_that_has_it_is_under_way_is_deleted_afterwards(
    server: MastodonServer, tmp_path: Path
) -> None:
    client = Client(server)
    taken = Taken(client.account)
    shared = Shared(
        tmp_path, cast(Broker, None), lambda: datetime.now(UTC), logging.getLogger("test"), Guard(allow_private=True)
    )
    watched = Watched(client.brand.id, client.account, client.full(client.itself), frozenset())
    reader = MastodonReader(client.account, cast(Reading, taken), lambda: watched, shared.http(5), Turns(), shared)
    await reader.itself()
    comment = client.comment()
    await reader._take(json.dumps({"event": "delete", "payload": comment.partition("@")[0]}))
    assert taken.told == []
    await reader.read()
    assert taken.told[-2:] == [("comment", comment), ("delete", comment)]
    told = len(taken.told)
    await reader.read()
    assert len(taken.told) == told
