"""How long each kind of row is needed: as long as something counts by it, or can still change by it.

A row that is over goes 90 days after it last changed, see `services.scorer.pruning`. Until then, what is sent again is
recognised by it. Whatever comes after that ends as if the row were still there, unless it is what the row was about,
sent once more.
"""

from rapport.contracts.rows import FOLLOWER, THREAD, FollowerRow, parts_of, row_key
from rapport.domain.counting import Fact, Thing, counts
from rapport.domain.publication import Thread, is_history
from services.scorer.fenced.batch import Batch
from services.scorer.rows import Messages, ObjectRow, is_erased


def fact_is_over(key: bytes, fact: Fact, _clock: int, batch: Batch) -> bool:
    """A fact is needed while it counts: an unlike has to find the like, and a late answer the miss."""
    if fact.kind is None:
        return True
    _, brand, platform, follower, *_ = parts_of(key)
    row = batch.row(row_key(FOLLOWER, brand, platform, follower), FollowerRow)
    return row is None or not counts(row, fact)


def thing_is_over(_key: bytes, thing: Thing, _clock: int, _batch: Batch) -> bool:
    """A thing is needed while a record of it stands."""
    return thing.day is None and not thing.records and not thing.more


def object_is_over(key: bytes, known: ObjectRow, clock: int, batch: Batch) -> bool:
    """A comment or a reply is needed until it is deleted: it counts, can be hidden and shown, and be answered.

    A deleted one is needed as long as something in its thread is open, which a reply to it still ends. What belongs to
    nobody waited in vain: for a parent, or for the comment that it deletes.
    """
    if known.thread is None or known.follower is None:
        return True
    _, brand, platform, *_ = parts_of(key)
    if known.deleted is not None:
        thread = batch.row(row_key(THREAD, brand, platform, known.thread, known.follower), Thread)
        return thread is None or is_history(thread, clock)
    return is_erased(batch, brand, platform, known.follower)


def messages_are_over(key: bytes, messages: Messages, _clock: int, batch: Batch) -> bool:
    """Who writes in a thread of messages is needed for good: a reply there names nobody."""
    _, brand, platform, *_ = parts_of(key)
    return messages.follower is None or is_erased(batch, brand, platform, messages.follower)


def thread_is_over(_key: bytes, thread: Thread, clock: int, _batch: Batch) -> bool:
    """A thread is needed until all that was asked in it is history."""
    return is_history(thread, clock)
