"""Exchanges as stored."""

from datetime import datetime
from typing import NotRequired, TypedDict, cast

from rapport.contracts.events import ExchangeSnapshot, ExchangeState
from rapport.kit.mongo import Document
from services.api.storage.versions import plain, version_of


class FollowerRefDocument(TypedDict):
    """A follower as exchanges and alerts name one."""

    id: str
    handle: NotRequired[str | None]
    name: NotRequired[str | None]
    kept_until: NotRequired[datetime]
    """Until when the platform's terms let the names be kept, if they limit that."""


class FirstCommentDocument(TypedDict):
    """The comment that opened an exchange."""

    id: str
    url: NotRequired[str | None]
    text: NotRequired[str | None]
    kept_until: NotRequired[datetime]
    """Until when the platform's terms let the text be kept, if there was one and they limit that."""


class DecisionDocument(TypedDict):
    """Who decided that no reply is needed, when, and why."""

    by: str
    at: datetime
    why: str


class PolicyRefDocument(TypedDict):
    """The policy version and the index of the rule that set the clock."""

    version: int
    rule: int


class ExchangeOutcome(TypedDict):
    """What is read of an exchange to tell how it ended."""

    _id: str
    brand: str
    platform: str
    follower: FollowerRefDocument
    state: ExchangeState
    opened_at: datetime
    due_at: datetime
    backfilled: bool
    breached_at: datetime | None
    cancelled_because: NotRequired[str | None]


class AnsweredExchange(TypedDict):
    """What is read of an answered exchange for medians. A value that it lacks may be null or missing."""

    answered_at: datetime
    response_seconds: NotRequired[float | None]
    business_seconds: NotRequired[float | None]
    received_at: NotRequired[datetime | None]


class ExchangeDocument(ExchangeOutcome):
    """`exchanges`: the latest `rapport.contracts.events.ExchangeSnapshot` of each exchange, without its defaults."""

    account: str
    conversation: str
    thread: str
    first: FirstCommentDocument
    comments: int
    revision: int
    policy: PolicyRefDocument
    stage_wanted: bool
    version: int
    """The epoch above the revision; only a higher one replaces what is stored."""
    decision: NotRequired[DecisionDocument | None]
    answered_at: NotRequired[datetime | None]
    answered_by: NotRequired[str | None]
    response_seconds: NotRequired[float | None]
    business_seconds: NotRequired[float | None]
    received_at: NotRequired[datetime | None]
    """When ingest received the first comment; missing where it came before this was noted."""
    written_at: NotRequired[datetime]
    """Set by MongoDB."""
    forget_at: NotRequired[datetime]
    """When text or names have to be dropped; see `forget_at`."""


def exchange_document(snapshot: ExchangeSnapshot, epoch: int) -> ExchangeDocument:
    """An exchange as stored. Fields that queries filter by are always there."""
    fields = plain(snapshot)
    del fields["fact"]
    fields["_id"] = fields.pop("id")
    fields["backfilled"] = snapshot.backfilled
    fields["breached_at"] = snapshot.breached_at
    fields["stage_wanted"] = snapshot.stage_wanted
    fields["version"] = version_of(epoch, snapshot.revision)
    limit(fields)
    return cast("ExchangeDocument", fields)


def limit(fields: Document) -> None:
    """Notes when something of an exchange or an alert has to be dropped, if anything has."""
    at = forget_at(fields["first"], fields["follower"])
    if at is not None:
        fields["forget_at"] = at


def forget_at(first: FirstCommentDocument, follower: FollowerRefDocument) -> datetime | None:
    """When the next of text and names has to be dropped; None if nothing has."""
    times = [first.get("kept_until") if first.get("text") else None]
    times.append(follower.get("kept_until") if follower.get("handle") or follower.get("name") else None)
    return min((each for each in times if each is not None), default=None)
