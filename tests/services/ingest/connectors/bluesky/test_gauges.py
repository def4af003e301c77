"""What the metrics say of streams: each its own, and of one that is read again the newest."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from rapport.contracts.events import Account
from rapport.kit.http.outgoing import Guard
from services.ingest import metrics
from services.ingest.connectors.bluesky.connector import Bluesky
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.connector import Shared
from tests.services.ingest.leases.held import Held

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bluesky(tmp_path: Path) -> AsyncIterator[Bluesky]:
    """One that opens no stream yet, because it is not certain whose the accounts are."""
    leases = Held(tmp_path)
    leases.give("acme")
    leases.unsure = True
    log, guard = logging.getLogger("test"), Guard(allow_private=True)
    shared = Shared(tmp_path, cast(Any, None), lambda: datetime.now(UTC), log, guard)
    made = Bluesky(BlueskySettings(port=0, plc_directory="http://127.0.0.1:1"), leases, shared)
    try:
        yield made
    finally:
        await made.close()
        await leases.close()


def account(**connection: str) -> dict[str, tuple[str, Account]]:
    made = Account(
        id=uuid4().hex, platform="bluesky", handle="acme", connected_at=datetime.now(UTC), door_secrets=(),
        connection={"did": f"did:plc:{uuid4().hex}", **connection},
    )  # fmt: skip
    return {made.id: ("acme", made)}


def told(host: str) -> set[str]:
    """The streams of a host of which the metrics say whether they are connected."""
    samples = [each for metric in metrics.CONNECTED.collect() for each in metric.samples]
    return {each.labels["source"] for each in samples if host in each.labels["source"]}


async def ended(made: Bluesky) -> None:
    tasks: set[asyncio.Task[Any]] = made._ending
    await asyncio.gather(*tasks)


async def test_streams_of_one_host_are_told_apart_and_one_that_ends_takes_only_its_own_away(bluesky: Bluesky) -> None:
    host = f"{uuid4().hex[:8]}.example"
    relay, light = account(service=f"wss://{host}"), account(jetstream=f"wss://{host}")
    newer = account(jetstream=f"wss://{host}/xrpc/network.bsky.jetstream.subscribeEvents")
    bluesky.follow(relay | light | newer)
    addresses = {
        f"wss://{host}/xrpc/com.atproto.sync.subscribeRepos",
        f"wss://{host}/subscribe",
        f"wss://{host}/xrpc/network.bsky.jetstream.subscribeEvents",
    }
    assert told(host) == addresses
    bluesky.follow(light)
    await ended(bluesky)
    assert told(host) == {f"wss://{host}/subscribe"}
    bluesky.follow({})
    await ended(bluesky)
    assert told(host) == set()


async def test_a_stream_that_is_wanted_again_at_once_is_not_taken_away_by_the_end_of_the_one_before(
    bluesky: Bluesky,
) -> None:
    host = f"{uuid4().hex[:8]}.example"
    its = account(service=f"wss://{host}")
    bluesky.follow(its)
    await asyncio.sleep(0)  # it has begun
    bluesky.follow({})
    bluesky.follow(its)
    await ended(bluesky)
    assert len(told(host)) == 1
