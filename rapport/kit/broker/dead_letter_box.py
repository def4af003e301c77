"""Reads dead letters back, and sends them once more to where they came from."""

import contextlib
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kafka import TopicPartition

from rapport.kit.broker import kafka
from rapport.kit.broker.dead_letters import LEFT_OUT, PLACE, REASON

_OURS = (REASON, PLACE, LEFT_OUT)
_EARLIER = {"rapport_reason": REASON, "rapport_offset": PLACE}
"""Names of earlier versions, which gave the offset alone. So their records cannot be sent again."""
_CLIENT = "rapport-dead-letters"
_PLACE = re.compile(r"(?P<topic>[a-zA-Z0-9._-]{1,249}):(?P<partition>\d{1,6}):(?P<offset>\d{1,18})")
POLL_MS = 500
_IDLE_POLLS = 20


class Gone(Exception):  # noqa: N818 - what became of a record
    """There is no record at this place (any more), or nobody knows where it was."""


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "Place":
        """From `<topic>:<partition>:<offset>`. Raises ValueError."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not <topic>:<partition>:<offset>")
        return cls(found["topic"], int(found["partition"]), int(found["offset"]))

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class Letter(NamedTuple):
    """What a dead letter says."""

    place: Place
    at: int
    """When it was written (ms), by its writer's clock."""
    reason: str
    source: str
    """Where the record was, as the letter says."""
    without: str
    """What of the record did not fit; empty if all did."""


class Opened(NamedTuple):
    """A dead letter with the record in it."""

    letter: Letter
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


def latest(bootstrap: str, topics: Sequence[tuple[str, int]], most: int) -> list[Letter]:
    """The latest letters of these topics (name and number of partitions), the latest first. Raises KafkaError."""
    partitions = [TopicPartition(name, number) for name, count in topics for number in range(count)]
    with contextlib.closing(_reader(bootstrap)) as reader:
        reader.assign(partitions)
        begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
        for each in partitions:
            reader.seek(each, max(begins[each], ends[each] - most))
        # The records themselves can be large, so none is kept.
        letters = (_opened(record).letter for record in _until(reader, ends))
        return heapq.nlargest(most, letters, key=lambda letter: letter.at)


def opened(bootstrap: str, places: Iterable[Place]) -> list[Opened]:
    """The letters at these places. Raises Gone, and KafkaError."""
    with contextlib.closing(_reader(bootstrap)) as reader:
        return [_opened(_record(reader, place)) for place in places]


def send_again(bootstrap: str, letters: Iterable[Opened]) -> None:
    """Writes the records of letters to the topics and partitions that they came from, as they were there.

    If a letter lacks a part, the record is taken from its own topic. Raises Gone if it is not there any more, or if the
    letter does not say where it was; then nothing was written. Raises KafkaError; then some may have been.
    """
    with contextlib.closing(_reader(bootstrap)) as reader:
        wanted = [(_source(each.letter), _whole(reader, each)) for each in letters]
    producer = kafka.producer(bootstrap, _CLIENT)
    try:
        sent = [
            producer.send(source.topic, key=key, value=value, headers=headers, partition=source.partition)
            for source, (_, key, value, headers) in wanted
        ]
        for each in sent:
            each.get(30)
    finally:
        producer.close(timeout=10)


def _source(letter: Letter) -> Place:
    """Where the record was. A header can say anything, so only a topic that has these dead letters is believed."""
    try:
        source = Place.parse(letter.source)
    except ValueError as error:
        raise Gone(f"{letter.place} does not say where the record was: {error}") from error
    if not letter.place.topic.startswith(f"{source.topic}.") or source.partition != letter.place.partition:
        raise Gone(f"{letter.place} says that the record was at {source}, whose dead letters are elsewhere")
    return source


def _whole(reader: Any, letter: Opened) -> Opened:
    return _opened(_record(reader, _source(letter.letter))) if letter.letter.without else letter


def _reader(bootstrap: str) -> Any:
    return kafka.consumer(bootstrap, None, _CLIENT)


def _record(reader: Any, place: Place) -> Any:
    if place.partition not in (reader.partitions_for_topic(place.topic) or ()):
        raise Gone(f"there is no partition {place.topic}:{place.partition}")
    partition = TopicPartition(place.topic, place.partition)
    reader.assign([partition])
    first, end = reader.beginning_offsets([partition])[partition], reader.end_offsets([partition])[partition]
    if not first <= place.offset < end:
        raise Gone(f"{place} is not there: {place.topic}:{place.partition} holds {first} to {end}")
    reader.seek(partition, place.offset)
    record = next(_until(reader, {partition: end}), None)
    if record is None or record.offset != place.offset:
        raise Gone(f"{place} is not a record")
    return record


def _until(reader: Any, ends: Mapping[TopicPartition, int]) -> Iterator[Any]:
    """Records up to these offsets."""
    idle = 0
    while idle < _IDLE_POLLS and any(reader.position(each) < end for each, end in ends.items()):
        polled = reader.poll(POLL_MS)
        idle = 0 if polled else idle + 1
        for records in polled.values():
            yield from records


def _opened(record: Any) -> Opened:
    told: dict[str, str] = {}
    headers: list[tuple[str, bytes]] = []
    for name, value in record.headers:
        ours = _EARLIER.get(name, name)
        if ours in _OURS:
            told[ours] = (value or b"").decode("utf-8", "replace")
        else:
            headers.append((name, value or b""))
    place = Place(record.topic, record.partition, record.offset)
    letter = Letter(place, record.timestamp, told.get(REASON, ""), told.get(PLACE, ""), told.get(LEFT_OUT, ""))
    return Opened(letter, record.key or b"", record.value, headers)
