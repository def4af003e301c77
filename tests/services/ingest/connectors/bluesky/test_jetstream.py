"""The connector on Jetstream: a local peer sends the documented frames."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from rapport.contracts import codec
from rapport.contracts.controls import FollowerAway, Heartbeat
from rapport.contracts.events import Account, Brand
from rapport.contracts.topics import CONVERSATIONS
from services.ingest.connectors.bluesky.source import REWIND_US
from tests.services.ingest.jetstream import NEWER, Jetstream, as_v2, commit
from tests.services.ingest.service import Ingest, Log, brand_with, publish
from tests.waiting import until

pytestmark = pytest.mark.stack

FAN = "did:plc:fan"
LIKE = "app.bsky.feed.like"
POST = "app.bsky.feed.post"


def microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


BEGUN = datetime.now(UTC)
NOW = microseconds(BEGUN)


@pytest.fixture
def jetstream() -> Iterator[Jetstream]:
    with Jetstream() as peer:
        yield peer


@pytest.fixture
def newer_jetstream() -> Iterator[Jetstream]:
    with Jetstream(newer=True) as peer:
        yield peer


def brand_on(jetstream: Jetstream, path: str = "", connected_at: datetime | None = None) -> Brand:
    did = f"did:plc:{uuid4().hex[:12]}"
    account = Account(
        id=f"account-{uuid4().hex[:12]}",
        platform="bluesky",
        handle="acme.example",
        # From when this file was read: what these tests send is of that time, however long others took before them.
        connected_at=connected_at or BEGUN - timedelta(minutes=10),
        door_secrets=(),
        connection={"jetstream": jetstream.address + path, "did": did},
    )
    return brand_with(account)


def did_of(brand: Brand) -> str:
    return brand.accounts[0].connection["did"]


def like(brand: Brand, at: int, rkey: str = "like1") -> dict[str, Any]:
    subject = {"uri": f"at://{did_of(brand)}/{POST}/post1", "cid": "bafyreipost"}
    return commit(FAN, at, LIKE, rkey, {"subject": subject, "createdAt": "2026-11-23T10:00:00.000Z"})


def test_a_like_and_its_undoing_arrive_from_version_1(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, {"did": FAN, "time_us": NOW, "kind": "identity", "identity": {"did": FAN, "handle": "f.test"}})
    jetstream.send(NOW + 1, like(brand, NOW + 1))
    jetstream.send(NOW + 2, commit(FAN, NOW + 2, LIKE, "like1", operation="delete"))
    liked, undone = log.wait(brand.id, "both", lambda found: len(found) == 2)
    assert (liked.kind, liked.undo, undone.kind, undone.undo) == ("reaction", False, "reaction", True)
    # The record says a morning of long ago; the stream says that it came just now.
    assert microseconds(liked.occurred_at) == NOW + 1
    assert liked.occurred_at_source == "platform"
    assert (jetstream.refused, jetstream.paths) == ([NEWER], ["/subscribe"])
    assert set(jetstream.queries[0]["wantedCollections"]) == {
        POST,
        LIKE,
        "app.bsky.feed.repost",
        "app.bsky.graph.follow",
        "app.bsky.graph.block",
        "app.bsky.feed.threadgate",
    }


@pytest.mark.parametrize("path", ["", NEWER])
def test_version_2_says_the_same_and_is_preferred(
    stack: Any, own_ingest: Ingest, newer_jetstream: Jetstream, log: Log, path: str
) -> None:
    jetstream = newer_jetstream
    brand = brand_on(jetstream, path)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, {"$type": "message", "payload": {"$type": f"{NEWER[6:]}#info", "name": "OutdatedCursor"}})
    jetstream.send(NOW + 1, as_v2(like(brand, NOW + 1), seq=7))
    jetstream.send(NOW + 2, as_v2(commit(FAN, NOW + 2, LIKE, "like1", operation="delete"), seq=8))
    liked, undone = log.wait(brand.id, "both", lambda found: len(found) == 2)
    assert (liked.undo, undone.undo) == (False, True)
    assert jetstream.paths == [NEWER]
    assert "OutdatedCursor" in own_ingest.log.read_text()


def test_the_position_survives_a_restart_and_is_rewound_a_little(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, like(brand, NOW))
    [first] = log.wait(brand.id, "the like", lambda found: len(found) == 1)
    assert own_ingest.stop() == 0
    jetstream.send(NOW + 3, like(brand, NOW + 3, "while-away"))
    own_ingest.start().ready()
    found = log.wait(brand.id, "the second like", lambda found: len({one.id for one in found}) == 2)
    assert jetstream.cursors()[1] == NOW - REWIND_US
    # What is read twice has the same id twice.
    assert [one.id for one in found].count(first.id) == 2


def test_a_server_that_is_replaced_by_a_newer_one_is_read_from_the_same_time(
    stack: Any, own_ingest: Ingest, newer_jetstream: Jetstream, log: Log
) -> None:
    jetstream = newer_jetstream
    brand = brand_on(jetstream)
    jetstream._paths.remove(NEWER)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, like(brand, NOW))
    log.wait(brand.id, "the like", lambda found: len(found) == 1)
    assert own_ingest.stop() == 0
    jetstream._paths.add(NEWER)
    jetstream._events.clear()
    jetstream.send(NOW + 3, as_v2(like(brand, NOW + 3, "while-away"), seq=8))
    own_ingest.start().ready()
    log.wait(brand.id, "the second like", lambda found: len({one.id for one in found}) == 2)
    assert jetstream.paths == ["/subscribe", NEWER]
    # Not its sequence number, which is 8, but the time: both versions take it, and on every server it is the same.
    assert jetstream.cursors()[1] == NOW - REWIND_US


def test_after_a_break_version_2_goes_on_at_its_own_number(
    stack: Any, own_ingest: Ingest, newer_jetstream: Jetstream, log: Log
) -> None:
    jetstream = newer_jetstream
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, as_v2(like(brand, NOW, "one"), seq=6))
    jetstream.send(NOW + 1, as_v2(like(brand, NOW + 1, "two"), seq=7))
    log.wait(brand.id, "both", lambda found: len(found) == 2)
    # It is away for a moment, and that does not make another server of it.
    jetstream._paths.clear()
    jetstream.status = 503
    jetstream.drop()
    until(lambda: bool(jetstream.refused), "a try")
    jetstream._paths.add(NEWER)
    until(lambda: len(jetstream.queries) == 2, "another connection")
    jetstream.send(NOW + 2, as_v2(like(brand, NOW + 2, "three"), seq=8))
    found = log.wait(brand.id, "the third", lambda found: len({one.id for one in found}) == 3)
    assert jetstream.cursors()[1] == 7
    assert [one.object.id.rpartition("/")[2] for one in found] == ["one", "two", "two", "three"]


def test_a_server_that_means_something_else_by_a_number_is_asked_by_time(
    stack: Any, own_ingest: Ingest, newer_jetstream: Jetstream, log: Log
) -> None:
    jetstream = newer_jetstream
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, as_v2(like(brand, NOW, "one"), seq=7))
    log.wait(brand.id, "the first", lambda found: len(found) == 1)
    jetstream._events.clear()
    jetstream._events += [
        (NOW + number, json.dumps(as_v2(like(brand, NOW + number, rkey), seq=seq)))
        for number, rkey, seq in ((0, "one", 5), (1, "missed", 6), (2, "seventh", 7))
    ]
    jetstream.drop()
    found = log.wait(brand.id, "what was missed", lambda found: len({one.id for one in found}) == 3)
    assert {one.object.id.rpartition("/")[2] for one in found} == {"one", "missed", "seventh"}
    assert jetstream.cursors()[1:3] == [7, NOW - REWIND_US]


def test_a_server_that_has_not_reached_a_number_is_asked_by_time(
    stack: Any, own_ingest: Ingest, newer_jetstream: Jetstream, log: Log
) -> None:
    jetstream = newer_jetstream
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, as_v2(like(brand, NOW, "one"), seq=7))
    log.wait(brand.id, "the first", lambda found: len(found) == 1)
    jetstream._events[:] = [(NOW + 1, json.dumps(as_v2(like(brand, NOW + 1, "missed"), seq=3)))]
    jetstream.drop()
    log.wait(brand.id, "what was missed", lambda found: len({one.id for one in found}) == 2)
    assert jetstream.cursors()[1:3] == [7, NOW - REWIND_US]


def test_a_number_that_the_server_does_not_have_any_more_gives_way_to_the_time(
    stack: Any, own_ingest: Ingest, newer_jetstream: Jetstream, log: Log
) -> None:
    jetstream = newer_jetstream
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(NOW, as_v2(like(brand, NOW, "one"), seq=7))
    log.wait(brand.id, "the first", lambda found: len(found) == 1)
    jetstream._paths.clear()
    jetstream.status = 400
    jetstream.drop()
    until(lambda: bool(jetstream.refused), "a try")
    jetstream._paths.add(NEWER)
    until(lambda: len(jetstream.queries) == 2, "another connection")
    assert jetstream.cursors()[1] == NOW - REWIND_US


def test_a_server_that_begins_later_than_it_was_asked_to_is_named_in_the_log(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    now = datetime.now(UTC)
    brand = brand_on(jetstream, connected_at=now - timedelta(hours=2))
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    jetstream.send(microseconds(now), like(brand, microseconds(now)))
    log.wait(brand.id, "the like", lambda found: len(found) == 1)
    assert "7200 s after what it was asked for" in own_ingest.log.read_text()


def test_a_killed_ingest_loses_nothing_that_it_had_not_put_into_the_log(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    for number in range(50):
        jetstream.send(NOW + number, like(brand, NOW + number, f"like{number}"))
    own_ingest.close()
    own_ingest.start().ready()
    log.wait(brand.id, "all 50", lambda found: len({one.id for one in found}) == 50)


def test_a_new_account_is_read_from_when_it_was_connected(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    now = datetime.now(UTC)
    first, second = brand_on(jetstream, connected_at=now), brand_on(jetstream, connected_at=now - timedelta(hours=1))
    earlier = microseconds(now - timedelta(minutes=30))
    jetstream.send(earlier, like(second, earlier, "before"))
    publish(stack.kafka, first)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    publish(stack.kafka, second)
    log.wait(second.id, "what happened after it was connected", lambda found: len(found) == 1)
    assert own_ingest.stop() == 0
    asked = len(jetstream.queries)
    own_ingest.start().ready()
    until(lambda: len(jetstream.queries) > asked, "another connection")
    cursor = jetstream.cursors()[asked]
    assert cursor is not None
    # Both accounts are known now, so nothing sends it back to the beginning.
    assert cursor > earlier - 2 * REWIND_US


def test_frames_that_are_not_documented_are_skipped_and_the_next_is_read(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    brand = brand_on(jetstream)
    did = did_of(brand)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    frames: list[dict[str, Any] | str] = [
        "no json",
        "[]",
        "{}",
        {"did": FAN, "time_us": 10**30, "kind": "commit"},
        commit(FAN, NOW, POST, "p1", {"text": 7, "reply": {"parent": {"uri": f"at://{did}/{POST}/x"}}}),
        commit(FAN, NOW, POST, "p2", {"reply": {"parent": did, "root": did}}),
        commit(FAN, NOW, LIKE, "l1", {"subject": did}),
        commit(FAN, NOW, LIKE, "l" * 600, {"subject": {"uri": f"at://{did}/{POST}/x"}, "createdAt": "yesterday"}),
    ]
    for number, frame in enumerate(frames):
        jetstream.send(NOW + number, frame)
    jetstream.send(NOW + 9, like(brand, NOW + 9, "good"))
    found = log.wait(brand.id, "the good one", lambda found: bool(found))
    assert [one.object.id for one in found] == [f"at://{FAN}/{LIKE}/good"]


def test_the_stream_is_opened_again_when_the_server_hangs_up(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream
) -> None:
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    source = f"{jetstream.address}/subscribe"
    connected = f'rapport_ingest_connector_connected{{platform="bluesky",source="{source}"}}'
    until(lambda: own_ingest.metric(connected) == 1, "a connection")
    jetstream.hang_up()
    until(lambda: own_ingest.metric(connected) == 0, "the gauge to fall")
    until(lambda: "connecting again" in own_ingest.log.read_text(), "the log line")
    assert own_ingest.status("/readyz") == 200


def test_ingest_says_that_it_is_there_and_which_accounts_it_cannot_read(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    read, unread = brand_on(jetstream), brand_on(jetstream)
    gone = unread.accounts[0]
    gone = replace(gone, connection={**gone.connection, "jetstream": "ws://127.0.0.1:1"})
    publish(stack.kafka, read, brand_with(gone))
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")

    def heard() -> dict[int, Heartbeat]:
        log.interactions(read.id)
        return {
            record.partition: found
            for record in log.records
            if codec.type_of(record.headers) == "rapport.control.v1"
            and isinstance(found := codec.decode("rapport.control.v1", record.value), Heartbeat)
            and gone.id in found.behind
        }

    def reads() -> bool:
        found = heard().values()
        return len(found) == CONVERSATIONS.partitions and all(read.accounts[0].id not in each.behind for each in found)

    until(reads, "a heartbeat in every partition that knows who is read")
    assert all(gone.id in heartbeat.disconnected for heartbeat in heard().values())
    assert all(read.accounts[0].id not in heartbeat.disconnected for heartbeat in heard().values())


def test_nothing_is_said_to_be_there_before_the_first_of_it_is_in_the_log(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)

    def heard() -> list[Heartbeat]:
        log.interactions(brand.id)
        beats = [
            codec.decode("rapport.control.v1", each.value)
            for each in log.records
            if each.partition == 0 and codec.type_of(each.headers) == "rapport.control.v1"
        ]
        return [each for each in beats if isinstance(each, Heartbeat) and each.instance == own_ingest.instance]

    own_ingest.start().ready()
    until(lambda: bool(heard()), "a heartbeat")
    assert brand.accounts[0].id in heard()[0].behind
    at = microseconds(datetime.now(UTC))
    jetstream.send(at, like(brand, at))
    log.wait(brand.id, "the like", lambda found: len(found) == 1)
    until(lambda: brand.accounts[0].id not in heard()[-1].behind, "a heartbeat that says so")


def test_what_becomes_of_a_commenters_account_reaches_the_log(
    stack: Any, own_ingest: Ingest, newer_jetstream: Jetstream, log: Log
) -> None:
    jetstream = newer_jetstream
    brand = brand_on(jetstream)
    publish(stack.kafka, brand)
    own_ingest.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    assert jetstream.queries[0]["kinds"] == ["commit", "account", "identity", "sync"]
    jetstream.send(NOW + 1, as_v2(like(brand, NOW + 1), 1))
    time = datetime.now(UTC).isoformat()
    payload = {"$type": "network.bsky.jetstream.subscribeEvents#account", "seq": 2, "did": FAN, "time": time}
    payload |= {
        "witnessedAt": time,
        "account": {"did": FAN, "seq": 9, "time": time, "active": False, "status": "deleted"},
    }
    jetstream.send(NOW + 2, {"$type": "message", "payload": payload})
    jetstream.send(NOW + 3, as_v2(like(brand, NOW + 3, "like2"), 3))
    log.wait(brand.id, "both likes", lambda found: len(found) == 2)

    def told() -> list[FollowerAway]:
        log.interactions(brand.id)
        controls = (codec.decode("rapport.control.v1", each.value) for each in log.records if b'"away"' in each.value)
        return [each for each in controls if isinstance(each, FollowerAway) and each.brand == brand.id]

    until(lambda: bool(told()), "the news")
    assert [(each.follower, each.how, each.thread) for each in told()] == [(FAN, "deleted", None)]
