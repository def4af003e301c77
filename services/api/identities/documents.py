"""Links between followers, and what follows from them, as stored."""

from datetime import datetime
from typing import Literal, NotRequired, TypedDict


class SaidDocument(TypedDict):
    """Who linked or unlinked two followers, when, and why."""

    at: datetime
    by: str
    why: str
    source: Literal["api", "portal", "import", "suggestion"]


class LinkDocument(SaidDocument):
    """`links`: two followers who are one person."""

    _id: str
    """`<brand>|<a>|<b>`"""
    brand: str
    a: str
    """`<platform>/<id>`, as is `b`; `a` is the lower one."""
    b: str


class LinkEventDocument(LinkDocument):
    """`link_log`: that two followers were linked or unlinked. The `_id` is random."""

    what: Literal["linked", "unlinked"]


class PersonContent(TypedDict):
    """What a follower's row is told about the person: who it is, and what the person's other followers bring."""

    person: str | None
    """Null for a follower who is linked to nobody."""
    sums: dict[str, float]
    """By dimension."""
    last_purchase_at: datetime | None
    shadow: bool
    """Whether another follower stands for the person in lists."""


class PendingDocument(TypedDict):
    """Content that is stored before it is sent, so that a revision has only one content."""

    revision: int
    content: PersonContent


class LinkedDocument(TypedDict):
    """`linked`: what a follower's row was told about the person. The upkeep keeps it up to date."""

    _id: str
    """The follower's."""
    brand: str
    dirty: NotRequired[str]
    """Set while something may have to be told. Each mark has its own text."""
    held_until: NotRequired[datetime]
    """When it is tried again after a failure."""
    revision: NotRequired[int]
    told: NotRequired[PersonContent]
    pending: NotRequired[PendingDocument | None]
    """On its way to the log."""
    version: NotRequired[int]
    """The follower's version when the person's others were last marked."""
