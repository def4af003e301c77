"""Reading the log in tests."""

from typing import Any

from kafka import TopicPartition

from rapport.contracts import codec
from rapport.contracts.events import Brand
from rapport.contracts.topics import BRANDS, CONVERSATIONS, Topic, key_of
from rapport.kit.broker import kafka


def everything(bootstrap: str, topic: Topic) -> list[Any]:
    """All records that are now in a topic."""
    consumer = kafka.consumer(bootstrap, None, "test")
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        records: list[Any] = []
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for found in consumer.poll(timeout_ms=500).values():
                records += found
        return records
    finally:
        consumer.close(autocommit=False)


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
