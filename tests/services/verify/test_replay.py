"""The replay and the records of topics, without a broker: what is told twice, put aside, cut off, kept."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from msgspec import structs
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import AccountConnected, PolicyVersion
from rapport.contracts.events import Alert, Interaction
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    CONVERSATIONS_DEAD,
    CONVERSATIONS_UNSEEN,
    ENGAGEMENTS,
    EXCHANGES,
    EXCHANGES_DEAD,
    Topic,
    key_of,
    partition_of,
)
from rapport.domain.exchanges.addressing import topic_of
from rapport.domain.relationships.counting import KEPT_DAYS
from rapport.domain.times import utc
from rapport.kit.mongo import Document
from services.scorer.fenced.state import Store
from services.verify.compare import COLLECTIONS, KINDS, Comparison
from services.verify.log import UnverifiableError
from services.verify.replay import Replay
from tests.services.scorer.story import DAY, HOUR, T0, FakeRecord, interaction, record
from tests.services.verify import days

NO_DATABASE = cast(Database[Document], None)
"""The records of topics are compared without one."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "rows")
    yield found
    found.close()


def at_offset(given: FakeRecord, offset: int, topic: Topic = CONVERSATIONS, partition: int = 0) -> FakeRecord:
    """A record at its place."""
    return replace(given, topic=topic.name, partition=partition, offset=offset)


def overdue(number: int) -> FakeRecord:
    """A comment that is overdue when it comes, so that it gives one alert."""
    return at_offset(record(interaction("comment", f"c{number}", T0, thread=f"t{number}"), T0 + 2 * DAY), number)


def letter(of: FakeRecord, topic: Topic, because: str, offset: int = 0) -> FakeRecord:
    """The dead letter of a record, as the scorer writes it."""
    place = f"{of.topic}:{of.partition}:{of.offset}".encode()
    headers = (*of.headers, ("rapport_dead_because", because.encode()), ("rapport_dead_from", place))
    return replace(at_offset(of, offset, topic), headers=headers)


def alert_records(replay: Replay) -> list[FakeRecord]:
    """`alerts` as the scorer would have written it."""
    (ids,) = replay.expected.ids("alert", None)
    said = [replay.expected.said(each) for each in ids]
    ordered = sorted((each for each in said if each is not None), key=lambda each: each.place)
    return [
        at_offset(record(codec.decode("rapport.alert.v1", bytes(each.value)), T0, "rapport.alert.v1"), place, ALERTS)
        for place, each in enumerate(ordered)
    ]


def differences(replay: Replay, kind: str, *cut: str) -> set[tuple[str, Any, Any]]:
    """(id, how often the topic has it, how often it should) of a kind of record."""
    comparison = Comparison(replay.expected, NO_DATABASE, None, frozenset(cut))
    return {
        (each.id, each.mongodb, each.log)
        for _, differing in comparison.whole(kind)
        for found in differing.values()
        for each in found
    }


def test_a_record_of_a_later_version_ends_it_and_is_not_taken_for_a_dead_letter(store: Store) -> None:
    replay = Replay(store, 0)
    kind = codec.headers("rapport.control.v1", id="x", source="/test")
    later = at_offset(FakeRecord(b'{"control": "tomorrow"}', T0, tuple(kind)), 7)
    with pytest.raises(UnverifiableError, match=r"a later version wrote .*:0:7; verify with that version"):
        replay.take([later])


def test_each_alert_is_in_its_topic_exactly_once(store: Store) -> None:
    replay = Replay(store, 0)
    replay.take([overdue(number) for number in range(4)])
    first, second, third, fourth = alert_records(replay)
    ids = [msgspec.json.decode(each.value or b"", type=Alert).id for each in (first, second, third, fourth)]
    alert = structs.replace(msgspec.json.decode(first.value or b"", type=Alert), id="invented")
    invented = at_offset(record(alert, T0, "rapport.alert.v1"), 9, ALERTS)
    assert {each for each, _, _ in differences(replay, "alert record")} == set(ids)
    replay.take([first, second, second, fourth, invented])
    assert differences(replay, "alert record") == {(ids[1], 2, 1), (ids[2], 0, 1), ("invented", 1, 0)}


