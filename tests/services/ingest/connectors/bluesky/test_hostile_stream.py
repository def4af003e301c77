"""Whatever a stranger writes into one record, what stands beside it in the stream arrives."""

import asyncio
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json as decoder
from msgspec import structs

from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import Account, Interaction
from rapport.contracts.topics import CURSORS
from rapport.kit.broker.producer import Record
from rapport.kit.http.outgoing import Guard
from services.ingest import metrics
from services.ingest.broker import LARGEST_VALUE
from services.ingest.connectors.bluesky import facts as bluesky_facts
from services.ingest.connectors.bluesky import records as bluesky_records
from services.ingest.connectors.bluesky.facts import Facts
from services.ingest.connectors.bluesky.frames import (
    POST,
    Change,
    FrameError,
    from_jetstream,
    from_jetstream_v2,
    from_repos,
)
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.source import Source, Wire
from services.ingest.connectors.bluesky.stream import Stream
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.ledger import Ledger
from services.ingest.connectors.older_ledger import OlderLedger
from services.ingest.leases.leases import FILE
from services.ingest.leases.rows import Rows
from tests.services.ingest.jetstream import as_v2, commit
from tests.services.ingest.leases.held import Held

NOW = datetime(2026, 11, 27, 22, 46, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
BRAND, FAN, MALLORY = "did:plc:brand", "did:plc:fan", "did:plc:mallory"
BRANDS_POST = {"uri": f"at://{BRAND}/{POST}/root", "cid": "x"}
ACCOUNT = Account(
    id="acme-bsky", platform="bluesky", handle="acme.example", connected_at=NOW - timedelta(days=9), door_secrets=()
)
EDGES = [
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00Z", "1500-06-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "1970-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "2026-11-27T22:46:00", "yesterday",
    "", None, 7,
]  # fmt: skip


class NobodysHandles:
    def __init__(self) -> None:
        self.were_renamed: set[str] = set()

    async def of(self, _dids: Any, _now: datetime) -> dict[str, str]:
        return {}

    def renamed(self, dids: Any, _now: datetime) -> None:
        self.were_renamed |= set(dids)


class Kept:
    """A broker that takes everything."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def append(self, records: Sequence[Record]) -> list[int]:
        self.records += records
        return [-1] * len(records)

    def interactions(self) -> list[Interaction]:
        return [decoder.decode(record.value, type=Interaction) for record in self.records]


def outlived(folder: Path, now: datetime) -> int:
    """How much of what was noted does not have to be known any more."""
    rows = Rows(folder / FILE)
    try:
        return sum(len(rows.outlived(partition, now, 100)) for partition in range(CURSORS.partitions))
    finally:
        rows.close()


def post(did: str, rkey: str, **more: Any) -> dict[str, Any]:
    record = {
        "text": "hello",
        "createdAt": "2026-11-27T22:45:59Z",
        "reply": {"root": BRANDS_POST, "parent": BRANDS_POST},
        **more,
    }
    return commit(did, NOW_US, POST, rkey, record)


def taken(folder: Path, frames: list[Any], wire: Wire = "jetstream") -> list[Interaction]:
    """What of some frames, taken as one batch, is in the log."""
    return taken_by(folder, frames, wire).interactions()


def taken_by(
    folder: Path,
    frames: list[Any],
    wire: Wire,
    account: Account = ACCOUNT,
    did: str = BRAND,
    handles: NobodysHandles | None = None,
) -> Kept:
    kept = Kept()

    async def take() -> None:
        watched = Watched("acme", account, did, frozenset({did}))
        async with streaming(folder, kept, NOW, [watched], wire, handles) as (stream, _):
            await stream._take([each if isinstance(each, str) else json.dumps(each) for each in frames])

    asyncio.run(take())
    return kept


@asynccontextmanager
async def streaming(
    folder: Path,
    kept: Kept,
    now: datetime,
    watched: Sequence[Watched],
    wire: Wire = "jetstream",
    handles: NobodysHandles | None = None,
) -> AsyncIterator[tuple[Stream, Held]]:
    """A stream that is open for these, under leases that hold; frames are given to it by hand."""
    log = logging.getLogger("test")
    log.propagate = False
    leases, older = Held(folder), OlderLedger(folder / "bluesky.sqlite")
    shared = Shared(folder, kept, lambda: now, log, Guard(allow_private=True))  # type: ignore[arg-type]
    ledger = Ledger("bluesky", leases, older, lambda: now, log)
    source = Source("ws://127.0.0.1/subscribe", wire)
    stream = Stream(source, leases, ledger, older, handles or NobodysHandles(), shared)  # type: ignore[arg-type]
    stream._watched = tuple(watched)
    stream._facts = Facts(watched)
    stream._parts.watch([(leases.give(one.brand), one) for one in watched])
    await stream._parts.open_at(now)
    try:
        yield stream, leases
    finally:
        await leases.close()
        older.close()


@pytest.mark.parametrize("wire", ["jetstream", "jetstream_v2"])
@pytest.mark.parametrize("claimed", EDGES)
def test_an_unusable_time_is_taken_as_that_of_the_frame_and_what_follows_arrives(
    claimed: Any, wire: Wire, tmp_path: Path
) -> None:
    events = [post(FAN, "a"), post(MALLORY, "bad", createdAt=claimed), post(FAN, "b")]
    frames = [as_v2(each, number) for number, each in enumerate(events)] if wire == "jetstream_v2" else events
    found = {each.object.id.rpartition("/")[2]: each for each in taken(tmp_path, frames, wire)}
    assert list(found) == ["a", "bad", "b"]
    assert (found["bad"].occurred_at, found["bad"].occurred_at_source) == (NOW, "platform")


@pytest.mark.parametrize("wire", ["jetstream", "jetstream_v2"])
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1500-01-01T00:00:00Z"])
def test_a_frame_of_an_impossible_time_is_skipped(at: str, wire: Wire, tmp_path: Path) -> None:
    bad: dict[str, Any] = post(MALLORY, "bad")
    if wire == "jetstream_v2":
        bad = as_v2(bad, 1)
        bad["payload"] |= {"time": at, "witnessedAt": at}
    else:
        bad["time_us"] = -62_135_596_800_000_000 if at < "1600" else 2**62
    good = post(FAN, "b")
    found = taken(tmp_path, [bad, as_v2(good, 2) if wire == "jetstream_v2" else good], wire)
    assert [each.object.id.rpartition("/")[2] for each in found] == ["b"]


def test_a_record_that_is_too_large_for_the_log_is_left_out_of_the_batch_and_counted(tmp_path: Path) -> None:
    before = metrics.REJECTED.labels("bluesky", "invalid")._value.get()
    found = taken(tmp_path, [post(MALLORY, "x" * 512), post(FAN, "b")])
    assert [each.object.id.rpartition("/")[2] for each in found] == ["b"]
    assert metrics.REJECTED.labels("bluesky", "invalid")._value.get() == before + 1


def test_a_change_that_nobody_foresaw_is_skipped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = bluesky_records.read

    def breaks(change: Change) -> Any:
        if change.did == MALLORY:
            raise ZeroDivisionError
        return read(change)

    monkeypatch.setattr(bluesky_facts, "read", breaks)
    before = metrics.REJECTED.labels("bluesky", "change")._value.get()
    found = taken(tmp_path, [post(FAN, "a"), post(MALLORY, "bad"), post(FAN, "b")])
    assert [each.object.id.rpartition("/")[2] for each in found] == ["a", "b"]
    assert metrics.REJECTED.labels("bluesky", "change")._value.get() == before + 1


def test_a_deletion_is_noted_also_where_the_account_that_it_concerned_is_no_longer_connected(tmp_path: Path) -> None:
    assert len(taken(tmp_path, [post(FAN, "a")])) == 1
    other = structs.replace(ACCOUNT, id="other-bsky")
    gone = commit(FAN, NOW_US + 1, POST, "a", operation="delete")
    assert taken_by(tmp_path, [gone], "jetstream", other, "did:plc:other").records == []
    assert outlived(tmp_path, NOW + timedelta(days=89)) == 0
    assert outlived(tmp_path, NOW + timedelta(days=91)) == 1


def test_what_the_ledger_did_not_take_comes_again_after_the_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [json.dumps(as_v2(post(FAN, "a"), 7)), json.dumps(as_v2(post(FAN, "b"), 8))]

    async def story() -> None:
        watched = Watched("acme", ACCOUNT, BRAND, frozenset({BRAND}))
        async with streaming(tmp_path, Kept(), NOW, [watched], "jetstream_v2") as (stream, leases):
            await stream._take(frames[:1])
            assert stream._mark is not None
            assert stream._mark.seq == 7

            async def full(*_: Any) -> None:
                raise sqlite3.OperationalError("database or disk is full")

            monkeypatch.setattr(leases, "put", full)
            with pytest.raises(sqlite3.OperationalError):
                await stream._take(frames[1:])
            assert stream._mark.seq == 7

    asyncio.run(story())


_ANYTHING = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30) | st.sampled_from(EDGES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["text", "createdAt", "reply", "facets", "embed", "langs", "subject"]), _ANYTHING, max_size=7
    ),
    st.text(max_size=700),
    st.text(max_size=40),
)
def test_nothing_in_a_record_keeps_its_neighbours_out(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any], rkey: str, did: str
) -> None:
    bad = commit(did, NOW_US, POST, rkey, {"reply": {"root": BRANDS_POST, "parent": BRANDS_POST}, **record})
    found = taken(tmp_path_factory.mktemp("ledger"), [post(FAN, "a"), bad, post(FAN, "b")])
    names = [each.object.id for each in found]
    assert names[0].endswith("/a")
    assert names[-1].endswith("/b")
    assert all(len(record) < LARGEST_VALUE for record in names)


def fates(folder: Path, frames: list[Any], wire: Wire) -> list[Any]:
    kept = taken_by(folder, frames, wire)
    return [decoder.decode(each.value, type=FollowerAway) for each in kept.records if b'"control"' in each.value]


def account_event(did: str, wire: Wire, **account: Any) -> dict[str, Any]:
    if wire == "jetstream_v2":
        payload = {"$type": "network.bsky.jetstream.subscribeEvents#account", "seq": 2, "did": did}
        payload |= {"time": NOW.isoformat(), "witnessedAt": NOW.isoformat()}
        upstream = {"did": did, "seq": 1, "time": NOW.isoformat(), **account}
        return {"$type": "message", "payload": {**payload, "account": upstream}}
    return {"did": did, "time_us": NOW_US, "kind": "account", "account": {"did": did, "seq": 1, **account}}


@pytest.mark.parametrize("wire", ["jetstream", "jetstream_v2"])
@pytest.mark.parametrize(
    ("account", "how"),
    [
        ({"active": False, "status": "deleted"}, "deleted"),
        ({"active": False, "status": "takendown"}, "deleted"),
        ({"active": False, "status": "suspended"}, "suspended"),
        ({"active": False, "status": "deactivated"}, "suspended"),
        ({"active": True}, "back"),
        ({"active": False, "status": "throttled"}, None),
        ({"active": False}, None),
        ({}, None),
    ],
)
def test_what_becomes_of_a_followers_account_is_told_and_of_others_not(
    account: dict[str, Any], how: str | None, wire: Wire, tmp_path: Path
) -> None:
    said = post(FAN, "a")
    frames = [as_v2(said, 1) if wire == "jetstream_v2" else said]
    frames += [account_event(did, wire, **account) for did in (FAN, MALLORY, BRAND)]
    found = fates(tmp_path, frames, wire)
    assert [(each.follower, each.how, each.at) for each in found] == ([(FAN, how, NOW)] if how else [])


def test_version_2_of_jetstream_is_asked_for_what_becomes_of_accounts() -> None:
    asked = parse_qs(urlsplit(Source("wss://host/x", "jetstream_v2").url(None)).query)
    assert asked["kinds"] == ["commit", "account", "identity", "sync"]


def test_what_only_stands_in_a_repository_that_is_told_anew_did_not_happen_now(tmp_path: Path) -> None:
    def told(rkey: str, rev: str, **more: Any) -> dict[str, Any]:
        event = post(FAN, rkey, **more)
        event["commit"]["rev"] = rev
        return as_v2(event, 1)

    time = NOW.isoformat()
    payload = {"$type": "network.bsky.jetstream.subscribeEvents#sync", "seq": 1, "did": FAN, "time": time}
    synced = {"$type": "message", "payload": {**payload, "sync": {"did": FAN, "rev": "3b", "blocks": {"$bytes": ""}}}}
    frames = [
        told("known", "3a"), synced,
        told("years", "3b", createdAt="2024-05-01T08:00:00Z"), told("week", "3b", createdAt="2026-11-20T08:00:00Z"),
        told("known", "3b"), told("new", "3c", createdAt="2026-11-20T09:00:00Z"),
    ]  # fmt: skip
    found = taken(tmp_path, frames, "jetstream_v2")
    assert [(each.object.id.rpartition("/")[2], each.occurred_at_source) for each in found] == [
        ("known", "author"), ("week", "author"), ("known", "author"), ("new", "platform")
    ]  # fmt: skip
    known, week, again, new = found
    assert known.id == again.id, "it counts once"
    assert week.occurred_at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert new.occurred_at == NOW


def test_who_was_renamed_is_told_by_every_stream(tmp_path: Path) -> None:
    identity = {"did": FAN, "seq": 7, "time": NOW.isoformat(), "handle": "fan.example"}
    older = {"did": FAN, "time_us": NOW_US, "kind": "identity", "identity": identity}
    payload = {"$type": "network.bsky.jetstream.subscribeEvents#identity", "seq": 7, "did": FAN, "identity": identity}
    newer = {"$type": "message", "payload": {**payload, "time": NOW.isoformat()}}
    relays = libipld.encode_dag_cbor({"op": 1, "t": "#identity"}) + libipld.encode_dag_cbor(identity)
    frames = from_jetstream(json.dumps(older)), from_jetstream_v2(json.dumps(newer)), from_repos(relays)
    assert [(each.renamed, each.at, each.fate, each.changes) for each in frames] == [(FAN, NOW, None, ())] * 3
    handles = NobodysHandles()
    taken_by(tmp_path, [older], "jetstream", handles=handles)
    assert handles.were_renamed == {FAN}


@pytest.mark.parametrize("wrong", [["3k"], {"a": 1}, 2**63, None])
@pytest.mark.parametrize("field", ["repo", "rev"])
def test_a_commit_whose_repo_or_rev_is_not_text_is_refused_before_the_ledger_has_to_keep_it(
    field: str, wrong: object
) -> None:
    delete = {"path": f"{POST}/root", "action": "delete", "cid": None}
    body = {"seq": 7, "time": NOW.isoformat(), "repo": FAN, "rev": "3k", "ops": [delete], "blocks": b""}
    header = libipld.encode_dag_cbor({"op": 1, "t": "#commit"})
    assert from_repos(header + libipld.encode_dag_cbor(body)).changes
    with pytest.raises(FrameError, match="repo or rev"):
        from_repos(header + libipld.encode_dag_cbor({**body, field: wrong}))


def test_a_frame_of_version_2_without_a_usable_number_is_read_at_once() -> None:
    # In a process of its own: where it is not, no test would ever come to its end.
    frames = [{**_COMMIT_2, "seq": seq} for seq in (None, 0, -1, 10**15, 2**63)] + [_COMMIT_2]
    code = (
        "import json, sys\n"
        "from services.ingest.connectors.bluesky.frames import from_jetstream_v2\n"
        "for payload in json.load(sys.stdin):\n"
        "    frame = from_jetstream_v2(json.dumps({'$type': 'message', 'payload': payload}))\n"
        "    print(frame.seq, len(frame.changes))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=json.dumps(frames), capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == ["None 1"] * len(frames)


_COMMIT_2 = {
    "$type": "network.bsky.jetstream.subscribeEvents#commit", "did": "did:plc:ada",
    "time": "2026-11-29T11:59:01.000123Z", "rev": "3m", "operation": "create", "collection": "app.bsky.feed.post",
    "rkey": "3m", "record": {}, "cid": "b",
}  # fmt: skip


@pytest.mark.parametrize("key", ["", "a/b", "at://did:plc:roastery/app.bsky.feed.post/a", "a b", "x" * 513])
def test_a_key_that_no_record_has_is_skipped_and_holds_up_nothing(tmp_path: Path, key: str) -> None:
    found = taken(tmp_path, [post(MALLORY, key), post(FAN, "b")])
    assert [each.object.id.rpartition("/")[2] for each in found] == ["b"]
