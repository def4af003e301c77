"""An ingest of the test's own, with no other that could read in its place."""

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.bluesky.network import Network
from tests.services.ingest.people import Seen, accounts_read, newcomer, on_bluesky
from tests.services.ingest.service import Ingest, Log, brand_with, publish
from tests.waiting import until

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
    until(lambda: accounts_read(own_ingest, bluesky) > 0, "the account to be read for")
    post = shop.post("Before")
    like = fan.like(post)
    seen.of(like)
    assert own_ingest.stop() == 0

    missed = fan.post("Anyone there?", reply=post)
    fan.delete(like)
    own_ingest.start().ready()
    assert seen.of(missed).kind == "comment"
    assert seen.undone(like).undo


def test_followers_come_with_the_handles_that_the_directory_knows(
    stack: Any, bluesky: Network, log: Log, tmp_path: Path
) -> None:
    fan, shop = newcomer(bluesky, "fan"), newcomer(bluesky, "shop")
    brand = brand_with(on_bluesky(shop))
    publish(stack.kafka, brand)
    ingest = Ingest(stack.kafka, tmp_path, RAPPORT_PLC_DIRECTORY=bluesky.plc).start()
    try:
        ingest.ready()
        until(lambda: accounts_read(ingest, bluesky) > 0, "the account to be read for")
        # A directory that does not answer in time holds nobody up: on a busy machine that may be the first one's fate.
        seen = Seen(log, brand)
        until(lambda: seen.of(fan.follow(shop)).actor.handle == fan.handle, "one to have the handle")
    finally:
        ingest.close()
