"""Rebuilds the views from the log: the projector reads it again from its beginning, and adds what is missing.

It deletes nothing. The log goes back 90 days, and MongoDB further.
"""

from datetime import datetime
from typing import Any

from kafka import TopicPartition
from pymongo.database import Database

from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, PROJECTOR_GROUP, Topic
from rapport.domain.times import utc
from rapport.kit.broker import kafka as brokers
from services.api.projector import hourly
from services.api.projector.batch import SOURCES
from services.api.storage import indexes
from services.backup import positions, settings

POLL_MS = 2_000
POLLS = 5
"""An old partition may begin with records of aborted transactions, so one poll may give nothing."""


def rebuild(kafka: str, database: Database[Any]) -> tuple[datetime | None, list[str]]:
    """Makes the projector read the log from its beginning. Returns the time of the oldest interaction or control record
    in it, and the settings that were newer in it, in words.

    Raises BusyError, KafkaError, PyMongoError; it can be done again.
    """
    positions.check_idle(kafka, {PROJECTOR_GROUP: SOURCES})
    indexes.create(database)
    first = positions.beginnings(kafka, SOURCES)
    begins = min((at for topic in (CONVERSATIONS, ENGAGEMENTS) for at in _first_times(kafka, topic)), default=None)
    if begins is not None:
        _recount(database, begins // 1000 // hourly.MINUTE)
    newer = settings.take_newer(kafka, database, first[f"{CONVERSATIONS.name}:0"])
    positions.put(kafka, {PROJECTOR_GROUP: first})
    return None if begins is None else utc(begins), newer


def _recount(database: Database[Any], minute: int) -> None:
    """Counts again what arrived since `minute`: what is missing now will arrive again, in another part."""
    fields = {"brand": 1, "hour": 1, "minute": 1}
    dirty = {
        (each["brand"], each["hour"], each["minute"])
        for each in database["hour_parts"].find({"minute": {"$gte": minute}}, fields)
    }
    hourly.recount_parts(database, dirty)


def _first_times(kafka: str, topic: Topic) -> list[int]:
    """The append time (ms) of the first record of each partition that has one. Raises KafkaError."""
    found = []
    consumer = brokers.consumer(kafka, None, "rapport-rebuild", max_poll_records=1)
    try:
        for number in range(topic.partitions):
            partition = TopicPartition(topic.name, number)
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            for _ in range(POLLS):
                if polled := consumer.poll(POLL_MS).get(partition):
                    found.append(polled[0].timestamp)
                    break
                if consumer.position(partition) >= consumer.end_offsets([partition])[partition]:
                    break
    finally:
        consumer.close()
    return found