def test_only_alerts_from_before_the_first_that_is_kept_may_be_missing_where_retention_cut_the_topic(
    store: Store,
) -> None:
    replay = Replay(store, 0)
    replay.take([overdue(number) for number in range(4)])
    _, second, third, fourth = alert_records(replay)
    where = [f"{ALERTS.name}:{number}" for number in range(ALERTS.partitions)]
    assert differences(replay, "alert record", *where) == set()
    replay.take([second, fourth])
    lost = msgspec.json.decode(third.value or b"", type=Alert).id
    assert differences(replay, "alert record", *where) == {(lost, 0, 1)}
    assert len(differences(replay, "alert record")) == 2


def test_what_cannot_be_processed_needs_its_dead_letter_and_nothing_else_has_one(store: Store) -> None:
    replay = Replay(store, 0)
    broken = replace(overdue(1), value=b"{}")
    unfinished = at_offset(record(interaction("reply", "r", T0, thread=None), T0), 3)
    replay.take([overdue(0), broken, overdue(2), unfinished])
    assert {first for first, _, _ in differences(replay, "alert record")} == {
        msgspec.json.decode(each.value or b"", type=Alert).id for each in alert_records(replay)
    }
    assert len(alert_records(replay)) == 2
    one, other = f"{CONVERSATIONS.name}:0:1", f"{CONVERSATIONS.name}:0:3"
    assert differences(replay, "dead letter") == {(one, 0, 1), (other, 0, 1)}
    assert differences(replay, "put aside") == {(one, 0, 1)}
    replay.take([letter(each, CONVERSATIONS_DEAD, "why") for each in (overdue(0), broken, unfinished, unfinished)])
    assert differences(replay, "dead letter") == {(f"{CONVERSATIONS.name}:0:0", 1, 0), (other, 2, 1)}
    aside = replace(at_offset(broken, 0, CONVERSATIONS_UNSEEN), headers=(*broken.headers, ("rapport_offset", b"1")))
    replay.take([aside, aside])
    assert differences(replay, "put aside") == set()


def test_a_dead_letter_of_an_event_of_exchanges_is_known_by_its_key_and_id(store: Store) -> None:
    replay = Replay(store, 0)
    event = FakeRecord(b"?", T0, (("ce_id", b"x:1"),), EXCHANGES.name, 0, 7, key_of("acme", "generic", "ada"))
    replay.take([letter(event, EXCHANGES_DEAD, "why")])
    assert differences(replay, "dead letter") == {(f'{EXCHANGES.name}:["acme","generic","ada"]:x:1', 1, 0)}


def test_what_the_log_refused_for_its_size_counts_as_not_processed(store: Store) -> None:
    replay = Replay(store, 0)
    refused = letter(overdue(1), CONVERSATIONS_DEAD, "MessageSizeTooLargeError: the log refuses it")
    replay.take([refused])
    replay.take([overdue(0), overdue(1), overdue(2)])
    assert differences(replay, "dead letter") == set()
    assert len(alert_records(replay)) == 2


def test_a_refusal_that_comes_after_the_record_was_replayed_cannot_be_made_good(store: Store) -> None:
    replay = Replay(store, 0)
    replay.take([overdue(0)])
    with pytest.raises(UnverifiableError, match="start again"):
        replay.take([letter(overdue(0), CONVERSATIONS_DEAD, "MessageSizeTooLargeError: the log refuses it")])


def test_an_interaction_in_two_partitions_may_be_shown_as_in_either_and_counts_once(store: Store) -> None:
    replay = Replay(store, 0)
    said = [interaction("comment", "c", T0, text=text, conversation=text) for text in ("one", "two", "three")]
    for text, place, partition in ((said[0], 0, 0), (said[1], 0, 1), (said[2], 1, 1), (said[1], 1, 0)):
        replay.take([at_offset(record(text, T0), place, partition=partition)])
    shown = replay.expected.documents("interaction", "acme/generic/c")
    assert [each["text"] for each in shown] == ["one", "two"]
    assert [replay.expected.hour(each) for (each,) in replay.expected.ids("hour", "acme")] == [{"comment": 1}]


