"""A consumer that loses its group in every way that was seen, on a real broker: it says so, comes back, or gives up."""

import ast
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import MemberToRemove, NewPartitions, NewTopic
from kafka.errors import KafkaError
from kafka.structs import MemberState
from prometheus_client import REGISTRY

from rapport.kit.broker import kafka
from rapport.kit.broker.group import Patience
from rapport.kit.broker.member import GroupConsumer, GroupLostError, described
from rapport.kit.health import Health
from rapport.local.servers.stack import Running
from tests.faults.broker import OwnBroker
from tests.waiting import until

pytestmark = pytest.mark.stack

SOON = 15.0
"""Within which readiness has to tell the truth."""


class Member:
    """A group consumer polled by a thread, as services do it."""

    def __init__(self, bootstrap: str, topics: dict[str, int], group: str = "", **options: Any) -> None:
        self.group = group or f"test-{uuid.uuid4().hex}"
        self.health = Health()
        self.records: list[bytes] = []
        self.lost: GroupLostError | None = None
        self._stop = threading.Event()
        self.consumer = GroupConsumer(bootstrap, self.group, "test", topics, self.health, self._stop, **options)
        self._describe = described(bootstrap, self.group)
        self._partitions = {(topic, number) for topic, count in topics.items() for number in range(count)}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for records in self.consumer.poll(50).values():
                    self.records += [record.value for record in records]
        except GroupLostError as error:
            self.lost = error

    def well(self) -> bool:
        """By its own word, and by the broker's."""
        return not self.health.reasons() and self.owns_all()

    def owns_all(self) -> bool:
        """Whether the group has assigned everything, by the broker's word; not while it gives none."""
        try:
            seen = self._describe()
        except (KafkaError, OSError):
            return False
        return seen.state == "Stable" and self._partitions <= set().union(*seen.members.values())

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30)
        self.consumer.close()
        self._describe.close()


@contextmanager
def member(*given: Any, **named: Any) -> Iterator[Member]:
    """A member for as long as the test needs it."""
    found = Member(*given, **named)
    try:
        yield found
    finally:
        found.close()


def create(bootstrap: str, **topics: int) -> None:
    """Makes topics with so many partitions."""
    admin = kafka.admin(bootstrap)
    admin.create_topics([NewTopic(name=name, num_partitions=n, replication_factor=1) for name, n in topics.items()])
    admin.close()


def names(*kinds: str) -> list[str]:
    """Names of topics that no other test has."""
    return [f"{kind}-{uuid.uuid4().hex[:12]}" for kind in kinds]


def fall_out(consumer: GroupConsumer) -> None:
    """Leaves the client as kafka-python 3.0.12 leaves it when metadata change while it joins."""
    coordinator = consumer._consumer._coordinator
    coordinator._disable_heartbeat()
    coordinator.rejoin_needed = False
    coordinator.state = MemberState.REBALANCING


def renewals(group: str) -> float:
    """The metric."""
    return REGISTRY.get_sample_value("rapport_group_renewals_total", {"group": group}) or 0.0


def test_who_silently_fell_out_is_not_ready_and_reads_on_with_a_new_consumer(stack: Running) -> None:
    (topic,) = names("orders")
    create(stack.kafka, **{topic: 2})
    producer = kafka.producer(stack.kafka, "test")
    with member(stack.kafka, {topic: 2}) as one:
        until(one.well, "it is a member")
        fall_out(one.consumer)
        producer.send(topic, b"meanwhile", partition=0).get(30)
        reasons = until(one.health.reasons, "it says so", SOON + 10)  # the broker waits a session of 10 s for it
        assert "group" in reasons[0]
        assert REGISTRY.get_sample_value("rapport_group_member", {"group": one.group}) == 0
        until(one.well, "it is a member again")
        until(lambda: b"meanwhile" in one.records, "what was sent meanwhile is read")
        assert renewals(one.group) == 1
        assert REGISTRY.get_sample_value("rapport_group_member", {"group": one.group}) == 1
    producer.close()


def test_partitions_that_are_not_there_yet_are_waited_for_and_named(stack: Running) -> None:
    early, late, grown = names("early", "late", "grown")
    create(stack.kafka, **{early: 2, grown: 1})
    with member(stack.kafka, {early: 2, late: 2, grown: 3}) as one:
        until(lambda: f"kafka lacks partitions of {grown}, {late}" in one.health.reasons(), "it says what is missing")
        create(stack.kafka, **{late: 2})
        until(lambda: f"kafka lacks partitions of {grown}" in one.health.reasons(), "one is there")
        admin = kafka.admin(stack.kafka)
        admin.create_partitions({grown: NewPartitions(3)})
        admin.close()
        until(one.well, "it is a member with all partitions")


