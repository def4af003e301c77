"""A Kafka of a test's own, which can be stopped, killed, held, and told other settings."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from rapport.contracts.topics import CATALOGUE, Topic
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.kafka_login import login
from rapport.local import child, ports
from rapport.local.child import Child
from rapport.local.servers.broker import Broker
from rapport.local.servers.stack import Running
from tests.waiting import until

_START_SECONDS = 90.0
_STOP_SECONDS = 30.0


class OwnBroker:
    """One broker with the catalogue's topics. It ends with the test, whatever the test did to it."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, *, like: Path | None = None) -> None:
        """`settings` are the broker's own, beside those of the local stack.

        It begins as what the folder `like` has; empty without.
        """
        if like is not None:
            shutil.copytree(like, folder)
        self._broker = Broker(folder)
        self._settings = settings or {}
        self._port, self._controller_port = ports.usual_or_free(0), ports.usual_or_free(0)
        self.kafka = f"{ports.LOOPBACK}:{self._port}"
        self.running = Running(self.kafka, "")
        """For the helpers that want a stack."""
        self._command: list[str] = []
        self._process: Child | None = None
        self.start()

    def start(self) -> None:
        """Starts it where it was, with what it had, and returns once it answers and has every topic."""
        command = self._command = self._broker.command(self._port, self._controller_port, lambda _: None)
        with Path(command[-1]).open("a") as properties:
            properties.writelines(f"{name}={value}\n" for name, value in self._settings.items())
        started = self._process = child.start(command, self._broker.log, os.environ, signal.SIGKILL)
        until(lambda: started.listens(self._port), "the broker listens", _START_SECONDS)
        until(self._answers, "the broker answers", _START_SECONDS)

    def _answers(self) -> bool:
        try:
            kafka_topics.create_topics(self.kafka, 1, CATALOGUE)
            return not kafka_topics.missing_topics(self.kafka, CATALOGUE)
        except (KafkaError, OSError):
            return False

    def second(self) -> "SecondBroker":
        """Another broker in the same cluster, started."""
        return SecondBroker(Path(self._command[-1]), self._command)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it, by default without giving it the time to write anything down."""
        if self._process is not None:
            self._process.send(signal.SIGCONT)
            self._process.send(number)
            assert child.ended([self._process], _STOP_SECONDS)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile it keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send(signal.SIGCONT)

    def stall(self, seconds: float) -> None:
        """Holds it for as long."""
        with self.held():
            time.sleep(seconds)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """Its administration."""
        client = KafkaAdminClient(bootstrap_servers=self.kafka, **login())
        try:
            yield client
        finally:
            client.close()

    def configure(self, topic: Topic, **settings: str | int) -> None:
        """Sets a topic's settings; `_` in their names stands for a dot."""
        wanted = {name.replace("_", "."): str(value) for name, value in settings.items()}
        with self.admin() as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=wanted)])

    def configure_all(self, settings: Mapping[str, str]) -> None:
        """Sets settings of the broker that can change while it runs."""
        with self.admin() as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", configs=dict(settings))])

    def cut(self, topic: Topic, before: Mapping[int, int]) -> None:
        """Deletes the records of partitions before an offset, as retention does."""
        with self.admin() as admin:
            admin.delete_records({TopicPartition(topic.name, number): offset for number, offset in before.items()})

    def delete(self, topic: Topic) -> None:
        """Deletes a topic."""
        with self.admin() as admin:
            admin.delete_topics([topic.name])
        until(lambda: topic.name in kafka_topics.missing_topics(self.kafka, CATALOGUE), f"{topic.name} is gone")

    def recreate(self, topic: Topic) -> None:
        """Deletes a topic and creates it again, empty."""
        self.delete(topic)
        kafka_topics.create_topics(self.kafka, 1, CATALOGUE)
        until(lambda: not kafka_topics.missing_topics(self.kafka, CATALOGUE), f"{topic.name} is back")

    def ends(self, topic: Topic) -> dict[int, int]:
        """The end of what is committed in each partition."""
        reader = kafka.consumer(self.kafka, None, "test")
        try:
            found = reader.end_offsets([TopicPartition(topic.name, number) for number in range(topic.partitions)])
            return {partition.partition: offset for partition, offset in found.items()}
        finally:
            reader.close()

    def high_watermarks(self, topic: Topic) -> dict[int, int]:
        """The end of each partition, the markers of transactions included."""
        reader = KafkaConsumer(bootstrap_servers=self.kafka, **login())
        try:
            found = reader.end_offsets([TopicPartition(topic.name, number) for number in range(topic.partitions)])
            return {partition.partition: offset for partition, offset in found.items()}
        finally:
            reader.close()

    def forget(self, group: str) -> None:
        """As a week without workers does: a group and its offsets are gone."""
        with self.admin() as admin:
            # A static member is missed only when its session is over.
            until(lambda: admin.delete_groups([group])[group] == "OK", "the group is forgotten", 60)

    def move(self, group: str, topic: str, number: int, offset: int) -> None:
        """Moves a group's offset, as somebody can while no worker runs."""
        where = {TopicPartition(topic, number): OffsetAndMetadata(offset, "", -1)}
        with self.admin() as admin:
            until(lambda: set(admin.alter_group_offsets(group, where).values()) == {NoError}, "the offset is moved", 60)

    def open_transactions(self) -> set[str]:
        """The transactional ids whose transactions have begun and not ended."""
        with self.admin() as admin:
            listed = admin.list_transactions([1], state_filters=["Ongoing"])
        return {each.transactional_id for some in listed.values() for each in some}

    def transactional_ids(self, of: str) -> set[str]:
        """The transactional ids of an agent that the broker knows."""
        with self.admin() as admin:
            listed = admin.list_transactions([1])
        return {each.transactional_id for some in listed.values() for each in some if of in each.transactional_id}

    def transaction_seconds(self, id: str) -> float:
        """After how long the broker gives up a transaction that stays open."""
        with self.admin() as admin:
            (found,) = admin.describe_transactions([id]).values()
        return float(found.transaction_timeout_ms) / 1_000

    def replicate(self, topic: Topic) -> None:
        """Lets the second broker have a copy of a topic, and waits until it is in sync."""
        with self.admin() as admin:
            until(lambda: len(admin.describe_cluster()["brokers"]) == 2, "the second broker is there")
            admin.alter_partition_reassignments(
                {TopicPartition(topic.name, number): [1, 2] for number in range(topic.partitions)}
            )
        until(lambda: self.in_sync(topic) == {1, 2}, f"{topic.name} is copied")

    def hand_over(self, topic: Topic, number: int) -> None:
        """Lets the second broker alone have a partition, so that it can be taken away."""
        with self.admin() as admin:
            until(lambda: len(admin.describe_cluster()["brokers"]) == 2, "the second broker is there")
            admin.alter_partition_reassignments({TopicPartition(topic.name, number): [2]})
            until(lambda: self._leader(admin, topic, number) == 2, "the second broker leads the partition")

    @staticmethod
    def _leader(admin: KafkaAdminClient, topic: Topic, number: int) -> int:
        (found,) = admin.describe_topics([topic.name])
        (leader,) = (each["leader_id"] for each in found["partitions"] if each["partition_index"] == number)
        return int(leader)

    def in_sync(self, topic: Topic) -> set[int]:
        """The brokers that have all of every partition of a topic; none where the one that is asked is gone."""
        try:
            with self.admin() as admin:
                (found,) = admin.describe_topics([topic.name])
        except KafkaError:
            return set()
        return set[int].intersection(*(set(each["isr_nodes"]) for each in found["partitions"]))


