"""Where each brand's alerts go now: the channels of every brand, read from the brands' topic from its beginning."""

import logging
import time
from typing import Any, Self

from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from rapport.contracts import codec
from rapport.contracts.events import Brand, Channel
from rapport.contracts.rows import parts_of
from rapport.contracts.topics import BRANDS
from rapport.kit import kafka

POLL_MS = 200
PATIENCE_SECONDS = 30.0

log = logging.getLogger("rapport.notifier.directory")


class Directory:
    """The newest record of each brand. One thread reads the topic; any thread may look a channel up."""

    def __init__(self, bootstrap: str) -> None:
        self._brands: dict[str, Brand] = {}
        self._consumer = kafka.consumer(bootstrap, None, "rapport-notifier-brands")
        self._partitions = [
            TopicPartition(BRANDS.name, number)
            for number in sorted(self._consumer.partitions_for_topic(BRANDS.name) or range(BRANDS.partitions))
        ]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_beginning(*self._partitions)

    @classmethod
    def caught_up(cls, bootstrap: str) -> Self:
        """A directory that has read all that is there. Raises KafkaError."""
        directory = cls(bootstrap)
        try:
            directory.catch_up()
        except BaseException:
            directory.close()
            raise
        return directory

    def brand(self, id: str) -> Brand | None:
        """The brand as it now is; None where there is none."""
        return self._brands.get(id)

    def channel(self, brand: str, channel: str) -> Channel | None:
        """A brand's channel as it now is; None where it was removed."""
        found = self._brands.get(brand)
        return next((one for one in found.channels if one.id == channel), None) if found else None

    def catch_up(self) -> None:
        """Reads all that is in the topic now. Raises KafkaError where the broker does not give it in time."""
        ends: dict[Any, int] = self._consumer.end_offsets(self._partitions)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while any(self._position(partition) < ends[partition] for partition in self._partitions):
            if time.monotonic() > give_up_at:
                raise KafkaTimeoutError(f"{BRANDS.name} was not read to its end within {PATIENCE_SECONDS:g} s")
            self.read(POLL_MS)

    def _position(self, partition: Any) -> int:
        return int(self._consumer.position(partition, timeout_ms=kafka.REQUEST_MS) or 0)

    def read(self, timeout_ms: int = 0) -> None:
        """Takes in what has arrived."""
        for records in self._consumer.poll(timeout_ms=timeout_ms).values():
            for record in records:
                self._take(record)

    def _take(self, record: Any) -> None:
        if record.value is None:
            self._brands.pop(parts_of(record.key)[0], None)
            return
        try:
            brand = codec.decode(codec.type_of(record.headers), record.value)
        except codec.UndecodableError as error:
            log.error("%s offset %d is skipped: %s", record.topic, record.offset, error)
            return
        if isinstance(brand, Brand):
            self._brands[brand.id] = brand

    def close(self) -> None:
        """Ends the connection."""
        self._consumer.close()
