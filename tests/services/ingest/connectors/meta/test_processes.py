"""Facebook pushes to ingest and is asked by it: both tell the same, nothing is missed, it counts once."""

import json
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from rapport.contracts.cursors import partition_of_brand
from rapport.contracts.events import Interaction
from rapport.contracts.topics import CONVERSATIONS, CURSORS, SCORER_GROUP
from tests.deliveries.signing import meta
from tests.platforms.graph import Comment, GraphServer
from tests.services.ingest.connectors.asking import states
from tests.services.ingest.connectors.meta.client import SECRET, Client
from tests.services.ingest.service import Ingest, Log, publish
from tests.services.scorer.worker import Scorer, processed
from tests.waiting import until


def ingest(bootstrap: str, folder: Path, server: GraphServer) -> Ingest:
    """One that Facebook pushes to, and that asks this server."""
    folder.mkdir(exist_ok=True)
    return Ingest(bootstrap, folder, RAPPORT_FACEBOOK_SECRETS=SECRET, RAPPORT_FACEBOOK_API=server.api)


@pytest.fixture
def own(stack: Any, tmp_path: Path, server: GraphServer) -> Iterator[Ingest]:
    """One, not started."""
    made = ingest(stack.kafka, tmp_path / "own", server)
    yield made
    made.close()