class SecondBroker:
    """A broker that keeps copies and controls nothing."""

    def __init__(self, first: Path, command: list[str]) -> None:
        """`first` are the first broker's properties, `command` what starts it."""
        self._folder = first.parent.parent / "second"
        self._folder.mkdir()
        address = f"CLIENT://{ports.LOOPBACK}:{ports.usual_or_free(0)}"
        changed = {
            "process.roles": "broker",
            "node.id": "2",
            "listeners": address,
            "advertised.listeners": address,
            "log.dirs": str(self._folder / "log"),
        }
        lines = [line.partition("=") for line in first.read_text().splitlines() if line]
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{name}={changed.get(name, value)}\n" for name, _, value in lines))
        cluster = (first.parent / "log" / "meta.properties").read_text().partition("cluster.id=")[2].split()[0]
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
        subprocess.run([*command[:-2], *tool], check=True, capture_output=True)
        self._command = [*command[:-1], str(properties)]
        self.start()

    def start(self) -> None:
        """Starts it, or starts it again."""
        self._process = child.start(self._command, self._folder / "kafka.log", os.environ, signal.SIGKILL)

    def end(self) -> None:
        """Ends it without a word."""
        self._process.send(signal.SIGKILL)
        assert child.ended([self._process], _STOP_SECONDS)


def begin_and_end(bootstrap: str, topic: Topic) -> dict[int, tuple[int, int]]:
    """Of each partition the first offset that is there, and the one after the last."""
    reader = kafka.consumer(bootstrap, None, "test")
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
        return {each.partition: (begins[each], ends[each]) for each in partitions}
    finally:
        reader.close()
