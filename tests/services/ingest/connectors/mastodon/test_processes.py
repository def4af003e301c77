"""Mastodon read by ingest as processes: streams, restarts, and several of them that share the accounts."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts.topics import CURSORS
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.connectors.asking import states
from tests.services.ingest.connectors.mastodon.client import Client
from tests.services.ingest.service import Ingest, Log, publish
from tests.waiting import until


def live(bootstrap: str, client: Client, seconds: float = 60) -> None:
    """Waits until an account is."""

    def now() -> bool:
        found = states(bootstrap, client.account.id)
        return bool(found) and found[-1].state == "live"

    until(now, lambda: f"the account to be live: {states(bootstrap, client.account.id)}", seconds)


def test_what_people_do_arrives_by_the_stream(stack: Any, own_ingest: Ingest, log: Log, server: MastodonServer) -> None:
    client = Client(server)
    publish(stack.kafka, client.brand)
    own_ingest.start().ready()
    until(lambda: client.streams() == 1, "the stream to be open")
    comment = client.comment()
    server.favourite(client.ada, client.post)
    server.follow(client.ada, client.itself)
    answer = client.full(server.answer(client.itself, comment.partition("@")[0], "From eight"))
    found = log.wait(client.brand.id, "comment and answer", lambda all_: {comment, answer} <= {one.id for one in all_})
    found = log.wait(client.brand.id, "all", lambda all_: {"reaction", "follow"} <= {one.kind for one in all_})
    by_id = {one.id: one for one in found}
    assert (by_id[comment].kind, by_id[comment].text) == ("comment", "@roastery Are you open?")
    assert by_id[answer].kind == "reply"
    assert by_id[answer].conversation == by_id[comment].conversation
    server.delete(comment.partition("@")[0])
    log.wait(client.brand.id, "the deletion", lambda all_: any(one.kind == "delete" for one in all_))
    live(stack.kafka, client)
    assert client.streams() == 1
    assert client.token not in own_ingest.log.read_text()


def test_what_happened_while_nobody_read_is_fetched_and_nothing_is_asked_for_twice(
    stack: Any, own_ingest: Ingest, log: Log, server: MastodonServer
) -> None:
    client = Client(server)
    publish(stack.kafka, client.brand)
    own_ingest.start().ready()
    first = client.comment("first")
    log.wait_for(client.brand.id, first)
    live(stack.kafka, client)
    own_ingest.stop(signal.SIGKILL)
    missed = [client.comment(f"comment {number}") for number in range(170)]
    before = len(server.requests)
    own_ingest.start().ready()
    found = log.wait_for(client.brand.id, *missed)
    assert {one.id for one in found if one.kind == "comment"} == {first, *missed}
    asked = [each.path for each in server.requests[before:] if each.path.startswith("/api/v1/notifications")]
    assert all("min_id=" in path for path in asked), asked


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=lambda one: one.name)
def test_a_process_that_goes_is_replaced_within_30_seconds_and_nothing_is_lost(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, how: signal.Signals
) -> None:
    clients = [Client(server, f"brand{number}") for number in range(12)]
    publish(stack.kafka, *(client.brand for client in clients))
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (Ingest(stack.kafka, folder) for folder in folders)
    try:
        for each in (one, two):
            each.start().ready()

        def shared() -> bool:
            held = [each.metric("rapport_ingest_leases") for each in (one, two)]
            return min(held) > 0 and sum(held) == CURSORS.partitions

        until(shared, "the two to share the accounts")
        for client in clients:
            live(stack.kafka, client)
        until(lambda: all(client.streams() == 1 for client in clients), "every account to be read by one of them")
        sent = {client.brand.id: [client.comment("before")] for client in clients}
        for client in clients:
            log.wait_for(client.brand.id, *sent[client.brand.id])
        if how is signal.SIGSTOP:
            os.kill(one.pid, how)
        else:
            one.stop(how)
        for client in clients:
            sent[client.brand.id].append(client.comment("meanwhile"))
        until(lambda: two.metric("rapport_ingest_leases") == CURSORS.partitions, "the other to take over", 60)
        for client in clients:
            log.wait_for(client.brand.id, *sent[client.brand.id])
        if how is signal.SIGSTOP:
            # It wakes up, believes that the accounts are its own, and finds out that they are not.
            before = one.log.read_text().count("is not read here any more")
            os.kill(one.pid, signal.SIGCONT)
            until(lambda: one.log.read_text().count("is not read here any more") > before, "it to find out")
        until(lambda: all(client.streams() == 1 for client in clients), "every account to be read by one process")
        for client in clients:
            sent[client.brand.id].append(client.comment("after"))
            found = log.wait_for(client.brand.id, *sent[client.brand.id])
            assert {each.id for each in found if each.kind == "comment"} == set(sent[client.brand.id])
    finally:
        one.close()
        two.close()
