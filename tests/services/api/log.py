"""Reading the log in tests."""

from typing import Any

from kafka import TopicPartition

from rapport.contracts.topics import Topic
from rapport.kit import kafka


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