def push(to: Ingest, client: Client, *comments: Comment) -> None:
    """Facebook tells ingest of comments."""
    changes = [
        {
            "field": "feed",
            "value": {
                "item": "comment", "verb": "add", "from": {"id": one.by, "name": f"name of {one.by}"},
                "post_id": client.post.id, "comment_id": one.id, "parent_id": one.parent or client.post.id,
                "created_time": int(one.at.timestamp()), "message": one.text,
            },
        }
        for one in comments
    ]  # fmt: skip
    entry = {"id": client.owner.id, "time": int(datetime.now(UTC).timestamp()), "changes": changes}
    body = json.dumps({"object": "page", "entry": [entry]}).encode()
    headers = meta(body, SECRET, datetime.now(UTC))
    answer = httpx.post(f"{to.url}/v1/platforms/facebook", content=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def live(bootstrap: str, client: Client) -> None:
    """Waits until an account is."""

    def now() -> bool:
        found = states(bootstrap, client.account.id)
        return bool(found) and found[-1].state == "live"

    until(now, lambda: f"the account to be live: {states(bootstrap, client.account.id)}")


def held_by(one: Ingest) -> set[int]:
    """The partitions of the accounts that a process reads, by its log."""
    held: set[int] = set()
    for number, gone in re.findall(r"partition (\d+) of the accounts is( not)? read here", one.log.read_text()):
        (held.discard if gone else held.add)(int(number))
    return held


def told(log: Log, client: Client, id: str) -> list[Interaction]:
    """What the log has of an interaction, each time it was told."""
    return [one for one in log.interactions(client.brand.id) if one.id == id]


def _twice(log: Log, client: Client, id: str) -> bool:
    return len(told(log, client, id)) == 2


def test_asking_tells_exactly_what_was_pushed(stack: Any, own: Ingest, log: Log, server: GraphServer) -> None:
    client = Client(server)
    comment = server.comment(client.post, "Are you open?")
    answer = server.comment(client.post, "We are", by=client.owner.id, to=comment)
    further = server.comment(client.post, "Great", by="7002", to=comment)
    publish(stack.kafka, client.brand)
    own.start().ready()
    live(stack.kafka, client)
    push(own, client, comment, answer, further)
    for one in (comment, answer, further):
        until(partial(_twice, log, client, one.id), "both to tell it")
        asked, pushed = (
            msgspec.structs.replace(each, observed_at=one.at) for each in told(log, client, one.id)
        )  # fmt: skip
        if one is answer:
            # Each has the page's name from where it comes.
            asked = msgspec.structs.replace(asked, actor=pushed.actor)
        assert asked == pushed


def test_nothing_is_missed_over_an_outage_of_what_is_pushed(
    stack: Any, own: Ingest, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    publish(stack.kafka, client.brand)
    own.start().ready()
    live(stack.kafka, client)
    pushed = server.comment(client.post, "pushed")
    push(own, client, pushed)
    log.wait_for(client.brand.id, pushed.id)
    own.stop(signal.SIGKILL)
    missed = [server.comment(client.post, f"missed {number}").id for number in range(150)]
    own.start().ready()
    found = log.wait_for(client.brand.id, pushed.id, *missed)
    assert {one.id for one in found if one.kind == "comment"} == {pushed.id, *missed}
    live(stack.kafka, client)
    assert client.owner.token not in own.log.read_text()


def test_what_only_asking_found_is_counted_once(
    stack: Any, own: Ingest, log: Log, server: GraphServer, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    client = Client(server, connected_at=now - timedelta(hours=1))
    never = server.comment(client.post, "never pushed", at=now - timedelta(minutes=20))
    before = server.comment(client.post, "pushed before", at=now - timedelta(minutes=15))
    later = server.comment(client.post, "pushed later", at=now - timedelta(minutes=10))
    own.start().ready()
    scorer = Scorer(stack.kafka, tmp_path)

    def repaired() -> float:
        text = httpx.get(f"http://127.0.0.1:{scorer.port}/metrics", timeout=10).text
        lines = [line for line in text.splitlines() if line.startswith("rapport_scorer_repaired_interactions_total{")]
        assert lines, "it is there before it first counts"
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'platform="facebook"' in line)

    try:
        until(scorer.ready, "the scorer to be ready")
        server.hanging = True
        publish(stack.kafka, client.brand)
        own.knows(client.account)
        push(own, client, before)
        log.wait_for(client.brand.id, before.id)
        # What other tests left in the log is counted as well.
        until(lambda: processed(stack.kafka, SCORER_GROUP, [CONVERSATIONS]), "the scorer to have read the log")
        start = repaired()
        server.hanging = False
        log.wait_for(client.brand.id, never.id, later.id)
        push(own, client, later)
        until(lambda: repaired() == start + 2, lambda: f"two to be counted: {repaired() - start}")
        until(lambda: len(told(log, client, later.id)) == 2, "both to tell it")
        last = server.comment(client.post, "and on")
        push(own, client, last)
        log.wait_for(client.brand.id, last.id)
        assert repaired() == start + 2
    finally:
        scorer.stop()


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda one: one.name)
def test_two_processes_share_the_accounts_and_one_takes_over(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, how: signal.Signals
) -> None:
    clients = [Client(server) for _ in range(12)]
    first = {client.brand.id: client.comment("first") for client in clients}
    publish(stack.kafka, *(client.brand for client in clients))
    one, two = (ingest(stack.kafka, tmp_path / name, server) for name in ("one", "two"))
    try:
        for each in (one, two):
            each.start().ready()

        def shared() -> bool:
            held = [each.metric("rapport_ingest_leases") for each in (one, two)]
            return min(held) > 0 and sum(held) == CURSORS.partitions

        until(shared, "the two to share the accounts")
        for client in clients:
            live(stack.kafka, client)
        mine = held_by(one)
        its = [client for client in clients if partition_of_brand(client.brand.id) in mine]
        assert its, "twelve brands, and none is in half of the partitions"
        one.stop(how)
        sent = {client.brand.id: server.comment(client.post, "meanwhile").id for client in its}
        until(lambda: two.metric("rapport_ingest_leases") == CURSORS.partitions, "the other to take over", 60)
        for client in its:
            log.wait_for(client.brand.id, sent[client.brand.id])
            live(stack.kafka, client)
            # It is asked from where the other stopped, which it tells nobody again.
            assert len(told(log, client, first[client.brand.id])) <= 2
    finally:
        one.close()
        two.close()
