"""Notes in which minutes something of each account arrived, and in which Rapport listened.

It sets bits and raises times, so the order of the records and their repetition make no difference. It notes what is
stored: the first record of an id. So what a platform sends twice says nothing new.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import Int64
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from rapport.domain.arrivals.lateness import step_of
from rapport.domain.arrivals.minutes import bit_of, day_of
from rapport.domain.arrivals.rhythm import is_sign
from rapport.kit import mongo
from rapport.kit.mongo import Document
from services.api.interactions.documents import InteractionDocument
from services.api.listening.documents import HEARD_WITHIN, UNKNOWN_STEP, arrived_id, heard_id
from services.api.projector.hourly import DUPLICATE_KEY

FIELDS = ("platform", "account", "kind", "staff", "occurred_at", "observed_at", "occurred_at_source")
"""What it needs of an interaction."""
TRIES = 3


def note(database: Database[Any], interactions: Iterable[InteractionDocument]) -> None:
    """Notes when these interactions were received, and how long after they occurred. Raises PyMongoError."""
    days: dict[str, dict[str, Any]] = {}
    bits: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    last: dict[str, dict[str, Any]] = {}
    for each in interactions:
        kind, observed_at, occurred_at = each["kind"], each["observed_at"], each["occurred_at"]
        if not is_sign(kind, each.get("staff", False), occurred_at, observed_at):
            continue
        account, day = each["account"], day_of(observed_at)
        whose = {"brand": each["brand"], "platform": each["platform"]}
        name = arrived_id(account, day)
        days[name] = {"account": account, **whose, "day": day}
        step = step_of(each.get("occurred_at_source", "platform"), occurred_at, observed_at)
        hour, bit = observed_at.hour, bit_of(observed_at)
        bits[name][f"signs.{hour}"] |= bit
        bits[name][f"steps.{UNKNOWN_STEP if step is None else step}.{hour}"] |= bit
        known = last.setdefault(account, {**whose, "last_at": observed_at, "latest_at": occurred_at})
        known["last_at"] = max(known["last_at"], observed_at)
        known["latest_at"] = max(known["latest_at"], occurred_at)
    _write(database["account_minutes"], [_raised(name, bits[name], own) for name, own in days.items()])
    _write(
        database["account_rhythms"],
        [
            UpdateOne(
                {"_id": account},
                {
                    "$max": {"last_at": its["last_at"], "latest_at": its["latest_at"]},
                    "$setOnInsert": {"brand": its["brand"], "platform": its["platform"]},
                },
                upsert=True,
            )
            for account, its in last.items()
        ],
    )


def note_heard(
    database: Database[Any],
    heard: Mapping[int, datetime],
    since: Mapping[int, datetime],
    minutes: Mapping[datetime, int],
    ticked: Mapping[int, datetime],
) -> None:
    """Notes when Rapport listened, and up to where each partition was read and scored. Raises PyMongoError."""
    days: dict[datetime, dict[str, int]] = defaultdict(dict)
    for hour, bits in minutes.items():
        days[day_of(hour)][f"hours.{hour.hour}"] = bits
    _write(
        database["heard_minutes"],
        [_raised(heard_id(day), hours, {"day": day}) for day, hours in days.items()],
    )
    _write(
        database["horizons"],
        [UpdateOne({"_id": partition}, _heard(since[partition], at), upsert=True) for partition, at in heard.items()],
    )
    _write(
        database["ticks"],
        [UpdateOne({"_id": partition}, {"$max": {"at": at}}, upsert=True) for partition, at in ticked.items()],
    )


def _heard(since: datetime, at: datetime) -> list[Document]:
    """Raises a horizon, and notes since when it has risen without a pause: once there was one.

    Where earlier versions noted no horizon, nobody knows of a pause; an upgrade is none.
    """
    quiet_for = {"$subtract": [since, {"$ifNull": ["$at", since]}]}
    paused = {"$gt": [quiet_for, HEARD_WITHIN.total_seconds() * 1000]}
    return [
        {"$set": {"since": {"$cond": [paused, since, {"$ifNull": ["$since", "$$REMOVE"]}]}}},
        {"$set": {"at": {"$max": ["$at", at]}}},
    ]


def _raised(name: str, bits: Mapping[str, int], own: Mapping[str, Any]) -> UpdateOne:
    return UpdateOne(
        {"_id": name},
        {"$bit": {field: {"or": Int64(its)} for field, its in bits.items()}, "$setOnInsert": dict(own)},
        upsert=True,
    )


def _write(collection: Collection[Any], writes: list[UpdateOne]) -> None:
    """Two processes can collide where both make the same document. The next try finds it."""
    for left in reversed(range(TRIES)):
        if not writes:
            return
        try:
            collection.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            failures = mongo.write_failures(error)
            if not left or not failures or any(failure["code"] != DUPLICATE_KEY for failure in failures):
                raise
            writes = [writes[failure["index"]] for failure in failures]
        else:
            return
