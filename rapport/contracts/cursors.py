"""What ingest remembers of the accounts that it asks for news: how far it has read, and how each of them stands.

A record's key is its account, what it is, and its name. The last record of a key counts, unless it says a lower `claim`
than the one before: then whoever wrote it had lost the account already, without knowing.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from rapport.contracts.errands import ErrandState
from rapport.contracts.events import Kind, Text, UtcTime
from rapport.contracts.topics import CURSORS, key_of, partition_of

State: TypeAlias = Literal["live", "behind", "incident", "attention"]
"""`behind`: news may be missing. `incident`: the platform itself fails. `attention`: somebody has to do something, such
as connecting the account again."""


class Claim(Struct, frozen=True, kw_only=True, tag_field="cursor", tag="claim"):
    """A process reads the accounts of this partition from now on. The record's offset is the number of its claim."""

    instance: Text


MOST_HIDDEN = 300
"""Replies that one gate of a thread hides: what Bluesky allows."""


class Position(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="cursor", tag="position"):
    """How far one list of an account has been read; everything up to there is in the log.

    A stream that is read for many accounts at once has a position for those of each partition: `account` is the name of
    the partition then, as `name_of_partition` gives it.
    """

    account: Text
    list: Text
    """What is read, such as `notifications`."""
    position: Text
    claim: int
    accounts: tuple[Text, ...] = ()
    """Of a stream: for which accounts it has been read."""


class Remembered(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="cursor", tag="thing"):
    """What somebody wrote, so that it is known when the platform names nothing but its id."""

    account: Text
    thing: Text
    """Its id on the platform."""
    kind: Kind
    actor: Text
    conversation: Text
    seen_at: UtcTime
    claim: int
    thread: Text | None = None
    post: Text | None = None
    version: str | None = None
    parent: str | None = None
    """What it answers, or is about."""
    hidden: Annotated[tuple[Text, ...], Meta(max_length=MOST_HIDDEN)] = ()
    """Of what hides others: their ids."""
    lasting: bool = False
    """Whether it is remembered for as long as it is there, and for 90 days from then on. Else for 90 days."""
    gone_at: UtcTime | None = None
    """When it was seen to be deleted."""


class AccountState(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="cursor", tag="state"):
    """How an account stands, and since when."""

    brand: Text
    account: Text
    platform: Text
    state: State
    since: UtcTime
    claim: int
    why: str | None = None
    """In words for people; None while it is live."""
    checked_at: UtcTime | None = None
    """When it was last read to the end."""
    posts_checked_at: UtcTime | None = None
    """When its own posts were last read to the end. None where they are read whenever the rest is."""
    latest_at: UtcTime | None = None
    """When the newest interaction that was read occurred."""


Cursor: TypeAlias = Claim | Position | Remembered | AccountState | ErrandState


def partition_of_brand(brand: str) -> int:
    """Where everything about the accounts of a brand lies: together, because each has to know the others."""
    return partition_of(key_of(brand), CURSORS.partitions)


def name_of_partition(partition: int) -> str:
    """What stands in place of an account where something is about all of a partition. No account has such a name."""
    return f"partition {partition}"


def position_key(account: str, list_: str) -> bytes:
    """The key of a position."""
    return key_of(account, "position", list_)


def thing_key(account: str, thing: str) -> bytes:
    """The key of what somebody wrote."""
    return key_of(account, "thing", thing)


def state_key(account: str) -> bytes:
    """The key of an account's state."""
    return key_of(account, "state", "")


def errand_key(account: str, errand: str) -> bytes:
    """The key of what became of an errand."""
    return key_of(account, "errand", errand)


def key_of_cursor(cursor: Cursor, partition: int) -> bytes:
    """The key of a record. `partition` is where it lies."""
    match cursor:
        case Claim():
            return key_of("", "claim", str(partition))
        case Position():
            return position_key(cursor.account, cursor.list)
        case Remembered():
            return thing_key(cursor.account, cursor.thing)
        case AccountState():
            return state_key(cursor.account)
        case ErrandState():
            return errand_key(cursor.account, cursor.errand)