def test_a_member_that_is_thrown_out_of_a_group_that_is_then_deleted_comes_back(stack: Running) -> None:
    (topic,) = names("orders")
    create(stack.kafka, **{topic: 2})
    with member(stack.kafka, {topic: 2}) as one:
        until(one.well, "it is a member")
        admin = kafka.admin(stack.kafka)
        before = one.consumer._member()
        admin.remove_group_members(one.group, [MemberToRemove(member_id=before)])
        admin.delete_groups([one.group])
        admin.close()
        until(lambda: one.consumer._member() != before and one.well(), "it is a member again")


def test_after_the_broker_was_away_it_reads_on(tmp_path: Path) -> None:
    own = OwnBroker(tmp_path)
    try:
        (topic,) = names("orders")
        create(own.kafka, **{topic: 2})
        with member(own.kafka, {topic: 2}) as one:
            until(one.well, "it is a member")
            own.end()
            until(lambda: f"kafka does not answer about group {one.group}" in one.health.reasons(), "it says so", SOON)
            own.start()
            until(one.well, "it is a member again")
            assert one.lost is None
            producer = kafka.producer(own.kafka, "test")
            producer.send(topic, b"later", partition=1).get(30)
            producer.close()
            until(lambda: b"later" in one.records, "what was sent since is read")
    finally:
        own.end()


def test_partitions_that_nobody_has_make_a_member_unready(stack: Running) -> None:
    first, second = names("first", "second")
    create(stack.kafka, **{first: 1, second: 1})
    # Another one leads the group and knows but one of the topics; it is all that its own subscription has.
    with member(stack.kafka, {first: 1}) as other:
        until(other.well, "the other one is a member")
        with member(stack.kafka, {first: 1, second: 1}, group=other.group) as one:
            until(one.well, "everything is assigned to somebody")
            one.consumer._watch._judge._partitions |= {(second, 7)}
            why = f"group {one.group} has 1 partitions that are assigned to nobody"
            until(lambda: why in one.health.reasons(), "a partition that nobody has is noticed", SOON)


def test_where_new_consumers_do_not_help_the_process_is_told_to_end(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    (topic,) = names("orders")
    create(stack.kafka, **{topic: 2})
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with member(stack.kafka, {topic: 2}, patience=Patience(outside=1, lost=6)) as one:
        until(one.well, "it is a member")
        # Like a client that takes itself for a member, whatever the broker says.
        monkeypatch.setattr(one.consumer._watch, "_member", lambda: "nobody")
        until(lambda: one.lost, "it gave up")
        assert str(one.lost) == f"not a member of group {one.group}"
        assert renewals(one.group) >= 2
    assert ended == []


def test_a_loop_that_does_not_end_by_itself_is_ended(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    (topic,) = names("orders")
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr("rapport.kit.broker.member.HARD_END_SECONDS", 0.1)
    consumer = GroupConsumer(stack.kafka, "stuck", "test", {topic: 1}, Health(), threading.Event())
    consumer._give_up("nothing helps")
    until(lambda: ended, "it was ended")
    consumer.close()


@pytest.mark.long
@pytest.mark.parametrize("how_many", [20, pytest.param(200, marks=pytest.mark.long)])
def test_many_join_while_one_of_their_topics_is_being_made_and_all_become_members(
    stack: Running, how_many: int
) -> None:
    race(stack.kafka, how_many)


def race(bootstrap: str, how_many: int, at_once: int = 20) -> None:
    """Every one of `how_many` groups, `at_once` at a time, gets all partitions of two topics; one is made late."""
    for begin in range(0, how_many, at_once):
        members: list[Member] = []
        timers: list[threading.Timer] = []
        try:
            for number in range(min(at_once, how_many - begin)):
                early, late = names("early", "late")
                create(bootstrap, **{early: 2})
                timers.append(threading.Timer(0.02 * number, create, [bootstrap], {late: 2}))
                members.append(Member(bootstrap, {early: 2, late: 2}))
                timers[-1].start()
            for one in members:
                until(one.well, "all are members")
            for timer in timers:
                timer.join()
            # Who stays for two sessions has not only joined.
            end = time.monotonic() + 20
            while time.monotonic() < end:
                assert [one.group for one in members if not one.owns_all()] == []
                time.sleep(1)
        finally:
            for one in members:
                one._stop.set()
            for one in members:
                one.close()


def test_nobody_joins_a_group_but_through_the_wrapper_or_with_a_watch_of_its_own() -> None:
    root = Path(__file__).parents[3]
    joining = {
        str(file.relative_to(root))
        for folder in ("rapport", "services")
        for file in (root / folder).rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and _joins(call)
    }
    assert joining == {
        "rapport/kit/broker/kafka.py",  # what the wrapper makes its consumers with
        "rapport/kit/broker/member.py",
        "services/scorer/fenced/transport.py",  # the scorer has a GroupWatch
    }


def _joins(call: ast.Call) -> bool:
    """Whether a call makes a consumer that may be in a group."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if name in ("KafkaConsumer", "AIOKafkaConsumer"):
        return any(given.arg == "group_id" for given in call.keywords)
    in_group = len(call.args) > 1 and ast.unparse(call.args[1]) != "None"
    return ast.unparse(call.func) == "kafka.consumer" and in_group
