"""A Mastodon server that limits, fails, refuses, forgets and repeats: the account says so, and nothing is lost."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts.events import Account
from rapport.kit.broker.producer import NotAcknowledgedError
from services.ingest import metrics
from services.ingest.connectors.intake import Intake
from services.ingest.connectors.mastodon.connector import MastodonReader, mastodon
from services.ingest.polling import api, follower, polled
from services.ingest.polling.api import Turns
from services.ingest.polling.reading import Reading
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.connectors.asking import reading, stands, states, until
from tests.services.ingest.connectors.mastodon.client import Client
from tests.services.ingest.service import Log

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MastodonReader, "every_seconds", 0.5)
    monkeypatch.setattr(MastodonReader, "repair_seconds", 0.5)
    monkeypatch.setattr(follower, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(follower, "LONGEST_BACKOFF_SECONDS", 2.0)


async def arrived(log: Log, client: Client, *ids: str) -> None:
    await asyncio.to_thread(log.wait_for, client.brand.id, *ids)


async def test_a_server_without_streams_is_asked(stack: Any, tmp_path: Path, log: Log, server: MastodonServer) -> None:
    server.stop_streaming()
    client = Client(server)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair) as connector:
        await arrived(log, client, client.comment())
        await stands(stack.kafka, client.account.id, "live")
        assert connector.behind() == set()
        assert client.streams() == 0


async def test_what_a_stream_leaves_out_is_found_counted_and_taken_once(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    client = Client(server)
    repaired = metrics.REPAIRED.labels("mastodon")
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await until(lambda: client.streams() == 1, "the stream to be open")
        await stands(stack.kafka, client.account.id, "live")
        before = repaired._value.get()
        streamed = client.comment("by the stream")
        await arrived(log, client, streamed)
        server.hold_frames()
        missed = client.comment("left out")
        await arrived(log, client, missed)
        await until(lambda: repaired._value.get() == before + 1, "it to be counted")
        server.release_frames()
        server.duplicate()
        last = client.comment("and on")
        await arrived(log, client, last)
        found = log.interactions(client.brand.id)
        assert {one.id for one in found if one.kind == "comment"} == {streamed, missed, last}


async def test_a_limit_is_waited_for_and_is_no_trouble(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    client = Client(server)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await stands(stack.kafka, client.account.id, "live")
        server.stop_streaming()
        server.fail(429, 1, retry_after=2)
        await until(lambda: not server._failures, "it to be told")
        asked = len(server.requests)
        comment = client.comment()
        await arrived(log, client, comment)
        assert len(server.requests) > asked
        assert {one.state for one in states(stack.kafka, client.account.id)} <= {"live", "behind"}


async def test_a_server_that_fails_is_an_incident_and_what_happens_meanwhile_is_fetched(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    client = Client(server)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair) as connector:
        await stands(stack.kafka, client.account.id, "live")
        server.stop_streaming()
        server.fail(503, 10_000)
        await stands(stack.kafka, client.account.id, "incident")
        assert connector.behind() == {client.account.id} == connector.disconnected()
        comment = client.comment()
        with contextlib.suppress(IndexError):
            server._failures.clear()
        await arrived(log, client, comment)
        await stands(stack.kafka, client.account.id, "live")
        found = states(stack.kafka, client.account.id)
        assert next(one.why for one in found if one.state == "incident") == "it answered 503"
        assert found[-1].since > next(one.since for one in found if one.state == "incident")


async def test_a_revoked_token_needs_attention_and_a_new_one_goes_on_where_it_stopped(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    client = Client(server)
    first = client.comment("first")
    async with reading(stack.kafka, tmp_path, mastodon, client.pair) as connector:
        await arrived(log, client, first)
        await stands(stack.kafka, client.account.id, "live")
        server.revoke(client.token)
        await stands(stack.kafka, client.account.id, "attention")
        assert connector.behind() == {client.account.id}
        assert "token" in (states(stack.kafka, client.account.id)[-1].why or "")
        meanwhile = client.comment("meanwhile")
        server.add_token("another", client.itself)
        told = Account(**{**_fields(client.account), "connection": {"service": server.address, "token": "another"}})
        connector.follow({told.id: (client.brand.id, told)})
        await arrived(log, client, meanwhile)
        await stands(stack.kafka, client.account.id, "live")
        asked = [one.path for one in server.asked("/api/v1/notifications", "another")]
        assert asked
        assert all("min_id=" in path for path in asked), "it began anew"


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ({"service": "http://127.0.0.1:1", "token": "x"}, "behind"),
        ({"service": "http://[", "token": "x"}, "attention"),
        ({"service": "ftp://example.com", "token": "x"}, "attention"),
        ({"token": "wrong"}, "attention"),
    ],
    ids=["nothing answers", "no address", "another scheme", "an unknown token"],
)
async def test_one_account_that_cannot_be_read_holds_up_no_other(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, what: dict[str, str], state: str
) -> None:
    broken, well = Client(server, "broken"), Client(server, "well")
    connection = {**broken.account.connection, **what}
    broken.account = Account(**{**_fields(broken.account), "connection": connection})
    async with reading(stack.kafka, tmp_path, mastodon, broken.pair, well.pair):
        await arrived(log, well, well.comment())
        await stands(stack.kafka, broken.account.id, state)
        await stands(stack.kafka, well.account.id, "live")


async def test_frames_that_cannot_be_read_stop_nothing(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    client = Client(server)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await until(lambda: client.streams() == 1, "the stream to be open")
        unreadable = '{"event":"notification","payload":"{"}', '{"event":"delete","payload":{}}'
        for frame in ("", "{", "[]", *unreadable, "\x00"):
            server.send_frame(client.itself, frame)
        await arrived(log, client, client.comment())
        assert client.streams() == 1


async def test_a_server_that_looks_for_the_token_in_the_protocol_alone_has_a_stream_and_keeps_it_alive_by_nothing(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    server.token_in_protocol = True
    client = Client(server)
    rejected = metrics.REJECTED.labels("mastodon", "frame")
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await until(lambda: client.streams() == 1, "the stream to be open")
        before = rejected._value.get()
        server.send_frame(client.itself, "")
        server.send_frame(client.itself, "{")
        await until(lambda: rejected._value.get() > before, "the second frame to be counted")
        assert rejected._value.get() == before + 1
        await arrived(log, client, client.comment())


async def test_an_account_whose_state_cannot_be_written_is_read_all_the_same(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, times = Client(server), iter(range(3))
    stands_before = Reading.stands

    async def stands_not(reading: Reading, state: Any) -> None:
        if next(times, None) is not None:
            raise sqlite3.OperationalError("database is locked")
        await stands_before(reading, state)

    monkeypatch.setattr(Reading, "stands", stands_not)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await arrived(log, client, client.comment())
        await stands(stack.kafka, client.account.id, "live")


async def test_a_page_that_is_too_large_is_asked_for_in_parts(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "LARGEST_ANSWER", 40_000)
    server.stop_streaming()
    client = Client(server)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await stands(stack.kafka, client.account.id, "live")
        monkeypatch.setattr(MastodonReader, "every_seconds", 3_600.0)
        await asyncio.sleep(1)
        sent = [client.comment(f"{number} {'x' * 4_000}") for number in range(30)]
        # A stream that opens, and closes, is a reason to ask once.
        server.start_streaming()
        await until(lambda: client.streams() == 1, "the stream to be open")
        server.stop_streaming()
        await arrived(log, client, *sent)
        await stands(stack.kafka, client.account.id, "live")


async def test_a_server_that_gives_fewer_at_once_than_asked_for_is_read_to_the_end(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop_streaming()
    server.most_notifications = 30
    client = Client(server)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await stands(stack.kafka, client.account.id, "live")
        monkeypatch.setattr(MastodonReader, "every_seconds", 3_600.0)
        await asyncio.sleep(1)
        sent = [client.comment(f"comment {number}") for number in range(100)]
        # A stream that opens, and closes, is a reason to ask once.
        server.start_streaming()
        await arrived(log, client, *sent)


async def test_what_a_server_leaves_out_of_its_pages_ends_no_reading(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop_streaming()
    server.most_notifications = 20
    client, eve = Client(server), server.add_account("eve")
    server.hidden = {eve}

    def hide(number: int) -> None:
        for one in range(number):
            server.comment(eve, client.post, f"not for the account's eyes {one}")

    first = client.comment("first")
    hide(1)
    sent = [first, *(client.comment(f"comment {number}") for number in range(40))]
    hide(25)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await arrived(log, client, *sent)
        await stands(stack.kafka, client.account.id, "live")
        monkeypatch.setattr(MastodonReader, "every_seconds", 3_600.0)
        await asyncio.sleep(1)
        hide(45)
        later = [client.comment(f"later {number}") for number in range(25)]
        # A stream that opens, and closes, is a reason to ask once.
        server.start_streaming()
        await arrived(log, client, *later)


async def test_a_server_that_begins_with_the_newest_is_read_back_to_where_reading_stopped(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop_streaming()
    server.most_notifications = 30
    server.newest_first = True
    client = Client(server)
    first = client.comment("first")
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await arrived(log, client, first)
        await stands(stack.kafka, client.account.id, "live")
        monkeypatch.setattr(MastodonReader, "every_seconds", 3_600.0)
        await asyncio.sleep(1)
        sent = [client.comment(f"comment {number}") for number in range(100)]
        server.start_streaming()  # as above
        await arrived(log, client, *sent)


async def test_the_first_reading_goes_back_to_the_connection_whatever_is_on_the_way(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    server.stop_streaming()
    client = Client(server)
    old = server.post(client.ada, "long ago", at="2025-01-01T00:00:00Z")
    server.clock_is(-1.0)
    sent = [client.comment(f"comment {number}") for number in range(170)]
    server.edit(old, "long ago, and edited")
    server.notify(client.itself, "update", client.ada, old)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await arrived(log, client, *sent)


async def test_an_account_that_moves_to_another_server_begins_anew(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer
) -> None:
    client = Client(server)
    for number in range(50):
        client.comment(f"comment {number}")
    with MastodonServer() as another:
        moved = Client(another)
        later = moved.comment("on the new server")
        async with reading(stack.kafka, tmp_path, mastodon, client.pair) as connector:
            await stands(stack.kafka, client.account.id, "live")
            told = Account(**{**_fields(client.account), "connection": moved.account.connection})
            connector.follow({told.id: (client.brand.id, told)})
            await arrived(log, client, later)


async def test_a_deletion_that_the_log_does_not_take_at_once_is_not_lost(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(server)
    failed: list[Any] = []
    append = Intake.append

    async def fails_once(intake: Intake, interactions: Any, away: Any) -> int:
        found = list(interactions)
        if not failed and any(one.kind == "delete" for one in found):
            failed.append(found)
            raise NotAcknowledgedError("the broker did not confirm")
        return await append(intake, found, away)

    monkeypatch.setattr(Intake, "append", fails_once)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair):
        await until(lambda: client.streams() == 1, "the stream to be open")
        comment = client.comment()
        await arrived(log, client, comment)
        server.delete(comment.partition("@")[0])
        await until(lambda: any(one.kind == "delete" for one in log.interactions(client.brand.id)), "the deletion")
        assert failed


async def test_an_account_that_is_only_ever_put_off_is_behind(
    stack: Any, tmp_path: Path, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LATE_SECONDS", 1.0)
    client = Client(server)
    async with reading(stack.kafka, tmp_path, mastodon, client.pair) as connector:
        await stands(stack.kafka, client.account.id, "live")
        server.fail(429, 100_000, retry_after=1)
        await until(lambda: connector.behind() == {client.account.id}, "it to be behind")


async def test_another_account_of_the_brand_is_known_also_while_it_cannot_be_asked(
    stack: Any, tmp_path: Path, log: Log, server: MastodonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polled, "OTHERS_SECONDS", 1.0)
    one = Client(server, "one")
    two = Client(server, "two", brand=one.brand.id)
    async with reading(stack.kafka, tmp_path / "before", mastodon, one.pair, two.pair):
        for each in (one, two):
            await stands(stack.kafka, each.account.id, "live")
    server.revoke(two.token)
    async with reading(stack.kafka, tmp_path / "after", mastodon, one.pair, two.pair):
        server.mention(two.itself, one.itself, "look at what the other account says")
        await arrived(log, one, one.comment())
        kinds = [found.kind for found in log.interactions(one.brand.id)]
        assert "mention" not in kinds, "a brand's own account counts as somebody who waits for an answer"


async def test_a_server_that_hangs_takes_few_of_the_turns() -> None:
    turns, inside = Turns(at_once=5, of_a_host=2), 0
    hang = asyncio.Event()

    async def asks(host: str) -> None:
        nonlocal inside
        async with turns.one(host):
            inside += 1
            await hang.wait()

    hanging = [asyncio.create_task(asks("https://slow.example")) for _ in range(50)]
    await asyncio.sleep(0.05)
    assert inside == 2
    async with asyncio.timeout(5), turns.one("https://well.example"):
        pass
    hang.set()
    await asyncio.gather(*hanging)


def _fields(account: Account) -> dict[str, Any]:
    return {name: getattr(account, name) for name in account.__struct_fields__}
