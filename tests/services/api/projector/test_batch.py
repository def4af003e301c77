"""What a poll's records become, without any server."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from kafka import TopicPartition

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.cursors import AccountState
from rapport.contracts.errands import ErrandState
from rapport.contracts.events import ExchangeSnapshot, FollowerRef, Spoken, Tick
from rapport.contracts.rows import EPOCH_HEADER, row_key
from rapport.contracts.topics import ALERTS, CONVERSATIONS, CURSORS, EXCHANGES, RELATIONSHIPS_CHANGELOG, Topic
from rapport.domain.times import ms, utc
from services.api.errands.documents import errand_state_document
from services.api.listening.documents import account_state_document
from services.api.projector import batch
from services.api.storage.versions import version_of
from services.ingest.heartbeat import record
from tests.services.api import samples

NOW = datetime(2026, 11, 23, 10, 59, 59, tzinfo=UTC)


@dataclass
class _Record:
    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    partition: int = 0
    offset: int = 0
    timestamp: int = 0


def _read(topic: Topic, *records: _Record) -> batch.Batch:
    return batch.read({TopicPartition(topic.name, 0): records})


def _said(id: str, **more: Any) -> _Record:
    value = codec.encode(samples.interaction(id, "aurora", NOW, **more))
    headers = codec.headers("rapport.interaction.v1", id=id, source="/test")
    return _Record(CONVERSATIONS.name, b"k", value, headers)


def _exchange(event: ExchangeSnapshot | Spoken, epoch: int = 1) -> _Record:
    headers = [
        *codec.headers("rapport.exchange.v1", id="1", source="/test"),
        (EPOCH_HEADER, str(epoch).encode()),
    ]
    return _Record(EXCHANGES.name, b"k", codec.encode(event), headers)


def _tick(scored: datetime | None) -> _Record:
    headers = codec.headers("rapport.tick.v1", id="1", source="/test")
    return _Record(CONVERSATIONS.name, b"", codec.encode(Tick(scored=scored)), headers, timestamp=ms(NOW))


def test_of_ticks_and_control_records_only_the_latest_that_is_scored_is_kept() -> None:
    control = _Record(CONVERSATIONS.name, b"", b"{}", codec.headers("rapport.control.v1", id="1", source="/test"))
    earlier, later = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    assert _read(CONVERSATIONS, _tick(later), control, _tick(earlier)) == batch.Batch(ticked={0: later})


def test_a_tick_that_knows_nothing_or_of_the_future_makes_nothing_live() -> None:
    assert _read(CONVERSATIONS, _tick(None)) == batch.Batch()
    assert _read(CONVERSATIONS, _tick(NOW + timedelta(hours=1))) == batch.Batch(ticked={0: NOW})


def test_the_first_of_an_interactions_id_wins() -> None:
    found = _read(CONVERSATIONS, _said("1", text="first"), _said("1", text="second"), _said("2"))
    assert [each["text"] for each in found.interactions.values()] == ["first", "When do you open?"]


def test_what_happens_to_a_comment_is_found_by_the_comment() -> None:
    reply = codec.encode(samples.reply("3", "aurora", NOW, to="at://1"))
    found = _read(
        CONVERSATIONS,
        _said("1"),
        _said("2", kind="hide"),
        _Record(CONVERSATIONS.name, b"k", reply, codec.headers("rapport.interaction.v1", id="3", source="/test")),
    )
    comment, hide, answer = found.interactions.values()
    assert "about" not in comment
    assert comment["follower"] == "did:plc:ada"
    assert "follower" not in hide
    assert hide["about"] == "at://2"
    assert answer["about"] == "at://1"


def test_the_highest_epoch_then_the_highest_revision_of_a_row_wins() -> None:
    old = samples.exchange("one", "aurora", NOW, revision=9)
    restarted = samples.exchange("one", "aurora", NOW, revision=1, state="answered")
    for records in ([_exchange(old), _exchange(restarted, 2)], [_exchange(restarted, 2), _exchange(old)]):
        found = _read(EXCHANGES, *records)
        assert found.exchanges["one"]["state"] == "answered"
        assert found.exchanges["one"]["version"] == version_of(2, 1)
    assert version_of(1, 10) > version_of(1, 9)
    assert version_of(2, 1) > version_of(1, 2**39)


def test_what_the_scorer_tells_itself_is_nothing_to_show() -> None:
    own = _Record(RELATIONSHIPS_CHANGELOG.name, row_key("clock"), b"not even json")
    not_met = msgspec.json.encode(samples.follower("did:plc:ada", "aurora", NOW, met=False))
    spoken_to = _Record(RELATIONSHIPS_CHANGELOG.name, row_key("follower", "aurora", "bluesky", "x"), not_met)
    assert _read(RELATIONSHIPS_CHANGELOG, own, spoken_to) == batch.Batch()
    spoken = Spoken(
        brand="aurora",
        platform="bluesky",
        account="a",
        follower=FollowerRef(id="x"),
        kind="reply",
        object="1",
        occurred_at=NOW,
        revision=1,
    )
    assert _read(EXCHANGES, _exchange(spoken)) == batch.Batch()


def test_a_follower_whose_row_is_removed_is_removed() -> None:
    key = row_key("follower", "aurora", "bluesky", "did:plc:ada")
    row = msgspec.json.encode(samples.follower("did:plc:ada", "aurora", NOW))
    found = _read(
        RELATIONSHIPS_CHANGELOG,
        _Record(RELATIONSHIPS_CHANGELOG.name, key, row),
        _Record(RELATIONSHIPS_CHANGELOG.name, key, None),
    )
    assert found.followers == {"aurora/bluesky/did:plc:ada": None}


def test_what_cannot_be_read_is_put_aside_and_the_next_is_read() -> None:
    unreadable = [
        _Record(CONVERSATIONS.name, b"k", b"{", codec.headers("rapport.interaction.v1", id="1", source="/test")),
        _Record(CONVERSATIONS.name, b"k", None, codec.headers("rapport.interaction.v1", id="1", source="/test")),
        _Record(CONVERSATIONS.name, b"k", b"{}", codec.headers("somebody.elses.v9", id="1", source="/test")),
        _Record(CONVERSATIONS.name, b"k", b"{}"),
    ]
    found = _read(CONVERSATIONS, *unreadable, _said("1"))
    assert [error.record for error in found.unreadable] == unreadable
    assert list(found.interactions) == ["aurora/bluesky/1"]
    assert "v9" in str(found.unreadable[2])


def test_what_a_later_version_wrote_halts_its_partition_wherever_it_is() -> None:
    control = "rapport.control.v1"
    for kind, value in (
        (control, b'{"control": "tomorrow"}'),
        ("rapport.interaction.v2", b"{}"),
        ("rapport.x.v1", b""),
    ):
        later = _Record(CONVERSATIONS.name, b"k", value, codec.headers(kind, id="1", source="/test"))
        found = _read(CONVERSATIONS, _said("1"), later, _said("2"))
        assert list(found.interactions) == ["aurora/bluesky/1"]
        assert ([halt.record for halt in found.halts], found.unreadable) == ([later], [])
    said = _said("3")
    word = _Record(CONVERSATIONS.name, b"k", (said.value or b"").replace(b'"comment"', b'"story"'), said.headers)
    assert [halt.record for halt in _read(CONVERSATIONS, word).halts] == [word]
    poison = _Record(CONVERSATIONS.name, b"k", b'{"control": 7}', codec.headers(control, id="1", source="/test"))
    assert (_read(CONVERSATIONS, poison).halts, _read(CONVERSATIONS, poison).unreadable) == ([], [])


def test_what_is_to_be_put_aside_halts_nothing() -> None:
    later = _Record(
        CONVERSATIONS.name, b"k", b"{}", codec.headers("rapport.decree.v1", id="1", source="/test"), offset=7
    )
    for places, halted in (({f"{CONVERSATIONS.name}:0:7"}, False), ({f"{CONVERSATIONS.name}:0:8"}, True)):
        found = batch.read({TopicPartition(CONVERSATIONS.name, 0): [later, _said("1")]}, places)
        assert ([each.record for each in found.halts], [each.record for each in found.unreadable]) == (
            ([later], []) if halted else ([], [later])
        )
        assert list(found.interactions) == ([] if halted else ["aurora/bluesky/1"])


def test_an_unreadable_row_of_the_scorer_halts_its_partition_at_that_row() -> None:
    bad = _Record(
        EXCHANGES.name, b"k", b'{"fact": "exchange"}', codec.headers("rapport.exchange.v1", id="1", source="/test")
    )
    before = _exchange(samples.exchange("before", "aurora", NOW))
    after = _exchange(samples.exchange("after", "aurora", NOW + timedelta(hours=1)))
    found = _read(EXCHANGES, before, bad, after)
    assert list(found.exchanges) == ["before"]
    assert [halt.record for halt in found.halts] == [bad]
    alert = _Record(ALERTS.name, b"k", b"[]", codec.headers("rapport.alert.v1", id="1", source="/test"))
    assert len(_read(ALERTS, alert).halts) == 1


def test_of_a_heartbeat_in_each_partition_the_latest_says_what_ingest_hears() -> None:
    early = record(Heartbeat(instance="ingest-1", behind=("a",)), 0)
    late = record(Heartbeat(instance="ingest-1", behind=("a", "b"), disconnected=("b",)), 1)
    told = [
        _Record(CONVERSATIONS.name, each.key, each.value, list(each.headers), timestamp=at)
        for each, at in ((early, 1_000), (late, 2_000), (early, 1_500))
    ]
    (found,) = _read(CONVERSATIONS, *told).heartbeats.values()
    assert (found["_id"], found["at"], found["behind"]) == ("ingest-1", utc(2_000), ["a", "b"])
    assert found["disconnected"] == ["b"]


@pytest.mark.parametrize("topic", batch.SOURCES, ids=lambda topic: topic.name)
def test_a_record_that_nothing_can_be_made_of_is_left_out_and_the_others_are_read(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def add(_batch: batch.Batch, record: _Record) -> None:
        if record.key == b"bad":
            raise OverflowError("date value out of range")
        read.append(record.key)

    monkeypatch.setitem(batch._READERS, topic.name, add)
    found = _read(topic, *(_Record(topic.name, key, b"{}") for key in (b"one", b"bad", b"other")))
    assert read == [b"one", b"other"]
    assert ([each.why for each in found.unreadable], found.halts) == (["OverflowError: date value out of range"], [])


def test_json_nested_deeper_than_anybody_reads_is_undecodable() -> None:
    nested = b'{"x":' * 100_000 + b"1" + b"}" * 100_000
    for type_ in ("rapport.interaction.v1", "rapport.alert.v1", "rapport.control.v1", "rapport.exchange.v1"):
        with pytest.raises(codec.UndecodableError):
            codec.decode(type_, nested)


def _cursor(cursor: AccountState | ErrandState, offset: int) -> _Record:
    headers = codec.headers("rapport.cursor.v1", id="1", source="/test")
    return _Record(CURSORS.name, b"k", codec.encode(cursor), headers, offset=offset)


def test_a_state_of_a_lost_claim_does_not_count() -> None:
    stands = AccountState(brand="aurora", account="a", platform="mastodon", state="live", since=NOW, claim=50)
    became = ErrandState(brand="aurora", account="a", errand="e", state="done", at=NOW, claim=50)
    lost = {"claim": 10, "state": "behind"}, {"claim": 10, "state": "sending"}
    found = _read(
        CURSORS,
        _cursor(stands, 1),
        _cursor(became, 2),
        _cursor(msgspec.structs.replace(stands, **lost[0]), 3),
        _cursor(msgspec.structs.replace(became, **lost[1]), 4),
    )
    assert found.states == {"a": account_state_document(stands, 0, 1)}
    assert found.errand_states == {"e": errand_state_document(became, 0, 2)}
