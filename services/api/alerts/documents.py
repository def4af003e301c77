"""Alerts and their deliveries as stored."""

from datetime import datetime
from typing import NotRequired, TypedDict, cast

from rapport.contracts.events import Alert, Step
from services.api.exchanges.documents import FirstCommentDocument, FollowerRefDocument, limit
from services.api.storage.versions import plain


class AlertDocument(TypedDict):
    """`alerts`: a `rapport.contracts.events.Alert` without its defaults."""

    _id: str
    brand: str
    platform: str
    account: str
    exchange: str
    step: Step
    follower: FollowerRefDocument
    first: FirstCommentDocument
    comments: int
    opened_at: datetime
    due_at: datetime
    created_at: datetime
    unconfirmed: bool
    answered_at: NotRequired[datetime]
    forget_at: NotRequired[datetime]
    """When text or names have to be dropped, if that is ever."""


class DeliveryDocument(TypedDict):
    """`deliveries`: one channel's delivery of an alert, as far as the API reads it. The notifier writes them."""

    _id: str
    alert: str
    channel: str
    """Its id; empty while the channels of the brand cannot be read."""
    channel_type: str
    status: str
    attempts: int
    last_error: NotRequired[str | None]
    delivered_at: NotRequired[datetime | None]
    overtaken_by: NotRequired[Step | None]


def alert_document(alert: Alert) -> AlertDocument:
    """An alert as stored."""
    fields = plain(alert)
    fields["_id"] = fields.pop("id")
    fields["unconfirmed"] = alert.unconfirmed
    limit(fields)
    return cast("AlertDocument", fields)
