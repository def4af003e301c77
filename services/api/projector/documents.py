"""Hourly counts as stored."""

from datetime import datetime
from typing import NotRequired, TypedDict


class HourPartDocument(TypedDict):
    """`hour_parts`: the interactions of an hour that MongoDB stored within the same minute."""

    _id: str
    """`<brand>/<hour>/<minute>`"""
    brand: str
    hour: datetime
    minute: int | None
    """Of Unix time; null for what was stored before this was noted."""
    counts: dict[str, int]
    """By kind."""
    drawn: int
    """A number drawn before counting. Only a higher one replaces what is stored."""


class HourDocument(TypedDict):
    """`hourly`: the interactions of an hour."""

    _id: str
    """`<brand>/<hour>`"""
    brand: str
    hour: datetime
    counts: dict[str, int]
    """By kind: the sum of the parts."""
    drawn: int
    summed: NotRequired[int]
    """The same as `drawn`, unless an earlier version counted it last."""
