"""How long each kind of row is needed: as long as something counts because of it, or can still change.

A row that is no longer needed is deleted 90 days after it last changed, see `services.scorer.pruning`. Until then,
repeated records are recognised by it. Later records have the same outcome as if the row were still there, unless they
repeat what the row was about.
"""

from collections.abc import Callable

from rapport.contracts.events import KINDS
from rapport.contracts.rows import FollowerRow, parts_of
from rapport.domain.exchanges.publication import Thread, is_history
from rapport.domain.relationships.counting import CountedFact, Thing, counts
from services.scorer.fenced.batch import Batch
from services.scorer.pruning import Kind
from services.scorer.rows.exchanges import MessagesRow, ObjectRow, OwnerGlance, ThreadGlance, thread_key
from services.scorer.rows.relationships import FactGlance, ThingGlance, follower_key

IsErased = Callable[[str, str, str], bool]
"""Whether the follower of a brand and a platform was erased."""


def facts() -> Kind:
    """A fact is needed while it counts: an unlike has to find the like, and a late answer the miss."""

    def stays(_key: bytes, fact: FactGlance) -> bool:
        return fact.kind in KINDS

    def is_over(key: bytes, fact: CountedFact, _clock: int, batch: Batch) -> bool:
        if fact.kind is None:
            return True
        _, brand, platform, follower, *_ = parts_of(key)
        row = batch.row(follower_key(brand, platform, follower), FollowerRow)
        return row is None or not counts(row, fact)

    return Kind(CountedFact, is_over, FactGlance, stays)


def things() -> Kind:
    """A thing is needed while a record of it stands."""

    def stays(_key: bytes, thing: ThingGlance) -> bool:
        return thing.day is not None

    def is_over(_key: bytes, thing: Thing, _clock: int, _batch: Batch) -> bool:
        return thing.day is None and not thing.records and not thing.more

    return Kind(Thing, is_over, ThingGlance, stays)


def objects(is_erased: IsErased) -> Kind:
    """A comment or a reply is needed until it is deleted: it counts, can be hidden and shown, and be answered.

    A deleted one is needed as long as something in its thread is open, which a reply to it still ends. What belongs to
    nobody waited in vain: for a parent, or for the comment that it deletes.
    """

    def stays(key: bytes, known: OwnerGlance | ObjectRow) -> bool:
        if known.thread is None or known.follower is None or known.deleted is not None:
            return False
        _, brand, platform, *_ = parts_of(key)
        return not is_erased(brand, platform, known.follower)

    def is_over(key: bytes, known: ObjectRow, clock: int, batch: Batch) -> bool:
        if known.deleted is None or known.thread is None or known.follower is None:
            return not stays(key, known)
        _, brand, platform, *_ = parts_of(key)
        thread = batch.row(thread_key(brand, platform, known.thread, known.follower), Thread)
        return thread is None or is_history(thread, clock)

    return Kind(ObjectRow, is_over, OwnerGlance, stays)


def messages(is_erased: IsErased) -> Kind:
    """Who writes in a thread of messages is needed for good: a reply there names nobody."""

    def stays(key: bytes, known: OwnerGlance | MessagesRow) -> bool:
        _, brand, platform, *_ = parts_of(key)
        return known.follower is not None and not is_erased(brand, platform, known.follower)

    def is_over(key: bytes, known: MessagesRow, _clock: int, _batch: Batch) -> bool:
        return not stays(key, known)

    return Kind(MessagesRow, is_over, OwnerGlance, stays)


def threads() -> Kind:
    """A thread is needed until all that was asked in it is history."""

    def stays(_key: bytes, thread: ThreadGlance) -> bool:
        return thread.open

    def is_over(_key: bytes, thread: Thread, clock: int, _batch: Batch) -> bool:
        return is_history(thread, clock)

    return Kind(Thread, is_over, ThreadGlance, stays)
