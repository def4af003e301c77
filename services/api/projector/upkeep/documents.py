"""What the upkeep stores about its own work."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict


class LeaseDocument(TypedDict):
    """`leases`: which process does the upkeep."""

    _id: str
    holder: str
    until: datetime


class StaleDocument(TypedDict):
    """`stale`: something that has to be rebuilt. Further fields identify it: a post, a day, a campaign."""

    _id: str
    what: str
    since: datetime
    """Of the latest mark."""
    marks: int
    """How often it was marked."""
    held_until: NotRequired[datetime]
    """Where rebuilding failed: when it is tried again."""


class Positions(TypedDict):
    """How far a task has followed documents: values of the field by which it follows them."""

    fresh: Any
    """Everything up to here was read once."""
    again: Any
    """Everything up to here was read twice."""
    until: Any
    """The second reading goes up to here, which was `fresh` at `until_at`."""
    until_at: datetime
    basis: Any
    """What the results depend on; another one makes the task start over."""
    anew: bool
    """Whether it is still going through what was there when it started over."""


class TrailDocument(Positions):
    """`trails`: how far a task has followed the documents of a brand."""

    _id: str
    """`<task>/<brand>`"""
    brand: str


class UpkeepDocument(TypedDict):
    """`upkeep`: a note of one task."""

    _id: str
    since: NotRequired[datetime]
    """Of `indexes`: when a projector of this version first ran."""
    until: NotRequired[datetime]
    """Of other tasks: how far they are."""
