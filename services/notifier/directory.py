"""The channels of every brand, read from the beginning of the brands topic."""

import threading
import time
from typing import Any, Self

from kafka import TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from rapport.contracts.brands import Brands
from rapport.contracts.events import Brand, Channel, UnknownChannel
from rapport.contracts.topics import BRANDS
from rapport.kit.broker import kafka
from rapport.kit.sealing import Sealer

POLL_MS = 200
PATIENCE_SECONDS = 30.0
BRAND_UNREADABLE = "waits for a later version of the notifier that can read the brand"
CHANNEL_UNKNOWN = "waits for a later version of the notifier that knows this channel"


class Directory:
    """The newest record of each brand. Safe to use from several threads."""

    def __init__(self, bootstrap: str, sealer: Sealer | None = None) -> None:
        self._brands = Brands((sealer or Sealer()).open)
        self._reading = threading.Lock()
        self._asked_at = 0.0
        self._failed: KafkaError | None = None
        self._consumer = kafka.consumer(bootstrap, None, "rapport-notifier-brands")
        self._partitions = [
            TopicPartition(BRANDS.name, number)
            for number in sorted(self._consumer.partitions_for_topic(BRANDS.name) or range(BRANDS.partitions))
        ]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_beginning(*self._partitions)

    @classmethod
    def caught_up(cls, bootstrap: str, sealer: Sealer | None = None) -> Self:
        """A directory that has read the whole topic. Raises KafkaError."""
        directory = cls(bootstrap, sealer)
        try:
            directory.catch_up()
        except BaseException:
            directory.close()
            raise
        return directory

    def brand(self, id: str) -> Brand | None:
        """The brand as far as the topic has been read; None if there is none."""
        return self._brands.get(id)

    def channel(self, brand: str, channel: str) -> Channel | None:
        """A brand's channel as far as the topic has been read; None if there is none.

        To be sure that a channel was removed, `catch_up` first: another process may know more.
        """
        found = self._brands.get(brand)
        return next((one for one in found.channels if one.id == channel), None) if found else None

    def unknown_channels(self, brand: str) -> tuple[UnknownChannel, ...]:
        """The channels of a brand that this version cannot use."""
        return self._brands.unknown_channels(brand)

    def unreadable(self, brand: str) -> str | None:
        """Why the newest record of a brand cannot be read; None if it can."""
        return self._brands.unreadable(brand)

    def cannot_tell(self, brand: str, channel: str) -> str | None:
        """Why only a later version knows where a channel goes; None if this one knows, or knows that it is gone."""
        if self.unreadable(brand) is not None:
            return BRAND_UNREADABLE
        if any(each.id == channel for each in self.unknown_channels(brand)):
            return CHANNEL_UNKNOWN
        return None

    def catch_up(self) -> None:
        """Reads everything that is in the topic now. Raises KafkaError if the broker does not answer in time.

        A thread that had to wait for another one to do the same shares its result.
        """
        wanted = time.monotonic()
        with self._reading:
            if self._asked_at < wanted:
                self._asked_at, self._failed = time.monotonic(), None
                try:
                    self._read_to_the_end()
                except KafkaError as error:
                    self._failed = error
            if self._failed is not None:
                raise self._failed

    def read(self) -> None:
        """Reads what has arrived."""
        with self._reading:
            self._poll(0)

    def close(self) -> None:
        """Closes the connection."""
        with self._reading:
            self._consumer.close()

    def _read_to_the_end(self) -> None:
        ends: dict[Any, int] = self._consumer.end_offsets(self._partitions)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while any(self._position(partition) < ends[partition] for partition in self._partitions):
            if time.monotonic() > give_up_at:
                raise KafkaTimeoutError(f"{BRANDS.name} was not read to its end within {PATIENCE_SECONDS:g} s")
            self._poll(POLL_MS)

    def _position(self, partition: Any) -> int:
        return int(self._consumer.position(partition, timeout_ms=kafka.REQUEST_MS) or 0)

    def _poll(self, timeout_ms: int) -> None:
        for records in self._consumer.poll(timeout_ms=timeout_ms).values():
            for record in records:
                self._brands.take(record)
