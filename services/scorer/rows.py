"""The exchanges agent's rows beside `rapport.domain.publication.Thread`, and the keys of all of them."""

from typing import Literal, TypeAlias

from msgspec import Struct

from rapport.contracts.events import PolicyVersion, UtcTime
from rapport.domain.exchange import Removal

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

    def removed(self) -> tuple[int | None, Removal | None]:
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


class BrandSettings(Struct):
    """What control records said of a brand."""

    policies: list[PolicyVersion] = []
    connected: dict[str, UtcTime] = {}
    """Per account."""
