"""Claims on rows of the outbox: whoever holds one may send, and notes what came of it."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from rapport.kit.clock import BOGUS
from rapport.kit.log import about
from rapport.kit.mongo import Document
from services.notifier.outbox import Row
from services.notifier.slots import Barred, Lane

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 4 * 3600.0
TRIED_FOR = timedelta(days=3)
"""A receiver may be down over a weekend. After that, an alert is old news."""
GIVEN_BACK_FOR = timedelta(seconds=1)
"""How soon to look again at a step that waits for the one before it."""
WAITS_FOR = timedelta(minutes=1)
"""How soon to look again at a delivery that waits for a later version."""
LONGEST_PAUSE = timedelta(seconds=LONGEST_RETRY_SECONDS)
FREED_AT_ONCE = 500


@dataclass(frozen=True)
class Claim:
    """A row that we may send until its lease ends. `token` keeps a former owner from noting a failure."""

    id: str
    token: int
    brand: str
    channel: str
    attempts: int
    tried_since: datetime | None
    """When it was first tried. It may have waited long before that, for this process or for a later version."""
    told_from: datetime
    payload: dict[str, Any]
    """The alert."""
    step: str
    offset: int
    trace: str
    """The span that it comes from, as `traceparent` has it; empty where it is not traced."""

    @property
    def lane(self) -> Lane:
        return self.brand, self.channel

    @property
    def its(self) -> dict[str, dict[str, str]]:
        """What lines of the log about it are about: the delivery, and the comment where it is about one."""
        first = self.payload.get("first")
        return about(delivery=self.id, **({"interaction": first["id"]} if first else {}))


async def claim(
    rows: AsyncCollection[Row], channel_type: str, now: datetime, lease: timedelta, barred: Barred
) -> Claim | None:
    """Takes the row that has been due longest of those that are not `barred`; None where none is due.

    A claimed row is due again when its lease ends, so another process picks up the work of one that died.
    """
    query: Document = {"status": "pending", "channel_type": channel_type, "next_attempt_at": {"$lte": now}}
    if barred.brands:
        query["brand"] = {"$nin": sorted(barred.brands)}
    excluded: list[Document] = [{"brand": brand, "channel": channel} for brand, channel in sorted(barred.lanes)]
    excluded += [{"brand": brand, "channel": {"$nin": sorted(but)}} for brand, but in barred.others_of.items()]
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
        # Earlier versions did not note it.
        tried_since=row.get("tried_since") or (row["created_at"] if row["attempts"] else None),
        told_from=row["told_from"],
        payload=row["payload"],
        step=row["step"],
        offset=row.get("offset", 0),
        trace=row.get("trace", ""),
    )


async def renewed(rows: AsyncCollection[Row], claim: Claim, until: datetime) -> bool:
    """Holds a claim until then. False if it is no longer ours."""
    result = await rows.update_one(_ours(claim), {"$set": {"next_attempt_at": until, "lease.until": until}})
    return result.matched_count == 1


async def delivered(rows: AsyncCollection[Row], claim: Claim, now: datetime) -> bool:
    """Marks a row as delivered, whoever holds the claim by now: what has arrived must not be sent again.

    False if it was marked as delivered before.
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
    """Marks a claim as failed for good. False if the claim is no longer ours."""
    return await _mark(rows, claim, {"status": "failed", "last_error": why})


async def postponed(rows: AsyncCollection[Row], claim: Claim, why: str, now: datetime, until: datetime) -> bool:
    """Gives a claim back, to be tried again at `until`. False if the claim is no longer ours."""
    changes = {"next_attempt_at": until, "last_error": why, "tried_since": claim.tried_since or now}
    return await _mark(rows, claim, changes)


async def skipped(rows: AsyncCollection[Row], claim: Claim, overtaken_by: str) -> bool:
    """Marks a claim as not to be sent because there is a later step. False if the claim is no longer ours."""
    return await skip(rows, _ours(claim), overtaken_by)


