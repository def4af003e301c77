"""A real scorer process, and the log it reads and writes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from kafka import TopicPartition

from rapport.contracts import codec
from rapport.contracts.controls import PolicyRule, PolicyVersion
from rapport.contracts.events import CONVERSATIONAL, Interaction
from rapport.contracts.topics import (
    CONVERSATIONS,
    ENGAGEMENTS,
    Topic,
    key_of,
    partition_of,
)
from rapport.domain.times import utc
from rapport.kit.broker import kafka
from rapport.local import ports
from rapport.local.servers.stack import Running


class Scorer:
    """One worker. Its folder holds its rows and its log."""

    def __init__(self, kafka_servers: str, folder: Path, instance: str = "scorer-0", before: str = "") -> None:
        """`before` is Python to be run in the process first: what a test breaks."""
        self._code = f"{before}\nfrom services.scorer.app import run; run()"
        self.folder = folder
        self.port = ports.usual_or_free(0)
        self.log = folder / f"{instance}.log"
        self._environment = {
            **os.environ,
            "RAPPORT_KAFKA": kafka_servers,
            "RAPPORT_DATA": str(folder / instance),
            "RAPPORT_PORT": str(self.port),
            "RAPPORT_INSTANCE": instance,
            "RAPPORT_TICK_SECONDS": "0.5",
            "RAPPORT_BREACH_GRACE_SECONDS": "0",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it, or starts it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._code],
                env=self._environment,
                stderr=log,
                stdout=log,
            )

    def signal(self, number: signal.Signals) -> int:
        """Sends a signal and gives the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def ready(self) -> bool:
        """Whether its partitions are restored."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Ends it, however it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def produce(bootstrap: str, events: Iterable[Interaction]) -> None:
    """Writes interactions as ingest would."""
    producer = kafka.producer(bootstrap, "test")
    sent = []
    for event in events:
        topic = CONVERSATIONS if event.kind in CONVERSATIONAL else ENGAGEMENTS
        last = event.conversation if topic is CONVERSATIONS else event.actor.id
        key = key_of(event.brand, event.platform, last)
        sent.append(
            producer.send(
                topic.name,
                codec.encode(event),
                key=key,
                partition=partition_of(key, topic.partitions),
                headers=codec.headers("rapport.interaction.v1", id=event.id, source="/test"),
            )
        )
    producer.flush()
    for future in sent:
        future.get(30)
    producer.close()


def read_all(bootstrap: str, topic: Topic) -> list[Any]:
    """Every committed record of a topic from its beginning, per partition in order."""
    consumer = kafka.consumer(bootstrap, None, "test", consumer_timeout_ms=500)
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(200, max_records=5_000).values():
                found.extend(records)
        return found
    finally:
        consumer.close()


def processed(bootstrap: str, group: str, topics: Iterable[Topic]) -> bool:
    """Whether the group has processed every record that was there when this was asked."""
    last: dict[TopicPartition, int] = {}
    for topic in topics:
        for record in read_all(bootstrap, topic):
            last[TopicPartition(record.topic, record.partition)] = record.offset
    consumer = kafka.consumer(bootstrap, group, "test")
    try:
        return all((consumer.committed(partition) or 0) > offset for partition, offset in last.items())
    finally:
        consumer.close()


def broker_now(running: Running) -> int:
    """The broker's idea of now (ms): the append time of a record."""
    producer = kafka.producer(running.kafka, "test")
    found: int = (
        producer.send(CONVERSATIONS.name, b"{}", key=b"now", partition=0, headers=[("ce_type", b"rapport.tick.v1")])
        .get(30)
        .timestamp
    )
    producer.close()
    return found


def send_policy(running: Running, rule: PolicyRule, effective_from: int) -> None:
    """Writes a policy into every partition, as the API would."""
    policy = PolicyVersion(brand="acme", version=1, effective_from=utc(effective_from), rules=(rule,))
    producer = kafka.producer(running.kafka, "test")
    for partition in range(CONVERSATIONS.partitions):
        producer.send(
            CONVERSATIONS.name,
            codec.encode(policy),
            key=b"control",
            partition=partition,
            headers=codec.headers("rapport.control.v1", id="1", source="/test"),
        ).get(30)
    producer.close()
