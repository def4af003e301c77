"""Which partition a row of the scorer belongs to once there are more: the migration moves rows by it, and verify."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from rapport import partitions
from rapport.contracts.rows import FOLLOWER, parts_of
from rapport.contracts.topics import key_of, partition_of
from services.scorer.fenced.batch import decoder
from services.scorer.fenced.state import POSITION
from services.scorer.rows.exchanges import MESSAGES, OBJECTS, THREAD, OwnerGlance, thread_key

ROWS = b"["
"""What keys of rows begin with, which are JSON arrays; what else is in a store is its own."""
_OF_A_FOLLOWER = frozenset({FOLLOWER, "fact", "thing", "open"})
_OWNED = (OBJECTS, MESSAGES)


class _Spoken(Struct):
    conversation: str


class _ThreadGlance(Struct):
    """The part of a thread's row that says which conversation it is part of, and with that its partition."""

    comments: list[_Spoken] = []
    published: list[_Spoken] = []


class WrongCountError(ValueError):
    """The partitions cannot become this many. The text says why."""


def check(was: int, now: int) -> None:
    """Raises WrongCountError unless `was` partitions can become `now`.

    A multiple, because each new partition then has exactly one to come from: CRC modulo `now`, modulo `was`, is CRC
    modulo `was`.
    """
    if now <= was:
        raise WrongCountError(f"{now} is not more than {was}; partitions can be added, not removed")
    if now % was:
        raise WrongCountError(
            f"{now} is not a multiple of {was}: take {was * 2}, {was * 3} or another one, so that each new partition "
            "comes from exactly one that is there"
        )
    if now > partitions.MOST:
        raise WrongCountError(f"{now} is more than {partitions.MOST}, the most there can be")


def descendants(partition: int, was: int, now: int) -> range:
    """The partitions that one of `was` becomes, itself first."""
    return range(partition, now, was)


def homes(
    key: bytes, value: bytes, partition: int, was: int, now: int, get: Callable[[bytes], bytes | None]
) -> Sequence[int]:
    """Where a row of `partition` belongs: one of its descendants, or all of them.

    All get what does not say whose it is, such as the settings of brands: a copy that nothing asks for changes nothing,
    and leaves when it is old. `get` reads other rows of the partition. The position belongs nowhere else.
    """
    if key == POSITION:
        return (partition,)
    of_record = _key_of_record(key, value, get)
    every = descendants(partition, was, now)
    if of_record is None:
        return every
    home = partition_of(of_record, now)
    # What was in the wrong partition before stays there, where nobody looked for it either.
    return (home if home in every else partition,)


def _key_of_record(key: bytes, value: bytes, get: Callable[[bytes], bytes | None]) -> bytes | None:
    """The key of the records that change a row; None if it does not say."""
    parts = parts_of(key)
    if parts[0] in _OF_A_FOLLOWER:
        return key_of(*parts[1:4])
    if parts[0] == "forget":
        return key_of(*parts[2:5])
    if parts[0] == THREAD:
        return _key_of_thread(parts, value)
    if key.startswith(_OWNED):
        owner = decoder(OwnerGlance).decode(value)
        if owner.thread is None and parts[0] != "messages":
            return None
        if owner.follower is None:
            return None
        thread = thread_key(parts[1], parts[2], owner.thread or parts[3], owner.follower)
        row = get(thread)
        return None if row is None else _key_of_thread(parts_of(thread), row)
    return None


def _key_of_thread(parts: list[str], value: bytes) -> bytes | None:
    known = decoder(_ThreadGlance).decode(value)
    spoken = known.comments or known.published
    return key_of(parts[1], parts[2], spoken[0].conversation) if spoken else None
