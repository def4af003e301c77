"""What the thread of the leases makes of each poll: rebalances, claims of others, and topics made anew."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition

from rapport.contracts import codec
from rapport.contracts.cursors import Claim, Cursor, Position, key_of_cursor, position_key
from rapport.contracts.topics import CURSORS
from services.ingest.leases.leases import Leases
from services.ingest.leases.rows import Rows

HERE = TopicPartition(CURSORS.name, 0)
KEY = position_key("a", "notifications")


class Record:
    """A record of the topic."""

    def __init__(self, offset: int, cursor: Cursor) -> None:
        self.offset, self.key, self.value = offset, key_of_cursor(cursor, 0), codec.encode(cursor)


class Consumer:
    """What the group says, as a test wants it."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.mine = {HERE}
        self.sought: list[int] = []

    def assignment(self) -> set[TopicPartition]:
        return self.mine

    def reason(self) -> str | None:
        return self.why

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append(offset)


class Thread:
    """One process's thread, poll by poll. Its claims get the offsets 3, 7 and 11."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leases = Leases("nowhere", "me", None, folder, logging.getLogger("test"))  # type: ignore[arg-type]
        self.rows = Rows(folder / "rows.sqlite")
        self.leases._rows = self.rows
        self.consumer: Any = Consumer()
        offsets = iter((3, 7, 11))
        monkeypatch.setattr(self.leases, "_claim", lambda _partition: next(offsets))

    def polls(self, *records: Record) -> None:
        self.leases._follow(self.consumer, self.rows, {HERE: list(records)} if records else {})

    def holds(self) -> int | None:
        """The number of the claim, if it has the partition."""
        held = self.leases._held.get(0)
        return held.claim if held else None

    def position(self) -> str | None:
        found = self.leases.get(KEY)
        return found.position if found else None


@pytest.fixture
def thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Thread]:
    made = Thread(tmp_path, monkeypatch)
    yield made
    made.rows.close()


def position(at: str, claim: int) -> Position:
    return Position(account="a", list="notifications", position=at, claim=claim)


BEFORE = (Record(0, Claim(instance="old")), Record(1, position("1000", 0)))
OWN = Record(3, Claim(instance="me"))


def test_what_is_polled_while_the_group_is_rebalanced_is_not_thrown_away(thread: Thread) -> None:
    thread.polls()
    thread.consumer.why = "the group is being rebalanced"
    thread.polls(*BEFORE)
    thread.polls(OWN)
    thread.consumer.why = None
    thread.polls()
    assert (thread.holds(), thread.position()) == (3, "1000")


def test_nothing_is_claimed_while_the_broker_does_not_say_that_it_is_a_member(thread: Thread) -> None:
    thread.consumer.why = "the group is being rebalanced"
    thread.polls(*BEFORE)
    assert thread.leases._loading == {}
    thread.consumer.why = None
    thread.polls()
    thread.polls(*BEFORE, OWN)
    assert (thread.holds(), thread.position()) == (3, "1000")
    assert thread.consumer.sought == [0, 0]


def test_a_claim_of_another_ends_a_loading_too_and_it_is_claimed_again(thread: Thread) -> None:
    thread.polls()
    thread.polls(*BEFORE, OWN, Record(4, Claim(instance="other")), Record(5, position("2000", 4)))
    assert thread.holds() is None
    thread.polls()
    again = (*BEFORE, OWN, Record(4, Claim(instance="other")), Record(5, position("2000", 4)))
    thread.polls(*again, Record(7, Claim(instance="me")))
    assert (thread.holds(), thread.position()) == (7, "2000")


def test_a_partition_that_is_given_away_while_it_is_loaded_is_loaded_anew(thread: Thread) -> None:
    thread.polls()
    thread.polls(*BEFORE)
    thread.consumer.mine = set()
    thread.polls()
    thread.consumer.mine = {HERE}
    thread.polls()
    assert thread.position() is None
    thread.polls(*BEFORE, OWN, Record(7, Claim(instance="me")))
    assert (thread.holds(), thread.position()) == (7, "1000")


def test_in_a_topic_that_was_made_anew_the_claims_of_the_one_before_hold_up_nothing(thread: Thread) -> None:
    thread.polls()
    thread.polls(Record(0, position("1000", 5_000)), OWN)
    assert thread.position() == "1000"
    later = position("1001", 3)
    thread.rows.take(0, [(KEY, codec.encode(later), later)], 3)
    assert thread.position() == "1001"
