"""The outbox: one row in MongoDB per alert and channel, claimed with a lease by whoever sends it.

A row: `_id` (`<alert>/<channel>`, the delivery's stable id), `alert`, `brand`, `channel`, `channel_type`, `step`,
`status` (`pending`, `delivered`, `failed`, `skipped`), `attempts`, `last_error`, `next_attempt_at`, `created_at`,
`told_from` (what lateness counts from), `delivered_at`, `lease` (`token`, `until`), `payload` (the alert), `offset` (of
the alert in its partition of the log), `overtaken_by` (the later step because of which this one was skipped). A
reminder of a post that is missing is an alert here, whose step is `missing`.

What only a later version of the notifier can send waits here, as `pending`: rows of a `channel_type` that this version
does not know are claimed by nobody, and an alert of a brand that cannot be read has one row of the type `UNROUTED`,
from which the rows of its channels are made once somebody can read the brand.
"""

import contextlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import bson
import bson.errors
import msgspec
from pymongo import ASCENDING, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from rapport.contracts.events import Alert, Channel, MailChannel, MissingPost, Notice, UnknownChannel, WebhookChannel
from rapport.kit.mongo import Document
from services.notifier.directory import BRAND_UNREADABLE, CHANNEL_UNKNOWN

DELIVERIES = "deliveries"
KEPT = timedelta(days=100)
"""Longer than the log has an alert: 90 days, and up to a segment of 7 days more. One without a row that is read
again would be told again."""

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 4 * 3600.0
TRIED_FOR = timedelta(days=3)
"""A receiver may be away over a weekend; later than that, an alert is no news."""

_OTHER_OPTIONS = 85
"""MongoDB's IndexOptionsConflict."""

GIVEN_BACK_FOR = timedelta(seconds=1)
"""How soon a step is looked at again that waits for the one before it."""
WAITS_FOR = timedelta(minutes=1)
"""How soon a delivery is looked at again that waits for a later version."""

UNROUTED = UnknownChannel(id="", type="unrouted")
"""What an alert is told to as long as nobody can read the channels of its brand."""
_UNROUTED_ROWS: Document = {"status": "pending", "channel_type": UNROUTED.type, "channel": UNROUTED.id}
"""By the id as well, which no channel has: a later version may call a type of its channels like this."""
_ROUTED_AT_ONCE = 500

Row = Document
Lane = tuple[str, str]
"""A brand's channel: what one receiver's slowness may hold up."""


class Told(NamedTuple):
    """A notice and whom it is told to."""

    notice: Notice
    channels: Sequence[Channel | UnknownChannel]
    offset: int = 0
    """Of its record, which puts notices of one moment in order."""


@dataclass(frozen=True)
class Claim:
    """A row that is ours to send until its lease ends. `token` fences off a former owner's word of a failure."""

    id: str
    token: int
    brand: str
    channel: str
    attempts: int
    created_at: datetime
    told_from: datetime
    payload: Document
    """The alert."""
    step: str
    offset: int

    @property
    def lane(self) -> Lane:
        return self.brand, self.channel


def type_of(channel: Channel | UnknownChannel) -> str:
    """The name of a channel's type, as its rows carry it."""
    match channel:
        case MailChannel():
            return "mail"
        case WebhookChannel():
            return "webhook"
    return channel.type


def prepare(rows: Collection[Row]) -> None:
    """Makes the indexes that every query here uses."""
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
        # Made by a version that kept them for another time.
        rows.database.command("collMod", rows.name, index={"name": "kept", "expireAfterSeconds": kept})


def _waits_for(channel: Channel | UnknownChannel) -> str | None:
    if not isinstance(channel, UnknownChannel):
        return None
    return BRAND_UNREADABLE if channel is UNROUTED else CHANNEL_UNKNOWN


MISSING = "missing"


def notice_of(payload: Document) -> Notice:
    """The alert or reminder that a row holds. Raises msgspec.ValidationError where there is none."""
    if "plan" in payload:
        return msgspec.convert(payload, MissingPost)
    return msgspec.convert(payload, Alert)


class UnfitError(ValueError):
    """A notice that MongoDB cannot hold."""


