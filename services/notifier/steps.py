"""Sends the steps of one exchange to one channel in order. A step is skipped once a later one is there.

Otherwise an "overdue" that was refused at first would be sent again after the "answered". The order is that of the log:
the scorer's clock when it decided, then the offset. A reminder is skipped once its post was published, or is no longer
planned for that time: it may have waited for a notifier or a receiver that was away.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from rapport.contracts.events import MissingPost
from rapport.domain.calendar.editorial import CLEARED
from services.notifier import claims, outbox

_FIELDS = ("payload.created_at", "offset", "step", "status", "lease")
_Place = tuple[datetime, int]


class Turn(Enum):
    """What to do with a claim."""

    SEND = "send"
    WAIT = "wait"
    """The step before it is being sent; the claim was given back and is due again in a moment."""
    SKIPPED = "skipped"
    """There is a later step, or what it says is no longer so; the row is marked."""


async def turn(rows: AsyncCollection[outbox.Row], claim: claims.Claim, now: datetime) -> Turn:
    """Decides about a claim. If it is to be sent, the earlier steps of its exchange are marked as skipped."""
    if claim.step == outbox.MISSING:
        why = await _no_longer_missing(rows, claim)
        if why is None:
            return Turn.SEND
        await claims.skipped(rows, claim, why)
        return Turn.SKIPPED
    exchange = claim.payload.get("exchange")
    place = _place(claim.payload, claim.offset)
    if exchange is None or place is None:
        return Turn.SEND
    query = {"brand": claim.brand, "payload.exchange": exchange, "channel": claim.channel, "_id": {"$ne": claim.id}}
    earlier: list[outbox.Row] = []
    later: tuple[_Place, str] | None = None
    async for row in rows.find(query, dict.fromkeys(_FIELDS, 1)).hint("exchange"):
        its = _place(row["payload"], row.get("offset", 0))
        if its is not None and its > place:
            later = max(later or (its, row["step"]), (its, row["step"]))
        elif its is not None and its < place and row["status"] == "pending":
            earlier.append(row)
    if later is not None:
        await claims.skipped(rows, claim, later[1])
        return Turn.SKIPPED
    if all([await _overtake(rows, row, claim, now) for row in earlier]):
        return Turn.SEND
    await claims.given_back(rows, claim, now)
    return Turn.WAIT


async def _no_longer_missing(rows: AsyncCollection[outbox.Row], claim: claims.Claim) -> str | None:
    """What became of a post that was missing; None where it still is."""
    try:
        missing = msgspec.convert(claim.payload, MissingPost)
    except msgspec.ValidationError:
        return None
    database: AsyncDatabase[Any] = rows.database
    its = {"_id": f"{claim.brand}/{missing.plan}"}
    fields = dict.fromkeys(("published", "state", "planned_at", "approval"), 1)
    planned = await database["planned_posts"].find_one(its, fields)
    if planned is None:
        return "removed"
    if planned["published"] is not None:
        return "published"
    if planned["state"] != "planned":
        return "cancelled"
    if planned["approval"] not in CLEARED:
        return "not approved"
    return "moved" if planned["planned_at"] != missing.planned_at else None


async def _overtake(rows: AsyncCollection[outbox.Row], row: outbox.Row, by: claims.Claim, now: datetime) -> bool:
    """Skips an earlier step. False if it is being sent, or was claimed since it was read."""
    until = row["lease"]["until"]
    if until is not None and until > now:
        return False
    free = {"_id": row["_id"], "status": "pending", "lease.token": row["lease"]["token"]}
    return await claims.skip(rows, free, by.step)


def _place(payload: Mapping[str, Any], offset: int) -> _Place | None:
    """Where a step stands in the log; None if the row does not say."""
    try:
        return msgspec.convert(payload.get("created_at"), datetime), offset
    except msgspec.ValidationError:
        return None
