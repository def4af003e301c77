"""Partitions of a group that wait at a record which this version cannot read: a later one will."""

import logging
from typing import Any

from kafka import TopicPartition

from rapport.kit.dead_letters import place_of
from rapport.kit.health import Health
from rapport.kit.member import GroupConsumer

log = logging.getLogger("rapport.halts")


class Halts:
    """The partitions that a consumer does not read on. For the consumer's thread.

    Nothing behind the record is read, and nothing of it committed, so whoever gets the partition next begins there.
    """

    def __init__(self, consumer: GroupConsumer, health: Health) -> None:
        self._consumer = consumer
        self._health = health
        self._reasons: dict[TopicPartition, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def at(self, record: Any, why: str) -> None:
        """Leaves a partition at a record, and has readiness say so. The other partitions go on."""
        partition = TopicPartition(record.topic, record.partition)
        waits = f"{record.topic}/{record.partition} waits at {place_of(record)} for a later version"
        log.error("%s: %s", waits, why)
        self._consumer.seek(partition, record.offset)
        self._consumer.pause(partition)
        self._forget(partition)
        self._reasons[partition] = waits
        self._health.unready(waits)

    def look(self) -> None:
        """Forgets partitions that are with another process by now."""
        for partition in self._reasons.keys() - self._consumer.assignment():
            self._forget(partition)

    def resume_others(self) -> None:
        """Reads the paused partitions on, but for those that wait here."""
        if waiting := self._consumer.paused() - self._reasons.keys():
            self._consumer.resume(*waiting)

    def _forget(self, partition: TopicPartition) -> None:
        reason = self._reasons.pop(partition, None)
        if reason is not None:
            self._health.ready(reason)
