"""What the thread of the leases makes of each poll: rebalances, and claims of others."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from rapport.contracts.topics import CURSORS
from services.ingest.leases.copy import Claimed
from services.ingest.leases.leases import Leases, _Claiming

HERE = TopicPartition(CURSORS.name, 0)


class Consumer:
    """What the group says, as a test wants it."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.mine = {HERE}

    def assignment(self) -> set[TopicPartition]:
        return self.mine

    def reason(self) -> str | None:
        return self.why


class Thread:
    """One process's thread, poll by poll. Its claims get the offsets 3, 7 and 11."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leases = Leases("nowhere", "me", None, folder, logging.getLogger("test"))  # type: ignore[arg-type]
        self.consumer: Any = Consumer()
        self.offsets = iter((3, 7, 11))
        self.read_to = 0
        monkeypatch.setattr(self.leases, "_claim", lambda _partition: _Claiming(offset=next(self.offsets)))
        monkeypatch.setattr(self.leases._copy, "next_of", lambda _partition: self.read_to)

    def polls(self, read_to: int = 0, *claims: int) -> None:
        """Everything before `read_to` has been read, and there were claims of another process in it."""
        self.read_to = max(self.read_to, read_to)
        self.leases._follow(self.consumer, [Claimed(0, offset, "other") for offset in claims])

    def holds(self) -> int | None:
        """The number of the claim, if it has the partition."""
        held = self.leases.held().get(0)
        return held.claim if held else None


@pytest.fixture
def thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    return Thread(tmp_path, monkeypatch)


def test_it_holds_a_partition_once_it_has_read_up_to_its_claim(thread: Thread) -> None:
    thread.polls(2)
    thread.polls(3)
    assert thread.holds() is None
    thread.polls(4)
    assert thread.holds() == 3


def test_what_is_read_while_the_group_is_rebalanced_is_not_read_again(thread: Thread) -> None:
    thread.polls()
    thread.consumer.why = "the group is being rebalanced"
    thread.polls(2)
    thread.polls(4)
    thread.consumer.why = None
    thread.polls()
    assert thread.holds() == 3


def test_nothing_is_claimed_while_the_broker_does_not_say_that_it_is_a_member(thread: Thread) -> None:
    thread.consumer.why = "the group is being rebalanced"
    thread.polls(4)
    assert thread.leases._loading == {}
    thread.consumer.why = None
    thread.polls()
    thread.polls()
    assert thread.holds() == 3


def test_a_claim_of_another_ends_what_is_held_and_it_is_claimed_again(thread: Thread) -> None:
    thread.polls()
    thread.polls(4)
    lease = thread.leases.held()[0]
    thread.polls(5, 4)
    assert lease.ended
    assert thread.holds() is None
    thread.polls(8)
    assert thread.holds() == 7


def test_a_claim_of_another_ends_a_loading_too(thread: Thread) -> None:
    thread.polls()
    thread.polls(6, 4)
    assert thread.holds() is None
    thread.polls(8)
    assert thread.holds() == 7


def test_claims_from_before_its_own_change_nothing(thread: Thread) -> None:
    thread.polls()
    thread.polls(4, 0, 2)
    assert thread.holds() == 3


def test_a_partition_that_is_given_away_and_comes_back_is_claimed_anew(thread: Thread) -> None:
    thread.polls()
    thread.consumer.mine = set()
    thread.polls(4)
    assert thread.holds() is None
    thread.consumer.mine = {HERE}
    thread.polls()
    thread.polls(8)
    assert thread.holds() == 7


def test_a_partition_that_takes_no_claim_holds_up_no_other_and_is_claimed_again(
    thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = TopicPartition(CURSORS.name, 1)
    claims: list[_Claiming] = []

    def claim(partition: int) -> _Claiming:
        made = _Claiming(offset=3 if partition == HERE.partition else None)
        if partition == there.partition:
            claims.append(made)
        return made

    monkeypatch.setattr(thread.leases, "_claim", claim)
    monkeypatch.setattr("services.ingest.leases.leases.CLAIMED_AGAIN_SECONDS", 0.0)
    thread.consumer.mine = {HERE, there}
    thread.polls()
    thread.polls(4)
    assert thread.holds() == 3
    claims[0].failed(KafkaTimeoutError("it has no leader"))
    for _ in range(2):
        thread.polls()
    assert len(claims) == 2
    with monkeypatch.context() as late:
        late.setattr("services.ingest.leases.leases.CLAIMED_WITHIN_SECONDS", -1.0)
        thread.polls()
    thread.polls()
    assert len(claims) == 3
    claims[2].wrote(SimpleNamespace(offset=9))
    for read_to in (4, 10):
        thread.polls(read_to)
    assert set(thread.leases.held()) == {0, 1}
    assert thread.holds() == 3


def test_a_claim_of_another_counts_also_where_the_broker_answers_late_about_our_own(
    thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims: list[_Claiming] = []

    def claim(_: int) -> _Claiming:
        claims.append(_Claiming())
        return claims[-1]

    monkeypatch.setattr(thread.leases, "_claim", claim)
    thread.polls()
    thread.polls(12, 11)  # ours is 10, and was read in the same poll
    claims[0].wrote(SimpleNamespace(offset=10))
    thread.polls()
    assert thread.holds() is None
    thread.polls()
    claims[1].wrote(SimpleNamespace(offset=15))
    for read_to in (15, 16):
        thread.polls(read_to)
    assert thread.holds() == 15


def test_where_no_claim_can_be_sent_one_try_of_all_partitions_is_made_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = Leases("nowhere", "me", None, tmp_path, logging.getLogger("test"))  # type: ignore[arg-type]
    tries: list[int] = []

    def append(_: object) -> None:
        tries.append(1)
        raise KafkaTimeoutError("nobody answers")

    monkeypatch.setattr(leases._producer, "append", append)
    consumer: Any = Consumer()
    consumer.mine = {TopicPartition(CURSORS.name, number) for number in range(CURSORS.partitions)}
    for _ in range(3):
        leases._follow(consumer, [])
    assert len(tries) == 1


def test_a_claim_of_which_the_broker_does_not_say_where_it_is_is_no_claim() -> None:
    claiming = _Claiming()
    claiming.wrote(SimpleNamespace(offset=-1))
    assert claiming.offset is None
    assert isinstance(claiming.error, KafkaError)
