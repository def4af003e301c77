"""Policies as stored."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict


class PolicyContent(TypedDict):
    """What a request sets. A later version may add to it, so it is read by `repository.stored`."""

    rules: list[dict[str, Any]]
    calendars: NotRequired[dict[str, dict[str, Any]]]


class PolicyDocument(PolicyContent):
    """`policies`: one version of a brand's policy."""

    _id: str
    """`<brand>/<version>`"""
    brand: str
    version: int
    effective_from: datetime
    published: bool
    """Whether every partition of the log has it."""
