"""Dead letters: what a process could not work on, as it came, with the reason and the place where it was.

A letter can always be written. The client library takes no null header, no record without key and value, and nothing
above the log's limit for a record, and any of these would otherwise stop the process that wants to get rid of it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from rapport.kit.broker.producer import Producer, Sent

REASON = "rapport_dead_because"
PLACE = "rapport_dead_from"
"""`<topic>:<partition>:<offset>` of the record."""
LEFT_OUT = "rapport_dead_without"
"""What of the record did not fit into the letter; absent where all did."""

LONGEST_REASON = 1_000
LARGEST = 1_048_576 - 4_096
"""A broker takes a batch of 1 MiB unless told otherwise; our headers and a record's frame take less than 4 KiB."""
_FRAME = 12
"""The most that the lengths of a header take."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Record(Protocol):
    """What the client libraries give for a record, as far as it matters here."""

    @property
    def topic(self) -> str:
        """Where it was."""

    @property
    def partition(self) -> int:
        """Where it was."""

    @property
    def offset(self) -> int:
        """Where it was."""

    @property
    def key(self) -> bytes | None:
        """As it came."""

    @property
    def value(self) -> bytes | None:
        """As it came."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """As they came; null values included, whatever the libraries' types say."""


def place_of(record: Record) -> str:
    """Where a record is: `<topic>:<partition>:<offset>`."""
    return f"{record.topic}:{record.partition}:{record.offset}"


class Letter(NamedTuple):
    """A record for a dead-letter topic."""

    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


def letter(record: Record, reason: str, *, whole: bool = True) -> Letter:
    """Key, value and headers as they came, and the reason. A null key or header becomes an empty one.

    What does not fit is left out: first the value, then the headers, then the key. Without `whole` all of them are,
    for a topic that takes less than usual.
    """
    key, value = record.key or b"", record.value
    headers = [(name, content or b"") for name, content in record.headers]
    ours = [
        (REASON, reason[:LONGEST_REASON].encode("utf-8", "replace")),
        (PLACE, place_of(record).encode()),
    ]
    left_out: list[str] = []
    if not whole or _size(key, value, headers) > LARGEST:
        left_out.append(f"value of {len(value or b'')} bytes")
        value = None
    if not whole or _size(key, value, headers) > LARGEST:
        left_out.append(f"{len(headers)} headers")
        headers = []
    if not whole or _size(key, value, headers) > LARGEST:
        left_out.append(f"key of {len(key)} bytes")
        key = b""
    without = [(LEFT_OUT, ", ".join(left_out).encode())] if left_out else []
    return Letter(key, value, [*headers, *ours, *without])


def put(producer: Producer, letters: Iterable[tuple[str, Record, str]], seconds: float) -> None:
    """Writes letters (the topic, the record, the reason) and returns once the broker has them all. Raises KafkaError.

    Each has `seconds`. Where it raises, some may be written; they can be written again.
    """
    wanted = list(letters)
    try:
        sent = [_send(producer, topic, record, letter(record, why)) for topic, record, why in wanted]
        # A batch that is too large takes others with it, and so does the producer that it ends: these go out alone.
        alone = [it for delivery, it in zip(sent, wanted, strict=True) if not _arrived(delivery, seconds)]
        for topic, record, why in alone:
            try:
                _send(producer, topic, record, letter(record, why)).get(seconds)
            except TOO_LARGE:
                _send(producer, topic, record, letter(record, why, whole=False)).get(seconds)
    except OSError as error:
        raise KafkaError(f"{type(error).__name__}: {error}") from error


def _arrived(delivery: Sent, seconds: float) -> bool:
    try:
        delivery.get(seconds)
    except KafkaError:
        return False
    return True


def _send(producer: Producer, topic: str, record: Record, written: Letter) -> Sent:
    return producer.send(
        topic, key=written.key, value=written.value, headers=written.headers, partition=record.partition
    )


def _size(key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    framed = sum(len(name.encode("utf-8", "replace")) + len(content) + _FRAME for name, content in headers)
    return len(key) + len(value or b"") + framed
