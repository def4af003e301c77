"""The outbox: one row in MongoDB per alert and channel. Whoever sends it claims it with a lease (`claims.py`).

What only a later version of the notifier can send waits here as `pending`. Nobody claims rows of a `channel_type` that
this version does not know. An alert of a brand that cannot be read has one row of the type `UNROUTED`; once the brand
can be read, it is replaced by a row for each channel.
"""

import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import bson
import bson.errors
import msgspec
from pymongo import ASCENDING, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from rapport.contracts.events import (
    Alert,
    Channel,
    FirstComment,
    FollowerRef,
    MailChannel,
    MissingPost,
    Notice,
    UnknownChannel,
    WebhookChannel,
)
from rapport.domain.erasing import ERASED, erased_name
from rapport.domain.exchanges.forgetting import said_until, still_said
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.notifier.directory import BRAND_UNREADABLE, CHANNEL_UNKNOWN

KEPT = timedelta(days=100)
"""Longer than the log keeps an alert, which is 90 days and up to a segment of 7 days more. An alert that is read again
and has no row any more would be sent again."""


_OTHER_OPTIONS = 85
"""MongoDB's IndexOptionsConflict."""


UNROUTED = UnknownChannel(id="", type="unrouted")
"""Stands for the channels of an alert while nobody can read those of its brand."""
_UNROUTED_ROWS: Document = {"status": "pending", "channel_type": UNROUTED.type, "channel": UNROUTED.id}
"""The empty id too, which no channel has: a later version may have a channel type of this name."""
_ROUTED_AT_ONCE = 500


_NOBODY, _NOTHING = FollowerRef(id=ERASED), FirstComment(id=ERASED)


class Lease(TypedDict):
    """Who may send, and until when. Each claim draws the next token."""

    token: int
    until: datetime | None


class NewRow(TypedDict):
    """A row without its id."""

    alert: str
    brand: str
    channel: str
    channel_type: str
    step: str
    status: Literal["pending", "delivered", "failed", "skipped"]
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    created_at: datetime
    tried_since: NotRequired[datetime]
    """When it was first tried, once that has failed."""
    told_from: datetime
    """What lateness counts from."""
    delivered_at: datetime | None
    lease: Lease
    payload: dict[str, Any]
    """The alert or reminder, as `msgspec.to_builtins` gives it."""
    offset: NotRequired[int]
    """Of the alert in its partition of the log."""
    overtaken_by: NotRequired[str | None]
    """The later step that caused this one to be skipped; of a reminder, what became of its post."""
    trace: NotRequired[str]
    """The span that it comes from, as `traceparent` has it."""
    forget_at: NotRequired[datetime]
    """When text or names have to be dropped from the payload, which the projector's upkeep does."""


class Row(NewRow):
    """`deliveries`: an alert, or a reminder of a missing post with the step `missing`, for one channel."""

    _id: str
    """`<alert>/<channel>`, the delivery's stable id."""


def deliveries(database: Database[Any]) -> Collection[Row]:
    """The rows."""
    return database["deliveries"]


def async_deliveries(database: AsyncDatabase[Any]) -> AsyncCollection[Row]:
    """The same rows, for coroutines."""
    return database["deliveries"]


class Told(NamedTuple):
    """A notice and the channels that it goes to."""

    notice: Notice
    channels: Sequence[Channel | UnknownChannel]
    offset: int = 0
    """Of its record. It orders notices of the same moment."""
    trace: str | None = None
    """The span that the notice comes from, where it is traced."""


def type_of(channel: Channel | UnknownChannel) -> str:
    """The name of a channel's type, as its rows carry it."""
    match channel:
        case MailChannel():
            return "mail"
        case WebhookChannel():
            return "webhook"
    return channel.type


def prepare(rows: Collection[Row]) -> None:
    """Creates the indexes that the queries here use."""
    rows.create_index(
        [
            ("status", ASCENDING),
            ("channel_type", ASCENDING),
            ("next_attempt_at", ASCENDING),
            ("brand", ASCENDING),
            ("channel", ASCENDING),
        ],
        name="due",
    )
    rows.create_index(
        [("channel_type", ASCENDING), ("created_at", ASCENDING)],
        name="waiting",
        partialFilterExpression={"status": "pending"},
    )
    rows.create_index([("brand", ASCENDING), ("alert", ASCENDING)], name="alert")
    # By channel and exchange; a reminder has no exchange.
    rows.create_index(
        [("brand", ASCENDING), ("payload.exchange", ASCENDING), ("channel", ASCENDING)],
        name="exchange",
        partialFilterExpression={"payload.exchange": {"$exists": True}},
    )
    kept = int(KEPT.total_seconds())
    try:
        rows.create_index("created_at", name="kept", expireAfterSeconds=kept)
    except OperationFailure as error:
        if error.code != _OTHER_OPTIONS:
            raise
        # Created by a version that kept rows for another time.
        rows.database.command("collMod", rows.name, index={"name": "kept", "expireAfterSeconds": kept})


def _waits_for(channel: Channel | UnknownChannel) -> str | None:
    if not isinstance(channel, UnknownChannel):
        return None
    return BRAND_UNREADABLE if channel is UNROUTED else CHANNEL_UNKNOWN


MISSING = "missing"


def notice_of(payload: Document) -> Notice:
    """The alert or reminder that a row holds. Raises msgspec.ValidationError if there is none."""
    if "plan" in payload:
        return msgspec.convert(payload, MissingPost)
    return msgspec.convert(payload, Alert)


class UnfitError(ValueError):
    """A notice that MongoDB cannot hold."""