async def skip(rows: AsyncCollection[Row], which: Document, overtaken_by: str) -> bool:
    """Marks the row that matches `which` as not to be sent. False if none does."""
    changes = {"status": "skipped", "overtaken_by": overtaken_by, "lease.until": None}
    result = await rows.update_one(which, {"$set": changes})
    return result.modified_count == 1


async def given_back(rows: AsyncCollection[Row], claim: Claim, now: datetime) -> bool:
    """Gives a claim back without an attempt. False if the claim is no longer ours."""
    changes = {"next_attempt_at": now + GIVEN_BACK_FOR, "lease.until": None}
    result = await rows.update_one(_ours(claim), {"$set": changes})
    return result.modified_count == 1


async def waits(rows: AsyncCollection[Row], claim: Claim, why: str, until: datetime) -> bool:
    """Gives a claim back without an attempt, with the reason. False if the claim is no longer ours."""
    changes = {"next_attempt_at": until, "last_error": why, "lease.until": None}
    result = await rows.update_one(_ours(claim), {"$set": changes})
    return result.modified_count == 1


async def _mark(rows: AsyncCollection[Row], claim: Claim, changes: dict[str, Any]) -> bool:
    result = await rows.update_one(_ours(claim), {"$set": {**changes, "lease.until": None}, "$inc": {"attempts": 1}})
    return result.modified_count == 1


def _ours(claim: Claim) -> Document:
    return {"_id": claim.id, "status": "pending", "lease.token": claim.token}


def next_attempt(attempts: int, since: datetime, now: datetime, retry_after: float | None) -> datetime | None:
    """When to try again after `attempts` failures, including this one, the first of them at `since`; None once it has
    been tried for long enough.

    Full jitter (a uniform draw below a doubling limit), so that a receiver that comes back is not hit by all at once.
    Never sooner than the `retry_after` seconds that the receiver asked for, up to the longest of our own pauses.
    """
    limit = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 30))
    wait = random.uniform(0, limit)  # noqa: S311 - jitter is no secret
    give_up_at = since + TRIED_FOR
    # Whoever asks for days is still tried until we give up: it may be back sooner, and an alert that waits is lost.
    asked = min(retry_after or 0.0, LONGEST_RETRY_SECONDS)
    at = now + timedelta(seconds=max(wait, asked))
    return at if at <= give_up_at else None


class Stranded:
    """Finds what a process whose clock was ahead has left behind: claims, and tries that wait, for longer than any of
    ours. Such a process may still be sending, and then moves its claim on. So only what has not moved for the length of
    a lease is made due, by this process's own time.
    """

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease.total_seconds()
        self._seen: dict[str, tuple[int, datetime, float]] = {}
        """What was found at the last look: its token, when it would be due, and since when that is so."""

    async def free(self, rows: AsyncCollection[Row], channel_type: str, now: datetime, running: float) -> int:
        """Makes due what is left behind, and returns how many those were. `running`: seconds of a clock that only this
        process has.
        """
        query = {"status": "pending", "channel_type": channel_type, "next_attempt_at": {"$gt": now + BOGUS}}
        found: dict[str, tuple[int, datetime, float]] = {}
        fields = dict.fromkeys(("lease", "next_attempt_at"), 1)
        latest = rows.find(query, fields).hint("due").sort("next_attempt_at", DESCENDING).limit(FREED_AT_ONCE)
        async for row in latest:
            lease, due_at, name = row["lease"], row["next_attempt_at"], row["_id"]
            if (lease["until"] or due_at) > now + (BOGUS if lease["until"] else BOGUS + LONGEST_PAUSE):
                before = self._seen.get(name)
                same = before is not None and before[:2] == (lease["token"], due_at)
                found[name] = before if before is not None and same else (lease["token"], due_at, running)
        freed = 0
        for name, (token, due_at, since) in found.items():
            if running - since < self._lease:
                continue
            left = {"_id": name, "status": "pending", "lease.token": token, "next_attempt_at": due_at}
            free = {"next_attempt_at": now, "lease.until": None}
            freed += (await rows.update_one(left, {"$set": free})).modified_count
        self._seen = found
        return freed
