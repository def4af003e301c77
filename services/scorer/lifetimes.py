"""How long each kind of row is needed: as long as something counts by it, or can still change by it.

A row that is over goes 90 days after it last changed, see `services.scorer.pruning`. Until then, what is sent again is
recognised by it. Whatever comes after that ends as if the row were still there, unless it is what the row was about,
sent once more.
"""

from collections.abc import Callable

from msgspec import Struct

from rapport.contracts.events import KINDS
from rapport.contracts.rows import FOLLOWER, THREAD, FollowerRow, parts_of, row_key
from rapport.domain.counting import Fact, Thing, counts
from rapport.domain.publication import Thread, is_history
from services.scorer.fenced.batch import Batch
from services.scorer.pruning import Kind
from services.scorer.rows import Messages, ObjectRow

IsErased = Callable[[str, str, str], bool]
"""Whether the follower of a brand and a platform was erased."""


class _Fact(Struct):
    seen: int = 0
    kind: str | None = None


class _Thing(Struct):
    seen: int = 0
    day: str | None = None


class _Whose(Struct):
    seen: int = 0
    thread: str | None = None
    follower: str | None = None
    deleted: int | None = None


class _Asked(Struct):
    state: str


class _Thread(Struct):
    seen: int = 0
    published: list[_Asked] = []


def facts() -> Kind:
    """A fact is needed while it counts: an unlike has to find the like, and a late answer the miss."""

    def stays(_key: bytes, fact: _Fact) -> bool:
        return fact.kind in KINDS

    def is_over(key: bytes, fact: Fact, _clock: int, batch: Batch) -> bool:
        if fact.kind is None:
            return True
        _, brand, platform, follower, *_ = parts_of(key)
        row = batch.row(row_key(FOLLOWER, brand, platform, follower), FollowerRow)
        return row is None or not counts(row, fact)

    return Kind(Fact, is_over, _Fact, stays)


def things() -> Kind:
    """A thing is needed while a record of it stands."""

    def stays(_key: bytes, thing: _Thing) -> bool:
        return thing.day is not None

    def is_over(_key: bytes, thing: Thing, _clock: int, _batch: Batch) -> bool:
        return thing.day is None and not thing.records and not thing.more

    return Kind(Thing, is_over, _Thing, stays)


def objects(is_erased: IsErased) -> Kind:
    """A comment or a reply is needed until it is deleted: it counts, can be hidden and shown, and be answered.

    A deleted one is needed as long as something in its thread is open, which a reply to it still ends. What belongs to
    nobody waited in vain: for a parent, or for the comment that it deletes.
    """

    def stays(key: bytes, known: _Whose | ObjectRow) -> bool:
        if known.thread is None or known.follower is None or known.deleted is not None:
            return False
        _, brand, platform, *_ = parts_of(key)
        return not is_erased(brand, platform, known.follower)

    def is_over(key: bytes, known: ObjectRow, clock: int, batch: Batch) -> bool:
        if known.deleted is None or known.thread is None or known.follower is None:
            return not stays(key, known)
        _, brand, platform, *_ = parts_of(key)
        thread = batch.row(row_key(THREAD, brand, platform, known.thread, known.follower), Thread)
        return thread is None or is_history(thread, clock)

    return Kind(ObjectRow, is_over, _Whose, stays)


def messages(is_erased: IsErased) -> Kind:
    """Who writes in a thread of messages is needed for good: a reply there names nobody."""

    def stays(key: bytes, known: _Whose | Messages) -> bool:
        _, brand, platform, *_ = parts_of(key)
        return known.follower is not None and not is_erased(brand, platform, known.follower)

    def is_over(key: bytes, known: Messages, _clock: int, _batch: Batch) -> bool:
        return not stays(key, known)

    return Kind(Messages, is_over, _Whose, stays)


def threads() -> Kind:
    """A thread is needed until all that was asked in it is history."""

    def stays(_key: bytes, thread: _Thread) -> bool:
        return any(each.state == "open" for each in thread.published)

    def is_over(_key: bytes, thread: Thread, clock: int, _batch: Batch) -> bool:
        return is_history(thread, clock)

    return Kind(Thread, is_over, _Thread, stays)