def check(notice: Notice) -> None:
    """Raises UnfitError if MongoDB could not hold a row of it, which would fail the whole batch."""
    try:
        bson.encode(_row(Told(notice, ()), MailChannel(id="any", to="any"), notice.created_at))
    except (bson.errors.BSONError, ValueError, OverflowError) as error:
        raise UnfitError(f"MongoDB cannot hold it: {error}") from error


def insert(rows: Collection[Row], notices: Iterable[Told], now: datetime) -> int:
    """Writes a row per notice and channel, due now. An existing row stays as it is. Returns how many are new.

    Only a reminder that was skipped and comes again is due again: its post is missing after all.
    """
    writes: list[UpdateOne] = []
    for told in _without_erased(rows.database, list(notices)):
        for channel in told.channels:
            name, row = f"{told.notice.id}/{channel.id}", _row(told, channel, now)
            if row["step"] == MISSING:
                skipped = {"_id": name, "step": MISSING, "status": "skipped"}
                again: Document = {**row}
                fields = ("status", "next_attempt_at", "told_from", "payload", "overtaken_by")
                writes.append(UpdateOne(skipped, {"$set": {field: again[field] for field in fields}}))
            writes.append(UpdateOne({"_id": name}, {"$setOnInsert": row}, upsert=True))
    return rows.bulk_write(writes, ordered=False).upserted_count if writes else 0


def _without_erased(database: Database[Any], notices: Sequence[Told]) -> list[Told]:
    """The same, without names and words of people whom their brand erased: an alert can be read long after that.

    A person who is erased in this very moment is removed by the upkeep of the projector.
    """
    names = {told.notice.id: _erasure(told.notice) for told in notices if isinstance(told.notice, Alert)}
    found = database["erased"].find({"_id": {"$in": sorted(set(names.values()))}}, {"_id": 1}) if names else ()
    erased = {each["_id"] for each in found}
    return [
        told._replace(notice=msgspec.structs.replace(told.notice, follower=_NOBODY, first=_NOTHING))
        if names.get(told.notice.id) in erased
        else told
        for told in notices
    ]


def _erasure(alert: Alert) -> str:
    """Under which `_id` the projector notes that a brand erased the person."""
    return f"{alert.brand}/{erased_name(alert.brand, alert.platform, alert.follower.id)}"


def _row(told: Told, channel: Channel | UnknownChannel, now: datetime) -> NewRow:
    notice = kept(told.notice, now)
    step = notice.step if isinstance(notice, Alert) else MISSING
    late_from = notice.due_at if isinstance(notice, Alert) and step == "breach" else notice.created_at
    row: NewRow = {
        "alert": notice.id,
        "brand": notice.brand,
        "channel": channel.id,
        "channel_type": type_of(channel),
        "step": step,
        "status": "pending",
        "attempts": 0,
        "last_error": _waits_for(channel),
        # Whichever of the two clocks is ahead, it is due.
        "next_attempt_at": min(now, notice.created_at),
        "created_at": now,
        "told_from": late_from,
        "delivered_at": None,
        "lease": {"token": 0, "until": None},
        "payload": msgspec.to_builtins(notice),
        "offset": told.offset,
        "overtaken_by": None,
    }
    if told.trace is not None:
        row["trace"] = told.trace
    until = said_until(notice) if isinstance(notice, Alert) else None
    if until is not None:
        row["forget_at"] = utc(until)
    return row


def kept(notice: Notice, now: datetime) -> Notice:
    """A notice without what the platform's terms no longer let be kept: it may be sent long after it was decided."""
    return still_said(notice, ms(now)) if isinstance(notice, Alert) else notice


def unrouted_brands(rows: Collection[Row]) -> list[str]:
    """The brands with alerts that wait because their channels cannot be read."""
    found: list[str] = rows.distinct("brand", _UNROUTED_ROWS)
    return found


def unrouted(rows: Collection[Row], brand: str) -> list[Told]:
    """Some of a brand's alerts that wait for their channels, oldest first. Their channels are still to be filled in."""
    query = {**_UNROUTED_ROWS, "brand": brand}
    found = rows.find(query).hint("due").sort("created_at", ASCENDING).limit(_ROUTED_AT_ONCE)
    waiting = []
    for row in found:
        # One that is left out goes on waiting, for a version that can also read the alert.
        with contextlib.suppress(msgspec.ValidationError):
            waiting.append(Told(notice_of(row["payload"]), (), row.get("offset", 0), row.get("trace")))
    return waiting


def routed(rows: Collection[Row], notices: Sequence[Told], now: datetime) -> None:
    """Replaces the rows of alerts that waited for their channels by rows for these channels.

    Another thread may have read meanwhile that the brand is unreadable again; such an alert goes on waiting.
    """
    found = [told for told in notices if UNROUTED not in told.channels]
    insert(rows, found, now)
    rows.delete_many({"_id": {"$in": [f"{told.notice.id}/{UNROUTED.id}" for told in found]}})


class Waiting(NamedTuple):
    """Deliveries that wait."""

    many: int
    since: datetime | None
    """When the oldest of them was written."""


async def pending(rows: AsyncCollection[Row]) -> dict[str, Waiting]:
    """The deliveries that wait, by type of channel."""
    types = await rows.distinct("channel_type", {"status": "pending"})
    found = {}
    for each in types:
        waiting = {"status": "pending", "channel_type": each}
        many = await rows.count_documents(waiting, hint="waiting")
        oldest = await rows.find(waiting, {"created_at": 1}).hint("waiting").sort("created_at").limit(1).to_list()
        found[each] = Waiting(many, oldest[0]["created_at"] if oldest else None)
    return found
