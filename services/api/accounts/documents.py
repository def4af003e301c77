"""Accounts as stored."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict


class AccountChanges(TypedDict, total=False):
    """What a request can set of an account."""

    brand: str
    platform: str
    handle: str
    connection: dict[str, str]
    staff: list[str]
    door_secrets: list[str]
    secret_shown: bool
    old_secrets_until: datetime | None
    connected_at: datetime
    disconnected_at: datetime | None
    connections: list[datetime]
    disconnections: list[datetime]


class _Account(TypedDict):
    _id: str
    brand: str
    platform: str
    handle: str
    connection: dict[str, str]
    door_secrets: list[str]
    """The newest first."""
    secret_shown: bool
    """Whether the newest secret was given out."""
    connected_at: datetime
    connections: NotRequired[list[datetime]]
    """Every `connected_at` so far."""
    disconnections: NotRequired[list[datetime]]
    further: NotRequired[dict[str, Any] | None]
    """Fields of the account's record from a later version, passed on as they are."""


class AccountDocument(_Account):
    """`accounts`: what the log has of an account, and what is on its way there."""

    staff: NotRequired[list[str]]
    """The platform's ids of people who work for the brand."""
    old_secrets_until: NotRequired[datetime | None]
    """Until when all secrets but the newest are valid; null if there are none."""
    disconnected_at: NotRequired[datetime | None]
    """Null while it is connected."""
    published: bool
    """Whether the log ever had it."""
    pending: NotRequired[AccountChanges | None]
    """Changes that the log does not have yet. Readers see the account without them."""
    revision: NotRequired[int]
    """Of the last change."""


class NewestAccount(_Account):
    """An account as it will be once the log has everything that is stored of it."""

    staff: list[str]
    old_secrets_until: datetime | None
    disconnected_at: datetime | None
