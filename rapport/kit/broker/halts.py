"""Partitions that wait at a record which only a later version can read."""

import logging
from typing import Any

from kafka import TopicPartition

from rapport.kit.broker.dead_letters import place_of
from rapport.kit.broker.member import GroupConsumer
from rapport.kit.health import Health

log = logging.getLogger("rapport.halts")


class Halts:
    """The partitions that a consumer has stopped reading. For the consumer's thread.

    Nothing behind the record is read or committed, so whoever gets the partition next begins there.
    """

    def __init__(self, consumer: GroupConsumer, health: Health) -> None:
        self._consumer = consumer
        self._health = health
        self._reasons: dict[TopicPartition, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def at(self, record: Any, why: str) -> None:
        """Stops a partition at a record, and makes readiness say so. The other partitions go on."""
        partition = TopicPartition(record.topic, record.partition)
        waits = f"{record.topic}/{record.partition} waits at {place_of(record)} for a later version"
        log.error("%s: %s", waits, why)
        self._consumer.seek(partition, record.offset)
        self._consumer.pause(partition)
        self._forget(partition)
        self._reasons[partition] = waits
        self._health.unready(waits)

    def look(self) -> None:
        """Forgets partitions that another process has by now."""
        for partition in self._reasons.keys() - self._consumer.assignment():
            self._forget(partition)

    def resume_others(self) -> None:
        """Resumes the paused partitions, except those that wait here."""
        if waiting := self._consumer.paused() - self._reasons.keys():
            self._consumer.resume(*waiting)

    def _forget(self, partition: TopicPartition) -> None:
        reason = self._reasons.pop(partition, None)
        if reason is not None:
            self._health.ready(reason)
