"""Rows of the exchanges agent."""

from itertools import takewhile
from operator import itemgetter
from typing import Literal, TypeAlias

from msgspec import Struct

from rapport.contracts.events import UtcTime
from rapport.contracts.rows import row_key, row_prefix
from rapport.domain.exchanges.connection import Connection

HEARD_WITHIN = 60_000
"""After a minute (ms) without a heartbeat from ingest, nobody knows what happened meanwhile."""

SpokenKind: TypeAlias = Literal["comment", "mention", "message", "reply"]

THREAD = "thread"
THREADS = row_prefix(THREAD)
OBJECTS = row_prefix("object")
MESSAGES = row_prefix("messages")
SETTINGS = row_prefix("settings")
HEARD_KEY = row_key("heard")


class WaitingReply(Struct, omit_defaults=True):
    """A brand's reply whose follower is not known yet. Times in ms."""

    id: str
    at: int
    by: str
    appended: int
    automatic: bool = False


Hiding: TypeAlias = tuple[int, str, bool]
"""The time of a hide or unhide, its id, and whether it hides."""
MOST_HIDINGS = 50


class ObjectRow(Struct, omit_defaults=True):
    """What is known of one comment or reply under its object id, however little, and in whatever order it came."""

    role: Literal["comment", "answer"] | None = None
    """None while only others mentioned it: a reply to it, its deletion."""
    kind: SpokenKind = "comment"
    thread: str | None = None
    follower: str | None = None
    account: str = ""
    at: int = 0
    revision: int = 0
    """Of what the relationships agent was told."""
    deleted: int | None = None
    hidden: Hiding | None = None
    """The newest hide or unhide."""
    hidings: list[Hiding] = []
    """The latest of them, in order, where there was more than one."""
    waiting: list[WaitingReply] = []
    """Replies to it that came first; to an answer, all."""
    begun: list[str] = []
    """Who has comments in a thread that bears its id, because it was not known when they came."""
    seen: int = 0
    """The partition's clock when this last changed."""

    def removed(self) -> tuple[int | None, Literal["deleted", "hidden"] | None]:
        """Since when it is gone, and why."""
        if self.deleted is not None:
            return self.deleted, "deleted"
        if self.hidden is not None and self.hidden[2]:
            # What is hidden again while it is hidden has been hidden since the first time: a platform may tell it
            # twice, and we hear of it late when we have to ask. Whoever asked and does not know since when it was told
            # says since the beginning; then whoever does know counts.
            run = [at for at, _, _ in takewhile(itemgetter(2), reversed(self.hidings or [self.hidden]))]
            return min([at for at in run if at > self.at] or run), "hidden"
        return None, None

    def change_hiding(self, change: Hiding) -> None:
        """Takes in a hide or unhide, in whatever order they come."""
        known = self.hidings or ([] if self.hidden is None else [self.hidden])
        changes = sorted({*known, change})
        # The first stays: since then it may have been hidden.
        del changes[1 : max(1, 1 + len(changes) - MOST_HIDINGS)]
        self.hidden, self.hidings = changes[-1], changes if len(changes) > 1 else []


class MessagesRow(Struct, omit_defaults=True):
    """Who writes in a thread of private messages, so that a reply without a parent finds its follower."""

    follower: str | None = None
    waiting: list[WaitingReply] = []
    seen: int = 0


class VersionRef(Struct, frozen=True):
    """A version of a policy; its rules are a row of their own, because a brand can have hundreds of versions."""

    version: int
    effective_from: UtcTime


class SettingsRow(Struct):
    """What control records said about a brand."""

    policies: list[VersionRef] = []
    connections: dict[str, Connection] = {}
    """Per account."""
    unsettled: bool = False
    """Something changed, and not every open exchange has been reviewed since."""


class HeardRow(Struct):
    """When (ms of log time) each ingest process last sent a heartbeat, and which accounts it was behind with."""

    by_instance: dict[str, tuple[int, tuple[str, ...]]] = {}

    def silent_about(self, account: str, clock: int) -> bool:
        """Whether something may have happened on an account that is not known yet at `clock`."""
        there = [behind for at, behind in self.by_instance.values() if clock - at <= HEARD_WITHIN]
        return not there or any(account in behind for behind in there)


class ThreadDue(Struct):
    """The part of a thread's row that the deadlines are rebuilt from."""

    next_at: int | None = None


class _PublishedState(Struct):
    state: str


class ThreadGlance(Struct):
    """The part of a thread's row that says whether something in it is open."""

    seen: int = 0
    published: list[_PublishedState] = []

    @property
    def open(self) -> bool:
        """Whether something in it is open."""
        return any(each.state == "open" for each in self.published)


class OwnerGlance(Struct):
    """The part of an object's or a message thread's row that says whose it is."""

    seen: int = 0
    thread: str | None = None
    follower: str | None = None
    deleted: int | None = None


def thread_key(brand: str, platform: str, thread: str, follower: str) -> bytes:
    """The key of a `Thread`."""
    return row_key(THREAD, brand, platform, thread, follower)


def threads_of(brand: str) -> bytes:
    """What the keys of a brand's threads begin with."""
    return row_prefix(THREAD, brand)


def object_key(brand: str, platform: str, object_id: str) -> bytes:
    """The key of an `ObjectRow`."""
    return row_key("object", brand, platform, object_id)


def messages_key(brand: str, platform: str, thread: str) -> bytes:
    """The key of a `MessagesRow`."""
    return row_key("messages", brand, platform, thread)


def settings_key(brand: str) -> bytes:
    """The key of a `SettingsRow`."""
    return row_key("settings", brand)


def policy_key(brand: str, version: int) -> bytes:
    """The key of a `PolicyVersion`."""
    return row_key("policy", brand, str(version))
