"""Ingest away for a while, with no other ingest that could read in its place."""

from typing import Any

import pytest

from tests.platforms.bluesky.network import Network
from tests.services.ingest.people import Seen, accounts_read, newcomer, on_bluesky
from tests.services.ingest.service import Ingest, Log, brand_with, publish, until

pytestmark = pytest.mark.stack


def test_what_happened_while_ingest_was_away_is_read_from_where_it_stopped(
    stack: Any, own_ingest: Ingest, bluesky: Network, log: Log
) -> None:
    fan = newcomer(bluesky, "fan")
    shop = newcomer(bluesky, "shop")
    brand = brand_with(on_bluesky(shop))
    publish(stack.kafka, brand)
    seen = Seen(log, brand)
    own_ingest.start().ready()
    until("the account to be read for", lambda: accounts_read(own_ingest, bluesky) > 0)
    post = shop.post("Before")
    like = fan.like(post)
    seen.of(like)
    assert own_ingest.stop() == 0

    missed = fan.post("Anyone there?", reply=post)
    fan.delete(like)
    own_ingest.start().ready()
    assert seen.of(missed).kind == "comment"
    assert seen.undone(like).undo