def check(notice: Notice) -> None:
    """Raises UnfitError where no row could be made of it, which would stop all others with it."""
    try:
        bson.encode(_row(Told(notice, ()), MailChannel(id="any", to="any"), notice.created_at))
    except (bson.errors.BSONError, ValueError, OverflowError) as error:
        raise UnfitError(f"MongoDB cannot hold it: {error}") from error


def insert(rows: Collection[Row], notices: Iterable[Told], now: datetime) -> int:
    """Writes a row per notice and channel, due now; a row that is there stays as it is. Gives how many were new."""
    writes = [
        UpdateOne({"_id": f"{told.notice.id}/{channel.id}"}, {"$setOnInsert": _row(told, channel, now)}, upsert=True)
        for told in notices
        for channel in told.channels
    ]
    return rows.bulk_write(writes, ordered=False).upserted_count if writes else 0


def _row(told: Told, channel: Channel | UnknownChannel, now: datetime) -> Row:
    notice = told.notice
    step = notice.step if isinstance(notice, Alert) else MISSING
    late_from = notice.due_at if isinstance(notice, Alert) and step == "breach" else notice.created_at
    return {
        "alert": notice.id,
        "brand": notice.brand,
        "channel": channel.id,
        "channel_type": type_of(channel),
        "step": step,
        "status": "pending",
        "attempts": 0,
        "last_error": _waits_for(channel),
        "next_attempt_at": now,
        "created_at": now,
        "told_from": late_from,
        "delivered_at": None,
        "lease": {"token": 0, "until": None},
        "payload": msgspec.to_builtins(notice),
        "offset": told.offset,
        "overtaken_by": None,
    }


def unrouted_brands(rows: Collection[Row]) -> list[str]:
    """The brands of alerts that wait for somebody who can read their channels."""
    found: list[str] = rows.distinct("brand", _UNROUTED_ROWS)
    return found


def unrouted(rows: Collection[Row], brand: str) -> list[Told]:
    """Some of a brand's alerts that wait for their channels, the oldest first. None of them has channels yet."""
    query = {**_UNROUTED_ROWS, "brand": brand}
    found = rows.find(query).hint("due").sort("created_at", ASCENDING).limit(_ROUTED_AT_ONCE)
    waiting = []
    for row in found:
        # What is left out waits on, for a version that can read the alert as well.
        with contextlib.suppress(msgspec.ValidationError):
            waiting.append(Told(notice_of(row["payload"]), (), row["offset"]))
    return waiting


def routed(rows: Collection[Row], notices: Sequence[Told], now: datetime) -> None:
    """Puts the rows of their channels in the place of alerts that waited for them.

    Another thread may have read meanwhile that the brand is unreadable again; such an alert waits on.
    """
    found = [told for told in notices if UNROUTED not in told.channels]
    insert(rows, found, now)
    rows.delete_many({"_id": {"$in": [f"{told.notice.id}/{UNROUTED.id}" for told in found]}})


