"""Up to where alerts and reminders have been read, so that reading the log again is told from reading it.

One document of `notifier` per partition: `_id` (`<topic>:<partition>`), `next`. The group's offsets do not tell: when
they are lost, the log is read again.
"""

from collections.abc import Iterable, Mapping

from kafka import TopicPartition
from pymongo import UpdateOne
from pymongo.collection import Collection

from rapport.kit.broker.kafka import name_of
from rapport.kit.mongo import Document


def reached(notes: Collection[Document], partitions: Iterable[TopicPartition]) -> dict[str, int]:
    """The offset of the first record that was never read, by the partition's name, where that is known."""
    named = {"_id": {"$in": [name_of(each) for each in partitions]}}
    return {each["_id"]: each["next"] for each in notes.find(named)}


def note(notes: Collection[Document], following: Mapping[str, int]) -> None:
    """Notes what has been read, by the partition's name: the offset behind it."""
    notes.bulk_write(
        [UpdateOne({"_id": name}, {"$max": {"next": at}}, upsert=True) for name, at in following.items()],
        ordered=False,
    )
