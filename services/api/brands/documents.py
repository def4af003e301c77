"""Brands as stored."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict


class ChannelSince(TypedDict):
    """When a channel was added."""

    id: str
    since: datetime


class BrandSettings(TypedDict):
    """Has the names and shapes of the brand's record in the log; what a later version adds is passed on as it is."""

    name: str
    timezone: str
    channels: list[Any]
    """See `channels.service.by_knowledge`: a later version may have stored some of them."""
    channels_since: NotRequired[list[ChannelSince]]
    """Lacks channels from before this was noted."""


class _Brand(TypedDict):
    _id: str
    pending: BrandSettings | None
    """The settings as they will be once the log has them."""
    revision: int
    """Of the last change."""
    published_revision: int
    published_at: datetime | None
    created_at: datetime


class BrandDocument(_Brand):
    """`brands`: a brand whose settings the log has, which is what readers see."""

    settings: BrandSettings


class UnconfirmedBrandDocument(_Brand):
    """`brands`: any brand. `settings` are null until the log first had them."""

    settings: BrandSettings | None