async def claim(
    rows: AsyncCollection[Row], channel_type: str, now: datetime, lease: timedelta, busy: Iterable[Lane]
) -> Claim | None:
    """Takes the row that has been due longest, unless its channel is among `busy`; None where none is due.

    A claimed row is due again when its lease ends, so the work of a process that died is taken up by itself.
    """
    query: Document = {"status": "pending", "channel_type": channel_type, "next_attempt_at": {"$lte": now}}
    excluded = [{"brand": brand, "channel": channel} for brand, channel in busy]
    if excluded:
        query["$nor"] = excluded
    row = await rows.find_one_and_update(
        query,
        {"$set": {"next_attempt_at": now + lease, "lease.until": now + lease}, "$inc": {"lease.token": 1}},
        sort=[("next_attempt_at", ASCENDING)],
        return_document=ReturnDocument.AFTER,
        hint="due",
    )
    if row is None:
        return None
    return Claim(
        id=row["_id"],
        token=row["lease"]["token"],
        brand=row["brand"],
        channel=row["channel"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        told_from=row["told_from"],
        payload=row["payload"],
        step=row["step"],
        offset=row.get("offset", 0),
    )


async def renewed(rows: AsyncCollection[Row], claim: Claim, until: datetime) -> bool:
    """Holds a claim until then. False where the claim is no longer ours."""
    result = await rows.update_one(_ours(claim), {"$set": {"next_attempt_at": until, "lease.until": until}})
    return result.matched_count == 1


async def delivered(rows: AsyncCollection[Row], claim: Claim, now: datetime) -> bool:
    """Marks a row as delivered, whoever holds the claim by now: what has arrived is not to be sent again.

    False where it was marked as delivered before.
    """
    result = await rows.update_one(
        {"_id": claim.id, "status": {"$ne": "delivered"}},
        {
            "$set": {"status": "delivered", "delivered_at": now, "last_error": None, "lease.until": None},
            "$inc": {"attempts": 1},
        },
    )
    return result.modified_count == 1


async def failed(rows: AsyncCollection[Row], claim: Claim, why: str) -> bool:
    """Marks a claim as failed for good. False where the claim is no longer ours."""
    return await _mark(rows, claim, {"status": "failed", "last_error": why})


async def postponed(rows: AsyncCollection[Row], claim: Claim, why: str, until: datetime) -> bool:
    """Gives a claim back, to be tried again at `until`. False where the claim is no longer ours."""
    return await _mark(rows, claim, {"next_attempt_at": until, "last_error": why})


async def skipped(rows: AsyncCollection[Row], claim: Claim, overtaken_by: str) -> bool:
    """Marks a claim as not to be sent, since a later step is there. False where the claim is no longer ours."""
    return await skip(rows, _ours(claim), overtaken_by)


async def skip(rows: AsyncCollection[Row], which: Document, overtaken_by: str) -> bool:
    """Marks the row that fits `which` as not to be sent. False where none does."""
    changes = {"status": "skipped", "overtaken_by": overtaken_by, "lease.until": None}
    result = await rows.update_one(which, {"$set": changes})
    return result.modified_count == 1


async def given_back(rows: AsyncCollection[Row], claim: Claim, now: datetime) -> bool:
    """Gives a claim back without an attempt. False where the claim is no longer ours."""
    changes = {"next_attempt_at": now + GIVEN_BACK_FOR, "lease.until": None}
    result = await rows.update_one(_ours(claim), {"$set": changes})
    return result.modified_count == 1


async def waits(rows: AsyncCollection[Row], claim: Claim, why: str, until: datetime) -> bool:
    """Gives a claim back without an attempt, with the reason. False where the claim is no longer ours."""
    changes = {"next_attempt_at": until, "last_error": why, "lease.until": None}
    result = await rows.update_one(_ours(claim), {"$set": changes})
    return result.modified_count == 1


async def _mark(rows: AsyncCollection[Row], claim: Claim, changes: dict[str, Any]) -> bool:
    result = await rows.update_one(_ours(claim), {"$set": {**changes, "lease.until": None}, "$inc": {"attempts": 1}})
    return result.modified_count == 1


def _ours(claim: Claim) -> Document:
    return {"_id": claim.id, "status": "pending", "lease.token": claim.token}


async def pending(rows: AsyncCollection[Row]) -> dict[str, int]:
    """How many deliveries wait, by type of channel."""
    types = await rows.distinct("channel_type", {"status": "pending"})
    return {each: await rows.count_documents({"status": "pending", "channel_type": each}, hint="due") for each in types}


def next_attempt(attempts: int, created_at: datetime, now: datetime, retry_after: float | None) -> datetime | None:
    """When to try again after `attempts` failures, this one included; None where it has been tried for long enough.

    Full jitter (a uniform draw below a doubling limit), so that a receiver that comes back is not hit by all at once;
    never before what the receiver asked for in `retry_after` seconds.
    """
    limit = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 30))
    wait = random.uniform(0, limit)  # noqa: S311 - jitter is no secret
    give_up_at = created_at + TRIED_FOR
    # What a receiver asks for cannot outlast our patience, nor overflow a date.
    asked = min(retry_after or 0.0, TRIED_FOR.total_seconds())
    at = now + timedelta(seconds=max(wait, asked))
    return at if at <= give_up_at else None