def test_sums_are_compared_also_where_days_of_a_follower_were_forgotten(store: Store) -> None:
    replay = Replay(store, 0)
    shares = [interaction("share", f"s{number}", T0 - number * DAY) for number in range(KEPT_DAYS + 9)]
    partition = partition_of(key_of("acme", "generic", "ada"), ENGAGEMENTS.partitions)
    replay.take([at_offset(record(each, T0), place, ENGAGEMENTS, partition) for place, each in enumerate(shares)])
    (document,) = replay.expected.documents("follower", "acme/generic/ada")
    assert document["counts"] == {"share": KEPT_DAYS + 9}
    document["sums"]["know"] += 1
    comparison = Comparison(replay.expected, NO_DATABASE, None, frozenset())
    found = comparison.some("follower", ["acme/generic/ada"], {"acme/generic/ada": document})
    assert [each.field for each in found.get("acme/generic/ada", ())] == ["sums.know"]


def records_of(seed: int) -> list[list[FakeRecord]]:
    """A busy day, in lists of one partition each."""
    dice = random.Random(seed)
    events: list[Interaction | PolicyVersion | AccountConnected] = [
        *days.policies(T0),
        days.connected(T0),
        *days.busy(seed, 300, T0),
    ]
    offsets: dict[tuple[str, int], int] = {}
    found: list[list[FakeRecord]] = []
    for number, event in enumerate(events):
        kind = "rapport.interaction.v1" if isinstance(event, Interaction) else "rapport.control.v1"
        topic = topic_of(event.kind) if isinstance(event, Interaction) else CONVERSATIONS
        for partition in (0, 1) if kind == "rapport.control.v1" else (hash_of(event) % 2,):
            place = offsets[topic.name, partition] = offsets.get((topic.name, partition), -1) + 1
            # A broker's clock can be set back; the partition's stays.
            appended = T0 + number * 60_000 - dice.choice((0, 0, 2 * HOUR))
            made = at_offset(record(event, appended, kind), place, topic, partition)
            if found and found[-1][0].topic == topic.name and found[-1][0].partition == partition:
                found[-1].append(made)
            else:
                found.append([made])
            if dice.random() < 0.02:
                found[-1].append(replace(made, value=b"broken", offset=place + 1))
                offsets[topic.name, partition] += 1
    return found


def hash_of(event: Any) -> int:
    """The same number for all of one conversation, or of one follower."""
    return sum((event.conversation if topic_of(event.kind) is CONVERSATIONS else event.actor.id).encode())


def told(replay: Replay) -> dict[str, dict[str, Any]]:
    """Everything that the replay says, by kind and id."""
    expected = replay.expected
    return {
        kind: {
            one: [expected.hour(one)]
            if kind == "hour"
            else expected.documents(kind, one)
            if kind in COLLECTIONS
            else [expected.said(one) if kind == "alert record" else expected.letter(kind, one)]
            for ids in expected.ids(kind, None)
            for one in ids
        }
        for kind in KINDS
    }


def in_parts(records: Iterable[list[FakeRecord]], most: int) -> Iterator[list[FakeRecord]]:
    """The same in smaller lists."""
    for some in records:
        for start in range(0, len(some), most):
            yield some[start : start + most]


def test_what_comes_out_depends_on_neither_the_size_of_parts_nor_on_going_on_from_what_was_kept(
    tmp_path: Path,
) -> None:
    day = records_of(7)
    whole, parts = Store(tmp_path / "whole"), Store(tmp_path / "parts")
    at_once = Replay(whole, 60_000)
    for some in day:
        at_once.take(some)
    for number, some in enumerate(in_parts(day, 3)):
        if number % 40 == 0:
            parts.close()
            parts = Store(tmp_path / "parts")
            bit_by_bit = Replay(parts, 60_000)
        bit_by_bit.take(some)
    expected = told(at_once)
    assert told(bit_by_bit) == expected
    assert min(len(expected[kind]) for kind in KINDS) > 5
    assert (bit_by_bit.standing, at_once.standing.records) == (at_once.standing, sum(map(len, day)))
    with pytest.raises(UnverifiableError, match="grace of 60 s, not 1 s"):
        Replay(parts, 1000)
    whole.close()
    parts.close()


def test_the_period_is_that_of_the_sources(store: Store) -> None:
    replay = Replay(store, 0)
    replay.take([overdue(0)])
    replay.take([at_offset(record(interaction("share", "s", T0), T0 + HOUR), 0, ENGAGEMENTS)])
    assert utc(replay.standing.first or 0) == utc(T0 + HOUR)
    assert utc(replay.standing.last or 0) == utc(T0 + 2 * DAY)
    assert replay.standing.records == 2
