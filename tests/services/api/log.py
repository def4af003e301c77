"""Reading the log in tests."""

import contextlib
import threading
from typing import Any

from kafka import TopicPartition

from rapport.contracts import codec
from rapport.contracts.events import Brand
from rapport.contracts.topics import BRANDS, CONVERSATIONS, Topic, key_of, partition_of
from rapport.kit.broker import kafka


class _Reader:
    """Reads a topic on from where it was: tests look at it again and again, and it grows with each of them."""

    def __init__(self, bootstrap: str, topic: Topic) -> None:
        self._consumer = kafka.consumer(bootstrap, None, "test")
        self._partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_beginning(*self._partitions)
        self._records: list[Any] = []

    def read(self) -> list[Any]:
        """All records until now."""
        ends = self._consumer.end_offsets(self._partitions)
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            for found in self._consumer.poll(timeout_ms=500).values():
                self._records += found
        return list(self._records)

    def close(self) -> None:
        """Ends its connections."""
        self._consumer.close(autocommit=False)


_readers: dict[tuple[str, str], _Reader] = {}
_one_at_a_time = threading.Lock()


def everything(bootstrap: str, topic: Topic) -> list[Any]:
    """All records that are now in a topic."""
    with _one_at_a_time:
        at = (bootstrap, topic.name)
        if at not in _readers:
            _readers[at] = _Reader(bootstrap, topic)
        try:
            return _readers[at].read()
        except BaseException:
            _readers.pop(at).close()
            raise


def close_readers(bootstrap: str) -> None:
    """Before a broker ends."""
    with _one_at_a_time:
        for at in [each for each in _readers if each[0] == bootstrap]:
            _readers.pop(at).close()


def brands(bootstrap: str) -> set[bytes]:
    """The keys of all brands that are now in the log."""
    return {
        record.key for record in {each.key: each for each in everything(bootstrap, BRANDS)}.values() if record.value
    }


def remove(bootstrap: str, found: set[bytes]) -> None:
    """Takes brands out of the log. Whoever reads their accounts would go on asking servers that are gone."""
    if found:
        with contextlib.closing(kafka.producer(bootstrap, "test")) as producer:
            for key in found:
                producer.send(BRANDS.name, None, key, partition=partition_of(key, BRANDS.partitions)).get(30)


def newest(bootstrap: str, brand: str) -> Brand:
    """The newest record of a brand. Those of others are not read: some tests put there what cannot be."""
    records = [each for each in everything(bootstrap, BRANDS) if each.key == key_of(brand)]
    found: Brand = codec.decode("rapport.brand.v1", records[-1].value)
    return found


def controls(bootstrap: str, brand: str) -> dict[int, list[Any]]:
    """A brand's control records by partition of the conversations."""
    found: dict[int, list[Any]] = {number: [] for number in range(CONVERSATIONS.partitions)}
    for record in everything(bootstrap, CONVERSATIONS):
        if codec.type_of(record.headers) == "rapport.control.v1":
            control = codec.decode("rapport.control.v1", record.value)
            if getattr(control, "brand", None) == brand:
                found[record.partition].append(control)
    return found
