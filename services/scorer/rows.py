"""The exchanges agent's rows beside `rapport.domain.publication.Thread`, and the keys of all of them."""

from typing import Literal, TypeAlias

from msgspec import Struct

from rapport.contracts.events import UtcTime
from rapport.contracts.rows import ERASED, row_key
from rapport.domain.connection import Connection
from rapport.domain.erasing import erased_name
from rapport.domain.relationship import Scoring
from services.scorer.fenced.batch import Batch

ROWS_FORMAT = 1
"""Goes up by one with each field that a row gets, here, in the domain, or in the contracts.

A worker reads a row, changes it and writes it whole, so one of an earlier version would drop what it does not know. It
leaves the partition alone instead.
"""

HEARD_WITHIN = 60_000
"""After a minute (ms) without a word from ingest, nobody knows what happened meanwhile."""

SpokenKind: TypeAlias = Literal["comment", "mention", "message", "reply"]


class Waiting(Struct, omit_defaults=True):
    """A brand's reply whose follower is not known yet. Times in ms."""

    id: str
    at: int
    by: str
    appended: int
    automatic: bool = False


class ObjectRow(Struct, omit_defaults=True):
    """What is known of one comment or reply under its object id, however little, and in whatever order it came."""

    role: Literal["comment", "answer"] | None = None
    """None while only others spoke of it: a reply to it, its deletion."""
    kind: SpokenKind = "comment"
    thread: str | None = None
    follower: str | None = None
    account: str = ""
    at: int = 0
    revision: int = 0
    """Of what the relationship was told."""
    deleted: int | None = None
    hidden: tuple[int, str, bool] | None = None
    """The newest hide or unhide: its time, its id, and whether it hides."""
    waiting: list[Waiting] = []
    """Replies to it that came first."""
    seen: int = 0
    """The partition's clock when this last changed."""

    def removed(self) -> tuple[int | None, Literal["deleted", "hidden"] | None]:
        """Since when it is gone, and why."""
        if self.deleted is not None:
            return self.deleted, "deleted"
        if self.hidden is not None and self.hidden[2]:
            return self.hidden[0], "hidden"
        return None, None


class Messages(Struct, omit_defaults=True):
    """Who writes in a thread of private messages, so that a reply without a parent finds its follower."""

    follower: str | None = None
    waiting: list[Waiting] = []
    seen: int = 0


class OpenRow(Struct, omit_defaults=True):
    """Where an exchange of a follower is that has to hear of a block; a row of the relationships agent."""

    conversation: str
    thread: str
    blocked: bool = False
    """It was cancelled by a block, so it has to hear of the end; otherwise it is open, and of the beginning."""
    gone: bool = False
    """It was cancelled because the account is gone, so it has to hear if that comes back."""


class ScoringRow(Struct):
    """The agency's numbers; a row of the relationships agent."""

    scoring: Scoring
    unsettled: bool = False
    """Not every relationship has been summed up with them."""


class ErasedRow(Struct, omit_defaults=True):
    """Somebody of a brand was erased, under the name that `rapport.domain.erasing` gives; a row of both agents."""

    unsettled: bool = False
    """Not every thread of the brand has been looked at since, by the exchanges agent."""
    since: int = 0
    """The partition's clock (ms) when it was noted."""


class VersionRef(Struct, frozen=True):
    """A version of a policy; its rules are a row of their own, for a brand can have hundreds of versions."""

    version: int
    effective_from: UtcTime


class BrandSettings(Struct):
    """What control records said of a brand."""

    policies: list[VersionRef] = []
    connections: dict[str, Connection] = {}
    """Per account."""
    unsettled: bool = False
    """Something changed, and not every open exchange has been looked at since."""


class Heard(Struct):
    """When (ms of log time) each ingest process was last heard of, and of which accounts it lacked something."""

    by_instance: dict[str, tuple[int, tuple[str, ...]]] = {}

    def silent_about(self, account: str, clock: int) -> bool:
        """Whether something may have happened on an account that is not known yet at `clock`."""
        there = [behind for at, behind in self.by_instance.values() if clock - at <= HEARD_WITHIN]
        return not there or any(account in behind for behind in there)


def erased_key(brand: str, name: str) -> bytes:
    """The key of an `ErasedRow`; `name` by `rapport.domain.erasing`."""
    return row_key(ERASED, brand, name)


def is_erased(batch: Batch, brand: str, platform: str, follower: str) -> bool:
    """Whether a follower was erased."""
    return batch.row(erased_key(brand, erased_name(brand, platform, follower)), ErasedRow) is not None
